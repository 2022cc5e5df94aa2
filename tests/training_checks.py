"""What every training loop of a program must pass, whatever test runs it.

    with check_training(): ...

watches all optimizers, schedules and padding of PyTorch meanwhile, and raises an AssertionError that says what is wrong.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from unittest import mock

import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

# The attribute that tells how many steps a schedule is made for.
LENGTHS = {"OneCycleLR": "total_steps", "CosineAnnealingLR": "T_max", "PolynomialLR": "total_iters", "LinearLR": "total_iters"}


@contextlib.contextmanager
def check_training(passes: int = 1) -> Iterator[None]:
    """Hold all training meanwhile to what the checks below say; `passes` backward passes a step are meant."""
    with check_steps(passes), check_schedules(), check_padding_is_no_token(), check_order():
        yield


def leaves(loss: torch.Tensor) -> dict[int, torch.Tensor]:
    """Return what the gradients of a loss, a scalar, are added to, each of any shape, by its id."""
    found, seen, open_ends = {}, set(), [loss.grad_fn]
    while open_ends:
        node = open_ends.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[id(node.variable)] = node.variable
        open_ends += [following for following, _ in node.next_functions]
    return found


def parameters(optimizer: Optimizer) -> list[torch.Tensor]:
    """Return what an optimizer changes, each of any shape."""
    return [one for group in optimizer.param_groups for one in group["params"] if one.requires_grad]


@contextlib.contextmanager
def check_steps(passes: int = 1) -> Iterator[None]:
    """Each step moves the parameters that the loss depends on, along the gradients of so many backward passes, and downhill.

    Several optimizers may share the parameters, if all step before the next backward pass. Whether it goes downhill is
    seen at the first step of an optimizer, before momentum and decay have a say.
    """
    backward = torch.Tensor.backward
    held: dict[int, torch.Tensor] = {}  # by all optimizers; kept, so that no other one gets its id
    reached: dict[int, torch.Tensor] = {}  # by the last backward pass
    counts, before = Counter(), {}
    seen: set[Optimizer] = set()
    stepped: set[Optimizer] = set()  # since the last backward pass

    def complete() -> None:
        lost = [tuple(one.shape) for number, one in reached.items() if stepped and number not in held]
        assert not lost, f"the loss depends on parameters that no optimizer holds, of the shapes {lost}: hand it all of them, or set requires_grad to False"

    def counted(loss: torch.Tensor, *others, **named) -> None:
        complete()
        stepped.clear()
        reached.clear()
        reached.update(leaves(loss))
        for number, one in reached.items():
            counts[number] = 1 if one.grad is None else counts[number] + 1
        backward(loss, *others, **named)

    def ahead(optimizer: Optimizer, *_) -> None:
        mine = {id(one): one for one in parameters(optimizer)}
        held.update(mine)
        if not reached or not mine.keys() & reached.keys() and all(one.grad is not None for one in mine.values()):
            return  # the program gives the gradients by hand
        assert mine.keys() & reached.keys(), "the optimizer holds none of the parameters that the loss depends on: was the model replaced after it was made?"
        stepped.add(optimizer)
        most = max(counts[number] for number in mine.keys() & reached.keys())
        assert most == passes, f"{most} backward passes before one step, not {passes}: their gradients add up"
        if optimizer not in seen:
            before[optimizer] = [(one, one.detach().clone(), one.grad.detach().clone()) for one in mine.values() if one.grad is not None]

    def behind(optimizer: Optimizer, *_) -> None:
        for one in parameters(optimizer):
            counts[id(one)] = 0
        seen.add(optimizer)
        along = sum((gradient * (one.detach() - old)).sum().item() for one, old, gradient in before.pop(optimizer, []))
        assert along <= 0, "the first step goes uphill, along the gradient: is there maximize=True, or a rate below 0?"

    hooks = register_optimizer_step_pre_hook(ahead), register_optimizer_step_post_hook(behind)
    try:
        with mock.patch.object(torch.Tensor, "backward", counted):
            yield
        complete()
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def check_schedules() -> Iterator[None]:
    """A schedule that is made for a number of steps is taken that many, if its optimizer takes any; none has to follow the last."""
    made: list[LRScheduler] = []
    counts: Counter[Optimizer] = Counter()
    begin = LRScheduler.__init__

    def noted(schedule: LRScheduler, *others, **named) -> None:
        made.append(schedule)
        begin(schedule, *others, **named)

    hook = register_optimizer_step_post_hook(lambda optimizer, *_: counts.update([optimizer]))
    try:
        with mock.patch.object(LRScheduler, "__init__", noted):
            yield
    finally:
        hook.remove()
    for schedule in made:
        if not counts[schedule.optimizer]:
            continue
        kind, taken = type(schedule).__name__, schedule.last_epoch
        assert taken or counts[schedule.optimizer] == 1, f"{kind} is never taken a step: {counts[schedule.optimizer]} steps of its optimizer have the rate of the first"
        if kind in LENGTHS and not (kind == "LinearLR" and schedule.end_factor >= schedule.start_factor):  # a rise may end before the training
            length = getattr(schedule, LENGTHS[kind])
            assert taken in (length - 1, length), f"{kind} is made for {length} steps and takes {taken}, with {counts[schedule.optimizer]} steps of its optimizer"
        for factor in getattr(schedule, "lr_lambdas", []):
            *used, after = map(factor, range(taken + 1))
            if after < max(used, default=after):  # it falls, so to the end of the training: to nothing, or to where it would stay or rise again
                ended = after <= 0.05 * max(used) or factor(taken + 1 + taken // 10) >= after
                assert min(used) > 0 and ended, f"{kind} is made for another number of steps than {taken}: after them it is at {after / max(used):.0%} of its highest rate"


@contextlib.contextmanager
def check_padding_is_no_token() -> Iterator[None]:
    """No row of tokens, (time,), holds the number that it is padded with."""
    pad = torch._C._nn.pad_sequence

    def checked(rows: Sequence[torch.Tensor], batch_first: bool = False, padding_value: float = 0.0, *others) -> torch.Tensor:
        for row in rows:
            assert row.is_floating_point() or not (row == padding_value).any(), f"rows hold {padding_value} before they are padded with it: a real token is taken for padding"
        return pad(rows, batch_first, padding_value, *others)

    with mock.patch.object(torch._C._nn, "pad_sequence", checked):
        yield


@contextlib.contextmanager
def check_order() -> Iterator[None]:
    """Batches to train on come in an order drawn by chance, each time another: none of their steps is within a loader that reads in order."""
    iterate = DataLoader.__iter__
    reading: list[DataLoader] = []

    def noted(loader: DataLoader) -> Iterator[object]:
        reading.append(loader)
        try:
            yield from iterate(loader)
        finally:
            reading.remove(loader)

    def ahead(optimizer: Optimizer, *_) -> None:
        ordered = [loader for loader in reading if isinstance(loader.sampler, SequentialSampler) and type(loader.batch_sampler) is BatchSampler and len(loader) > 1]
        assert not ordered, f"{len(ordered[0].dataset)} samples come in the same order each time that they are trained on: shuffle=True"

    hook = register_optimizer_step_pre_hook(ahead)
    try:
        with mock.patch.object(DataLoader, "__iter__", noted):
            yield
    finally:
        hook.remove()
