# --8<-- [start:program]
"""The encoder's output, passed a second time, lands in the place of a mask."""

import textwrap

import torch
from torch import nn


def decode(
    source: int, target: int, batch: int, hidden: int, num_heads: int
) -> str:
    """Call the decoder as the listing does; say what happens."""
    torch.manual_seed(0)
    decoder = nn.TransformerDecoderLayer(hidden, num_heads, dropout=0.0)
    memory = torch.randn(source, batch, hidden)  # the encoder's output
    x = torch.randn(target, batch, hidden)
    try:
        listing = decoder(x, memory, memory)  # the third argument is tgt_mask
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    difference = (listing - decoder(x, memory)).abs().max().item()
    return f"no error; the output is off by up to {difference:.1f}"


def main() -> None:
    """Show the error, and the sizes at which there is none."""
    for sizes in ((10, 7, 32, 64, 4), (16, 8, 8, 8, 2)):
        told = "source {}, target {}, batch {}, hidden {}, {} heads:"
        print(told.format(*sizes))
        print(textwrap.indent(textwrap.fill(decode(*sizes), 70), "  "))
    print("repair: name it, decoder(x, memory, tgt_mask=causal_mask)")


if __name__ == "__main__":
    main()
# --8<-- [end:program]
