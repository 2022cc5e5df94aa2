"""Cross-validation: written out beside scikit-learn's, and how it is fooled."""

import numpy as np
import pytest
from conftest import load_snippet
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

cross_validation = load_snippet("questions/cross_validation")


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_folds_equal_scikit_learn(seed, count):
    images, _, labels, _ = cross_validation.load_data(seed)
    model = KNeighborsClassifier(3)
    own = cross_val_score(model, images, labels, cv=StratifiedKFold(count, shuffle=True, random_state=seed)).mean()
    assert cross_validation.folds(model, images, labels, seed, count) == pytest.approx(own)


def test_world_is_not_in_the_data():
    images, world, labels, world_labels = cross_validation.load_data(0)
    assert len(images) == 150 and len(world) == len(world_labels) == 1647
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in world}


def test_folds_are_closer_to_the_truth():
    errors = cross_validation.errors(12)
    assert np.std(errors["10 folds"]) < np.std(errors["held-out fifth"])


def test_choosing_outside_the_folds_invents_a_result():
    assert cross_validation.fooled(0, inside=False) > 0.8
    assert abs(np.mean([cross_validation.fooled(seed, inside=True) for seed in range(4)]) - 0.5) < 0.15


def test_main(tmp_path):
    metrics = cross_validation.main(tmp_path, draws=4)
    assert (tmp_path / "metrics.json").is_file()
    assert set(metrics["errors"]) == set(cross_validation.ESTIMATES)
