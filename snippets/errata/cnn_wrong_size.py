# --8<-- [start:program]
"""A listing that guesses the size before its first fully connected layer."""

import torch
from torch import nn

convolutions = nn.Sequential(
    nn.Conv2d(3, 32, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
)


def main() -> None:
    """Show the error at batch size 4, then find the size, not guess it."""
    x = convolutions(torch.zeros(4, 3, 32, 32))
    try:
        x.view(-1, 64 * 6 * 6)
    except RuntimeError as error:
        print(f"RuntimeError: {error}")

    one = convolutions(torch.zeros(1, 3, 32, 32))  # one empty image
    size = one.flatten(1).shape[1]
    print(f"the convolutions return {tuple(one.shape)}: {size} numbers")
    repaired = nn.Linear(size, 128)(x.flatten(1))
    print(f"repair: nn.Linear({size}, 128) returns {tuple(repaired.shape)}")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
