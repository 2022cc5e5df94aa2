# --8<-- [start:setup]
"""Three recurrent cells written out; how far back their gradients reach."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn


class Cell(nn.Module):
    """What the cells share: weights for the input, and for the state.

    `gates` blocks of `hidden` rows lie on top of each other, as in PyTorch's
    own cells, whose names for the weights these are.
    """

    def __init__(self, size: int, hidden: int, gates: int):
        super().__init__()
        self.hidden = hidden
        rows = gates * hidden
        self.weight_ih = nn.Parameter(torch.empty(rows, size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        bound = 1 / math.sqrt(hidden)
        for weights in self.parameters():  # drawn as PyTorch draws them
            nn.init.uniform_(weights, -bound, bound)
# --8<-- [end:setup]


# --8<-- [start:rnn]
class RNNCell(Cell):
    """The simple network: J. L. Elman, Finding structure in time, 1990."""

    def __init__(self, size: int, hidden: int):
        super().__init__(size, hidden, gates=1)

    def forward(self, x: torch.Tensor, state: tuple) -> tuple:
        """Take x, (batch, size), and (h,), (batch, hidden); return (h,)."""
        (h,) = state
        from_input = x @ self.weight_ih.T + self.bias_ih  # (batch, hidden)
        from_state = h @ self.weight_hh.T + self.bias_hh  # (batch, hidden)
        return (torch.tanh(from_input + from_state),)
# --8<-- [end:rnn]


# --8<-- [start:lstm]
class LSTMCell(Cell):
    """S. Hochreiter and J. Schmidhuber, Long short-term memory, 1997.

    With the forget gate of F. A. Gers, J. Schmidhuber and F. Cummins, Learning
    to forget: continual prediction with LSTM, 2000.
    """

    def __init__(self, size: int, hidden: int):
        super().__init__(size, hidden, gates=4)

    def forward(self, x: torch.Tensor, state: tuple) -> tuple:
        """Take x, (batch, size), and (h, c), each (batch, hidden)."""
        h, c = state
        blocks = x @ self.weight_ih.T + self.bias_ih  # (batch, 4 hidden)
        blocks = blocks + h @ self.weight_hh.T + self.bias_hh
        i, f, g, o = blocks.chunk(4, dim=1)  # each (batch, hidden)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)  # kept
        return torch.sigmoid(o) * torch.tanh(c), c  # shown, and kept
# --8<-- [end:lstm]


# --8<-- [start:gru]
class GRUCell(Cell):
    """K. Cho et al., Learning phrase representations using RNN encoder-decoder
    for statistical machine translation, 2014.

    As in PyTorch, the reset gate acts after the multiplication by the weights.
    """

    def __init__(self, size: int, hidden: int):
        super().__init__(size, hidden, gates=3)

    def forward(self, x: torch.Tensor, state: tuple) -> tuple:
        """Take x, (batch, size), and (h,), (batch, hidden); return (h,)."""
        (h,) = state
        r, z, n = (x @ self.weight_ih.T + self.bias_ih).chunk(3, dim=1)
        r_h, z_h, n_h = (h @ self.weight_hh.T + self.bias_hh).chunk(3, dim=1)
        r, z = torch.sigmoid(r + r_h), torch.sigmoid(z + z_h)  # reset, update
        n = torch.tanh(n + r * n_h)  # the candidate, (batch, hidden)
        return ((1 - z) * n + z * h,)
# --8<-- [end:gru]


# --8<-- [start:unroll]
def unroll(cell: Cell, x: torch.Tensor) -> torch.Tensor:
    """Run a cell along (batch, time, size); return (batch, time, hidden)."""
    zero = x.new_zeros(len(x), cell.hidden)
    state = (zero, zero) if isinstance(cell, LSTMCell) else (zero,)
    outputs = []
    for step in x.unbind(dim=1):  # the same weights at every step
        state = cell(step, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1)


PAIRS = {
    "RNN": (RNNCell, nn.RNN),
    "LSTM": (LSTMCell, nn.LSTM),
    "GRU": (GRUCell, nn.GRU),
}


def difference(
    name: str, batch: int, time: int, size: int, hidden: int
) -> float:
    """Return how far our layer is from PyTorch's with the same weights."""
    ours = PAIRS[name][0](size, hidden)
    theirs = PAIRS[name][1](size, hidden, batch_first=True)
    weights = theirs.state_dict()  # weight_ih_l0, weight_hh_l0, ...
    ours.load_state_dict(
        {key.removesuffix("_l0"): weights[key] for key in weights}
    )
    x = torch.randn(batch, time, size)
    with torch.inference_mode():
        return (unroll(ours, x) - theirs(x)[0]).abs().max().item()
# --8<-- [end:unroll]


# --8<-- [start:reach]
def layer(name: str, size: int, hidden: int, forget: float = 0) -> nn.RNNBase:
    """Return PyTorch's layer; `forget` is added to the forget gate's bias."""
    made = PAIRS[name][1](size, hidden, batch_first=True)
    if forget:
        with torch.no_grad():  # the forget gate is the second of four
            made.bias_hh_l0[hidden : 2 * hidden] += forget
    return made


def reach(made: nn.RNNBase, distance: int, batch: int = 32) -> torch.Tensor:
    """Return how much the last output's gradient shrinks, step by step back.

    The inputs are noise. The norms, (distance + 1,), are means over the batch
    and relative to that at distance 0.
    """
    made = made.double()  # the smallest of these numbers do not fit float32
    x = torch.randn(batch, distance + 1, made.input_size, dtype=torch.float64,
                    requires_grad=True)
    last = made(x)[0][:, -1]  # (batch, hidden)
    output = (last * torch.randn_like(last)).sum()
    (gradient,) = torch.autograd.grad(output, x)
    norms = gradient.norm(dim=2).mean(dim=0).flip(0)  # (distance + 1,)
    return norms / norms[0]
# --8<-- [end:reach]


# --8<-- [start:remember]
SYMBOLS = 8


def remember(made: nn.RNNBase, distance: int, steps: int = 600) -> float:
    """Train on the first of `distance` symbols as the answer.

    All others are noise, and every batch is new, so there is nothing to learn
    by heart. Return the accuracy on 1,000 further sequences.
    """
    head = nn.Linear(made.hidden_size, SYMBOLS)
    parameters = [*made.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.003)

    def ask(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randint(SYMBOLS, (count, distance))
        outputs, _ = made(F.one_hot(x, SYMBOLS).float())
        return head(outputs[:, -1]), x[:, 0]  # (count, SYMBOLS), (count,)

    for _ in range(steps):
        logits, y = ask(64)
        optimizer.zero_grad()
        F.cross_entropy(logits, y).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    with torch.inference_mode():
        logits, y = ask(1000)
    return (logits.argmax(1) == y).float().mean().item()
# --8<-- [end:remember]


# --8<-- [start:main]
CASES = {
    "RNN": ("RNN", 0), "GRU": ("GRU", 0), "LSTM": ("LSTM", 0),
    "LSTM, forget bias 1": ("LSTM", 1), "LSTM, forget bias 3": ("LSTM", 3),
}


def main(
    out: Path, seed: int = 0, distance: int = 60, steps: int = 600
) -> dict:
    """Compare, measure, draw; write all into `out`, return the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # tensors this small gain nothing from more
    torch.manual_seed(seed)
    metrics = {"difference": {}, "reach": {}, "per_step": {}, "remembered": {}}
    for name in PAIRS:
        metrics["difference"][name] = worst = difference(name, 3, 20, 100, 256)
        print(f"{name}: differs from PyTorch's by {worst:.1e} at most")

    curves, lengths = {}, (10, 25, 50)
    print(f"\n{'':21}gradient left after   first symbol recalled of")
    print(f"{'':21}10 steps  50 steps     10     25     50")
    for name, (kind, forget) in CASES.items():
        norms = reach(layer(kind, 100, 256, forget), distance).tolist()
        curves[name], near, far = norms, norms[10], norms[50]
        metrics["reach"][name] = {"10": near, "50": far}
        metrics["per_step"][name] = (far / near) ** (1 / 40)
        recalled = [remember(layer(kind, 8, 32, forget), length, steps)
                    for length in lengths]
        metrics["remembered"][name] = dict(zip(map(str, lengths), recalled))
        shares = "  ".join(f"{share:.3f}" for share in recalled)
        print(f"{name:20} {near:8.0e}  {far:8.0e}  {shares}", flush=True)
    text = json.dumps(metrics, indent=2)
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")
    draw(curves, out / "reach.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw(curves: dict[str, list[float]], file: Path) -> None:
    """Draw the norms of the gradients over the distance in time."""
    colors = {"RNN": "#d1495b", "GRU": "#2a9d8f", "LSTM": "#8d7fd1"}
    styles = {"LSTM": "--", "LSTM, forget bias 3": "-."}
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, norms in curves.items():
        axes.semilogy(norms, styles.get(name, "-"), label=name,
                      color=colors[name.split(",")[0]])
    axes.set_xlabel("distance in time (steps)")
    axes.set_ylabel("norm of the gradient, 1 at distance 0")
    axes.legend(frameon=False)
    figure.savefig(file, bbox_inches="tight")
    plt.close(figure)
# --8<-- [end:figures]


# --8<-- [start:command_line]
# From models/cnn_layers.py, word for word:
import argparse
import contextlib
import inspect
import sys
import types


def run(
    main: types.FunctionType, folder: str, refusals: tuple = (), **more: dict
) -> None:
    """Call `main` with the options of the command line, which it checks.

    `folder` is where results go by default, `more` holds options besides
    --out and --seed. An exception out of `refusals` is told in one line.
    """
    with contextlib.suppress(AttributeError):  # a notebook shows any letter
        sys.stdout.reconfigure(errors="replace")  # and not every console
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=folder, help="folder for the results")
    if "seed" in inspect.signature(main).parameters:
        add("--seed", type=int, default=0, help="of all random numbers")
    for name, settings in more.items():
        add(f"--{name}", **settings)
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    for name, value in vars(options).items():
        least = 0 if name == "seed" else 1
        if isinstance(value, int) and not least <= value < 2**32:
            parser.error(f"--{name} {value}: at least {least}, below 2**32")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        check = options.out / ".writable"
        check.touch()
        check.unlink()
    except OSError as error:
        parser.error(f"--out {options.out}: {error.strerror}")
    before = {path: path.stat().st_mtime_ns for path in options.out.iterdir()}
    try:
        main(**vars(options))
    except refusals as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = [
            path.name for path in sorted(options.out.iterdir())
            if path.stat().st_mtime_ns != before.get(path)
        ]
        files = ", ".join(kept) or "nothing"
        sys.exit(f"\nstopped; kept in {options.out}: {files}")
    print(f"results in {options.out}")
# --8<-- [end:command_line]


# --8<-- [start:run]
if __name__ == "__main__":
    run(main, "rnn_cells-results")
# --8<-- [end:run]
