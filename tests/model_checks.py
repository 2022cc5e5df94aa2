"""What every model on a page must pass."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn


def check_model(make: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor, classes: int) -> None:
    """Check a classifier: `make` builds it, `x` is a batch of inputs, (batch, ...), `y` labels, (batch,)."""
    assert len(x) >= 4, "a batch of four or more is needed to see whether its samples mix"
    check_first_loss(make, x, y, classes)
    check_step(make, x, y)
    check_batch_is_learned(make, x, y)
    check_seed(make, x, y)
    check_samples_are_separate(make, x)
    check_state_is_saved(make, x)


def build(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Return a new model from a seed."""
    torch.manual_seed(seed)
    return make()


def steps(model: nn.Module, x: torch.Tensor, y: torch.Tensor, count: int) -> list[float]:
    """Train on one batch for some steps; return the loss before each."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    model.train()
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def check_first_loss(make, x, y, classes) -> None:
    """An untrained model knows nothing: its loss is near ln(classes)."""
    with torch.no_grad():
        loss = F.cross_entropy(build(make).eval()(x), y).item()
    assert abs(loss - math.log(classes)) < 0.2 * math.log(classes), f"the first loss is {loss:.3f}, not near ln {classes}"


def check_step(make, x, y) -> None:
    """Every parameter receives a finite gradient and changes in one step."""
    model = build(make)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    steps(model, x, y, 1)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} receives no gradient"
        assert parameter.grad.isfinite().all(), f"{name} receives a gradient that is not finite"
        assert parameter.grad.abs().max() > 0, f"{name} receives a gradient of zeros"
        assert not torch.equal(before[name], parameter), f"{name} does not change in a step"


def check_batch_is_learned(make, x, y) -> None:
    """The loss on one batch falls to less than half."""
    losses = steps(build(make), x, y, 40)
    assert losses[-1] < 0.5 * losses[0], f"one batch is not learned: {losses[0]:.3f} became {losses[-1]:.3f}"


def check_seed(make, x, y) -> None:
    """Two runs with one seed agree exactly; another seed gives another run."""
    first, second, other = (steps(build(make, seed), x, y, 5) for seed in (0, 0, 1))
    assert first == second, "two runs with one seed differ"
    assert first != other, "another seed changes nothing"


def check_samples_are_separate(make, x) -> None:
    """No sample's output depends on another sample of its batch, in evaluation."""
    model = build(make).eval()
    inputs = x.clone().requires_grad_() if x.is_floating_point() else None
    if inputs is not None:
        (gradient,) = torch.autograd.grad(model(inputs)[0].sum(), inputs)
        assert gradient[0].abs().max() > 0, "the output does not depend on the input"
        assert gradient[1:].abs().max() == 0, "the first output depends on another sample of the batch"
    with torch.no_grad():
        alone = torch.cat([model(x[index : index + 1]) for index in range(len(x))])
        torch.testing.assert_close(model(x), alone, rtol=1e-4, atol=1e-5)


def check_state_is_saved(make, x) -> None:
    """The state survives saving, and loading with `weights_only=True`."""
    model, other = build(make).eval(), build(make, seed=1).eval()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        assert torch.equal(model(x), other(x)), "a model that was saved and loaded answers otherwise"


def exported(folder: Path) -> Callable[..., list[np.ndarray]]:
    """Return the model.onnx of a folder as a function from arrays by name to its outputs, in their order."""
    file = folder / "model.onnx"
    assert file.stat().st_size <= 1_000_000, f"{file} is larger than 1 MB"
    session = onnxruntime.InferenceSession(file)
    return lambda **inputs: session.run(None, {name: np.asarray(value) for name, value in inputs.items()})


def assert_equal(answers: list[np.ndarray], expected: list[torch.Tensor]) -> None:
    """Hold the outputs of an exported model equal to PyTorch's, within 1e-4."""
    assert len(answers) == len(expected)
    for answer, right in zip(answers, expected):
        np.testing.assert_allclose(answer, right.detach().numpy(), rtol=0, atol=1e-4)


def check_eight_bits(model: nn.Module, shrink: Callable[[nn.Module], nn.Module]) -> None:
    """Each table of weights of the copy is within half a step of 1/127 of its row's largest number; the model stays."""
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    small = shrink(model)
    rounded = [name.replace("parametrizations.", "").removesuffix(".original0") for name in small.state_dict() if name.endswith(".original0")]
    assert rounded, "no weight is stored in 8 bits"
    for name in rounded:
        *path, last = name.split(".")
        layer = small.get_submodule(".".join(path))
        weight, kept = before[name], getattr(layer, last)
        assert layer.parametrizations[last].original0.dtype == torch.int8
        step = weight.abs().amax(1, keepdim=True) / 127
        assert ((weight - kept).abs() <= 0.51 * step + 1e-9).all(), f"{name} moved by more than half a step"
    for name, weight in model.state_dict().items():
        assert torch.equal(before[name], weight), f"shrinking a copy changed {name} of the model itself"
