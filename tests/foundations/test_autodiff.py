"""The tensor engine is PyTorch's in its gradients, the scalar engine's in its steps, and learns to read digits."""

import io
import json
import math
import tokenize

import numpy as np
import pytest
import torch
from conftest import load_snippet
from data_checks import check_split

from tooling.lessons import sections

autodiff = load_snippet("foundations/autodiff")
Tensor = autodiff.Tensor
ENGINE = ("broadcasting", "tensor", "arithmetic", "product", "functions", "reductions", "places")


def both(formula, *arrays):
    """Compute the same number by both engines; compare it, and the gradient of each array."""
    ours = [Tensor(array, learned=True) for array in arrays]
    theirs = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    result, expected = formula(*ours), formula(*theirs)
    result.backward()
    expected.backward()
    np.testing.assert_allclose(result.data, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    for one, other in zip(ours, theirs, strict=True):
        assert one.grad.shape == one.data.shape
        known = other.grad.numpy()
        assert np.abs(one.grad - known).max() <= 1e-6 * max(1, np.abs(known).max())


def one_more(random, pool):
    """Put what a random operation makes of random members of a pool into it."""
    a, b = (pool[i] for i in random.integers(len(pool), size=2))
    shape = tuple(a.shape) if isinstance(a, torch.Tensor) else a.data.shape
    other = tuple(b.shape) if isinstance(b, torch.Tensor) else b.data.shape
    rank = len(shape)
    kind = random.choice(["add", "multiply", "divide", "power", "product", "exp", "log", "relu", "sum", "mean", "amax", "pick", "slice", "row", "reshape", "swap", "rest"])
    axis = int(random.integers(rank)) if rank else None
    keep = bool(random.integers(2))
    try:
        np.broadcast_shapes(shape, other)
        fit = True
    except ValueError:
        fit = False
    if kind == "add" and fit:
        pool.append(a + b * 0.5)
    elif kind == "multiply" and fit:
        pool.append(a * b - 0.3)
    elif kind == "divide" and fit:
        pool.append(a / (b * b + 1.0))
    elif kind == "power":
        pool.append((a * a + 0.5) ** -0.5)
    elif kind == "product" and rank > 1 and len(other) > 1:
        turned = b.swapaxes(-1, -2) if shape[-1] != other[-2] else b
        turned_shape = (*other[:-2], other[-1], other[-2]) if turned is not b else other
        batches = [shape[:-2], turned_shape[:-2]]
        if shape[-1] == turned_shape[-2] and (batches[0] == batches[1] or () in batches):
            pool.append(a @ turned * 0.3)
    elif kind == "exp":
        pool.append((a * a * -0.3).exp())
    elif kind == "log":
        pool.append((a * a + 0.7).log())
    elif kind == "relu":
        pool.append(a.relu())
    elif kind in ("sum", "mean", "amax") and rank:
        pool.append(getattr(a, kind)(axis, keepdims=keep))
    elif kind == "pick" and rank and axis is not None:
        pool.append(a[random.integers(shape[0], size=4)])  # of three or fewer: one stands twice
    elif kind == "slice" and rank:
        pool.append(a[..., 0:1])
    elif kind == "row" and rank > 1:
        pool.append(a[np.arange(shape[0]), random.integers(shape[1], size=shape[0])])
    elif kind == "reshape" and rank > 1:
        pool.append(a.reshape(*shape[:-2], shape[-1], shape[-2]))
    elif kind == "swap" and rank > 1:
        pool.append(a.swapaxes(0, rank - 1))
    elif kind == "rest":
        pool.append(1.0 - 2.0 / (a * a + 1.0))
    return kind


def random_graph(seed):
    """Return a formula of twenty random operations on four arrays, the same for both engines, and the arrays."""
    def formula(*arrays):
        random, pool = np.random.default_rng(seed), list(arrays)
        for _ in range(20):
            one_more(random, pool)
        return sum((one * one).mean() for one in pool)

    random = np.random.default_rng(1000 + seed)
    return formula, [random.normal(size=shape) for shape in ((3, 2), (1, 3), (2, 3, 2), (3,))]


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_have_the_gradients_of_pytorch(seed):
    formula, arrays = random_graph(seed)
    both(formula, *arrays)


def test_random_graphs_hold_every_operation():
    made = set()
    for seed in range(60):
        formula, arrays = random_graph(seed)
        random, pool = np.random.default_rng(seed), [Tensor(array) for array in arrays]
        for _ in range(20):
            before = len(pool)
            kind = one_more(random, pool)
            made |= {kind} if len(pool) > before else set()
    assert len(made) == 17


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (4, 1), (3,), (1,), (2, 4, 3), (1, 1, 1)])
def test_broadcasting(shape):
    random = np.random.default_rng(0)
    both(lambda a, b: ((a + b) * b * a).sum(), random.normal(size=(4, 3)), random.normal(size=shape))


def test_products_broadcast_over_batches():
    random = np.random.default_rng(0)
    for left, right in (((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4))):
        both(lambda a, b: ((a @ b) ** 2).sum(), random.normal(size=left), random.normal(size=right))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
def test_reductions(name, axis, keepdims):
    random = np.random.default_rng(0)
    more = {} if axis is None else {"axis": axis, "keepdims": keepdims}
    both(lambda a: (getattr(a, name)(**more) ** 2).sum(), random.normal(size=(2, 3, 4)))


def test_several_largest_share_the_gradient():
    both(lambda a: (a.amax(1) ** 2).sum(), np.array([[1.0, 3, 3], [2, 2, 2]]))


@pytest.mark.parametrize("index", [1, slice(1, 3), (slice(None), 0), ([0, 0, 2], [1, 1, 3]), np.array([2, 2, 2]), (Ellipsis, -1), np.eye(3, 4) > 0])
def test_indexing(index):
    both(lambda a: (a[index] ** 2).sum(), np.random.default_rng(0).normal(size=(3, 4)))


def test_arrays_may_stand_on_the_left():
    given = np.arange(6.0).reshape(2, 3)
    both(lambda a: ((torch.tensor(given) if isinstance(a, torch.Tensor) else given) @ a + 2).sum(), np.ones((3, 2)))
    tensor = Tensor(np.ones((2, 3)), learned=True)
    for result in (given + tensor, given * tensor, given - tensor, given / tensor):
        assert isinstance(result, Tensor) and result.data.shape == (2, 3)


def test_gradients_add_up_until_they_are_cleared():
    a = Tensor([1.0, 2.0], learned=True)
    for _ in range(2):
        (a * 3.0).sum().backward()
    assert a.grad.tolist() == [6, 6]


def test_gradients_are_arrays_of_their_own():
    a, b = (Tensor([1.0, 2.0], learned=True) for _ in range(2))
    (a + b).sum().backward()
    a.grad[0] = 9
    assert b.grad.tolist() == [1, 1]


def test_what_is_not_learned_costs_nothing():
    a, x = Tensor(np.ones((2, 2)), learned=True), Tensor(np.ones((2, 2)))
    result = (x @ x + x).exp() @ a
    assert [parent for parent, _ in result.paths] == [a] and x.grad is None


def test_a_graph_is_freed_with_its_result():
    import gc
    import weakref

    a = Tensor(np.ones(3), learned=True)
    gc.disable()
    result = (a * 2.0).exp().sum()
    watched = weakref.ref(result.paths[0][0])
    result.backward()
    del result
    gone = watched() is None
    gc.enable()
    assert gone, "the graph refers to itself: its memory waits for the garbage collector"


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda a: (a * 2.0).backward(), r"shape \(2, 3\).*single number"),
    (lambda a: Tensor(1.0).backward(), "learned"),
    (lambda a: a @ np.ones(3), r"shapes \(2, 3\) and \(3,\).*reshape"),
])
def test_mistakes_are_told(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong(Tensor(np.ones((2, 3)), learned=True))


def test_what_the_page_says_that_it_lacks():
    """A value changed in place, between forward and backward: ours is wrong without a word, PyTorch says so."""
    a = Tensor([3.0], learned=True)
    result = (a * a).sum()
    a.data[0] = 5.0
    result.backward()
    assert a.grad.tolist() == [10]
    b = torch.tensor([3.0], requires_grad=True) * 1
    other = (b * b).sum()
    b += 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        other.backward()
    d = torch.tensor(3.0, requires_grad=True)
    (slope,) = torch.autograd.grad(d**3, d, create_graph=True)
    slope.backward()
    assert d.grad == 18 and isinstance(a.grad, np.ndarray)
    with pytest.raises(RuntimeError, match="second time"):
        twice = torch.exp(d * d)
        twice.backward()
        twice.backward()


def test_the_engine_has_about_a_hundred_lines():
    """Without blank lines and docstrings, as the page says."""
    code = "\n".join(sections("foundations/autodiff")[name] for name in ENGINE)
    texts = [token for token in tokenize.generate_tokens(io.StringIO(code).readline) if token.type == tokenize.STRING and token.line.strip().startswith('"""')]
    told = {line for token in texts for line in range(token.start[0], token.end[0] + 1)}
    lines = sum(bool(line.strip()) and number not in told for number, line in enumerate(code.split("\n"), 1))
    assert 90 <= lines <= 110, lines


# --- the digits


def test_cross_entropy_is_that_of_pytorch():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(7, 10)) * 50, random.integers(10, size=7)
    ours, theirs = Tensor(logits, learned=True), torch.tensor(logits, requires_grad=True)
    loss, expected = autodiff.cross_entropy(ours, labels), torch.nn.functional.cross_entropy(theirs, torch.tensor(labels))
    loss.backward()
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(ours.grad, theirs.grad, atol=1e-12)
    assert np.isfinite(autodiff.cross_entropy(Tensor(logits * 1e6), labels).data)


def test_the_parts_have_no_digit_in_common_and_other_hands():
    x, y, test_x, test_y = autodiff.load_data()
    check_split(x, test_x)
    assert len(x) + len(test_x) == 1797 and y[:10].tolist() == test_y[:10].tolist() == list(range(10)), "the parts begin with new forms"
    assert 0 <= x.min() and x.max() == 1


def steps(count, seed=0):
    """Return the weights after some steps of our engine and of PyTorch, with the first weights and the data."""
    x, y, *_ = autodiff.load_data()
    first, batches = autodiff.prepare(len(x), count, seed)
    weights = [Tensor(weight, learned=True) for weight in first]
    losses = autodiff.train(weights, x, y, batches)
    theirs, model = autodiff.train_torch(first, x, y, batches)
    return first, batches, weights, losses, model, theirs


def test_training_is_that_of_pytorch():
    first, _, weights, losses, model, theirs = steps(60)
    np.testing.assert_allclose(losses, theirs, rtol=1e-9)
    for ours, other in zip(weights, model.parameters(), strict=True):
        np.testing.assert_allclose(ours.data, other.detach().numpy().T, atol=1e-9)
    assert abs(losses[0] - math.log(10)) < 0.5 and np.mean(losses[-5:]) < 0.7 * losses[0]
    again, other = steps(3)[3], steps(3, seed=1)[3]
    assert again == losses[:3] and other != again


def test_a_step_of_all_three_engines_is_the_same_and_a_hundred_times_as_fast():
    x, y, *_ = autodiff.load_data()
    first, batches = autodiff.prepare(len(x), 1, 0)
    rows = batches[0][:8]
    moved, seconds, made = autodiff.timed(autodiff.scalar_step, first, x[rows], y[rows])
    weights = [Tensor(weight, learned=True) for weight in first]
    fastest = min(autodiff.timed(autodiff.train, [Tensor(weight, learned=True) for weight in first], x, y, [rows])[1] for _ in range(3))
    autodiff.train(weights, x, y, [rows])
    for ours, other in zip(weights, moved, strict=True):
        np.testing.assert_allclose(ours.data, other, atol=1e-12)
    assert made > 8 * 2 * (64 * 32 + 32 * 10) and seconds > 100 * fastest


def test_main_writes_its_results(tmp_path, monkeypatch):
    x, y, *_ = autodiff.load_data()
    monkeypatch.setattr(autodiff, "scalar_step", lambda *_: None)
    metrics = autodiff.main(tmp_path, steps=300)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["tensor"]["accuracy"] == metrics["torch"]["accuracy"] > 0.7
    assert metrics["parameters"] == 64 * 32 + 32 + 32 * 10 + 10 and metrics["difference"] < 1e-9
    assert metrics["train"] == len(x) == 1415 and metrics["test"] == 382
