# --8<-- [start:program]
"""One encoder layer, whatever num_layers says: nothing complains."""

import torch
from torch import nn


class Encoder(nn.Module):
    """The encoder of the listing: it takes num_layers and never uses it."""

    def __init__(self, hidden_size: int, num_layers: int, num_heads: int):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(hidden_size, num_heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (length, batch, hidden), from the one layer there is."""
        return self.encoder(x)


class Repaired(Encoder):
    """The same with a stack of num_layers layers."""

    def __init__(self, hidden_size: int, num_layers: int, num_heads: int):
        super().__init__(hidden_size, num_layers, num_heads)
        self.encoder = nn.TransformerEncoder(  # makes copies of the layer
            self.encoder, num_layers, enable_nested_tensor=False
        )


def main() -> None:
    """Count the parameters for 1, 2 and 6 layers."""
    for model in (Encoder, Repaired):
        counts = [
            sum(p.numel() for p in model(64, layers, 4).parameters())
            for layers in (1, 2, 6)
        ]
        printed = ", ".join(f"{count:,}" for count in counts)
        print(f"{model.__name__}: {printed}")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
