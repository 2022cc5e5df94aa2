"""Run the snippets and keep what they print, draw and measure.

    python -m tooling.results                    run those whose results are out of date
    python -m tooling.results models/cnn         run this one
    python -m tooling.results models/cnn --data cifar10=FOLDER   run it on real data
    python -m tooling.results models/cnn --seeds 5   run it with the seeds 0 to 4, and keep what each measured
    python -m tooling.results --check            run again and compare; store nothing

Each snippet is copied alone into an empty folder and run there, as a reader would.
"""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil
from tqdm import tqdm

from tooling.lessons import RESULTS, ROOT, SiteError, exporter_path, file_hashes, fingerprints, metrics, run_record, snippet_names, snippet_path, stale_results

# A second run may differ from the first by this much: another processor adds in another order.
SHARE = 0.01  # absolute, for numbers from 0 to 1, such as an accuracy
RELATIVE = 0.05  # for all others
UNCOMPARED = ("seconds",)  # as the name of a number, or at its end

# Packages whose version a result may depend on.
PACKAGES = ("torch", "numpy", "scikit-learn", "matplotlib")


def run(name: str, folder: Path, data: tuple[str, Path] | None = None, seed: int | None = None) -> tuple[Path, dict]:
    """Run a snippet in an empty folder; return where its results lie, and the record of the run.

    With a seed other than its own nothing is exported for the page; a run on real data has an exporter of its own.

    Raises SiteError, with the end of what it printed, where the program fails.
    """
    stem = Path(name).name
    result = f"{name}/{data[0]}" if data else name
    ran = fingerprints(name, result=result)  # now: the snippet may be edited while it runs
    shutil.copy(snippet_path(name), folder)
    environment = os.environ | {
        "MATPLOTLIBRC": str(ROOT / "tooling" / "matplotlibrc"),
        "MPLBACKEND": "agg",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        "SOURCE_DATE_EPOCH": "0",
    }
    command = [sys.executable, f"{stem}.py"] + (["--data", str(data[1].resolve())] if data else [])
    command += ["--seed", str(seed)] if seed is not None else []
    started, peak, cpu, told = time.monotonic(), 0, 0.0, ""
    with open(folder / "output.txt", "w", encoding="utf-8") as output:
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        with tqdm(desc=name, total=expected_seconds(name, data), bar_format="{desc}: {bar} {n:.0f}/{total:.0f} s {postfix}", disable=None) as bar:
            while process.poll() is None:
                try:
                    peak = max(peak, process.memory_info().rss)
                    cpu = max(cpu, sum(process.cpu_times()[:2]))
                except psutil.Error:
                    break
                bar.n, line = time.monotonic() - started, last_line(folder / "output.txt")
                if bar.disable and line != told:  # no terminal: the progress as lines
                    print(f"{name}: {bar.n:4.0f} s  {line}", flush=True)
                told = line
                bar.set_postfix_str(line)
                time.sleep(0.2)
        process.wait()
    seconds = time.monotonic() - started
    printed = (folder / "output.txt").read_text(encoding="utf-8")
    if process.returncode:
        raise SiteError(f"snippets/{name}.py ended with {process.returncode}; its results stay as they were.\n{printed[-3000:]}")
    made = folder / f"{stem}-results"
    made.mkdir(exist_ok=True)
    shutil.move(folder / "output.txt", made / "output.txt")
    if not (made / "metrics.json").is_file():
        (made / "metrics.json").write_text("{}\n", encoding="utf-8")
    if exporter_path(result).is_file() and seed is None:
        export(result, made)
    (made / "weights.pt").unlink(missing_ok=True)  # made again by each run, and not committed
    record = {
        **ran,
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        **{package: version(package).partition("+")[0] for package in PACKAGES},
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),  # those that it may use
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "memory": round(peak / 2**20),
        "data": data[0] if data else "as shipped",
        "files": file_hashes(made),
    }
    return made, record


def export(name: str, made: Path) -> None:
    """Let the exporter of a result make what a page runs of the weights in `made`; keep what it measured as `live`.

    Raises SiteError, with the end of what it printed, where it fails.
    """
    command = [sys.executable, "-m", "tooling.live.export", name, str(made), str(made)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise SiteError(f"tooling/live/{name}.py ended with {done.returncode}; the results stay as they were.\n{done.stderr[-3000:]}")
    known = json.loads((made / "metrics.json").read_text(encoding="utf-8"))
    known["live"] = json.loads(done.stdout.splitlines()[-1])
    (made / "metrics.json").write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def last_line(path: Path) -> str:
    """Return the last line that a program has printed so far, shortened."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1].strip()[:50] if lines else ""


def expected_seconds(name: str, data: tuple[str, Path] | None) -> float:
    """Return how long the last run took; a guess where there was none."""
    try:
        return run_record(f"{name}/{data[0]}" if data else name)["seconds"]
    except (SiteError, KeyError):
        return 60.0


def store(made: Path, record: dict, target: Path) -> None:
    """Put the results of a run in the place of the former ones, also of those over seeds; results on real data stay."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        if old.is_file():
            old.unlink()
    for new in made.iterdir():
        shutil.move(new, target / new.name)
    (target / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def gathered(trees: list[dict]) -> dict:
    """Return the tree that all of several trees of metrics share, each number a list of theirs.

    What stands in a list is left out: the third mistake of one seed is not that of another.
    """
    found = {}
    for key in trees[0]:
        values = [tree.get(key) for tree in trees]
        if all(isinstance(value, dict) for value in values):
            found[key] = gathered(values)
        elif not key.endswith(UNCOMPARED) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
            found[key] = values
    return found


def run_seeds(name: str, count: int, data: tuple[str, Path] | None = None) -> None:
    """Run a snippet with the seeds from 1 on beside its stored run, which has seed 0, and keep what each measured.

    Raises SiteError where the stored run is out of date, or where the program takes no seed.
    """
    result = f"{name}/{data[0]}" if data else name
    trees, started = [metrics(result)], time.monotonic()
    for seed in range(1, count):
        with tempfile.TemporaryDirectory() as folder:
            made, record = run(name, Path(folder), data, seed)
            trees.append(json.loads((made / "metrics.json").read_text(encoding="utf-8")))
            print(f"{result}: seed {seed}, {record['seconds']} s, {record['cpu_seconds']} s of CPU", flush=True)
    kept = {**fingerprints(name), "seeds": list(range(count)), "seconds": round(time.monotonic() - started, 1), "metrics": gathered(trees)}
    (RESULTS / result / "seeds.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{result}: stored in docs/results/{result}/seeds.json")


def numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number in a tree of metrics with its path, such as `cnn.accuracy`."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from numbers(child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from numbers(child, f"{path}[{index}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, float(value)


def differences(stored: dict, measured: dict) -> list[str]:
    """Return the metrics that differ by more than the tolerances, or that only one run has."""
    old, new = dict(numbers(stored)), dict(numbers(measured))
    found = [f"{path}: only in {'the stored' if path in old else 'this'} run" for path in sorted(old.keys() ^ new.keys())]
    for path in sorted(old.keys() & new.keys()):
        if path.endswith(UNCOMPARED):
            continue
        share = 0 <= old[path] <= 1 and 0 <= new[path] <= 1
        if not math.isclose(old[path], new[path], rel_tol=0 if share else RELATIVE, abs_tol=SHARE if share else 0):
            found.append(f"{path}: stored {old[path]:g}, now {new[path]:g}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tooling.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as models/cnn; without any, those out of date")
    parser.add_argument("--check", action="store_true", help="run again and compare the metrics; store nothing")
    parser.add_argument("--data", metavar="NAME=FOLDER", help="run the one lesson on the real data in FOLDER")
    parser.add_argument("--seeds", type=int, metavar="N", help="run with the seeds 0 to N - 1, and keep what each measured")
    options = parser.parse_args(arguments)
    if options.seeds is not None and (options.seeds < 2 or options.check or not options.lessons):
        parser.error("--seeds takes at least 2, and the lessons to run: models/cnn --seeds 5")
    data = None
    if options.data:
        label, _, folder = options.data.partition("=")
        if not label or not Path(folder).is_dir() or len(options.lessons) != 1:
            parser.error("--data takes one lesson and NAME=FOLDER, with a folder that exists: models/cnn --data cifar10=/data/cifar10")
        data = (label, Path(folder))
    try:
        default = snippet_names() if options.check else [name for name in snippet_names() if name in stale_results()]
        failed = []
        for name in [lesson.removesuffix(".py") for lesson in options.lessons] or default:
            result = f"{name}/{data[0]}" if data else name
            if options.seeds and result not in stale_results([name]):
                run_seeds(name, options.seeds, data)
                continue
            with tempfile.TemporaryDirectory() as folder:
                made, record = run(name, Path(folder), data)
                if options.check:
                    measured = json.loads((made / "metrics.json").read_text(encoding="utf-8"))
                    found = differences(metrics(result), measured)
                    print(f"{result}: " + ("; ".join(found) if found else "as stored"))
                    failed += [result] if found else []
                else:
                    store(made, record, RESULTS / result)
                    print(f"{result}: stored in docs/results/{result}, {record['seconds']} s, {record['cpu_seconds']} s of CPU", flush=True)
            if options.seeds:
                run_seeds(name, options.seeds, data)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    if failed:
        print(f"differ from what is stored: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
