"""The answers to the exercises on convolutional networks."""

import json

import torch
from conftest import load_snippet
from data_checks import check_balance, check_split, shares
from model_checks import check_model
from torch.utils.data import TensorDataset

exercises = load_snippet("models/cnn_exercises")


def test_networks():
    torch.manual_seed(0)
    x, y = torch.randn(8, 1, 24, 24), torch.arange(8)
    check_model(exercises.network, x, y, classes=10)
    check_model(lambda: exercises.network(average=True), x, y, classes=10)


def test_sizes():
    assert exercises.sizes(3, 1) == (64, 8, 8)
    assert exercises.sizes(5, 0) == (64, 5, 5)


def test_shuffle_moves_every_pixel_alike():
    images = torch.arange(1152.0).view(2, 1, 24, 24)
    shuffled = exercises.shuffle_pixels(TensorDataset(images, torch.arange(2))).tensors[0]
    assert not torch.equal(shuffled, images)
    assert torch.equal(shuffled[0] + 576, shuffled[1])
    assert torch.equal(shuffled.flatten(1).sort().values, images.flatten(1))


def test_shift_moves_to_the_right():
    image = torch.rand(1, 1, 24, 24)
    moved = exercises.shift(image, 3)
    assert torch.equal(moved[..., 3:], image[..., :21])
    assert moved[..., :3].abs().max() == 0
    assert torch.equal(exercises.shift(image, 0), image)


def test_no_digit_loses_ink():
    for part in exercises.load_data():
        x = part.tensors[0]
        assert torch.equal(exercises.shift(x, 4)[..., 4:], x[..., :20]) and x[..., 20:].abs().max() == 0


def test_parts_do_not_overlap():
    (x, y), (test_x, test_y) = (part.tensors for part in exercises.load_data())
    assert len(x) == len(y) and len(test_x) == len(test_y) and len(x) + len(test_x) == 1797
    check_split(x, test_x)
    check_balance(test_y, shares(torch.cat([y, test_y])), 0.02)


def test_main_answers_everything(tmp_path):
    metrics = exercises.main(tmp_path, epochs=1)
    assert metrics["average"]["parameters"] < metrics["flatten"]["parameters"]
    assert len(metrics["flatten"]["shifted"]) == 5
    assert metrics["svm"] > 0.9
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == {**metrics, "sizes": {name: list(size) for name, size in metrics["sizes"].items()}}
