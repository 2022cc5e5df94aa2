"""The law: that a known one is found, that a fit is that of the literature, and what is best by it."""

import json
import math

import numpy as np
import pytest
from conftest import load_snippet
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

program = load_snippet("language-models/scaling_law")
TRUE = program.Law(0.9, 0.35, 0.3, 0.3, 0.36)


def made(noise: float = 0.0, seed: int = 0) -> list:
    """Return runs of all sizes but the largest with 50 to 1,600 steps, by a law and with noise."""
    chance = np.random.default_rng(seed)
    return [
        program.Run(size, steps, float(TRUE(size.parameters, steps * program.BATCH * program.LENGTH)) * math.exp(noise * chance.normal()))
        for size in program.SIZES[:-1] for steps in (50, 200, 800, 1600)
    ]


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
    laws = program.laws_of(runs, 12, seed=0)
    alphas = [law.alpha for law in laws[1:]]
    assert laws[0] == program.fit(runs, program.STARTS)
    assert len(set(alphas)) == 12 and min(alphas) < TRUE.alpha < max(alphas)
    assert laws == program.laws_of(runs, 12, seed=0) != program.laws_of(runs, 12, seed=1)
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
    """What the budget buys of text depends on the count, what is lost by size does not."""
    widths = np.polyfit(*np.log([(size.inner, size.hidden) for size in program.SIZES]).T, 1)

    def loss(inner: float) -> float:
        parameters = inner + 512 * math.exp(np.polyval(widths, math.log(inner)))
        return TRUE(float(parameters), float(1e11 / 6 / inner))

    (found,) = program.optima(TRUE, np.array([1e11]), inner=True)
    assert program.SIZES[0].inner < found < program.SIZES[-1].inner
    assert loss(found) < min(loss(found * 0.95), loss(found * 1.05))


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


# --- the whole program


def test_made_losses_are_the_laws_but_for_noise():
    runs = program.invent(program.SIZES[:11], np.random.default_rng(0))
    off = [math.log(run.loss / program.TRUE(run.size.parameters, run.text)) for run in runs]
    assert len(runs) == 44 and {run.steps for run in runs} == set(program.STEPS)
    assert 0.5 < np.std(off) / program.NOISE < 1.5 and abs(np.mean(off)) < program.NOISE


def test_main_writes_its_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "DRAWN", 8)
    metrics = program.main(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "range.svg"}
    for name in program.RANGES:
        for field, one in metrics[name].items():
            assert one["low"] < one["high"], f"all fits of {name} have one {field}"
            assert one["value"] == pytest.approx(getattr(program.TRUE, field, one["value"]))
    near, far = (metrics["11 sizes"][name]["high"] - metrics["11 sizes"][name]["low"] for name in program.FAR)
    assert near < far
    assert metrics["exponents"]["all"] == pytest.approx(0.5, abs=0.01) and metrics["exponents"]["inner"] > 0.65
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 79
