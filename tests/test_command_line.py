"""The command line that programs share: it checks before it works, and tells where results are."""

import io
import sys

import pytest
from conftest import RESULTS, load_snippet

from tooling.lessons import sections, shared, snippet_names

layers = load_snippet("models/cnn_layers")


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Run a `main` by a command line; return what it was given, None where it was not reached."""
    monkeypatch.chdir(tmp_path)

    def call(*line: str, main=None, **more):
        given = []

        def recording(out, seed=0, epochs=3):
            given.append({"out": out, "seed": seed, "epochs": epochs})
            if main:
                main(out)

        monkeypatch.setattr(sys, "argv", ["program.py", *line])
        try:
            layers.run(recording, "program-results", (ValueError,), epochs={"type": int, "default": 3, "help": "passes"}, **more)
        finally:
            call.given = given[0] if given else None
        return call.given

    return call


def test_options_reach_main(called, tmp_path, capsys):
    assert called() == {"out": layers.Path("program-results"), "seed": 0, "epochs": 3}
    assert called("--out", "a/b", "--seed", "7", "--epochs", "1") == {"out": layers.Path("a/b"), "seed": 7, "epochs": 1}
    assert (tmp_path / "program-results").is_dir() and (tmp_path / "a/b").is_dir()
    assert capsys.readouterr().out == f"results in program-results\nresults in {layers.Path('a/b')}\n"


@pytest.mark.parametrize("line", [("--epochs", "0"), ("--epochs", "-1"), ("--seed", "-1"), ("--seed", str(2**32)), ("--epochs", "x"), ("--out", "file"), ("--out", "file/below"), ("--oot", "a")])
def test_what_cannot_work_is_told_before_the_work(called, tmp_path, capsys, line):
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        called(*line)
    assert stopped.value.code == 2 and called.given is None
    assert line[0] in capsys.readouterr().err


def test_help_shows_the_defaults(called, capsys):
    with pytest.raises(SystemExit):
        called("--help")
    shown = capsys.readouterr().out
    assert all(default in shown for default in ("program-results", "(default: 0)", "(default: 3)"))


def test_what_the_data_lack_is_told_in_one_line(called, capsys):
    def main(out):
        raise ValueError("data/train is missing")

    with pytest.raises(SystemExit):
        called(main=main)
    assert capsys.readouterr().err.endswith("error: data/train is missing\n")


def test_who_stops_a_program_learns_what_it_kept(called):
    def main(out):
        (out / "weights.pt").write_text("new", encoding="utf-8")
        raise KeyboardInterrupt

    called("--out", "other", main=lambda out: (out / "metrics.json").write_text("old", encoding="utf-8"))
    with pytest.raises(SystemExit) as stopped:
        called("--out", "other", main=main)
    assert stopped.value.code == "\nstopped; kept in other: weights.pt"


@pytest.mark.parametrize("encoding", ["gbk", "cp1252", "cp850", "cp932", "ascii"])
def test_no_console_stops_a_program(called, monkeypatch, encoding):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    assert called(main=lambda out: print("m² 中文 é → ∞"))


def test_every_program_that_writes_results_has_it():
    """The others, on published mistakes, print what every console can show."""
    for name in snippet_names():
        if name.startswith("errata/"):
            assert (RESULTS / name / "output.txt").read_text(encoding="utf-8").isascii(), name
        else:
            assert name == "models/cnn_layers" or shared(name).get("command_line") == "models/cnn_layers", name
            assert "    run(\n" in sections(name)["run"] or "    run(main" in sections(name)["run"], name
