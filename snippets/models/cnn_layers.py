# --8<-- [start:setup]
"""The layers of a convolutional network from scratch, and PyTorch's own."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
# --8<-- [end:setup]


# --8<-- [start:convolution]
def convolution(
    image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor,
    stride: int = 1, padding: int = 0,
) -> torch.Tensor:
    """Slide kernels, (out, in, K, K), over images, (batch, in, H, W).

    Return (batch, out, H', W'); H' = (H + 2 * padding - K) // stride + 1.
    """
    image = F.pad(image, [padding] * 4)  # zeros on all four sides
    size = weight.shape[-1]
    rows = (image.shape[2] - size) // stride + 1
    columns = (image.shape[3] - size) // stride + 1
    output = image.new_empty(len(image), len(weight), rows, columns)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            window = image[:, None, :, top : top + size, left : left + size]
            # (batch, 1, in, K, K) * (out, in, K, K), summed over in, K, K
            output[:, :, i, j] = (window * weight).sum((2, 3, 4)) + bias
    return output
# --8<-- [end:convolution]


# --8<-- [start:pooling]
def max_pooling(
    image: torch.Tensor, size: int, stride: int | None = None, padding: int = 0
) -> torch.Tensor:
    """Keep the largest number of each window of (batch, channels, H, W).

    Return (batch, channels, H', W'). Without a stride, the windows lie side
    by side.
    """
    stride = stride or size
    image = F.pad(image, [padding] * 4, value=-torch.inf)  # it never wins
    rows = (image.shape[2] - size) // stride + 1
    columns = (image.shape[3] - size) // stride + 1
    output = image.new_empty(*image.shape[:2], rows, columns)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            window = image[:, :, top : top + size, left : left + size]
            output[:, :, i, j] = window.amax((2, 3))
    return output
# --8<-- [end:pooling]


# --8<-- [start:fully_connected]
def fully_connected(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Weigh inputs, (batch, N), for outputs, (batch, M); weight: (M, N)."""
    return x @ weight.T + bias
# --8<-- [end:fully_connected]


# --8<-- [start:main]
def main(out: Path, seed: int = 0) -> dict:
    """Compare the layers with PyTorch's, count, draw; write into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    image = torch.randn(2, 3, 9, 8)
    weight, bias = torch.randn(4, 3, 3, 3), torch.randn(4)
    x, matrix, offset = torch.randn(2, 6), torch.randn(5, 6), torch.randn(5)
    pairs = {
        "convolution": (
            convolution(image, weight, bias, stride=2, padding=1),
            F.conv2d(image, weight, bias, stride=2, padding=1),
        ),
        "max pooling": (max_pooling(image, 2), F.max_pool2d(image, 2)),
        "fully connected": (
            fully_connected(x, matrix, offset), F.linear(x, matrix, offset)
        ),
    }
    for name, (ours, theirs) in pairs.items():
        worst = (ours - theirs).abs().max().item()
        print(f"{name}: {tuple(ours.shape)}, off by at most {worst:.0e}")

    inputs, outputs = 3 * 32 * 32, 32 * 32 * 32
    metrics = {
        "parameters": {
            "convolution": 32 * 3 * 3 * 3 + 32,
            "fully_connected": (inputs + 1) * outputs,
        },
        "multiplications": {
            "convolution": outputs * 3 * 3 * 3,
            "fully_connected": inputs * outputs,
        },
    }
    print("from a 3x32x32 image to 32x32x32 outputs:")
    for name in ("convolution", "fully_connected"):
        parameters, products = (metrics[key][name] for key in metrics)
        print(f"  {name}: {parameters:,} parameters, {products:,} products")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw_convolution(out)
    draw_pooling(out)
    draw_fully_connected(out)
    return metrics
# --8<-- [end:main]


# --8<-- [start:pictures]
def grid(
    axes: plt.Axes, numbers: torch.Tensor, title: str, colors: dict
) -> None:
    """Draw numbers, (rows, columns), with the colors of some cells."""
    rows, columns = numbers.shape
    for i in range(rows):
        for j in range(columns):
            box = plt.Rectangle(
                (j, i), 1, 1, edgecolor="gray",
                facecolor=colors.get((i, j), "none"),
                alpha=0.45 if (i, j) in colors else 1,
            )
            axes.add_patch(box)
            text = f"{numbers[i, j]:.0f}"
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center")
    axes.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -0.1))
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=10)
    axes.axis("off")


def draw_convolution(out: Path) -> None:
    """Draw an image, a kernel that answers to vertical edges, the result."""
    image = torch.tensor([[1, 1, 1, 8, 8]] * 3 + [[1, 1, 8, 8, 8]] * 2).float()
    kernel = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
    result = convolution(
        image[None, None], kernel[None, None], torch.zeros(1)
    )[0, 0]
    window = {(i, j): "tab:orange" for i in (1, 2, 3) for j in (1, 2, 3)}
    figure, axes = plt.subplots(1, 3, figsize=(6, 2.4), width_ratios=(5, 3, 3))
    grid(axes[0], image, "image", window)
    blue = {(i, j): "tab:blue" for i in range(3) for j in range(3)}
    grid(axes[1], kernel, "kernel", blue)
    grid(axes[2], result, "result", {(1, 1): "tab:orange"})
    figure.savefig(out / "convolution.svg")
# --8<-- [end:pictures]


# --8<-- [start:more_pictures]
def draw_pooling(out: Path) -> None:
    """Draw max pooling with a 2x2 window: each window in its own color."""
    image = torch.tensor(
        [[1.0, 3, 2, 0], [4, 2, 1, 5], [7, 0, 3, 3], [2, 6, 8, 1]]
    )
    result = max_pooling(image[None, None], 2)[0, 0]
    hues = ("tab:orange", "tab:blue", "tab:green", "tab:purple")
    small = {(i, j): hues[i * 2 + j] for i in range(2) for j in range(2)}
    cells = [(i, j) for i in range(4) for j in range(4)]
    colors = {(i, j): small[i // 2, j // 2] for i, j in cells}
    figure, axes = plt.subplots(1, 2, figsize=(4.2, 2.4), width_ratios=(4, 2))
    grid(axes[0], image, "image", colors)
    grid(axes[1], result, "result", small)
    figure.savefig(out / "pooling.svg")


def draw_fully_connected(out: Path) -> None:
    """Draw five inputs, three outputs and the fifteen weights between them."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 3)
    figure, axes = plt.subplots(figsize=(4.2, 2.6))
    for m, row in enumerate(layer.weight.tolist()):
        for n, weight in enumerate(row):
            color = "tab:blue" if weight > 0 else "tab:orange"
            width = 8 * abs(weight)
            axes.plot([0, 1], [-n, -m - 1], color=color, linewidth=width)
    for n in range(5):
        axes.text(-0.04, -n, f"$x_{n + 1}$", ha="right", va="center")
    for m in range(3):
        axes.text(1.04, -m - 1, f"$y_{m + 1}$", ha="left", va="center")
    axes.set(xlim=(-0.2, 1.2))
    axes.axis("off")
    figure.savefig(out / "fully_connected.svg")
# --8<-- [end:more_pictures]

# --8<-- [start:command_line]
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
    run(main, "cnn_layers-results")
# --8<-- [end:run]
