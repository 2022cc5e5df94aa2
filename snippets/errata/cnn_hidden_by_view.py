# --8<-- [start:program]
"""A batch of 36 images becomes 64 predictions, and only the loss complains."""

import torch
import torch.nn.functional as F
from torch import nn

convolutions = nn.Sequential(
    nn.Conv2d(3, 32, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
)
classifier = nn.Sequential(
    nn.Linear(64 * 6 * 6, 128), nn.ReLU(), nn.Linear(128, 10)
)


def main() -> None:
    """Run the listing's `view` on 36 images, then `flatten` in its place."""
    images = torch.zeros(36, 3, 32, 32)
    labels = torch.zeros(36, dtype=torch.long)
    x = convolutions(images)  # (36, 64, 8, 8)
    predictions = classifier(x.view(-1, 64 * 6 * 6))  # 36 * 4096 / 2304 rows
    print(f"{len(images)} images, {len(predictions)} predictions, "
          "no error so far")
    try:
        F.cross_entropy(predictions, labels)
    except ValueError as error:
        print(f"the loss: ValueError:\n  {error}")
    silent = [
        batch for batch in range(1, 65)
        if batch * 64 * 8 * 8 % (64 * 6 * 6) == 0
    ]
    print(f"batch sizes up to 64 at which view is silent: {silent}")
    try:
        classifier(x.flatten(1))
    except RuntimeError as error:
        print(f"with flatten(1): RuntimeError:\n  {error}")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
