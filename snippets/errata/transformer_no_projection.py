# --8<-- [start:program]
"""Without a projection, hidden numbers pass for scores of tokens."""

import torch
import torch.nn.functional as F
from torch import nn


def loss(output: torch.Tensor, tokens: torch.Tensor) -> str:
    """Return the loss of (batch, length, classes), or the error."""
    try:
        value = F.cross_entropy(output.flatten(0, 1), tokens.flatten())
    except IndexError as error:
        return f"IndexError: {error}"
    return f"{value.item():.2f}, and training would go on"


def main() -> None:
    """Try rare and frequent tokens, then count what can be predicted."""
    torch.manual_seed(0)
    vocabulary, hidden_size = 1000, 64
    output = torch.randn(8, 10, hidden_size)  # of the listing's decoder
    rare = torch.randint(vocabulary, (8, 10))
    print(f"tokens up to 999: {loss(output, rare)}")
    frequent = torch.randint(hidden_size, (8, 10))
    print(f"tokens up to 63: {loss(output, frequent)}")
    print(f"tokens that can be predicted: {output.shape[-1]} of {vocabulary}")
    projection = nn.Linear(hidden_size, vocabulary)
    repaired = projection(output)  # (8, 10, 1000)
    print(f"repaired: {loss(repaired, rare)}")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
