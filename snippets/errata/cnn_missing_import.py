# --8<-- [start:program]
"""A listing that uses F.relu and never imports F."""

import torch
from torch import nn


class Net(nn.Module):
    """The network of the listing, up to its first activation."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 32, 32, 32) of (batch, 3, 32, 32), were F known."""
        return F.relu(self.conv1(x))


def main() -> None:
    """Show that the network can be made, and that its first use fails."""
    net = Net()
    print("constructed without complaint")
    try:
        net(torch.zeros(4, 3, 32, 32))
    except NameError as error:
        print(f"NameError: {error}")
    print("repair: import torch.nn.functional as F")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
