"""The scaling law: what is counted, what is fitted, what is predicted, and from what."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from scipy.optimize import minimize
from scipy.special import huber, logsumexp
from torch.utils.flop_counter import FlopCounterMode

program = load_snippet("language-models/scaling")
TRUE = program.Law(0.9, 0.35, 0.3, 0.3, 0.36)


def made(noise: float = 0.0, seed: int = 0, law=TRUE) -> list:
    """Return runs of all sizes but the largest with 50 to 1,600 steps, by a law and with noise."""
    chance = np.random.default_rng(seed)
    return [
        program.Run(size, steps, float(law(size.parameters, steps * program.BATCH * program.LENGTH)) * math.exp(noise * chance.normal()))
        for size in program.SIZES[:-1] for steps in (50, 200, 800, 1600)
    ]


# --- what is counted


def network(size) -> torch.nn.Module:
    return program.GPT(256, size.hidden, size.layers, size.heads)


@pytest.mark.parametrize("size", program.SIZES, ids=str)
def test_parameters_are_those_of_the_network(size):
    model = network(size)
    assert size.parameters == sum(one.numel() for one in model.parameters())
    assert size.inner == sum(one.numel() for one in model.blocks.parameters())


@pytest.mark.parametrize("size", program.SIZES[::3], ids=str)
def test_flops_are_those_that_pytorch_counts(size):
    model, tokens = network(size), torch.randint(256, (2, program.LENGTH))
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
    assert size.flops * tokens.numel() == counter.get_total_flops()


def test_sizes_grow_to_a_million():
    counts = [size.parameters for size in program.SIZES]
    assert len(counts) == 12 and counts == sorted(set(counts))
    assert counts[0] < 2500 and counts[-1] > 10**6


@pytest.mark.parametrize("budget", program.BUDGETS)
def test_a_budget_is_spent(budget):
    """Within half a step, by no size that is the largest, and by enough sizes to see where they are best."""
    found = program.suitable(budget)
    assert len(found) >= 4 and program.SIZES[-1] not in dict(found)
    for size, steps in found:
        step = size.flops * program.BATCH * program.LENGTH
        assert abs(steps * step - budget) <= step / 2 and program.FEWEST <= steps <= program.MOST


def test_no_text_is_read_twice_over():
    most = max(program.STEPS, program.MOST) * program.BATCH * program.LENGTH
    assert most < 3_800_000, "the training part has some 3.8 million bytes: what is repeated teaches less"


# --- the best rate


def test_the_lowest_point_is_found_between_the_points():
    x = np.log([1, 2, 4, 8, 16])
    assert program.lowest(x, (x - 1.7) ** 2 + 3) == pytest.approx(1.7)
    assert program.lowest(x, x) == x[0] and program.lowest(x, -x) == x[-1]


def test_the_trend_of_the_rate_is_a_power_law():
    best = {(size, steps): 0.5 * size.parameters**-0.2 * steps**0.1 for size in program.SIZES[:3] for steps in (100, 400)}
    trend = program.trend_of(best)
    assert trend(program.SIZES[8], 900) == pytest.approx(0.5 * program.SIZES[8].parameters**-0.2 * 900**0.1)


def test_a_training_is_measured_on_the_part_and_has_its_rate(monkeypatch):
    torch.manual_seed(0)
    text = torch.randint(97, 100, (3000,))
    data = {"train": text, "valid": text + 100, "test": text}
    size = program.Size(1, 8)
    monkeypatch.setattr(program, "MEASURED", 1000)
    one = program.learn(size, data, 20, 0.03, "test")
    assert one < 2 < program.learn(size, data, 20, 0.03, "valid")
    assert one == program.learn(size, data, 20, 0.03, "test") != program.learn(size, data, 20, 0.03, "test", seed=1)
    assert one != program.learn(size, data, 20, 0.01, "test")
    read = []
    monkeypatch.setattr(program, "evaluate", lambda model, tokens, length: read.append(len(tokens)))
    program.learn(size, data, 1, 0.03, "test")
    assert read == [1000]


# --- the law


def test_a_law_is_its_formula():
    law = program.Law(1.0, 0.5, 0.25, 0.5, 1.0)
    assert law(1e5, 1e6) == pytest.approx(1.75)
    assert law(4e5, 5e5) == pytest.approx(1 + 0.25 + 0.5)


def test_a_law_without_noise_is_found():
    np.testing.assert_allclose(program.fit(made(), program.STARTS), TRUE, rtol=1e-3)


def test_a_law_is_found_in_noise():
    found = [program.fit(made(0.003, seed), program.STARTS) for seed in range(5)]
    np.testing.assert_allclose(np.mean(found, axis=0), TRUE, rtol=0.1)
    largest = program.SIZES[-1].parameters
    for law in found:
        assert law(largest, 1.6e6) == pytest.approx(TRUE(largest, 1.6e6), rel=0.01)


def test_one_failed_run_hardly_moves_the_law():
    runs = made()
    runs[5] = runs[5]._replace(loss=runs[5].loss * 1.3)
    np.testing.assert_allclose(program.fit(runs, program.STARTS), TRUE, rtol=0.03)


def test_the_fit_is_that_of_hoffmann():
    """They minimize the sum of scipy's Huber function by L-BFGS, and add the parts of the law by logsumexp."""
    runs = made(0.005)
    n, d, losses = np.log([(run.size.parameters / 1e5, run.text / 1e6, run.loss) for run in runs]).T

    def objective(x: np.ndarray) -> float:
        e, a, b, alpha, beta = x
        return 1e4 * huber(1e-3, logsumexp([np.full_like(n, e), a - alpha * n, b - beta * d], axis=0) - losses).sum()

    law = program.fit(runs, program.STARTS)
    start = [*np.log(law[:3]), law.alpha, law.beta]
    theirs = minimize(objective, np.add(start, 0.05), method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 50_000, "ftol": 1e-14, "gtol": 1e-9})
    assert objective(start) <= theirs.fun * (1 + 1e-3)
    np.testing.assert_allclose([*np.exp(theirs.x[:3]), *theirs.x[3:]], law, rtol=0.03)


def test_too_few_runs_are_told():
    with pytest.raises(ValueError, match="4 runs are too few for a law: at least 5"):
        program.fit(made()[:4], program.STARTS)


def test_other_draws_tell_how_certain_a_law_is():
    runs = made(0.01)
    laws = program.resample(runs, program.fit(runs, program.STARTS), 12, seed=0)
    alphas = [law.alpha for law in laws]
    assert len(set(alphas)) == 12 and min(alphas) < TRUE.alpha < max(alphas)
    assert laws == program.resample(runs, program.fit(runs, program.STARTS), 12, seed=0)
    assert program.spread([7, *range(101)]) == {"value": 7, "low": 2.5, "high": 97.5}


# --- compute-optimal sizes


def test_the_best_size_of_a_law_is_that_of_its_derivative():
    """Of E + A/n^α + B/d^β with c = 6nd it grows as c to the power β / (α + β)."""
    budgets = np.array([1e11, 4e11])
    found = program.optima(TRUE, budgets, inner=False)
    for n, budget in zip(found, budgets):
        d = budget / 6 / n
        by_size = TRUE.alpha * TRUE.by_size * (n / 1e5) ** -TRUE.alpha
        by_text = TRUE.beta * TRUE.by_text * (d / 1e6) ** -TRUE.beta
        assert by_size == pytest.approx(by_text, rel=0.01)
    assert program.exponent(budgets, found) == pytest.approx(TRUE.beta / (TRUE.alpha + TRUE.beta), abs=0.01)


def test_without_the_tables_the_best_size_is_counted_otherwise():
    (found,) = program.optima(TRUE, np.array([1e11]), inner=True)
    tables = np.interp(np.log(found), *np.log([(size.inner, size.parameters) for size in program.SIZES]).T)

    def loss(inner: float) -> float:
        known = np.log([(size.inner, size.parameters) for size in program.SIZES]).T
        return TRUE(math.exp(np.interp(math.log(inner), *known)), 1e11 / 6 / inner)

    assert program.SIZES[0].inner < found < math.exp(tables)
    assert loss(found) < min(loss(found * 0.9), loss(found * 1.1))


def test_the_best_size_is_where_the_parabola_is_lowest():
    sizes = program.SIZES[2:8]
    runs = [program.Run(size, 1, 1 + 0.1 * math.log(size.parameters / 3e4) ** 2) for size in sizes]
    assert program.best_size(runs) == pytest.approx(3e4)
    for unknown in (runs[:2], runs[:3], runs[4:], [run._replace(loss=-run.loss) for run in runs]):
        assert math.isnan(program.best_size(unknown))


def test_an_exponent_is_a_slope():
    budgets = np.array([1e10, 1e11, 1e12])
    assert program.exponent(budgets, 7 * budgets**0.6) == pytest.approx(0.6)
    assert program.exponent(budgets, np.array([10, math.nan, 1000.0])) == pytest.approx(1)
    assert math.isnan(program.exponent(budgets, np.array([10, math.nan, math.nan])))


# --- the prediction


def test_the_simpler_predictions():
    runs = [program.Run(size, 10, size.parameters**-0.1) for size in program.SIZES[:6]]
    runs += [program.Run(size, 20, 0.5 * size.parameters**-0.1) for size in program.SIZES[:8]]
    found = program.predict(runs, [TRUE] * 3, program.SIZES[-1], 10)
    assert found["line"] == pytest.approx(program.SIZES[-1].parameters ** -0.1)
    assert found["last"] == runs[5].loss


def by_law(calls: list, largest: float = 1.0):
    """Return what stands for training, and notes its calls: losses by a law, those of the largest network times a factor."""
    def learn(size, data, steps, rate, part, seed=0) -> float:
        calls.append((size, steps, rate, part, seed))
        loss = TRUE(size.parameters, steps * program.BATCH * program.LENGTH) + 0.01 * math.log(rate / 0.03) ** 2 + 0.001 * seed
        return float(loss) * (largest if size == program.SIZES[-1] else 1)

    return learn


def run_by_law(tmp_path, monkeypatch, capsys, **more):
    calls = []
    monkeypatch.setattr(program, "learn", by_law(calls, **more))
    monkeypatch.setattr(program, "load_data", lambda *_: dict.fromkeys(("train", "valid", "test"), torch.zeros(1000)))
    monkeypatch.setattr(program, "DRAWN", 4)
    return program.main(tmp_path), calls, capsys.readouterr().out


def test_the_prediction_knows_nothing_of_the_largest_network(tmp_path, monkeypatch, capsys):
    one, _, printed = run_by_law(tmp_path, monkeypatch, capsys)
    other, _, again = run_by_law(tmp_path, monkeypatch, capsys, largest=2.0)
    assert other["measured"] == 2 * one["measured"]
    assert one["predicted"] == other["predicted"] and one["law"] == other["law"] and one["exponents"] == other["exponents"]
    end = printed.index("predicted")
    assert again[:end] == printed[:end]


def test_the_prediction_is_printed_first(tmp_path, monkeypatch, capsys):
    seen = []

    def learn(size, *given, **named):
        if size == program.SIZES[-1]:
            seen.append(capsys.readouterr().out)
        return by_law([])(size, *given, **named)

    monkeypatch.setattr(program, "load_data", lambda *_: dict.fromkeys(("train", "valid", "test"), torch.zeros(1000)))
    monkeypatch.setattr(program, "learn", learn)
    monkeypatch.setattr(program, "DRAWN", 2)
    program.main(tmp_path)
    assert len(seen) == 1 and "predicted" in seen[0]


def test_what_is_trained(tmp_path, monkeypatch, capsys):
    metrics, calls, _ = run_by_law(tmp_path, monkeypatch, capsys)
    tuned = [call for call in calls if call[3] == "valid"]
    assert len(tuned) == len(program.TUNED[0]) * len(program.TUNED[1]) * len(program.RATES) + 3
    assert calls[: len(tuned)] == tuned, "rates are chosen after the test part was measured"
    trend = program.Trend(**metrics["trend"])
    for size, steps, rate, _, _ in calls[len(tuned):]:
        assert rate == pytest.approx(trend(size, steps))
    assert [call[0] for call in calls if call[1:2] == (program.STEPS,) and call[3:] == ("test", 0)][:11] == program.SIZES[:11]
    assert sum(call[0] == program.SIZES[-1] for call in calls) == 1 and calls[-1][0] == program.SIZES[-1]
    assert metrics["noise"] == pytest.approx([0.001] * 3)


def test_main_writes_its_results(tmp_path, monkeypatch, capsys):
    metrics, _, printed = run_by_law(tmp_path, monkeypatch, capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "law.svg", "profiles.svg"}
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert metrics["predicted"]["law"]["value"] == pytest.approx(metrics["measured"], rel=0.01)
    assert max(map(len, printed.splitlines())) <= 79
    assert len(metrics["sizes"]) == 12 and metrics["sizes"][-1]["loss"] == metrics["measured"]
    a = TRUE.beta / (TRUE.alpha + TRUE.beta)
    assert metrics["exponents"]["law"]["value"] == pytest.approx(a, abs=0.05)
    assert metrics["exponents"]["parabolas"]["value"] == pytest.approx(a, abs=0.1)
    assert metrics["exponents"]["inner"]["value"] > metrics["exponents"]["law"]["value"] + 0.1
