"""Overfitting and its remedies: what is wrong is wrong as stated, nothing is chosen on the test part, each remedy does what it says."""

import json

import numpy as np
import pytest
import torch
from conftest import load_snippet
from data_checks import check_balance, check_split
from model_checks import check_model
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

program = load_snippet("foundations/neuron_overfitting")


def test_network():
    torch.manual_seed(0)
    check_model(lambda: program.network(0.5), torch.rand(10, 64), torch.arange(10), classes=10, skip=("step",))  # dropout may leave a unit of the batch without gradient


# --- the data


def test_parts_are_of_other_digits():
    data = program.load_data(0.2)
    check_split(*(data[part].tensors[0] for part in ("all", "valid", "test")))
    assert {part: len(data[part]) for part in data} == {"few": 200, "all": 1157, "valid": 258, "test": 382}
    assert torch.equal(data["few"].tensors[0], data["all"].tensors[0][:200])
    assert torch.equal(data["few"].tensors[1], data["all"].tensors[1][:200]), "more data should not mend the labels of the few"


@pytest.mark.parametrize("wrong", [0.0, 0.2])
def test_a_fifth_of_the_labels_to_train_on_is_wrong_and_no_other(wrong):
    digits = load_digits()
    true = {row.tobytes(): int(label) for row, label in zip((digits.data / 16).astype(np.float32), digits.target)}
    data = program.load_data(wrong, seed=3)
    for part, expected in (("all", wrong), ("valid", 0), ("test", 0)):
        x, y = (tensor.numpy() for tensor in data[part].tensors)
        share = np.mean([true[row.tobytes()] != label for row, label in zip(x, y)])
        assert share == 0 if expected == 0 else abs(share - expected) < 0.04, f"{share:.1%} of the labels of {part} are wrong"
        assert set(y) == set(range(10))
    check_balance(data["all"].tensors[1], {digit: 0.1 for digit in range(10)}, 0.03)


def test_wrong_and_true_labels_come_with_the_same_digits():
    clean, noisy = (program.load_data(wrong, seed=1)["few"].tensors[0] for wrong in (0.0, 0.2))
    assert torch.equal(clean, noisy)
    assert not torch.equal(clean, program.load_data(0.0, seed=2)["few"].tensors[0])


# --- training


@pytest.fixture(scope="module")
def data():
    return program.load_data(0.2)


def test_training_is_repeatable_and_its_curves_begin_before_the_first_step(data):
    first, again, other = (program.train(data, seed, 40).curves for seed in (0, 0, 1))
    assert first == again and first != other and len(first) == 5
    torch.manual_seed(0)
    model = program.network()
    assert first[0] == (*program.evaluate(model, data["few"]), *program.evaluate(model, data["valid"]))
    assert first[-1][0] < first[0][0]


def test_the_early_network_is_the_best_one_on_the_validation_part(data):
    run = program.train(data, 0, 200)
    valid = [point[3] for point in run.curves]
    assert program.evaluate(run.early, data["valid"])[1] == max(valid) > valid[-1]
    assert program.evaluate(run.model, data["valid"])[1] == valid[-1]
    shorter = program.train(data, 0, 10 * valid.index(max(valid)))
    for one, other in zip(run.early.parameters(), shorter.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_with_decay_shrinks_the_weights(data):
    """w <- w - rate * (gradient + decay * w)"""
    plain, decayed = (program.train(data, 0, 1, decay=decay).model for decay in (0.0, 0.1))
    torch.manual_seed(0)
    for start, one, other in zip(program.network().parameters(), plain.parameters(), decayed.parameters(), strict=True):
        torch.testing.assert_close(one - 0.5 * 0.1 * start, other)


def test_dropout_works_in_training_alone(data):
    run = program.train(data, 0, 30, dropout=0.9)
    assert run.model[2].p == 0.9 and program.evaluate(run.model, data["valid"]) == program.evaluate(run.model, data["valid"])
    assert run.curves[-1] != program.train(data, 0, 30).curves[-1]


def test_evaluation_counts_what_is_right():
    labels = torch.arange(10)
    scores = 20 * torch.eye(10)
    loss, right = program.evaluate(torch.nn.Identity(), TensorDataset(scores, labels))
    assert right == 1 and loss < 1e-6
    assert program.evaluate(torch.nn.Identity(), TensorDataset(scores, labels.roll(1)))[1] == 0


# --- the comparison


def test_strengths_are_chosen_by_the_validation_part(data, monkeypatch):
    monkeypatch.setattr(program, "REMEDIES", {"nothing": [{}], "weight decay": [{"decay": 0.03}, {"decay": 0.3}]})
    runs, found = program.compare(data, 0, 60)
    decay = found["weight decay"]
    assert decay["chosen"] == [[0.03, 0.3][decay["tried"].index(max(decay["tried"]))]]
    assert decay["test"] == program.evaluate(runs["weight decay"].model, data["test"])[1]
    early = found["early stopping"]
    valid = [point[3] for point in runs["nothing"].curves]
    assert early["valid"] == max(valid) and valid[early["step"] // 10] == max(valid)
    assert early["test"] == program.evaluate(runs["nothing"].early, data["test"])[1]


def test_the_baseline_sees_what_the_network_sees(data):
    found = program.baseline(data)
    assert len(found["tried"]) == 4 and found["chosen"] == [(0.3, 1, 3, 10)[found["tried"].index(max(found["tried"]))]]
    model = program.SVC(C=found["chosen"][0]).fit(*(part.numpy() for part in data["few"].tensors))
    assert found["test"] == model.score(*(part.numpy() for part in data["test"].tensors))


def test_main_writes_its_results(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "REMEDIES", {"nothing": [{}], "dropout": [{"dropout": 0.5}], "more data": [{"part": "all"}]})
    metrics = program.main(tmp_path, steps=20)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.glob("*.svg")} == {"overfitting.svg", "remedies.svg"}
    assert set(metrics["clean"]) == set(metrics["noisy"]) == {"nothing", "dropout", "more_data", "early_stopping", "SVM"}
