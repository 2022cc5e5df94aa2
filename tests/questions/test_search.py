"""Search: equal numbers of trials in equal ranges."""

import numpy as np
import pytest
from conftest import load_snippet
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_split, shares
from sklearn.datasets import load_digits

search = load_snippet("questions/search")


def test_share_becomes_a_setting_on_a_logarithmic_scale():
    low, middle, high = (search.place(dict.fromkeys(search.RANGES, share)) for share in (0, 0.5, 1))
    for name, (smallest, largest) in search.RANGES.items():
        assert low[name] == pytest.approx(smallest) and high[name] == pytest.approx(largest)
        assert middle[name] == pytest.approx((smallest * largest) ** 0.5)


@pytest.mark.parametrize("points", [2, 3])
def test_grid_and_random_search_get_the_same(points):
    grid, random = search.grid(points), search.draw_at_random(points**3, seed=0)
    assert len(grid) == len(random) == points**3
    for name, (low, high) in search.RANGES.items():
        assert len({setting[name] for setting in grid}) == points
        assert len({setting[name] for setting in random}) == points**3
        assert all(low <= setting[name] <= high for setting in grid + random)


def test_test_digits_choose_nothing(monkeypatch):
    """With other test labels the same setting must be chosen."""
    trials = search.draw_at_random(4, seed=0)
    *parts, test, test_labels = search.load_data(0)
    chosen, _ = search.search(trials, 0)
    monkeypatch.setattr(search, "load_data", lambda seed: [*parts, test, (test_labels + 1) % 10])
    again, accuracy = search.search(trials, 0)
    assert again == chosen and accuracy < 0.2


def test_components_are_found_on_the_training_digits(monkeypatch):
    def fitted_on(train, rest):
        monkeypatch.setattr(search, "train_test_split", lambda *given, **options: [train, rest, train[:, 0], rest[:, 0]])
        return arguments_of(search.PCA, "fit", lambda: search.load_data(0))[0]

    digits = load_digits().data
    check_fitted_on_training_part(fitted_on, digits[:240], digits[240:700], digits[700:])


@pytest.mark.parametrize("seed", range(10))
def test_parts_do_not_overlap_and_are_balanced(seed):
    images, labels, check, check_labels, test, test_labels = search.load_data(seed)
    assert [len(images), len(check), len(test)] == [240, 400, 1157]
    check_split(images, check, test)
    check_balance(labels, shares(np.concatenate([labels, check_labels, test_labels])), 0.005)


def test_gamma_decides():
    found = search.importance(seed=0, trials=25)
    gamma = [score for value, score in found["gamma"] if value > 1]
    assert max(gamma) < 0.3 < 0.8 < max(score for _, score in found["gamma"])


def test_main(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "importance", lambda seed: {name: [(1.0, 0.5)] for name in search.RANGES})
    metrics = search.main(tmp_path, splits=2)
    assert (tmp_path / "settings.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert metrics["trials_27"]["random"]["mean"] > 0.8
