# --8<-- [start:program]
"""Without batch_first the samples of a batch attend to one another."""

import torch
from torch import nn


def influence(batch_first: bool) -> torch.Tensor:
    """Return how far each of 4 samples moves sample 0's answer, (samples,)."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        64, 4, dropout=0.0, batch_first=batch_first
    )
    x = torch.randn(4, 10, 64, requires_grad=True)  # (batch, length, hidden)
    answer = layer(x)[0, :, 0].sum()  # of every position of sample 0
    (gradient,) = torch.autograd.grad(answer, x)
    return gradient.norm(dim=(1, 2))  # (batch,)


def main() -> None:
    """Show the gradient that each sample gets from the first one's answer."""
    for batch_first in (False, True):
        norms = ", ".join(f"{norm:.3f}" for norm in influence(batch_first))
        print(f"batch_first={batch_first}: gradients of samples 0 to 3: "
              f"{norms}")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
