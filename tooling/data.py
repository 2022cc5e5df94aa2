"""Fetch a public data set that a lesson can be measured on, in the layout that its `--data` reads.

    python -m tooling.data cifar10 FOLDER                   download, check, unpack
    python -m tooling.data cifar10 FOLDER --from PLACE      from a mirror, or files that are here already

PLACE is the address or the path of a file, or of the folder that holds the files under their own names. Whatever
the place, the files must be those that the authors published. FOLDER is made at the very end, in one step: there
is all of the data in it, or no such folder.
"""

import argparse
import gzip
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
from PIL import Image
from tqdm import tqdm

from tooling.lessons import SiteError

AGAIN = "get it again"
ELSEWHERE = "try again, or get it another way and name it by --from"
RETRIES = 2  # each starts anew: pooch keeps no half file


# --- from the files as published to what a lesson reads


def texts(files: list[Path], made: Path) -> None:
    """Put files into the new folder as they are."""
    made.mkdir()
    for file in files:
        shutil.copyfile(file, made / file.name)  # not the rights of a temporary file


CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
BATCHES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
RECORD = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue of an image, row by row


def photographs(files: list[Path], made: Path) -> None:
    """Write the images of CIFAR-10's binary version as train/CLASS/NNNNN.png and test/CLASS/NNNNN.png."""
    unpacked = made.with_name("unpacked")
    unpack(files[0], unpacked)
    for part, names in BATCHES.items():
        batches = [records(unpacked / "cifar-10-batches-bin" / name, files[0].name) for name in names]
        for name in CLASSES:
            (made / part / name).mkdir(parents=True)
        for number, record in enumerate(tqdm(np.concatenate(batches), desc=part, disable=None)):
            image = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)  # (row, column, color)
            Image.fromarray(np.ascontiguousarray(image)).save(made / part / CLASSES[record[0]] / f"{number:05}.png")


def records(file: Path, archive: str) -> np.ndarray:
    """Return the records of a batch, (count, 3073). Raises SiteError if there are none, or others."""
    where = f"{archive}: {file.name}"
    if not file.is_file():
        raise SiteError(f"{where} is not in it; is it CIFAR-10's binary version? {AGAIN}")
    numbers = np.fromfile(file, np.uint8)
    if not len(numbers) or len(numbers) % RECORD:
        raise SiteError(f"{where} has {len(numbers)} bytes, no multiple of {RECORD}; {AGAIN}")
    found = numbers.reshape(-1, RECORD)
    if found[:, 0].max() >= len(CLASSES):
        raise SiteError(f"{where} has a label {found[:, 0].max()}, the highest class is {len(CLASSES) - 1}; {AGAIN}")
    return found


def unpack(archive: Path, folder: Path) -> None:
    """Unpack plain files and folders. Raises SiteError if the archive is damaged, or holds what could lead out of the folder."""
    if not hasattr(tarfile, "data_filter"):
        raise SiteError(f"{archive.name} cannot be unpacked safely by Python {sys.version.split()[0]}; use 3.11.4 or newer")

    def check(member: tarfile.TarInfo, to: str) -> tarfile.TarInfo | None:
        if not (member.isreg() or member.isdir()):
            raise SiteError(f"{archive.name}: {member.name} is no plain file or folder; {AGAIN}")
        if member.name.startswith(("/", "\\")):  # tarfile would take the slash away and go on
            raise SiteError(f"{archive.name}: {member.name} is an absolute path; {AGAIN}")
        return tarfile.data_filter(member, to)

    try:
        with tarfile.open(archive, "r:gz") as file:
            file.extractall(folder, filter=check)
    except tarfile.FilterError as error:
        raise SiteError(f"{archive.name}: {error.tarinfo.name} leads out of the folder; {AGAIN}") from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SiteError(f"{archive.name} is damaged ({error}); {AGAIN}") from None


# --- the data sets


class Source(NamedTuple):
    """The address of a data set, its files with their checksums, and what lays them out."""

    address: str
    files: dict[str, str]
    lay_out: Callable[[list[Path], Path], None]


SOURCES = {
    "cifar10": Source(
        "https://www.cs.toronto.edu/~kriz",
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},  # as the authors' page has it
        photographs,
    ),
    "rt-polarity": Source(
        "https://raw.githubusercontent.com/yoonkim/CNN_sentence/master",
        {
            "rt-polarity.pos": "sha256:2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0",
            "rt-polarity.neg": "sha256:4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca",
        },
        texts,
    ),
    "chnsenticorp": Source(
        "https://raw.githubusercontent.com/SophonPlus/ChineseNlpCorpus/master/datasets/ChnSentiCorp_htl_all",
        {"ChnSentiCorp_htl_all.csv": "sha256:1d414b9c65caf3a836abdb4efded621968502ad3338e1a9d885ae131c86083f0"},
        texts,
    ),
}


def fetch_file(name: str, checksum: str, place: str, folder: Path) -> Path:
    """Bring a file into a folder. Raises SiteError if it cannot be had, or is not the one published."""
    remote = "://" in place
    if remote:
        place = place if place.endswith(name) else f"{place.rstrip('/')}/{name}"
        # As it is: a server that compresses once more would hide how long the file is.
        download = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), headers={"Accept-Encoding": "identity"})
    else:
        place = os.path.join(place, name) if os.path.isdir(place) else place

        def download(source: str, target: str, _: pooch.Pooch) -> None:
            shutil.copyfile(source, target)

    files = pooch.create(folder, "", registry={name: checksum}, urls={name: place}, retry_if_failed=RETRIES if remote else 0)
    try:
        return Path(files.fetch(name, downloader=download))
    except OSError as error:  # all errors of requests are of this kind
        reason = " ".join(str(error).split())
        raise SiteError(f"{place} cannot be had ({reason}); {ELSEWHERE}") from None
    except ValueError:
        raise SiteError(f"{place} is not the {name} that was published: its {checksum.partition(':')[0]} is not {checksum.partition(':')[2]}; {ELSEWHERE}") from None


def fetch(name: str, folder: Path, place: str | None = None) -> None:
    """Make a folder of a data set. Raises SiteError, and makes nothing, if anything is wrong."""
    if name not in SOURCES:
        raise SiteError(f"{name} is no data set known here; there are: {', '.join(SOURCES)}")
    if os.path.lexists(folder):
        raise SiteError(f"{folder} is there already and stays as it is; name a folder that does not exist yet, or remove it first")
    source = SOURCES[name]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:  # renaming works within a disk
            files = [fetch_file(file, checksum, place or source.address, Path(temporary) / "files") for file, checksum in source.files.items()]
            made = Path(temporary) / "made"
            source.lay_out(files, made)
            made.rename(folder)
    except OSError as error:
        raise SiteError(f"{folder} cannot be made ({error}); name a folder on a disk with room that you may write to") from None


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tooling.data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME", help=", ".join(SOURCES))
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to put it; made by this command")
    parser.add_argument("--from", dest="place", metavar="PLACE", help="a mirror's address, or a file or folder that you have")
    options = parser.parse_args(arguments)
    pooch.get_logger().setLevel("WARNING")  # its messages name temporary files
    try:
        fetch(options.name, options.folder, options.place)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.name}: ready in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
