"""The convolutional network, its data and its training."""

import json
import os
import runpy
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from conftest import RESULTS, SNIPPETS, load_snippet
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_rows_are_answered_alone, check_split, shares
from model_checks import check_eight_bits, check_export, check_model, exported
from PIL import Image
from sklearn.datasets import load_digits
from torch.optim.optimizer import register_optimizer_step_pre_hook

cnn = load_snippet("models/cnn")


def test_network():
    torch.manual_seed(0)
    check_model(cnn.ConvNet, torch.randn(8, 3, 32, 32), torch.arange(8), classes=10)


def test_network_is_the_one_of_the_page():
    shapes = {name: tuple(parameter.shape) for name, parameter in cnn.ConvNet().named_parameters() if "weight" in name}
    assert shapes == {"conv1.weight": (32, 3, 3, 3), "conv2.weight": (64, 32, 3, 3), "fc1.weight": (128, 4096), "fc2.weight": (10, 128)}


# --- the digits


def test_digits_are_split_before_they_are_painted(monkeypatch):
    """Follow each digit by its ink: none may stand in both parts."""
    inks = []
    monkeypatch.setattr(cnn, "paint", lambda ink, random: inks.append(ink) or torch.zeros(len(ink), 3, 32, 32, dtype=torch.uint8))
    data = cnn.color_digits()
    *train, test = inks
    check_split(np.concatenate(train), test)
    check_balance(data.test_labels, shares(load_digits().target), 0.005)
    check_balance(data.train_labels, shares(load_digits().target), 0.005)
    assert len(data.test_labels) == len(inks[-1]) == 360
    assert len(data.train_labels) == sum(map(len, inks[:-1]))


def test_labels_belong_to_their_images():
    data = cnn.color_digits(colorings=2)
    digits = load_digits()
    mean = np.stack([digits.images[digits.target == digit].mean(0) for digit in range(10)]).reshape(10, -1)
    for images, labels in ((data.train_images, data.train_labels), (data.test_images, data.test_labels)):
        paper = images[:, :, 0, :1, None].float()  # the corner is paper
        ink = (images.float() - paper).abs().sum(1).unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4)).flatten(1)
        guess = np.corrcoef(np.concatenate([mean, ink.numpy()]))[10:, :10].argmax(1)
        assert (guess == labels.numpy()).mean() > 0.75, "the nearest mean digit is seldom the label: are the labels shuffled?"


def test_colors_can_be_read_and_vary():
    images = cnn.color_digits(colorings=1).test_images.float() / 255
    brightness = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1).flatten(1)
    contrast = brightness.amax(1) - brightness.amin(1)
    assert contrast.min() > 0.2
    darker = brightness[:, 0] > brightness.mean(1)
    assert 0.3 < darker.float().mean() < 0.7, "ink is nearly always darker, or nearly always brighter, than its paper"


def test_normalization_comes_from_the_given_images_alone():
    images = torch.randint(256, (50, 3, 8, 8), dtype=torch.uint8)
    normalize = cnn.normalizer(images)
    normalized = normalize(images)
    torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalized.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    bright = torch.full((5, 3, 8, 8), 255, dtype=torch.uint8)
    assert normalize(bright).mean() > 1, "other images must not be normalized by their own mean"


def test_main_normalizes_by_the_training_part(monkeypatch, tmp_path):
    images, labels = cnn.color_digits(colorings=1)[:2]
    parts = [(images[start : start + 20], labels[start : start + 20]) for start in (0, 20, 40)]

    def normalized(train, test):
        monkeypatch.setattr(cnn, "load_data", lambda folder: cnn.Data(*train, *test, list("0123456789")))
        _, normalize, *_ = arguments_of(cnn, "compare", lambda: cnn.main(tmp_path))
        return normalize(images[:1])

    check_fitted_on_training_part(normalized, *parts)


def test_baselines_learn_from_the_training_part_alone():
    data = cnn.color_digits(colorings=1)
    normalize = cnn.normalizer(data.train_images)
    data = data._replace(train_images=data.train_images[:120], train_labels=data.train_labels[:120])

    def score(name, images, labels):
        torch.manual_seed(0)
        return cnn.baselines(data._replace(test_images=images, test_labels=labels), normalize)[name]["accuracy"]

    for name in ("linear", "svm"):
        check_rows_are_answered_alone(lambda *rows: score(name, *rows), data.test_images[:6], data.test_labels[:6])


# --- augmentation


def test_augment_shifts_by_two_pixels_at_most():
    torch.manual_seed(0)
    image = torch.zeros(256, 3, 32, 32)
    image[:, :, 16, 16] = 1
    moved = cnn.augment(image, mirror=False).sum(1).nonzero()
    offsets = {(int(row) - 16, int(column) - 16) for _, row, column in moved}
    assert len(moved) == 256
    for along in zip(*offsets):
        assert set(along) == {-2, -1, 0, 1, 2}


def test_augment_mirrors_half_if_asked_and_none_if_not():
    torch.manual_seed(0)
    image = torch.zeros(200, 3, 32, 32)
    image[..., :8] = 1  # bright on the left
    def left(images):
        return (images[..., :4].mean((1, 2, 3)) > 0.5).float().mean().item()

    assert left(cnn.augment(image, mirror=False)) == 1
    assert 0.35 < left(cnn.augment(image, mirror=True)) < 0.65


# --- folders of images


def make_folder(root, classes=("cat", "dog"), count=3):
    """Write a small folder of images: each class in a color of its own."""
    for part in ("train", "test"):
        for label, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (40, 20), (80 * label, 100, 30 * index)).save(root / part / name / f"{index}.png")
    return root


def test_folder_is_read(tmp_path):
    data = cnn.load_data(make_folder(tmp_path))
    assert data.classes == ["cat", "dog"]
    assert data.train_images.shape == (6, 3, 32, 32) and data.train_images.dtype == torch.uint8
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train_images[3:, 0].unique().tolist() == [80]
    assert data.test_images[2, :, 0, 0].tolist() == [0, 100, 60]


def test_hidden_files_and_gray_images_do_no_harm(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "train" / "cat" / ".DS_Store").write_bytes(b"x")
    Image.new("L", (8, 8), 9).save(tmp_path / "train" / "cat" / "gray.png")
    assert len(cnn.load_data(tmp_path).train_images) == 7


def damage(folder, what):
    """Break a folder of images in one way; return the name that the message must hold."""
    cat = folder / "train" / "cat"
    if what == "no training part":
        shutil.rmtree(folder / "train")
        return "train"
    if what == "no folder at all":
        shutil.rmtree(folder)
        return folder.name
    if what == "a single class":
        shutil.rmtree(folder / "train" / "dog")
        shutil.rmtree(folder / "test" / "dog")
        return "2 class folders"
    if what == "a class in one part only":
        shutil.rmtree(folder / "test" / "dog")
        return "dog"
    if what == "an empty class":
        for file in cat.iterdir():
            file.unlink()
        return "cat"
    if what == "a text file":
        (cat / "notes.txt").write_text("no image")
        return "notes.txt"
    if what == "a truncated image":
        random = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(random).save(cat / "half.png")
        (cat / "half.png").write_bytes((cat / "half.png").read_bytes()[:2000])
        return "half.png"
    if what == "a truncated JPEG":
        Image.effect_noise((64, 64), 90).save(cat / "half.jpg")
        (cat / "half.jpg").write_bytes((cat / "half.jpg").read_bytes()[:1000])
        return "half.jpg"
    if what == "an image of a billion pixels":
        Image.new("L", (1, 1)).save(cat / "bomb.png")
        content = bytearray((cat / "bomb.png").read_bytes())
        content[16:24] = struct.pack(">II", 32768, 32768)  # the head says so, and has the right checksum
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        (cat / "bomb.png").write_bytes(content)
        return "bomb.png.*pixels"
    if what == "an empty file":
        (cat / "empty.png").touch()
        return "empty.png"
    if what == "a folder among the images":
        (cat / "more").mkdir()
        return "more"
    if what == "a dead link":
        (cat / "dead.png").symlink_to(folder / "nowhere.png")
        return "dead.png"
    if what == "a link to itself":
        (cat / "loop.png").symlink_to(cat / "loop.png")
        return "loop.png"
    if what == "a class that is a dead link":
        shutil.rmtree(cat)
        cat.symlink_to(folder / "nowhere")
        return "cat"
    raise AssertionError(what)


@pytest.mark.parametrize("what", [
    "no training part", "no folder at all", "a single class", "a class in one part only", "an empty class", "a text file", "a truncated image",
    "a truncated JPEG", "an image of a billion pixels", "an empty file", "a folder among the images", "a dead link", "a link to itself",
    "a class that is a dead link",
])
def test_a_damaged_folder_is_refused_with_its_place(tmp_path, what):
    folder = make_folder(tmp_path / "pictures")
    named = damage(folder, what)
    with pytest.raises(cnn.DataError, match=named):
        cnn.load_data(folder)


# --- training and the whole program


def test_training_is_repeatable_and_lowers_the_loss():
    data = cnn.color_digits(colorings=1)
    images, labels = data.train_images[:128], data.train_labels[:128]
    normalize = cnn.normalizer(images)

    def run(seed):
        torch.manual_seed(seed)
        return cnn.train(cnn.ConvNet().to(cnn.device), images, labels, 6, normalize)

    first = run(0)
    assert first == run(0) and first != run(1)
    assert len(first) == 6 * 2
    assert np.mean(first[-2:]) < 0.95 * np.mean(first[:2])


def test_the_learning_rate_rises_and_falls_with_each_batch():
    rates, images = [], torch.zeros(128, 3, 32, 32, dtype=torch.uint8)
    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    cnn.train(cnn.ConvNet().to(cnn.device), images, torch.zeros(128, dtype=torch.int64), 4, cnn.normalizer(images))
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
    images, labels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.arange(4)
    cnn.train(model, images, labels, 1, cnn.normalizer(images))
    probabilities = cnn.evaluate(model, images, cnn.normalizer(images))
    assert modes == [(True, True), (False, False)]
    torch.testing.assert_close(probabilities.sum(1), torch.ones(4))


def test_probabilities_are_those_of_the_outputs():
    """Of the same network, one softmax away from what it puts out."""
    torch.manual_seed(0)
    model, images = cnn.ConvNet().to(cnn.device).eval(), torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    normalize = cnn.normalizer(images)
    with torch.no_grad():
        model.fc2.weight *= 20  # certain of itself, so that a second softmax would level the answers
        outputs = model(normalize(images).to(cnn.device)).cpu()  # (image, class)
    torch.testing.assert_close(cnn.evaluate(model, images, normalize), torch.softmax(outputs, 1))


def test_mistakes_begin_with_the_most_confident_one():
    images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    data = cnn.Data(images, torch.zeros(4, dtype=torch.int64), images, torch.tensor([0, 1, 1, 0]), ["cat", "dog"])
    mistakes = cnn.find_mistakes(data, torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.4, 0.6]]))
    assert [mistake["image"] for mistake in mistakes] == [2, 1, 3]


def test_main_writes_its_results(tmp_path):
    folder = make_folder(tmp_path / "pictures", count=70)
    metrics = cnn.main(tmp_path / "out", folder, epochs=1)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert {path.name for path in (tmp_path / "out").glob("*.svg")} == {"loss.svg", "confusion.svg", "filters.svg", "feature_maps.svg", "mistakes.svg"}
    assert not (tmp_path / "out" / "model.onnx").exists(), "the page's model is that of the digits"
    assert metrics["train_images"] == metrics["test_images"] == 140
    for name in ("cnn", "sgd"):
        assert metrics[name]["accuracy"] == 1 - metrics[name]["errors"] / 140
    assert metrics["linear"]["accuracy"] == 1, "two classes of two colors are linearly separable"


# --- what the page runs


def test_eight_bits():
    torch.manual_seed(0)
    check_eight_bits(cnn.ConvNet(), cnn.shrink, cnn.EightBits)


def test_export_is_equal_to_pytorch(tmp_path):
    torch.manual_seed(0)
    data, model = cnn.color_digits(colorings=1), cnn.ConvNet()
    normalize, small = cnn.normalizer(data.train_images), cnn.shrink(model)
    probabilities = cnn.evaluate(small, data.test_images, normalize)
    cnn.export(small, data, normalize, probabilities, tmp_path)
    run, page = exported(tmp_path), cnn.Live(small, normalize)
    for image in torch.rand(3, 1, 3, 32, 32) * 255:
        first = torch.relu(model.conv1(normalize(image)))
        second = torch.relu(model.conv2(torch.max_pool2d(first, 2)))
        check_export(run, page, image=image)
        for found, expected in zip(page(image), [small(normalize(image)).softmax(1), first, second], strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_samples_are_test_images_with_their_answers():
    folder = RESULTS / "models" / "cnn"
    live, sheet, run = json.loads((folder / "live.json").read_text()), Image.open(folder / "samples.png"), exported(folder)
    labels, known = live["samples"]["labels"], np.array(live["samples"]["probabilities"])
    data = cnn.color_digits()
    tests = {image.numpy().tobytes(): label for image, label in zip(data.test_images, data.test_labels.tolist())}
    assert len(labels) >= 50
    for index, label in enumerate(labels):
        left, top = 32 * (index % 8), 32 * (index // 8)
        pixels = np.asarray(sheet.crop((left, top, left + 32, top + 32))).transpose(2, 0, 1)
        assert tests[np.ascontiguousarray(pixels).tobytes()] == label
        np.testing.assert_allclose(run(image=pixels[None].astype(np.float32))[0][0], known[index], atol=1e-4)
    confidence = known[range(len(labels)), labels]
    assert (np.diff(confidence[:6]) >= 0).all() and confidence[:6].max() <= np.sort(confidence[6:])[0], "the worst six do not come first"


def without_network(folder) -> dict[str, str]:
    """Return an environment in which Python refuses to open a connection."""
    (folder / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*arguments, **options):\n    raise OSError('the network is off')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
    )
    return os.environ | {"PYTHONPATH": str(folder)}


def test_a_copy_alone_runs_without_network(tmp_path):
    alone, other = tmp_path / "alone", tmp_path / "other"
    alone.mkdir(), other.mkdir()
    shutil.copy(SNIPPETS / "models" / "cnn.py", alone)
    folder = make_folder(other / "pictures")
    command = [sys.executable, "cnn.py", "--epochs", "1", "--data", str(folder)]
    done = subprocess.run(command, cwd=alone, env=without_network(other), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    assert (alone / "cnn-results" / "metrics.json").is_file()


def test_a_bad_folder_ends_the_program_with_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cnn.py", "--data", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SNIPPETS / "models" / "cnn.py"), run_name="__main__")
    assert ended.value.code == 2
    assert "cnn.py: error: nowhere" in capsys.readouterr().err
