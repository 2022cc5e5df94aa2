"""Twenty layers on digits: the data, the training, and what is chosen where."""

import json

import pytest
import torch
from conftest import load_snippet
from data_checks import check_split
from model_checks import check_model
from torch import nn
from torch.utils.data import TensorDataset

deep = load_snippet("foundations/deep")


def test_the_copied_network():
    torch.manual_seed(0)
    check_model(lambda: deep.Network(4, nn.LayerNorm, residual=True), torch.randn(8, 64), torch.arange(8), classes=10)
    check_model(lambda: deep.Block(16, nn.RMSNorm, residual=True), torch.randn(8, 16), torch.arange(8))


def test_parts_have_no_digit_in_common_and_begin_with_new_forms():
    data = deep.load_data()
    check_split(*(part.tensors[0] for part in data))
    assert [len(part) for part in data] == [1157, 258, 382]
    for part in data:
        assert part.tensors[1][:20].tolist() == 2 * list(range(10))


def test_pixels_are_normalized_by_the_training_part():
    train, valid, _ = (part.tensors[0] for part in deep.load_data())
    torch.testing.assert_close(train.mean(0), torch.zeros(64), atol=1e-4, rtol=0)
    assert valid.mean(0).abs().max() > 0.05


def test_a_sound_network_learns_and_a_plain_one_does_not():
    data = deep.load_data()
    learned = deep.fit("residual, layer norm", 0.03, data, 2, 0)
    again = deep.fit("residual, layer norm", 0.03, data, 2, 0)
    other = deep.fit("residual, layer norm", 0.03, data, 2, 1)
    assert learned.losses == again.losses != other.losses
    assert learned.losses[-1] < 0.7 * learned.losses[0] and learned.valid > 0.7
    plain = deep.fit("plain", 0.01, data, 2, 0)
    assert abs(plain.losses[-1] - 2.303) < 0.02 and plain.valid < 0.2


def test_every_run_has_its_optimizer_and_its_depth():
    kinds = {name: kind for name, (kind, _) in deep.RUNS.items()}
    assert kinds.pop("plain, Adam") == "Adam" and set(kinds.values()) == {"SGD"}
    assert deep.RUNS["three layers"][1] == {"depth": 3} and set(deep.VARIANTS) < set(deep.RUNS)
    assert len(deep.RATES["SGD"]) == len(deep.RATES["Adam"]), "both get the same number of trials"


def test_evaluation_is_told_from_training():
    torch.manual_seed(0)
    part = deep.load_data()[1]
    model = deep.Network(4, nn.BatchNorm1d).to(deep.device)
    first = deep.evaluate(model.train(), part)
    few = TensorDataset(*(tensor[:1] for tensor in part.tensors))
    assert deep.evaluate(model, few) in (0, 1) and deep.evaluate(model, part) == first and not model.training


def test_main_writes_its_results(tmp_path, monkeypatch):
    monkeypatch.setattr(deep, "RATES", {"SGD": (0.01, 0.03), "Adam": (0.001, 0.003)})
    metrics = deep.main(tmp_path, epochs=1)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.glob("*.svg")} == {"loss.svg"}
    for name in deep.RUNS:
        one = metrics[name]
        assert one["valid"] == max(one["tried"]) and len(one["tried"]) == 2
        assert one["rates_that_train"] == sum(valid > 0.8 for valid in one["tried"])
        assert one["rate"] == deep.RATES[deep.RUNS[name][0]][one["tried"].index(one["valid"])]
    assert metrics["test"] == 382 and metrics["plain"]["accuracy"] == pytest.approx(0.1, abs=0.1)
