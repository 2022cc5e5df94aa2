# --8<-- [start:program]
"""A listing that uses PositionalEncoding and math, and defines neither."""

import torch
from torch import nn


class Transformer(nn.Module):
    """The model of the listing, up to its first layer."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.pos_encoding = PositionalEncoding(hidden_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what would enter the first layer, (batch, length, hidden)."""
        x = self.embedding(tokens) * math.sqrt(self.hidden_size)
        return self.pos_encoding(x)


class NoEncoding(nn.Module):
    """Stands in for the missing class: the next missing name is reached."""

    def __init__(self, hidden_size: int):
        super().__init__()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x, (batch, length, hidden), as it is."""
        return x


def main() -> None:
    """Construct the model, supply what is missing, and use it."""
    try:
        Transformer(1000, 64)
    except NameError as error:
        print(f"constructing it: NameError: {error}")
    globals()["PositionalEncoding"] = NoEncoding
    try:
        Transformer(1000, 64)(torch.zeros(2, 10, dtype=torch.long))
    except NameError as error:
        print(f"using it: NameError: {error}")
    finally:
        del globals()["PositionalEncoding"]
    print("PyTorch brings no positional encoding; write one, and import math")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
