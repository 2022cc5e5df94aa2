"""The scalar engine, and the diagram that its example is drawn in."""

import json
import math
from xml.etree import ElementTree

import pytest
import torch
from conftest import load_snippet

from tooling.lessons import DOCS

scalar = load_snippet("foundations/autodiff_scalar")


def formula(a, b, one):
    """Use every operation, some values twice."""
    c = a * b + a
    d = (c * c + b * a).relu() + one
    return d.log() * c.exp() + (c * b).relu() + d


@pytest.mark.parametrize("seed", range(10))
def test_gradients_are_those_of_pytorch(seed):
    torch.manual_seed(seed)
    numbers = torch.randn(2, dtype=torch.float64).tolist()
    ours = [scalar.Value(number) for number in numbers]
    theirs = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
    result, expected = formula(*ours, scalar.Value(1.0)), formula(*theirs, 1.0)
    result.backward()
    expected.backward()
    assert result.data == pytest.approx(expected.item(), rel=1e-12)
    assert [one.grad for one in ours] == pytest.approx([one.grad.item() for one in theirs], rel=1e-9)


def test_a_long_chain_needs_no_deep_recursion():
    start = end = scalar.Value(1.0)
    for _ in range(5000):
        end = end + start
    end.backward()
    assert start.grad == 5001


def test_each_number_is_gone_through_once():
    """Two paths at each of forty steps are a million million paths."""
    start = end = scalar.Value(1.0)
    for _ in range(40):
        end = end + end
    end.backward()
    assert start.grad == 2**40 and len(scalar.newest_first(end)) == 41


def test_log_of_zero_is_refused():
    with pytest.raises(ValueError):
        scalar.Value(0.0).log()
    assert scalar.Value(math.e).log().data == 1


def test_the_diagram_is_the_example(tmp_path):
    """Each value and each gradient; where two paths leave, their gradients add up to that of the number."""
    metrics = scalar.main(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    root = ElementTree.parse(DOCS / "assets" / "diagrams" / "autodiff.svg").getroot()
    drawn = {text.get("id"): text.text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.get("id")}
    assert drawn.pop("sum") == "8 + 6 = 14"
    totals = {}
    for name, said in drawn.items():
        start, _, kind = name.split("-")
        number = float(said.replace("−", "-"))
        if kind == "value":
            assert number == metrics[start]["value"]
        else:
            totals[start] = totals.get(start, 0) + number
    assert totals == {name: one["gradient"] for name, one in metrics.items()}
    assert (drawn["w-product-gradient"], drawn["w-decay-gradient"]) == ("8", "6")


def test_the_exercise_comes_out(monkeypatch, tmp_path):
    """With `=` for `+=`, the weight gets 4."""
    def backward(self):
        self.grad = 1.0
        for node in scalar.newest_first(self):
            for parent, slope in node.paths:
                parent.grad = slope * node.grad

    monkeypatch.setattr(scalar.Value, "backward", backward)
    assert scalar.main(tmp_path)["w"]["gradient"] == 4
