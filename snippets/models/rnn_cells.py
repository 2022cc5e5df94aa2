# --8<-- [start:setup]
"""Three recurrent cells written out, held beside PyTorch's; how far gradients reach."""

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn


class Cell(nn.Module):
    """What the cells share: one set of weights for the input, one for the state.

    `gates` blocks of `hidden` rows lie on top of each other, as in PyTorch's own cells,
    whose names for the weights these are.
    """

    def __init__(self, size: int, hidden: int, gates: int):
        super().__init__()
        self.hidden = hidden
        bound = 1 / math.sqrt(hidden)  # PyTorch draws all weights from (-bound, bound)
        for name, shape in (
            ("weight_ih", (gates * hidden, size)),
            ("weight_hh", (gates * hidden, hidden)),
            ("bias_ih", (gates * hidden,)),
            ("bias_hh", (gates * hidden,)),
        ):
            self.register_parameter(
                name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
            )
# --8<-- [end:setup]


# --8<-- [start:rnn]
class RNNCell(Cell):
    """The simple recurrent network: J. L. Elman, Finding structure in time, 1990."""

    def __init__(self, size: int, hidden: int):
        super().__init__(size, hidden, gates=1)

    def forward(self, x: torch.Tensor, state: tuple) -> tuple:
        """Take x, (batch, size), and the state (h,), (batch, hidden); return it new."""
        (h,) = state
        from_input = x @ self.weight_ih.T + self.bias_ih  # (batch, hidden)
        from_state = h @ self.weight_hh.T + self.bias_hh  # (batch, hidden)
        return (torch.tanh(from_input + from_state),)
# --8<-- [end:rnn]


# --8<-- [start:lstm]
class LSTMCell(Cell):
    """S. Hochreiter and J. Schmidhuber, Long short-term memory, 1997.

    With the forget gate of F. A. Gers, J. Schmidhuber and F. Cummins, Learning to
    forget: continual prediction with LSTM, 2000.
    """

    def __init__(self, size: int, hidden: int):
        super().__init__(size, hidden, gates=4)

    def forward(self, x: torch.Tensor, state: tuple) -> tuple:
        """Take x, (batch, size), and the state (h, c), each (batch, hidden)."""
        h, c = state
        blocks = x @ self.weight_ih.T + self.bias_ih  # (batch, 4 hidden)
        blocks = blocks + h @ self.weight_hh.T + self.bias_hh
        i, f, g, o = blocks.chunk(4, dim=1)  # each (batch, hidden)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)  # keep, and write
        return torch.sigmoid(o) * torch.tanh(c), c  # what is shown, what is kept
# --8<-- [end:lstm]


# --8<-- [start:gru]
class GRUCell(Cell):
    """K. Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.

    As in PyTorch, the reset gate acts after the multiplication by the weights.
    """

    def __init__(self, size: int, hidden: int):
        super().__init__(size, hidden, gates=3)

    def forward(self, x: torch.Tensor, state: tuple) -> tuple:
        """Take x, (batch, size), and the state (h,), (batch, hidden); return it new."""
        (h,) = state
        r, z, n = (x @ self.weight_ih.T + self.bias_ih).chunk(3, dim=1)
        r_h, z_h, n_h = (h @ self.weight_hh.T + self.bias_hh).chunk(3, dim=1)
        r, z = torch.sigmoid(r + r_h), torch.sigmoid(z + z_h)  # reset, update
        n = torch.tanh(n + r * n_h)  # the candidate, (batch, hidden)
        return ((1 - z) * n + z * h,)
# --8<-- [end:gru]


# --8<-- [start:unroll]
def unroll(cell: Cell, x: torch.Tensor) -> torch.Tensor:
    """Run a cell along (batch, time, size); return all its h, (batch, time, hidden)."""
    zero = x.new_zeros(len(x), cell.hidden)
    state = (zero, zero) if isinstance(cell, LSTMCell) else (zero,)
    outputs = []
    for step in x.unbind(dim=1):  # the same weights at every step
        state = cell(step, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1)


PAIRS = {
    "RNN": (RNNCell, nn.RNN), "LSTM": (LSTMCell, nn.LSTM), "GRU": (GRUCell, nn.GRU)
}


def difference(name: str, batch: int, time: int, size: int, hidden: int) -> float:
    """Return the largest difference between our layer and PyTorch's, same weights."""
    ours = PAIRS[name][0](size, hidden)
    theirs = PAIRS[name][1](size, hidden, batch_first=True)
    weights = theirs.state_dict()  # weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
    ours.load_state_dict({key.removesuffix("_l0"): weights[key] for key in weights})
    x = torch.randn(batch, time, size)
    with torch.inference_mode():
        return (unroll(ours, x) - theirs(x)[0]).abs().max().item()
# --8<-- [end:unroll]


# --8<-- [start:reach]
def layer(name: str, size: int, hidden: int, forget: float = 0) -> nn.Module:
    """Return PyTorch's layer; `forget` is added to the bias of the forget gate."""
    made = PAIRS[name][1](size, hidden, batch_first=True)
    if forget:
        with torch.no_grad():
            made.bias_hh_l0[hidden : 2 * hidden] += forget  # the second of four gates
    return made


def reach(made: nn.Module, distance: int, batch: int = 32) -> torch.Tensor:
    """Return the norm of the last output's gradient by the input 0, 1, ... steps back.

    The inputs are noise. Shape (distance + 1,), 1 at distance 0, mean over the batch.
    """
    made = made.double()  # the smallest of these numbers do not fit into float32
    x = torch.randn(
        batch, distance + 1, made.input_size, dtype=torch.float64, requires_grad=True
    )
    last = made(x)[0][:, -1]  # (batch, hidden)
    (gradient,) = torch.autograd.grad((last * torch.randn_like(last)).sum(), x)
    norms = gradient.norm(dim=2).mean(dim=0).flip(0)  # (distance + 1,)
    return norms / norms[0]
# --8<-- [end:reach]


# --8<-- [start:remember]
def remember(
    made: nn.Module, distance: int, steps: int = 600, symbols: int = 8, batch: int = 64
) -> float:
    """Train on the first of `distance` symbols as the answer; return the accuracy.

    All others are noise. Every batch is new, so there is nothing to learn by heart; the
    accuracy is that of 1,000 further sequences, 1 / symbols for guessing.
    """
    head = nn.Linear(made.hidden_size, symbols)
    parameters = [*made.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.003)
    for step in range(steps + 1):
        count = batch if step < steps else 1000
        x = torch.randint(symbols, (count, distance))
        outputs = made(F.one_hot(x, symbols).float())[0]  # (count, distance, hidden)
        logits = head(outputs[:, -1])  # (count, symbols)
        if step == steps:
            return (logits.argmax(1) == x[:, 0]).float().mean().item()
        optimizer.zero_grad()
        F.cross_entropy(logits, x[:, 0]).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
# --8<-- [end:remember]


# --8<-- [start:figure]
COLORS = {"RNN": "#d1495b", "GRU": "#2a9d8f", "LSTM": "#8d7fd1"}


def draw(curves: dict[str, list[float]], file: Path) -> None:
    """Draw the norms of the gradients over the distance in time."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, norms in curves.items():
        style = {"LSTM": "--", "LSTM, forget bias 3": "-."}.get(name, "-")
        axes.semilogy(norms, style, color=COLORS[name.split(",")[0]], label=name)
    axes.set_xlabel("distance in time (steps)")
    axes.set_ylabel("norm of the gradient, 1 at distance 0")
    axes.legend(frameon=False)
    figure.savefig(file, bbox_inches="tight")
    plt.close(figure)
# --8<-- [end:figure]


# --8<-- [start:main]
CASES = {
    "RNN": ("RNN", 0), "GRU": ("GRU", 0), "LSTM": ("LSTM", 0),
    "LSTM, forget bias 1": ("LSTM", 1), "LSTM, forget bias 3": ("LSTM", 3),
}


def main(out: Path, distance: int = 60, steps: int = 600) -> dict:
    """Compare, measure, draw; write metrics.json into `out`, return what it holds."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    metrics = {"difference": {}, "reach": {}, "per_step": {}, "remembered": {}}
    for name in PAIRS:
        metrics["difference"][name] = worst = difference(name, 3, 20, 100, 256)
        print(f"{name}: differs from PyTorch's by {worst:.1e} at most")

    curves = {}
    print("\n                     gradient left after   first symbol recalled of\n"
          "                     10 steps  50 steps     10     25     50")
    for name, (kind, forget) in CASES.items():
        norms = reach(layer(kind, 100, 256, forget), distance)
        curves[name] = norms.tolist()
        metrics["reach"][name] = {"10": norms[10].item(), "50": norms[50].item()}
        metrics["per_step"][name] = (norms[50] / norms[10]).item() ** (1 / 40)
        recalled = {
            str(length): remember(layer(kind, 8, 32, forget), length, steps)
            for length in (10, 25, 50)
        }
        metrics["remembered"][name] = recalled
        shares = "  ".join(f"{share:.3f}" for share in recalled.values())
        print(f"{name:20} {norms[10]:8.0e}  {norms[50]:8.0e}  {shares}", flush=True)
    draw(curves, out / "reach.svg")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("rnn_cells-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
