"""Results over seeds, and when a page may say that one is ahead."""

import json

import pytest

from tooling import claims, lessons, pages, results
from tooling.claims import alike, holds, of_seeds
from tooling.lessons import SiteError

FAR, NEAR, FIRM = of_seeds([0.90, 0.92, 0.94]), of_seeds([0.89, 0.91, 0.93]), of_seeds([0.80, 0.81, 0.80])


def test_a_difference_counts_where_it_exceeds_the_spread():
    assert FAR > FIRM and FIRM < FAR and not FAR < FIRM
    assert not FAR > NEAR and not NEAR < FAR and alike(FAR, NEAR) and not alike(FAR, FIRM)
    assert FAR > 0.89 and 0.89 < FAR and not FAR > 0.91 and alike(FAR, 0.91)


def test_a_spread_is_that_of_the_sample():
    assert (FAR.mean, FAR.spread, FAR.smallest, FAR.largest) == pytest.approx((0.92, 0.02, 0.90, 0.94))
    assert pages.percent(FAR) == "92.0 ± 2.0%" and pages.percent(0.92) == "92.0%"
    assert pages.FILTERS["fixed"](FAR, 3) == "0.920 ± 0.020" and pages.FILTERS["thousands"](claims.Spread(1500, 20)) == "1,500 ± 20"


def test_claims_are_found_with_their_lines_and_leave_the_page():
    text = "One.\n<!-- claim: metrics.a > 1 -->\n\nTwo. <!-- claim: alike(metrics.a, 2) -->\n"
    assert claims.claims(text) == [(2, "metrics.a > 1"), (4, "alike(metrics.a, 2)")]
    assert "claim" not in pages.expand(text, "en", "career")


def test_a_claim_holds_by_the_values():
    values = {"metrics": {"a": 2.0, "c": {"mean": 0.5, "spread": 0.1}}, "seeds": {"b": NEAR}}
    assert holds("over(metrics.c) < seeds.b", values, pages.jinja)
    assert holds("metrics.a > 1 and alike(seeds.b, 0.91)", values, pages.jinja)
    assert not holds("metrics.a < seeds.b", values, pages.jinja)


@pytest.mark.parametrize(("claim", "problem"), [("metrics.a", "neither true nor false"), ("metrics.c > 1", "no attribute 'c'"), ("seeds.b >= 1", "not supported"), ("metrics.a >", "unexpected")])
def test_what_claims_nothing_is_a_mistake(claim, problem):
    with pytest.raises(SiteError, match=problem):
        holds(claim, {"metrics": {"a": 2.0}, "seeds": {"b": NEAR}}, pages.jinja)


def test_seeds_share_a_tree_of_numbers():
    trees = [{"a": 1, "b": {"c": 0.5, "rows": [1, 2]}, "seconds": 3, "name": "x"}, {"a": 2, "b": {"c": 0.25, "rows": [1]}, "seconds": 4, "name": "y"}]
    assert results.gathered(trees) == {"a": [1, 2], "b": {"c": [0.5, 0.25]}}


def test_results_run_over_seeds(monkeypatch, tmp_path):
    """The stored run is the first seed; the others are run, and what they measured stands beside it."""
    (tmp_path / "models/cnn").mkdir(parents=True)
    (tmp_path / "models/cnn/metrics.json").write_text('{"accuracy": 0.5}', encoding="utf-8")
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    monkeypatch.setattr(results, "metrics", lambda name: {"accuracy": 0.5})

    def run(name, folder, data, seed):
        (folder / "metrics.json").write_text(json.dumps({"accuracy": seed / 10}), encoding="utf-8")
        return folder, {"seconds": 1, "cpu_seconds": 1}

    monkeypatch.setattr(results, "run", run)
    results.run_seeds("models/cnn", 3)
    kept = json.loads((tmp_path / "models/cnn/seeds.json").read_text(encoding="utf-8"))
    assert kept["seeds"] == [0, 1, 2] and kept["metrics"] == {"accuracy": [0.5, 0.1, 0.2]}


def test_a_result_without_seeds_says_how_to_get_them():
    with pytest.raises(SiteError, match="--seeds 5"):
        claims.over_seeds("models/no_such")


SEEDED = """\
# --8<-- [start:all]
import json, pathlib, sys
folder = pathlib.Path("toy-results")
folder.mkdir()
(folder / "metrics.json").write_text(json.dumps({"seed": int((sys.argv + ["--seed", "0"])[sys.argv.index("--seed") + 1 if "--seed" in sys.argv else -1])}))
# --8<-- [end:all]
"""


@pytest.mark.parametrize(("seed", "used"), [(3, 3), (None, 0)])
def test_a_run_gets_its_seed(monkeypatch, tmp_path, seed, used):
    (tmp_path / "toy.py").write_text(SEEDED, encoding="utf-8")
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(lessons, "SNIPPETS", tmp_path)
    made, _ = results.run("toy", tmp_path / "run", seed=seed)
    assert json.loads((made / "metrics.json").read_text(encoding="utf-8")) == {"seed": used}


def test_a_false_claim_is_told_with_its_line(monkeypatch):
    monkeypatch.setattr(pages, "values_of", lambda page: {"metrics": {"a": 2.0}})
    assert pages.false_claims("One.\n<!-- claim: metrics.a > 3 -->\n<!-- claim: metrics.a > 1 -->", "toy") == [(2, "metrics.a > 3")]
