"""The convolutional network, its data, its training, and what the page runs."""

import json

import numpy as np
import pytest
import torch
from conftest import RESULTS, load_snippet
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_rows_are_answered_alone, check_split, shares
from model_checks import check_export, check_model, exported
from PIL import Image
from sklearn.datasets import load_digits
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils.data import DataLoader, TensorDataset

from tooling.lessons import exporter_path
from tooling.live.export import import_file, shrink

cnn = load_snippet("models/cnn")
live = import_file(exporter_path("models/cnn"), "live_models_cnn")


def few(data, count: int):
    """Return data with the first `count` images of each part."""
    return cnn.Data(*(TensorDataset(*part[:count]) for part in data[:3]), data.classes)


def network(data=None):
    """Return a new network with its normalization, by random images where there are no data."""
    images = data.train.tensors[0] if data else torch.randint(256, (20, 3, 32, 32), dtype=torch.uint8)
    return torch.nn.Sequential(cnn.Normalize(images), cnn.ConvNet()).to(cnn.device)


def test_network():
    torch.manual_seed(0)
    check_model(cnn.ConvNet, torch.randn(8, 3, 32, 32), torch.arange(8), classes=10)


def test_network_is_the_one_of_the_page():
    shapes = {name: tuple(parameter.shape) for name, parameter in cnn.ConvNet().named_parameters() if "weight" in name}
    assert shapes == {"conv1.weight": (32, 3, 3, 3), "conv2.weight": (64, 32, 3, 3), "fc1.weight": (128, 4096), "fc2.weight": (10, 128)}


# --- the digits


def test_digits_are_split_before_they_are_painted(monkeypatch):
    """Follow each digit by its ink: none may stand in two parts."""
    inks = []
    monkeypatch.setattr(cnn, "paint", lambda ink, random: inks.append(ink) or torch.zeros(len(ink), 3, 32, 32, dtype=torch.uint8))
    data = cnn.load_data()
    check_split(*inks)
    for part, ink in zip(data[:3], inks, strict=True):
        check_balance(part.tensors[1], shares(load_digits().target), 0.02)
        assert len(part) == len(ink)


def test_parts_begin_with_new_forms():
    """Every form asks for the same digits: it begins by 0 to 9, three times."""
    target = load_digits().target.tolist()
    assert cnn.FORMS[0] == 0 and cnn.FORMS[-1] == len(target)
    for start in cnn.FORMS[:-1]:
        assert target[start : start + 30] == 3 * list(range(10))


def test_labels_belong_to_their_images():
    digits = load_digits()
    mean = np.stack([digits.images[digits.target == digit].mean(0) for digit in range(10)]).reshape(10, -1)
    for images, labels in (part.tensors for part in cnn.load_data()[:3]):
        paper = images[:, :, 0, :1, None].float()  # the corner is paper
        ink = (images.float() - paper).abs().sum(1).unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4)).flatten(1)
        guess = np.corrcoef(np.concatenate([mean, ink.numpy()]))[10:, :10].argmax(1)
        assert (guess == labels.numpy()).mean() > 0.7, "the nearest mean digit is seldom the label: are the labels shuffled?"


def test_colors_can_be_read_and_vary():
    images = cnn.load_data().test.tensors[0].float() / 255
    brightness = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1).flatten(1)
    contrast = brightness.amax(1) - brightness.amin(1)
    assert contrast.min() > 0.2
    darker = brightness[:, 0] > brightness.mean(1)
    assert 0.3 < darker.float().mean() < 0.7, "ink is nearly always darker, or nearly always brighter, than its paper"
    first, second = cnn.load_data(colorings=2).train.tensors[0][[0, 1157]]
    assert not torch.equal(first, second), "a digit is painted twice in the same colors"


def test_batches_are_shifted_by_two_pixels_at_most():
    torch.manual_seed(0)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    images[:, :, 16, 16] = 1
    examples, offsets = [(image, torch.tensor(number)) for number, image in enumerate(images)], set()
    for _ in range(300):
        moved, labels = cnn.shifted(examples)
        assert moved.shape == images.shape and moved.dtype == torch.uint8 and labels.tolist() == [0, 1]
        places = moved[:, 0].nonzero()
        assert len(places) == 2 and torch.equal(places[0, 1:], places[1, 1:])
        offsets.add(tuple((places[0, 1:] - 16).tolist()))
    assert offsets == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    same, _ = cnn.shifted([(torch.full((3, 32, 32), 9), torch.tensor(0))])
    assert (same == 9).all(), "what comes in from the edge is not the edge's color"


def test_normalization_comes_from_the_given_images_alone():
    images = torch.randint(256, (50, 3, 8, 8), dtype=torch.uint8)
    normalize = cnn.Normalize(images)
    normalized = normalize(images)
    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalized.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    assert normalize(torch.full((5, 3, 8, 8), 255, dtype=torch.uint8)).mean() > 1, "other images must not be normalized by their own mean"


def test_normalization_is_a_part_of_the_model():
    torch.manual_seed(0)
    check_model(lambda: cnn.Normalize(torch.randint(256, (9, 3, 8, 8))), 255 * torch.rand(8, 3, 8, 8), torch.arange(8))


def test_main_normalizes_by_the_training_part(monkeypatch, tmp_path):
    data = cnn.load_data(colorings=1)
    parts = [TensorDataset(*data.train[start : start + 20]) for start in (0, 20, 40)]

    def normalized(train, test):
        monkeypatch.setattr(cnn, "load_data", lambda seed: cnn.Data(train, test, test, data.classes))
        return cnn.Normalize(*arguments_of(cnn, "Normalize", lambda: cnn.main(tmp_path)))(data.train.tensors[0][:1])

    check_fitted_on_training_part(normalized, *parts)


def test_baselines_learn_from_the_training_part_alone():
    data = few(cnn.load_data(colorings=1), 120)

    def score(name, images, labels):
        return cnn.baselines(data.train, TensorDataset(images, labels))[name]["accuracy"]

    for name in ("linear", "svm"):
        check_rows_are_answered_alone(lambda *rows: score(name, *rows), *data.test[:6])


# --- training and the whole program


@pytest.mark.parametrize("kind", cnn.RATES)
def test_training_is_repeatable_and_lowers_the_loss(kind):
    data = few(cnn.load_data(colorings=1), 128)

    def run(seed):
        return cnn.fit(data, kind, 0.01, 6, seed).losses

    first = run(0)
    assert first == run(0) and first != run(1)
    assert len(first) == 6 * 2
    assert np.mean(first[-2:]) < np.mean(first[:2])


def test_the_learning_rate_rises_and_falls_with_each_batch():
    rates, data = [], few(cnn.load_data(colorings=1), 128)
    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    cnn.fit(data, "AdamW", 0.003, 4, 0)
    hook.remove()
    top = rates.index(max(rates))
    assert len(rates) == 4 * 2 and 0 < top < len(rates) - 1
    assert rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True) and rates[-1] < max(rates) / 1000


def test_training_and_evaluation_set_their_modes():
    class Probe(cnn.ConvNet):
        def forward(self, x):
            modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(x)

    modes, model = [], Probe().to(cnn.device)
    data = TensorDataset(torch.rand(4, 3, 32, 32), torch.arange(4))
    cnn.train(model, DataLoader(data, 4), 1, *optimizer_of(model))
    probabilities = cnn.predict(model, data)
    assert modes == [(True, True), (False, False)]
    torch.testing.assert_close(probabilities.sum(1), torch.ones(4))


def optimizer_of(model):
    """Return an optimizer, and a schedule that keeps its rate."""
    optimizer = torch.optim.AdamW(model.parameters())
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1)


def test_probabilities_are_those_of_the_outputs():
    """Of the same network, one softmax away from what it puts out, in the order of the images."""
    torch.manual_seed(0)
    model, images = network().eval(), torch.randint(256, (501, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        model[1].fc2.weight *= 20  # certain of itself, so that a second softmax would level the answers
        outputs = model(images.to(cnn.device)).cpu()  # (image, class)
    data = TensorDataset(images, outputs.argmax(1))
    torch.testing.assert_close(cnn.predict(model, data), torch.softmax(outputs, 1))
    assert cnn.evaluate(model, data) == 1
    data.tensors[1][:167] += 1  # a third, in the first batch of two
    assert cnn.evaluate(model, data) == pytest.approx(2 / 3, abs=1e-6)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the program small; return its folder and what it measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cnn, "RATES", {"SGD": (0.001, 0.01), "AdamW": (0.003,)})
        patch.setattr(cnn, "load_data", lambda seed=0, load=cnn.load_data: few(load(colorings=1), 130))
        out = tmp_path_factory.mktemp("cnn")
        return out, cnn.main(out, epochs=3)


def test_main_writes_its_results(ran):
    out, metrics = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in out.glob("*.svg")} == {"loss.svg", "feature_maps.svg"}
    assert metrics["train_images"] == metrics["valid_images"] == metrics["test_images"] == 130
    assert metrics["parameters"] == sum(parameter.numel() for parameter in cnn.ConvNet().parameters())
    assert [tried["rate"] for tried in metrics["sgd"]["tried"]] == [0.001, 0.01]
    best = max(metrics["sgd"]["tried"], key=lambda tried: tried["valid"])
    assert metrics["sgd"]["rate"] == best["rate"], "the rate is not chosen by the validation part"


def test_main_saves_the_network_that_it_measured(ran):
    out, metrics = ran
    data = few(cnn.load_data(colorings=1), 130)
    model = network()
    model.load_state_dict(torch.load(out / "weights.pt", weights_only=True))
    assert cnn.evaluate(model, data.test) == metrics["cnn"]["accuracy"]


# --- what the page runs


def test_export_is_equal_to_pytorch(tmp_path):
    torch.manual_seed(0)
    model = network().cpu()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    measured = live.export(cnn, tmp_path, tmp_path)
    assert measured["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert 0 < measured["difference"] < 0.1
    small, run = shrink(model), exported(tmp_path)
    assert measured["accuracy"] == cnn.evaluate(small.to(cnn.device), cnn.load_data().test)
    page = live.Live(small.cpu())
    for image in torch.rand(3, 1, 3, 32, 32) * 255:
        first = torch.relu(model[1].conv1(model[0](image)))
        second = torch.relu(model[1].conv2(torch.max_pool2d(first, 2)))
        check_export(run, page, image=image)
        for found, expected in zip(page(image), [small(image).softmax(1), first, second], strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_samples_are_test_images_with_their_answers():
    folder = RESULTS / "models" / "cnn"
    stored, sheet, run = json.loads((folder / "live.json").read_text(encoding="utf-8")), Image.open(folder / "samples.png"), exported(folder)
    labels, known = stored["samples"]["labels"], np.array(stored["samples"]["probabilities"])
    tests = {image.numpy().tobytes(): int(label) for image, label in cnn.load_data().test}
    assert len(labels) >= 50
    for index, label in enumerate(labels):
        left, top = 32 * (index % 8), 32 * (index // 8)
        pixels = np.asarray(sheet.crop((left, top, left + 32, top + 32))).transpose(2, 0, 1)
        assert tests[np.ascontiguousarray(pixels).tobytes()] == label
        np.testing.assert_allclose(run(image=pixels[None].astype(np.float32))[0][0], known[index], atol=1e-4)
    confidence = known[range(len(labels)), labels]
    assert (np.diff(confidence[:6]) >= 0).all() and confidence[:6].max() <= np.sort(confidence[6:])[0], "the worst six do not come first"
