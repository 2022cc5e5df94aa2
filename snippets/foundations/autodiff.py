# --8<-- [start:setup]
"""Gradients of anything that NumPy computes, and a network that learns."""

import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
# --8<-- [end:setup]


# --8<-- [start:value]
# From foundations/autodiff_scalar.py, word for word:
COUNTER = itertools.count()  # numbers all that is computed, in order


class Value:
    """A number that knows which ones it was computed from, with each slope."""

    __slots__ = ("data", "paths", "grad", "number")  # takes less memory

    def __init__(self, data: float, *paths: tuple["Value", float]):
        """Keep a number, and the slope along the path to each before it."""
        self.data, self.paths, self.grad = data, paths, 0.0
        self.number = next(COUNTER)

    def __add__(self, b: "Value") -> "Value":
        return Value(self.data + b.data, (self, 1.0), (b, 1.0))

    def __mul__(self, b: "Value") -> "Value":
        return Value(self.data * b.data, (self, b.data), (b, self.data))

    def relu(self) -> "Value":
        """Return the number, or 0 where it is below."""
        return Value(max(self.data, 0.0), (self, float(self.data > 0)))

    def exp(self) -> "Value":
        """Return e to the power of the number."""
        power = math.exp(self.data)
        return Value(power, (self, power))

    def log(self) -> "Value":
        """Return the natural logarithm of the number."""
        return Value(math.log(self.data), (self, 1 / self.data))

    def backward(self) -> None:
        """Add to `grad` of each number how this one depends on it."""
        self.grad = 1.0
        for node in newest_first(self):
            for parent, slope in node.paths:
                parent.grad += slope * node.grad


def newest_first(end: object) -> list:
    """Return a result and all that it was computed from, the last first."""
    found, ends = {end}, [end]
    while ends:
        parents = {parent for parent, _ in ends.pop().paths} - found
        found |= parents
        ends += parents
    return sorted(found, key=lambda node: node.number, reverse=True)
# --8<-- [end:value]


# --8<-- [start:broadcasting]
def unbroadcast(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum a gradient, of any shape, over all that broadcasting copied."""
    added = grad.ndim - len(shape)
    ones = [added + axis for axis, size in enumerate(shape) if size == 1]
    return grad.sum((*range(added), *ones), keepdims=True).reshape(shape)
# --8<-- [end:broadcasting]


# --8<-- [start:tensor]
class Tensor:
    """An array of any shape that knows what it was computed from.

    Each of its `paths` is a tensor it was computed from, and a function that
    turns the gradient of this one into the gradient of that one.
    """

    __array_ufunc__ = None  # lets `array + tensor` call our addition

    def __init__(self, data: object, *paths: tuple, learned: bool = False):
        """Keep numbers; the gradient of the `learned` ones is wanted."""
        self.data = np.asarray(data, dtype=float)
        self.paths = [path for path in paths if path[0].wanted]
        self.learned, self.wanted = learned, learned or bool(self.paths)
        self.grad = None  # where it is learned, an array of the same shape
        self.number = next(COUNTER)

    def backward(self) -> None:
        """Add to `grad` of all that is learned how this number depends on it.

        Raises ValueError where this is not one number, or depends on nothing.
        """
        if self.data.size != 1 or not self.wanted:
            raise ValueError(
                f"backward() of a tensor of shape {self.data.shape}: it has to"
                " be a single number, such as a mean, of learned tensors"
            )
        grads = {self: np.ones_like(self.data)}
        for node in newest_first(self):
            grad = grads.pop(node)
            if node.learned:
                node.grad = grad if node.grad is None else node.grad + grad
            for parent, pull in node.paths:
                more = unbroadcast(pull(grad), parent.data.shape)
                grads[parent] = grads.get(parent, 0) + more
# --8<-- [end:tensor]


# --8<-- [start:arithmetic]
def tensor(value: object) -> Tensor:
    """Return numbers as a tensor of any shape; a tensor stays as it is."""
    return value if isinstance(value, Tensor) else Tensor(value)


def add(a: object, b: object) -> Tensor:
    """Add tensors of any shape, one of them broadcast to the other."""
    a, b = tensor(a), tensor(b)
    return Tensor(a.data + b.data, (a, lambda g: g), (b, lambda g: g))


def multiply(a: object, b: object) -> Tensor:
    """Multiply tensors of any shape, number by number."""
    a, b = tensor(a), tensor(b)
    return Tensor(
        a.data * b.data, (a, lambda g: g * b.data), (b, lambda g: g * a.data)
    )


def power(a: Tensor, exponent: float) -> Tensor:
    """Raise each number of a tensor of any shape to a constant power."""
    slope = exponent * a.data ** (exponent - 1)
    return Tensor(a.data**exponent, (a, lambda g: g * slope))


Tensor.__add__ = Tensor.__radd__ = add
Tensor.__mul__ = Tensor.__rmul__ = multiply
Tensor.__pow__ = power
Tensor.__neg__ = lambda a: a * -1.0
Tensor.__sub__ = lambda a, b: a + tensor(b) * -1.0
Tensor.__rsub__ = lambda a, b: a * -1.0 + b
Tensor.__truediv__ = lambda a, b: a * tensor(b) ** -1.0
Tensor.__rtruediv__ = lambda a, b: a**-1.0 * b
# --8<-- [end:arithmetic]


# --8<-- [start:product]
def matmul(a: object, b: object) -> Tensor:
    """Multiply matrices, (..., n, k) by (..., k, m), to (..., n, m).

    Raises ValueError for a vector: it has to be a row or a column.
    """
    a, b = tensor(a), tensor(b)
    if min(a.data.ndim, b.data.ndim) < 2:
        raise ValueError(
            f"@ of the shapes {a.data.shape} and {b.data.shape}: make a vector"
            " a row or a column, v.reshape(1, -1) or v.reshape(-1, 1)"
        )
    return Tensor(
        a.data @ b.data,
        (a, lambda g: g @ b.data.swapaxes(-1, -2)),
        (b, lambda g: a.data.swapaxes(-1, -2) @ g),
    )


Tensor.__matmul__ = matmul
Tensor.__rmatmul__ = lambda a, b: matmul(b, a)
# --8<-- [end:product]


# --8<-- [start:functions]
def exp(a: Tensor) -> Tensor:
    """Return e to the power of each number of a tensor of any shape."""
    value = np.exp(a.data)
    return Tensor(value, (a, lambda g: g * value))


def log(a: Tensor) -> Tensor:
    """Return the natural logarithm of a tensor of any shape."""
    return Tensor(np.log(a.data), (a, lambda g: g / a.data))


def relu(a: Tensor) -> Tensor:
    """Return a tensor of any shape with 0 for what is below it."""
    return Tensor(np.maximum(a.data, 0), (a, lambda g: g * (a.data > 0)))


Tensor.exp, Tensor.log, Tensor.relu = exp, log, relu
# --8<-- [end:functions]


# --8<-- [start:reductions]
Axes = int | tuple[int, ...] | None


def total(a: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Sum a tensor of any shape along some axes, or along all."""
    value = a.data.sum(axis, keepdims=keepdims)
    kept = a.data.sum(axis, keepdims=True).shape

    def pull(g: np.ndarray) -> np.ndarray:  # each addend gets it whole
        return np.broadcast_to(g.reshape(kept), a.data.shape)

    return Tensor(value, (a, pull))


def mean(a: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Average a tensor of any shape along some axes, or along all."""
    result = total(a, axis, keepdims)
    return result * (result.data.size / a.data.size)


def amax(a: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Return the largest numbers of a tensor of any shape along some axes."""
    largest = a.data.max(axis, keepdims=True)
    won = a.data == largest
    share = won / won.sum(axis, keepdims=True)  # several may be the largest
    value = a.data.max(axis, keepdims=keepdims)
    return Tensor(value, (a, lambda g: g.reshape(largest.shape) * share))


Tensor.sum, Tensor.mean, Tensor.amax = total, mean, amax
# --8<-- [end:reductions]


# --8<-- [start:places]
def pick(a: Tensor, index: object) -> Tensor:
    """Return what NumPy's indexing returns of a tensor of any shape."""

    def pull(g: np.ndarray) -> np.ndarray:
        grad = np.zeros_like(a.data)
        np.add.at(grad, index, g)  # adds where an index stands twice
        return grad

    return Tensor(a.data[index], (a, pull))


def reshape(a: Tensor, *shape: int) -> Tensor:
    """Give the numbers of a tensor of any shape another one."""
    value = a.data.reshape(shape)
    return Tensor(value, (a, lambda g: g.reshape(a.data.shape)))


def swapaxes(a: Tensor, one: int, other: int) -> Tensor:
    """Swap two axes of a tensor of any shape."""
    value = a.data.swapaxes(one, other)
    return Tensor(value, (a, lambda g: g.swapaxes(one, other)))


Tensor.__getitem__ = pick
Tensor.reshape, Tensor.swapaxes = reshape, swapaxes
# --8<-- [end:places]


# --8<-- [start:network]
def network(weights: list[Tensor], x: np.ndarray) -> Tensor:
    """Return logits, (batch, 10), of pixels, (batch, 64), by two layers."""
    first, first_bias, second, second_bias = weights
    return (x @ first + first_bias).relu() @ second + second_bias


def cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """Return the mean loss of logits, (batch, 10), for labels, (batch,)."""
    logits = logits - logits.amax(1, keepdims=True)  # exp() stays finite
    right = logits[np.arange(len(labels)), labels]
    return (logits.exp().sum(1).log() - right).mean()


RATE = 0.3


def train(
    weights: list[Tensor], x: np.ndarray, y: np.ndarray, batches: np.ndarray
) -> list[float]:
    """Train on pixels, (count, 64), and labels, (count,); return the losses.

    The batches, (steps, batch), hold numbers of images.
    """
    losses = []
    for rows in batches:
        loss = cross_entropy(network(weights, x[rows]), y[rows])
        loss.backward()
        for weight in weights:
            weight.data = weight.data - RATE * weight.grad
            weight.grad = None
        losses.append(loss.data.item())
    return losses
# --8<-- [end:network]


# --8<-- [start:data]
def load_data() -> tuple[np.ndarray, ...]:
    """Return pixels, (count, 64), and labels, (count,), to train, to test.

    The file is in the order of its forms; the last three of them test.
    """
    pixels, labels = load_digits(return_X_y=True)
    x = pixels / 16  # from 0 to 1
    return x[:1415], labels[:1415], x[1415:], labels[1415:]


def prepare(count: int, steps: int, seed: int) -> tuple[list, np.ndarray]:
    """Draw weights, (64, 32) and (32, 10), with biases of 0, and batches.

    Those, (steps, 64), hold numbers of images, below `count`."""
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(64, 32)), random.normal(size=(32, 10))
    weights = [first / 8, np.zeros(32), second / 6, np.zeros(10)]
    return weights, random.integers(count, size=(steps, 64))
# --8<-- [end:data]


# --8<-- [start:pytorch]
def train_torch(
    weights: list[np.ndarray], x: np.ndarray, y: np.ndarray,
    batches: np.ndarray,
) -> tuple[list[float], nn.Module]:
    """Train in PyTorch from weights, (64, 32) and (32, 10), and biases.

    Data, (count, 64) and (count,), and batches, (steps, batch), are as above.
    """
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    for parameter, weight in zip(model.parameters(), weights):
        parameter.data = torch.tensor(weight.T)  # of double precision
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    x, y = torch.tensor(x), torch.tensor(y)
    losses = []
    for rows in batches:
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model
# --8<-- [end:pytorch]


# --8<-- [start:scalar]
def scalar_step(
    weights: list[np.ndarray], x: np.ndarray, y: np.ndarray
) -> list[np.ndarray]:
    """Return weights, (64, 32) and (32, 10), and biases, after one step.

    It is on pixels, (batch, 64), with labels, (batch,).
    """
    values = np.frompyfunc(Value, 1, 1)  # makes one of each number
    made = first, first_bias, second, second_bias = [*map(values, weights)]
    hidden = np.frompyfunc(Value.relu, 1, 1)(values(x) @ first + first_bias)
    logits = hidden @ second + second_bias  # (batch, 10)
    wrong = logits[np.arange(len(y)), y] * Value(-1.0)  # (batch,)
    loss = (np.log(np.exp(logits).sum(1)) + wrong).sum() * Value(1 / len(y))
    loss.backward()
    moved = np.frompyfunc(lambda one: one.data - RATE * one.grad, 1, 1)
    return [moved(one).astype(float) for one in made]
# --8<-- [end:scalar]


# --8<-- [start:main]
def timed(run: Callable, *given: object) -> tuple:
    """Return what a function returns, seconds, and how many nodes it made."""
    number, started = next(COUNTER), time.perf_counter()
    found = run(*given)
    return found, time.perf_counter() - started, next(COUNTER) - number - 1


def main(out: Path, seed: int = 0, steps: int = 1000) -> dict:
    """Train with both engines, time a step of all three; write into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    x, y, test_x, test_y = load_data()
    first, batches = prepare(len(x), steps, seed)
    weights = [Tensor(weight, learned=True) for weight in first]
    losses, seconds, nodes = timed(train, weights, x, y, batches)
    trained, torch_seconds, _ = timed(train_torch, first, x, y, batches)
    rows = batches[0]
    _, scalar_seconds, scalars = timed(scalar_step, first, x[rows], y[rows])
    metrics = {
        "train": len(x), "test": len(test_x), "steps": steps,
        "parameters": sum(weight.size for weight in first),
        "difference": np.abs(np.subtract(losses, trained[0])).max(),
        "scalar": {"seconds": scalar_seconds, "nodes": scalars},
        "tensor": {"seconds": seconds / steps, "nodes": nodes // steps},
        "torch": {"seconds": torch_seconds / steps},
    }
    for name in ("scalar", "tensor", "torch"):
        print(f"{name:6} {1e3 * metrics[name]['seconds']:8.2f} ms a step")
    outputs = {
        "tensor": network(weights, test_x).data,  # (count, 10)
        "torch": trained[1](torch.tensor(test_x)).detach().numpy(),
    }
    for name, logits in outputs.items():
        right = float((logits.argmax(1) == test_y).mean())
        metrics[name]["accuracy"] = right
        print(f"{name:6} {right:8.1%} of the test digits right")
    print(f"the losses differ by at most {metrics['difference']:.0e}")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


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
    run(main, "autodiff-results")
# --8<-- [end:run]
