"""Public data sets are fetched whole, or not at all; with tiny ones, from this machine."""

import functools
import hashlib
import io
import socket
import tarfile
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import Handler, Server, load_snippet
from PIL import Image

from tooling import data
from tooling.lessons import SiteError

recognition, sentiment = load_snippet("applications/recognition"), load_snippet("applications/sentiment")

ARCHIVE = "cifar-10-binary.tar.gz"
REVIEWS = {f"rt-polarity.{kind}": f"a {word} caf\xe9\x85\n".encode("latin-1") * 12 for kind, word in (("pos", "fine"), ("neg", "poor"))}


# --- tiny data sets


def images(count: int = 20, seed: int = 0) -> np.ndarray:
    """Return records, (count, 3073), of random images, two or more of each class."""
    records = np.random.default_rng(seed).integers(256, size=(count, data.RECORD), dtype=np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records


def batches(count: int = 20) -> dict[str, bytes]:
    """Return the files of CIFAR-10's binary version, each with other images."""
    names = [*data.BATCHES["train"], *data.BATCHES["test"]]
    return {f"cifar-10-batches-bin/{name}": images(count, seed).tobytes() for seed, name in enumerate(names)}


def packed(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """Return a compressed archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in others:
            archive.addfile(member)
    return made.getvalue()


def link(kind: bytes, to: str) -> tarfile.TarInfo:
    """Return a link for an archive."""
    member = tarfile.TarInfo("cifar-10-batches-bin/link")
    member.type, member.linkname = kind, to
    return member


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Return a function that puts files into a folder, and says in the table that these are the ones published."""

    def put(name: str, files: dict[str, bytes]):
        place = tmp_path / "published"
        place.mkdir(exist_ok=True)
        for file, content in files.items():
            (place / file).write_bytes(content)
        sums = {file: f"sha256:{hashlib.sha256(content).hexdigest()}" for file, content in files.items()}
        monkeypatch.setitem(data.SOURCES, name, data.SOURCES[name]._replace(address=str(place), files=sums))
        return place

    return put


def refused(folder, name: str, place: object = None) -> str:
    """Fail to fetch a data set, through the command; return the one line that it says."""
    before = sorted(folder.parent.iterdir()) if folder.parent.exists() else []
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", said)
        assert data.main([name, str(folder), *(["--from", str(place)] if place else [])]) == 1
    after = sorted(folder.parent.iterdir()) if folder.parent.exists() else []
    assert after == before, "a failure left something behind"
    line = said.getvalue().strip()
    assert "\n" not in line and "; " in line, "one line, that says what to do"
    return line


# --- what is fetched is what the programs read


def test_photographs_are_read_as_they_were_published(publish, tmp_path, capsys):
    files = batches()
    publish("cifar10", {ARCHIVE: packed(files)})
    assert data.main(["cifar10", str(tmp_path / "new" / "photographs")]) == 0
    assert capsys.readouterr().out.startswith("cifar10: ready in ")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["photographs"]
    read = recognition.load_data(tmp_path / "new" / "photographs")
    assert read.classes == data.CLASSES
    for part, pieces in (("train", (read.train, read.valid)), ("test", (read.test,))):
        pixels, labels = (torch.cat(column) for column in zip(*(piece.tensors for piece in pieces)))
        order = labels.argsort(stable=True)  # class by class, what is for validation last
        content = b"".join(files[f"cifar-10-batches-bin/{name}"] for name in data.BATCHES[part])
        records = np.frombuffer(content, np.uint8).reshape(-1, data.RECORD)
        records = records[np.argsort(records[:, 0], kind="stable")]
        assert labels[order].tolist() == records[:, 0].tolist()
        assert torch.equal(pixels[order], torch.tensor(records[:, 1:]).view(-1, 3, 32, 32))


def test_colors_and_rows_have_the_order_of_the_format(publish, tmp_path):
    record = np.zeros(data.RECORD, np.uint8)
    record[0], record[1 : 1 + 32], record[1 + 2048] = 3, 200, 90  # a cat; the first row red, its first pixel blue too
    publish("cifar10", {ARCHIVE: packed({name: record.tobytes() for name in batches()})})
    data.fetch("cifar10", tmp_path / "photographs")
    with Image.open(tmp_path / "photographs" / "test" / "cat" / "00000.png") as image:
        assert (image.mode, image.size) == ("RGB", (32, 32))
        assert image.getpixel((0, 0)) == (200, 0, 90) and image.getpixel((31, 0)) == (200, 0, 0) and image.getpixel((0, 1)) == (0, 0, 0)


def test_sentences_are_read(publish, tmp_path):
    publish("rt-polarity", REVIEWS)
    data.fetch("rt-polarity", tmp_path / "reviews")
    read = sentiment.load_data(tmp_path / "reviews")
    assert read.labels == [1] * 12 + [0] * 12
    assert read.texts[0] == ["a", "fine", "caf\xe9"] and read.texts[12][1] == "poor"
    (tmp_path / "ordinary").touch()
    assert {file.stat().st_mode for file in (tmp_path / "reviews").iterdir()} == {(tmp_path / "ordinary").stat().st_mode}


def test_hotel_reviews_are_read(publish, tmp_path):
    table = "label,review\n" + "1,房间很大\n" * 6 + "0,早餐太差\n" * 6
    place = publish("chnsenticorp", {"ChnSentiCorp_htl_all.csv": table.encode()})
    other = (place / "ChnSentiCorp_htl_all.csv").rename(tmp_path / "other name")
    data.fetch("chnsenticorp", tmp_path / "reviews", str(other))
    assert sentiment.load_data(tmp_path / "reviews").labels == [1] * 6 + [0] * 6
    assert other.exists(), "what the reader has stays"


def test_table_names_the_files_that_the_programs_look_for():
    assert set(REVIEWS) == set(data.SOURCES["rt-polarity"].files)
    for source in data.SOURCES.values():
        assert source.address.startswith("https://") and not source.address.endswith("/")
        for checksum in source.files.values():
            kind, _, digits = checksum.partition(":")
            assert len(bytes.fromhex(digits)) == hashlib.new(kind).digest_size


# --- archives and files that are refused


WHOLE = packed(batches())


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(WHOLE[: len(WHOLE) // 2], ARCHIVE, id="truncated"),
        pytest.param(WHOLE[:30], ARCHIVE, id="nearly empty"),
        pytest.param(WHOLE[:12] + b"\xff" * 20 + WHOLE[32:], ARCHIVE, id="damaged"),
        pytest.param(b"no archive", ARCHIVE, id="no archive"),
        pytest.param(packed({**batches(), "../evil.txt": b"x"}), "../evil.txt", id="parent"),
        pytest.param(packed({**batches(), "cifar-10-batches-bin/../../evil.txt": b"x"}), "evil.txt", id="parent within"),
        pytest.param(packed({**batches(), "/tmp/evil.txt": b"x"}), "/tmp/evil.txt", id="absolute"),
        pytest.param(packed(batches(), link(tarfile.SYMTYPE, "../../evil.txt")), "link", id="symbolic link"),
        pytest.param(packed(batches(), link(tarfile.SYMTYPE, "/etc/passwd")), "link", id="absolute symbolic link"),
        pytest.param(packed(batches(), link(tarfile.SYMTYPE, "test_batch.bin")), "link", id="symbolic link within"),
        pytest.param(packed(batches(), link(tarfile.LNKTYPE, "../evil.txt")), "link", id="hard link"),
        pytest.param(packed(batches(), link(tarfile.FIFOTYPE, "")), "link", id="no file"),
        pytest.param(packed({"cifar-10-batches-bin/test_batch.bin": b""}), "data_batch_1.bin", id="a batch missing"),
        pytest.param(packed({**batches(), "cifar-10-batches-bin/data_batch_3.bin": b"\0" * 5000}), "data_batch_3.bin", id="size of a batch"),
        pytest.param(packed({**batches(), "cifar-10-batches-bin/test_batch.bin": b""}), "test_batch.bin", id="empty batch"),
        pytest.param(packed({**batches(), "cifar-10-batches-bin/test_batch.bin": b"\12" * data.RECORD}), "label 10", id="no such class"),
    ],
)
def test_archive_is_refused(publish, tmp_path, content, named):
    publish("cifar10", {ARCHIVE: content})
    line = refused(tmp_path / "photographs", "cifar10")
    assert ARCHIVE in line and named in line
    assert not list(tmp_path.rglob("evil.txt"))


def test_old_python_does_not_unpack(publish, tmp_path, monkeypatch):
    publish("cifar10", {ARCHIVE: WHOLE})
    monkeypatch.delattr(tarfile, "data_filter")
    assert "3.11.4" in refused(tmp_path / "photographs", "cifar10")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(REVIEWS["rt-polarity.neg"].replace(b"poor", b"fine"), id="another word"),
        pytest.param(REVIEWS["rt-polarity.neg"].decode("latin-1").encode(), id="wrong encoding"),
        pytest.param(REVIEWS["rt-polarity.neg"][:-9], id="truncated"),
        pytest.param(b"", id="empty"),
    ],
)
def test_file_with_another_checksum_is_refused(publish, tmp_path, content):
    place = publish("rt-polarity", REVIEWS)
    (place / "rt-polarity.neg").write_bytes(content)
    line = refused(tmp_path / "reviews", "rt-polarity")
    assert str(place / "rt-polarity.neg") in line and "sha256" in line


def test_missing_file_is_named(publish, tmp_path):
    place = publish("rt-polarity", REVIEWS)
    (place / "rt-polarity.neg").unlink()
    assert str(place / "rt-polarity.neg") in refused(tmp_path / "reviews", "rt-polarity", place)


def test_unknown_name_is_refused(tmp_path):
    assert "mnist" in (line := refused(tmp_path / "digits", "mnist")) and "cifar10" in line


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dead link"])
def test_what_is_there_stays(publish, tmp_path, kind):
    publish("rt-polarity", REVIEWS)
    folder = tmp_path / "reviews"
    if kind == "file":
        folder.write_text("mine", encoding="utf-8")
    elif kind == "dead link":
        folder.symlink_to("nowhere")
    else:
        folder.mkdir()
    if kind == "folder":
        (folder / "mine.txt").write_text("mine", encoding="utf-8")
    assert str(folder) in refused(folder, "rt-polarity")
    assert kind != "file" or folder.read_text(encoding="utf-8") == "mine"
    assert kind != "folder" or [path.name for path in folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_interrupted_conversion_leaves_nothing(publish, tmp_path, monkeypatch, error):
    publish("cifar10", {ARCHIVE: WHOLE})
    save, saved = Image.Image.save, []

    def fail(image, file):
        if len(saved) == 70:
            raise error
        saved.append(save(image, file))

    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises((KeyboardInterrupt, SiteError)):
        data.fetch("cifar10", tmp_path / "photographs")
    assert len(saved) == 70 and sorted(tmp_path.iterdir()) == before


# --- the network


@pytest.fixture
def server(publish, monkeypatch):
    """Serve what is published; `cut` are the paths whose connection breaks in the middle, once each time they stand there."""
    place, cut, asked = publish("rt-polarity", REVIEWS), [], []

    class Breaking(Handler):
        def copyfile(self, source, target):
            asked.append(self.path)
            assert self.headers["Accept-Encoding"] == "identity"
            content = source.read()
            if self.path in cut:
                cut.remove(self.path)
                content, self.close_connection = content[: len(content) // 2], True
            target.write(content)

    served = Server(("127.0.0.1", 0), functools.partial(Breaking, directory=place))
    threading.Thread(target=served.serve_forever, args=[0.01], daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # between two tries
    yield SimpleNamespace(place=place, url=f"http://127.0.0.1:{served.server_port}", cut=cut, asked=asked)
    served.shutdown()
    served.server_close()


@pytest.mark.parametrize("ending", ["", "/"])
def test_mirror_is_read(server, tmp_path, ending):
    data.fetch("rt-polarity", tmp_path / "reviews", server.url + ending)
    assert {file.name: file.read_bytes() for file in (tmp_path / "reviews").iterdir()} == REVIEWS
    assert server.asked == ["/rt-polarity.pos", "/rt-polarity.neg"]


def test_address_of_the_file_itself_is_read(server, publish, tmp_path):
    publish("cifar10", {ARCHIVE: WHOLE})
    data.fetch("cifar10", tmp_path / "photographs", f"{server.url}/{ARCHIVE}")
    assert len(list((tmp_path / "photographs").glob("test/*/*.png"))) == 20


def test_broken_connection_leaves_nothing_and_the_next_run_succeeds(server, tmp_path):
    server.cut += ["/rt-polarity.neg"] * (1 + data.RETRIES)
    assert f"{server.url}/rt-polarity.neg cannot be had" in refused(tmp_path / "reviews", "rt-polarity", server.url)
    assert not server.cut and not (tmp_path / "reviews").exists()
    data.fetch("rt-polarity", tmp_path / "reviews", server.url)
    assert (tmp_path / "reviews" / "rt-polarity.neg").read_bytes() == REVIEWS["rt-polarity.neg"]


def test_connection_that_breaks_once_is_tried_again(server, tmp_path):
    server.cut.append("/rt-polarity.pos")
    data.fetch("rt-polarity", tmp_path / "reviews", server.url)
    assert (tmp_path / "reviews" / "rt-polarity.pos").read_bytes() == REVIEWS["rt-polarity.pos"]


def test_mirror_with_another_file_is_refused(server, tmp_path):
    (server.place / "rt-polarity.pos").write_bytes(b"something else")
    assert "sha256" in refused(tmp_path / "reviews", "rt-polarity", server.url)


def test_mirror_without_the_file_is_refused(server, tmp_path):
    assert "404" in refused(tmp_path / "reviews", "rt-polarity", f"{server.url}/nowhere")


def test_without_network_the_address_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert f"{address}/{ARCHIVE}" in (line := refused(tmp_path / "photographs", "cifar10", address)) and "--from" in line
