"""The folder of images, its augmentation, and the network that tells its classes apart."""

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
from conftest import SNIPPETS, load_snippet
from data_checks import arguments_of, check_fitted_on_training_part, check_split
from model_checks import check_model
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

recognition = load_snippet("applications/recognition")


def test_network():
    torch.manual_seed(0)
    check_model(recognition.ConvNet, torch.randn(8, 3, 32, 32), torch.arange(8), classes=10)
    check_model(lambda: recognition.Normalize(torch.randint(256, (9, 3, 8, 8))), 255 * torch.rand(8, 3, 8, 8), torch.arange(8))


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
    data = recognition.load_data(make_folder(tmp_path))
    assert data.classes == ["cat", "dog"]
    images, labels = data.train.tensors
    assert images.shape == (4, 3, 32, 32) and images.dtype == torch.uint8
    assert labels.tolist() == [0, 0, 1, 1]
    assert images[2:, 0].unique().tolist() == [80]
    assert data.valid.tensors[0][:, :, 0, 0].tolist() == [[0, 100, 60], [80, 100, 60]], "not the last images in order of name are for validation"
    assert data.test.tensors[0][2, :, 0, 0].tolist() == [0, 100, 60]
    assert data.test.tensors[1].tolist() == [0, 0, 0, 1, 1, 1]


def test_a_fifth_is_for_validation(tmp_path):
    data = recognition.load_data(make_folder(tmp_path, count=10))
    assert [len(part) for part in data[:3]] == [16, 4, 20]


def test_hidden_files_and_gray_images_do_no_harm(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "train" / "cat" / ".DS_Store").write_bytes(b"x")
    Image.new("L", (8, 8), 9).save(tmp_path / "train" / "cat" / "gray.png")
    data = recognition.load_data(tmp_path)
    assert len(data.train) + len(data.valid) == 7


def test_digits_are_written_as_a_folder_by_writers(tmp_path):
    """Each digit stands in one part, under its label, and in train in as many colors as asked for."""
    recognition.write_digits(tmp_path, colorings=2)
    digits, rows = load_digits(), {"train": [], "test": []}
    for file in tmp_path.glob("*/*/*.png"):
        row = int(file.name.partition("-")[0])
        assert int(file.parent.name) == digits.target[row]
        rows[file.parent.parent.name].append(row)
    assert sorted(rows["train"]) == sorted(2 * list(range(1415)))
    assert sorted(rows["test"]) == list(range(1415, 1797))


def test_validation_digits_are_no_training_digits(tmp_path, monkeypatch):
    """But one in each class at most, where the cut goes between its two colors."""
    monkeypatch.setattr(recognition, "read_part", lambda files, classes: TensorDataset(torch.tensor([int(file.name[:4]) for file in files])))
    recognition.write_digits(tmp_path, colorings=2)
    train, valid, test = ([int(row) for row, in part] for part in recognition.load_data(tmp_path)[:3])
    assert len(set(train) & set(valid)) <= 10
    check_split([*train, *valid], test)


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
        (cat / "notes.txt").write_text("no image", encoding="utf-8")
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
    with pytest.raises(recognition.DataError, match=named):
        recognition.load_data(folder)


# --- augmentation


def changed(shift: int, mirror: bool, count: int = 200, x: int = 16) -> set:
    """Return where augmentation moves a dot at row 16 and column x, as (rows down, columns to the right)."""
    torch.manual_seed(0)
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    image[:, :, 16, x] = 1
    data = recognition.Augmented(TensorDataset(image, torch.tensor([7])), shift, mirror)
    assert len(data) == 1
    found = set()
    for _ in range(count):
        moved, label = data[0]
        assert moved.shape == (3, 32, 32) and moved.dtype == torch.uint8 and label == 7
        (_, row, column), = {(0, int(row), int(column)) for _, row, column in moved.nonzero()}
        found.add((row - 16, column - x))
    return found


def test_augmentation_shifts_by_two_pixels_at_most():
    for along in zip(*changed(2, mirror=False)):
        assert set(along) == {-2, -1, 0, 1, 2}
    assert changed(0, mirror=False, count=5) == {(0, 0)}


def test_augmentation_mirrors_if_asked():
    assert changed(0, mirror=True, x=4) == {(0, 0), (0, 31 - 4 - 4)}


def test_the_edge_is_repeated():
    image = torch.full((1, 3, 32, 32), 9, dtype=torch.uint8)
    data = recognition.Augmented(TensorDataset(image, torch.tensor([0])), 2, True)
    assert all((data[0][0] == 9).all() for _ in range(20))


def test_the_names_of_augmentations_say_what_they_do():
    assert recognition.AUGMENTATIONS == {"none": (0, False), "shift": (2, False), "shift and mirror": (2, True)}


# --- mistakes


def test_mistakes_begin_with_the_most_confident_one():
    probabilities = torch.tensor([[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.4, 0.6]])
    mistakes = recognition.find_mistakes(probabilities, torch.tensor([0, 1, 1, 0]), ["cat", "dog"])
    assert [mistake["image"] for mistake in mistakes] == [2, 1, 3]
    assert mistakes[0] == {"image": 2, "true": "dog", "predicted": "cat", "probability": pytest.approx(0.8)}


def test_the_most_frequent_confusion_is_found():
    matrix = np.array([[9, 1, 0], [0, 2, 3], [0, 0, 5]])
    assert recognition.most_confused(matrix, ["a", "b", "c"]) == {"true": "b", "predicted": "c", "count": 3}
    assert recognition.most_confused(np.diag([3, 4]), ["a", "b"]) is None


def test_the_table_has_true_classes_in_its_rows():
    fig = recognition.draw_confusion(np.array([[5, 2], [0, 7]]), ["a", "b"])
    axes, = fig.axes
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {((0, 0), "5"), ((1, 0), "2"), ((1, 1), "7")}
    assert axes.get_ylabel() == "true"


# --- training and the whole program


def test_main_normalizes_by_the_training_part(monkeypatch, tmp_path):
    torch.manual_seed(0)
    images = torch.randint(256, (60, 3, 32, 32), dtype=torch.uint8)
    parts = [TensorDataset(images[start : start + 20], torch.arange(20) % 2) for start in (0, 20, 40)]

    def normalized(train, test):
        monkeypatch.setattr(recognition, "load_data", lambda folder: recognition.Data(train, test, test, ["a", "b"]))
        return recognition.Normalize(*arguments_of(recognition, "Normalize", lambda: recognition.main(tmp_path, folder=tmp_path)))(images[:1])

    check_fitted_on_training_part(normalized, *parts)


def test_main_writes_its_results(tmp_path):
    folder = make_folder(tmp_path / "pictures", count=70)
    metrics = recognition.main(tmp_path / "out", folder=folder, epochs=1)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["train_images"] == 112 and metrics["test_images"] == 140
    assert set(metrics["valid"]) == set(recognition.AUGMENTATIONS)
    assert metrics["valid"][metrics["chosen"]] == max(metrics["valid"].values())
    assert metrics["linear"]["accuracy"] == 1, "two classes of two colors are linearly separable"
    model = torch.nn.Sequential(recognition.Normalize(torch.zeros(2, 3, 1, 1)), recognition.ConvNet(2))
    model.load_state_dict(torch.load(tmp_path / "out" / "weights.pt", weights_only=True))
    assert recognition.evaluate(model.to(recognition.device), recognition.load_data(folder).test) == pytest.approx(metrics["cnn"]["accuracy"])


@pytest.mark.parametrize("right", [True, False])
def test_main_survives_a_perfect_score(tmp_path, monkeypatch, right):
    def answer(model, data):
        labels = data.tensors[1]
        return torch.eye(2)[labels if right else 1 - labels]

    monkeypatch.setattr(recognition, "predict", answer)
    metrics = recognition.main(tmp_path / "out", folder=make_folder(tmp_path / "pictures"), epochs=1)
    expected = {"augmented.svg", "confusion.svg"} | (set() if right else {"mistakes.svg"})
    assert {path.name for path in (tmp_path / "out").glob("*.svg")} == expected
    assert metrics["cnn"]["accuracy"] == right and (metrics["most_confused"] is None) == right


def without_network(folder) -> dict[str, str]:
    """Return an environment in which Python refuses to open a connection."""
    (folder / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*arguments, **options):\n    raise OSError('the network is off')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n",
        encoding="utf-8",
    )
    return os.environ | {"PYTHONPATH": str(folder)}


def test_a_copy_alone_runs_without_network(tmp_path):
    alone, other = tmp_path / "alone", tmp_path / "other"
    alone.mkdir(), other.mkdir()
    shutil.copy(SNIPPETS / "applications" / "recognition.py", alone)
    folder = make_folder(other / "pictures")
    command = [sys.executable, "recognition.py", "--epochs", "1", "--data", str(folder)]
    done = subprocess.run(command, cwd=alone, env=without_network(other), capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "chosen: " in done.stdout
    assert (alone / "recognition-results" / "metrics.json").is_file()


def test_a_bad_folder_ends_the_program_with_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["recognition.py", "--data", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SNIPPETS / "applications" / "recognition.py"), run_name="__main__")
    assert ended.value.code == 2
    assert "recognition.py: error: nowhere" in capsys.readouterr().err
