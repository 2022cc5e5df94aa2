# --8<-- [start:program]
"""Without a projection to the vocabulary, hidden numbers pass for scores of tokens."""

import torch
import torch.nn.functional as F
from torch import nn


def loss(output: torch.Tensor, tokens: torch.Tensor) -> str:
    """Return the loss of (batch, length, classes) against tokens, or the error."""
    try:
        value = F.cross_entropy(output.flatten(0, 1), tokens.flatten())
    except IndexError as error:
        return f"IndexError: {error}"
    return f"{value.item():.2f}, and training would go on"


def main() -> None:
    """Train on rare and on frequent tokens, then count what could ever be predicted."""
    torch.manual_seed(0)
    vocabulary, hidden_size = 1000, 64
    output = torch.randn(8, 10, hidden_size)  # what the listing's decoder returns
    print(f"tokens up to 999: {loss(output, torch.randint(vocabulary, (8, 10)))}")
    print(f"tokens up to 63: {loss(output, torch.randint(hidden_size, (8, 10)))}")
    print(f"tokens that can be predicted: {output.shape[-1]} of {vocabulary}")
    projection = nn.Linear(hidden_size, vocabulary)
    repaired = projection(output)  # (8, 10, 1000)
    print(f"repaired: {loss(repaired, torch.randint(vocabulary, (8, 10)))}")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
