"""What every model on a page must pass.

    check_model(make, x, y, classes=10)

`make` builds the model. `x` is its input or a tuple of its inputs, each (batch, ...). Its output, or the first of
its outputs, has the shape (batch, classes) or (batch, time, classes). `y` holds the right classes, (batch,) or
(batch, time), and -100 where nothing is asked. Each check can be called alone, and raises an AssertionError that
says what is wrong.
"""

import contextlib
import io
import math
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

Make = Callable[[], nn.Module]
Inputs = torch.Tensor | tuple[torch.Tensor, ...]
Mask = int | torch.Tensor


def check_model(
    make: Make, x: Inputs, y: torch.Tensor, classes: int | None = None,
    padding: Mask | None = None, causal: bool = False, skip: Collection[str] = (),
) -> None:
    """Check a model, or a layer, whose loudest unit then counts as its answer: it has no `classes`.

    `padding` is the token that pads, or True where the first input, (batch, time, ...), is padded. A `causal` model
    answers at every position of its last input and knows nothing of what comes after. Whoever lets a check be
    skipped says why beside the call.
    """
    assert not y.is_floating_point(), (
        "y holds classes, whole numbers; check a network that gives back other numbers, such as pixels, as a layer: "
        "check_model(make, x, torch.arange(len(x))), without classes"
    )
    assert len(y) >= 4, "a batch of four or more is needed to see whether its samples mix"
    checks = {
        "first_loss": lambda: check_first_loss(make, x, y, classes),
        "step": lambda: check_step(make, x, y),
        "learned": lambda: check_batch_is_learned(make, x, y, classes),
        "seed": lambda: check_seed(make, x, y),
        "samples": lambda: check_samples_are_separate(make, x, y),
        "one": lambda: check_batch_of_one(make, x),
        "future": lambda: check_future_is_hidden(make, x, y),
        "padding": lambda: check_padding_is_ignored(make, x, y, padding),
        "modes": lambda: check_modes(make, x),
        "state": lambda: check_state_is_saved(make, x),
        "device": lambda: check_device(make, x),
    }
    learns = any(True for _ in build(make).parameters())
    needless = {"first_loss": classes is None, "future": not causal, "padding": padding is None}
    needless |= dict.fromkeys(("step", "learned", "seed"), not learns)
    assert not set(skip) - set(checks), f"there is no such check to skip: {skip}"
    for name, check in checks.items():
        if name not in skip and not needless.get(name):
            check()


# --- what the checks share


def build(make: Make, seed: int = 0) -> nn.Module:
    """Return a new model from a seed."""
    torch.manual_seed(seed)
    return make()


def parts(x: Inputs) -> tuple[torch.Tensor, ...]:
    """Return the inputs, each (batch, ...), as a tuple."""
    return x if isinstance(x, tuple) else (x,)


def answer(model: nn.Module, x: Inputs) -> torch.Tensor:
    """Return the first output of a model, (batch, ...)."""
    output = model(*parts(x))
    return output[0] if isinstance(output, tuple) else output


def tokens(count: int, time: int, symbols: int, first: int = 2, padding: int | None = None, seed: int = 0) -> torch.Tensor:
    """Return random tokens, (count, time), from `first` to `symbols` - 1, padded behind where there is `padding`.

    No token stands twice in a row and no two rows begin alike, so that a model without positions, or with no other
    input, can tell all places apart.
    """
    chance = torch.Generator().manual_seed(seed)
    order, shift = (torch.randperm(symbols - first, generator=chance) for _ in range(2))
    found = first + (order[:time] + shift[:count, None]) % (symbols - first)
    lengths = torch.randint(2, time + 1, (count, 1), generator=chance)
    lengths[:2] = torch.tensor([[time], [2]])
    return found if padding is None else torch.where(torch.arange(time) < lengths, found, padding)


def loss_of(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean loss, a scalar, of logits, (..., classes), where `y`, (...), asks."""
    return F.cross_entropy(output.flatten(0, -2), y.flatten())


def steps(model: nn.Module, x: Inputs, y: torch.Tensor, count: int, rate: float = 0.003) -> list[float]:
    """Train on one batch for some steps; return the loss before each."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)  # no weight decay: it moves what gets no gradient
    model.train()
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = loss_of(answer(model, x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def are_tokens(part: torch.Tensor) -> bool:
    """Tell tokens, (batch, time), from masks, lengths, and numbers."""
    return part.dim() > 1 and not part.is_floating_point() and part.dtype != torch.bool


def modes(model: nn.Module) -> Iterator[str]:
    """Put a model into evaluation, then into training; the second not with batch normalization, which mixes samples."""
    model.eval()
    yield "evaluation"
    if not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
        model.train()
        yield "training"


def watched(model: nn.Module, x: Inputs) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """Return the output, (batch, ...), and by the number of an input what its gradients are taken by, (batch, ...).

    That is the input itself, and for tokens, (batch, time), what nn.Embedding makes of them, (batch, time, size).
    """
    given = [part.detach().clone().requires_grad_(part.is_floating_point()) for part in parts(x)]
    leaves = {number: part for number, part in enumerate(given) if part.requires_grad}

    def watch(_, tokens: tuple[torch.Tensor], embedded: torch.Tensor) -> torch.Tensor:
        for number, part in enumerate(given):
            if are_tokens(part) and torch.equal(tokens[0], part):
                return leaves.setdefault(number, embedded.detach().requires_grad_())
        return embedded

    hooks = [layer.register_forward_hook(watch) for layer in model.modules() if isinstance(layer, nn.Embedding)]
    output = answer(model, tuple(given))
    for hook in hooks:
        hook.remove()
    for number, part in enumerate(given):
        assert number in leaves or not are_tokens(part), f"no nn.Embedding reads input {number} as it is: no gradient can show its leaks"
    assert output.requires_grad, "the output is cut off from the input: no gradient passes"
    return output, leaves


def influence(output: torch.Tensor, leaves: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Return the gradient of the output, (...), by each leaf, shaped like the leaf.

    The sum of a normalized output is always the same, so its numbers are weighted at random.
    """
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
    total = (output * weights.to(output)).sum()
    found = torch.autograd.grad(total, list(leaves.values()), retain_graph=True, materialize_grads=True)
    return dict(zip(leaves, found))


def assert_close(found: torch.Tensor, expected: torch.Tensor, message: str) -> None:
    """Fail with the message where two outputs, (...), differ by more than rounding."""
    assert found.shape == expected.shape, f"{message}: shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5), f"{message}: by up to {(found - expected).abs().max():.1e}"


# --- the checks


def check_first_loss(make: Make, x: Inputs, y: torch.Tensor, classes: int) -> None:
    """An untrained model knows nothing: its loss, the mean over all labels it could be asked for, is near ln(classes)."""
    losses = []
    for seed in range(5):
        with torch.no_grad():
            output = answer(build(make, seed).eval(), x)[y != -100]
        assert output.shape[-1] == classes, f"the model tells {output.shape[-1]} classes apart, not {classes}"
        losses.append(-output.log_softmax(-1).mean().item())
    loss, expected = sum(losses) / len(losses), math.log(classes)
    assert abs(loss - expected) < 0.2 * expected, f"the first loss is {loss:.3f}, not near ln {classes} = {expected:.3f}"


def check_step(make: Make, x: Inputs, y: torch.Tensor) -> None:
    """Every parameter receives a finite gradient and changes in one step."""
    model = build(make)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    steps(model, x, y, 1)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} receives no gradient"
        assert parameter.grad.isfinite().all(), f"{name} receives a gradient that is not finite"
        assert parameter.grad.abs().max() > 0, f"{name} receives a gradient of zeros"
        assert not torch.equal(before[name], parameter), f"{name} does not change in a step"


def check_batch_is_learned(make: Make, x: Inputs, y: torch.Tensor, classes: int | None = None) -> None:
    """One batch is learned by heart: all answers right, and of a model with `classes` the loss below a tenth of ln(classes)."""
    model, asked = build(make), y != -100
    enough = 0.1 * math.log(classes) if classes else math.inf
    for _ in range(30):
        steps(model, x, y, 10, rate=0.003)
        with torch.no_grad():
            output = answer(model.eval(), x)
        loss, right = loss_of(output, y).item(), (output.argmax(-1) == y)[asked].float().mean().item()
        if right == 1 and loss < enough:
            return
    raise AssertionError(f"one batch is not learned by heart: after 300 steps {right:.0%} is right and the loss is {loss:.3f}")


def check_seed(make: Make, x: Inputs, y: torch.Tensor) -> None:
    """Two runs with one seed agree exactly; another seed gives another run."""
    first, second, other = (steps(build(make, seed), x, y, 3) for seed in (0, 0, 1))
    assert first == second, "two runs with one seed differ"
    assert first != other, "another seed changes nothing"


def check_samples_are_separate(make: Make, x: Inputs, y: torch.Tensor) -> None:
    """The answer to a sample depends on that sample of the batch alone, in each of its inputs."""
    model = build(make)
    for mode in modes(model):
        output, leaves = watched(model, x)
        for row in range(len(y)):  # all: what reads the batch as time leaves the first sample alone
            for number, gradient in influence(output[row][y[row] != -100], leaves).items():
                moved = gradient.flatten(1).abs().amax(1)  # (batch,)
                assert moved[row] > 0, f"in {mode} the answer does not depend on input {number}"
                moved[row] = 0
                assert moved.max() == 0, f"in {mode} the answer to sample {row} depends on sample {int(moved.argmax())} of the batch"
    with torch.no_grad():  # without gradients PyTorch may take another path
        together = answer(model.eval(), x)
        alone = torch.cat([answer(model, tuple(part[[row]] for part in parts(x))) for row in range(len(y))])
    assert_close(together[y != -100], alone[y != -100], "samples are answered otherwise alone than in a batch")


def check_batch_of_one(make: Make, x: Inputs) -> None:
    """A batch of one is answered like any other, in evaluation and in training."""
    one, model = tuple(part[:1] for part in parts(x)), build(make)
    expected = (1, *answer(model, x).shape[1:])
    for mode in ("evaluation", "training"):
        model.train(mode == "training")
        try:
            output = answer(model, one)
        except Exception as error:
            raise AssertionError(f"a batch of one fails in {mode}: {error}") from error
        assert output.shape == expected, f"a batch of one gives {tuple(output.shape)} in {mode}, not {expected}"
        assert output.isfinite().all(), f"a batch of one gives numbers in {mode} that are not finite"


def check_future_is_hidden(make: Make, x: Inputs, y: torch.Tensor) -> None:
    """The answer at a position depends on that and all earlier positions of the last input, and on no later one."""
    model = build(make)
    for mode in modes(model):
        output, leaves = watched(model, x)
        last = max(leaves)
        for position in range(y.shape[1]):
            asked = y[:, position] != -100
            if asked.any():
                gradient = influence(output[asked, position], leaves)[last]
                seen = gradient[asked].flatten(2).abs().amax(2)  # (batch, time)
                assert not seen[:, position + 1 :].any(), f"in {mode} position {position} sees its future"
                assert seen[:, : position + 1].all(), f"in {mode} position {position} does not see its past"
    cut = y.shape[1] // 2
    *others, given = parts(x)
    changed = torch.cat([given[:, :cut], given[:, cut:].roll(1, 0)], dim=1)
    with torch.no_grad():  # without gradients PyTorch may take another path
        before, after = (answer(model.eval(), (*others, part))[:, :cut] for part in (given, changed))
    assert_close(after[y[:, :cut] != -100], before[y[:, :cut] != -100], "another future changes the answers")


def check_padding_is_ignored(make: Make, x: Inputs, y: torch.Tensor, padding: Mask) -> None:
    """What is padding, by its token or by a mask of the first input, (batch, time), changes no answer; nor does more of it."""
    by_token, asked = isinstance(padding, int), y != -100
    masks = {number: part == padding for number, part in enumerate(parts(x)) if are_tokens(part)} if by_token else {0: padding}
    assert any(mask.any() for mask in masks.values()), "nothing in the input is padding"
    model = build(make)
    for mode in modes(model):
        output, leaves = watched(model, x)
        for number, gradient in influence(output[asked], leaves).items():
            if number in masks:
                assert not gradient[masks[number]].any(), f"in {mode} the padding of input {number} leaks into the answers"
    other = list(parts(x))
    for number, mask in masks.items():
        given = other[number]
        noise = 100 * torch.randn(given.shape, generator=torch.Generator().manual_seed(1)) if not by_token else None
        other[number] = F.pad(given, (0, 3), value=padding) if by_token else torch.where(mask.view(*mask.shape, *[1] * (given.dim() - 2)), noise, given)
    with torch.no_grad():
        expected, found = answer(model.eval(), x), answer(model, tuple(other))
    found = found[:, : y.shape[1]] if y.dim() > 1 else found  # the target is longer too
    assert_close(found[asked], expected[asked], "more padding changes the answers" if by_token else "other numbers in the padding change the answers")


def check_modes(make: Make, x: Inputs) -> None:
    """Evaluation is not random; training differs from it by dropout and by batch normalization alone."""
    model = build(make)
    with torch.no_grad():
        model.eval()
        expected = answer(model, x)
        assert torch.equal(expected, answer(model, x)), "two answers in evaluation differ: is there dropout that ignores eval()?"
        model.train()
        dropped = answer(model, x)
        random = silence(model)
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
            return
        assert_close(answer(model, x), expected, "train() and eval() differ by more than the layers for dropout")
        assert not (random and torch.allclose(dropped, expected)), "there is dropout, but training does not differ from evaluation"


def silence(model: nn.Module) -> bool:
    """Switch off the dropout of all layers; tell whether there was any."""
    found = False
    for layer in model.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            found, layer.p = found or layer.p > 0, 0.0
        elif isinstance(layer, (nn.RNNBase, nn.MultiheadAttention)):
            found, layer.dropout = found or layer.dropout > 0, 0.0
    return found


def check_state_is_saved(make: Make, x: Inputs) -> None:
    """The state survives saving, and loading with `weights_only=True` into a model that began otherwise."""
    model, other = build(make).eval(), build(make, seed=1).eval()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        assert torch.equal(answer(model, x), answer(other, x)), "a model that was saved and loaded answers otherwise: is a part of it not in its state?"


class Undecided(TorchDispatchMode):
    """Where a tensor without data is asked for a number, answers 0."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function is torch.ops.aten._local_scalar_dense.default and arguments[0].is_meta:
            return 0
        return function(*arguments, **options or {})


def check_device(make: Make, x: Inputs) -> None:
    """A model that is moved makes all its tensors where its input lies.

    Without an accelerator it is moved to `meta`, where tensors have shapes but no data: they mix with no others.
    """
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("meta")
    model = build(make).eval()
    with torch.no_grad():
        expected = answer(model, x)
        model.to(device)
        moved = tuple(part.to(device) for part in parts(x))
        try:
            with Undecided():
                output = answer(model, moved)
        except (RuntimeError, TypeError, NotImplementedError) as error:
            raise AssertionError(f"the model does not run on {device}: are tensors made elsewhere? {error}") from error
    assert output.device.type == device.type, f"the input lies on {device.type}, the output on {output.device.type}"
    assert output.shape == expected.shape
    if not output.is_meta:
        assert torch.allclose(output.cpu(), expected, rtol=1e-3, atol=1e-3), f"the answers on {device} differ"


@contextlib.contextmanager
def check_gradients_are_fresh() -> Iterator[None]:
    """Every optimizer of torch that is used meanwhile steps along the gradients since its step before, and no older ones.

    They may be scaled, as by clipping their norm. The first step of each parameter is not looked at.
    """
    hooks, parameters, arrived = [], {}, {}

    def watch(parameter: torch.Tensor) -> None:
        parameters[id(parameter)] = parameter  # kept, so that no other one gets its id

        def add(gradient: torch.Tensor) -> None:
            before = arrived.get(id(parameter))
            arrived[id(parameter)] = gradient.detach().clone() if before is None else before + gradient.detach()

        hooks.append(parameter.register_hook(add))

    def compare(optimizer: torch.optim.Optimizer, *_) -> None:
        for parameter in [one for group in optimizer.param_groups for one in group["params"] if one.requires_grad]:
            if id(parameter) not in parameters:
                watch(parameter)
                continue
            new = arrived.pop(id(parameter), None)
            if new is not None and new.norm() > 0:
                alike = F.cosine_similarity(new.flatten().double(), parameter.grad.flatten().double(), dim=0, eps=0).item()  # however small they are
                assert alike > 0.999, "the gradients of earlier steps are still in this one: call optimizer.zero_grad() before backward()"

    hooks.append(register_optimizer_step_pre_hook(compare))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def check_losses_get_logits() -> Iterator[None]:
    """No cross entropy meanwhile gets probabilities: it takes the softmax itself, and of two the network learns slowly."""
    cross_entropy = F.cross_entropy

    def checked(logits: torch.Tensor, *others, **named) -> torch.Tensor:
        if torch._C._functorch.is_functorch_wrapped_tensor(logits):  # within torch.func.vmap nothing can be looked at
            return cross_entropy(logits, *others, **named)
        shares = logits.detach().float()
        assert not (shares >= 0).all() or (shares.sum(1) - 1).abs().max() > 1e-3, "cross_entropy gets probabilities: leave the softmax out, it takes it itself"
        return cross_entropy(logits, *others, **named)

    with mock.patch.object(F, "cross_entropy", checked):
        yield


@contextlib.contextmanager
def check_fault(kind: type[nn.Module], reason: str, error: type[Exception], match: str = "") -> Iterator[None]:
    """Cover a class that a page shows for its fault: what a right one can do, and the block does, raises the error."""
    try:
        yield
    except error as raised:
        assert match in str(raised), f"{kind.__name__} fails otherwise than expected, because {reason}: {raised}"
    else:
        raise AssertionError(f"{kind.__name__} does not fail, though {reason}")


# --- what the pages run


def exported(folder: Path) -> Callable[..., list[np.ndarray]]:
    """Return the model.onnx of a folder as a function from arrays, (...), by name to its outputs, in their order."""
    file = folder / "model.onnx"
    assert file.stat().st_size <= 1_000_000, f"{file} is larger than 1 MB"
    session = onnxruntime.InferenceSession(file)
    return lambda **inputs: session.run(None, {name: np.asarray(value) for name, value in inputs.items()})


def check_export(run: Callable[..., list[np.ndarray]], model: nn.Module, **inputs: torch.Tensor) -> None:
    """Hold all outputs of an exported model equal to PyTorch's, within 1e-4, for inputs, (...), by name and in order."""
    with torch.no_grad():
        expected = model(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    answers = run(**inputs)
    assert len(answers) == len(expected), f"{len(answers)} outputs are exported, PyTorch gives {len(expected)}"
    for number, (found, right) in enumerate(zip(answers, expected)):
        np.testing.assert_allclose(found, right.numpy(), rtol=0, atol=1e-4, err_msg=f"output {number} of the export differs from PyTorch's")


def check_eight_bits(model: nn.Module, shrink: Callable[[nn.Module], nn.Module], kind: type[nn.Module]) -> None:
    """Each table of weights of the copy is within half a step of 1/127 of its row's largest number; the model stays."""
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    small = shrink(model)
    rounded = [name.replace("parametrizations.", "").removesuffix(".original0") for name in small.state_dict() if name.endswith(".original0")]
    assert rounded, "no weight is stored in 8 bits"
    for name in rounded:
        *path, last = name.split(".")
        layer = small.get_submodule(".".join(path))
        weight, kept = before[name], getattr(layer, last)
        assert isinstance(layer.parametrizations[last][0], kind), f"{name} is not stored by {kind.__name__}"
        assert layer.parametrizations[last].original0.dtype == torch.int8, f"{name} is not stored in 8 bits"
        step = weight.abs().amax(1, keepdim=True) / 127
        assert ((weight - kept).abs() <= 0.51 * step + 1e-9).all(), f"{name} moved by more than half a step"
    for name, weight in model.state_dict().items():
        assert torch.equal(before[name], weight), f"shrinking a copy changed {name} of the model itself"
