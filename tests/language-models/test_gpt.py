"""The GPT: who sees whom, what is predicted, what is measured, and what the page runs."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from data_checks import check_split
from model_checks import check_eight_bits, check_export, check_model, exported, tokens
from torch import nn

from tooling.lessons import exporter_path
from tooling.live.export import EightBits, import_file, shrink

program = load_snippet("language-models/gpt")
live = import_file(exporter_path("language-models/gpt"), "live_language_models_gpt")


def awake(*sizes, **more) -> nn.Module:
    """Return a GPT in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    model = program.GPT(*sizes, **more)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


class Placed(nn.Module):
    """A layer at positions whose angles are all different."""

    def __init__(self, layer: nn.Module, pairs: int):
        super().__init__()
        self.layer, self.pairs = layer, pairs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        angles = torch.arange(x.shape[1] * self.pairs, device=x.device).view(-1, self.pairs) / 3
        return self.layer(x, angles)


X, Y = torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 16


def test_layers():
    check_model(lambda: Placed(program.Attention(16, 2), 4), X, Y, causal=True)
    check_model(lambda: Placed(program.Block(16, 2, 0.1), 4), X, Y, causal=True)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_network(dropout):
    x = tokens(6, 9, 30)
    check_model(lambda: awake(30, 16, 2, 2, dropout=dropout), x, x.roll(-1, 1), classes=30, causal=True)


def test_an_untrained_network_holds_all_tokens_equally_likely():
    model = program.GPT(30, 16, 2, 2)
    x = tokens(4, 9, 30)
    assert not model(x).any()
    before = program.normalize(model.embedding(x))
    assert torch.equal(model.blocks[1](model.blocks[0](before, torch.ones(9, 4)), torch.ones(9, 4)), before)


def test_heads_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match="3 heads need a hidden size that 6 divides, not 16"):
        program.GPT(30, 16, 1, 3)


def test_vectors_are_normalized_by_the_last_dimension():
    x = torch.randn(2, 3, 5) * 4 + 1
    found = program.normalize(x)
    np.testing.assert_allclose(found.mean(2), 0, atol=1e-6)
    np.testing.assert_allclose(found.var(2, unbiased=False), 1, atol=1e-3)


def test_attention_is_that_of_pytorch():
    """With all angles 0 nothing is turned, and what is left is PyTorch's own attention of normalized queries and keys."""
    torch.manual_seed(0)
    layer, x = program.Attention(12, 3), torch.randn(2, 7, 12)
    q, k, v = (part(x).view(2, 7, 3, 4).transpose(1, 2) for part in (layer.query, layer.key, layer.value))
    q, k = (F.layer_norm(part, (4,)) for part in (q, k))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(2, 7, 12)
    torch.testing.assert_close(layer(x, torch.zeros(7, 2)), layer.output(expected), rtol=1e-5, atol=1e-5)


# --- positions


def test_a_pair_is_turned_by_its_angle():
    """The numbers i and i + size / 2 of a vector are one complex number, which is turned."""
    torch.manual_seed(0)
    x, angles = torch.randn(2, 3, 5, 8, dtype=torch.double), torch.randn(5, 4, dtype=torch.double)
    expected = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(program.rotate(x, angles), torch.cat([expected.real, expected.imag], -1))


def test_scores_know_the_distance_alone():
    torch.manual_seed(0)
    model = program.GPT(5, 24, 1, 3)
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    model(torch.zeros(1, 40, dtype=torch.long))
    angles = seen[0].double()  # (40, 4)
    q, k = torch.randn(2, 8, dtype=torch.double)
    scores = program.rotate(q.expand(40, 8), angles) @ program.rotate(k.expand(40, 8), angles).T  # (40, 40)
    for distance in range(-39, 40):
        one = scores.diagonal(distance)
        np.testing.assert_allclose(one, one[0].item(), atol=1e-4)
    assert scores[0].std() > 0.1 and (scores - scores.T).abs().max() > 0.1, "the distance makes no difference"
    np.testing.assert_allclose(angles[1], 10000.0 ** -np.array([0, 0.25, 0.5, 0.75]), rtol=1e-5)


def test_order_matters():
    model = awake(30, 16, 1, 2)
    one, other = torch.tensor([[3, 4, 5]]), torch.tensor([[4, 3, 5]])
    assert (model(one)[0, -1] - model(other)[0, -1]).abs().max() > 1e-3


# --- training


def test_targets_are_the_next_tokens():
    text = torch.arange(50)
    starts = set()
    for seed in range(40):
        torch.manual_seed(seed)
        inputs, targets = program.draw_batch(text, 6, 7)
        assert inputs.shape == targets.shape == (6, 7)
        assert torch.equal(targets, inputs + 1)
        starts |= set(inputs[:, 0].tolist())
    assert starts == set(range(43)), "pieces do not begin anywhere"
    with pytest.raises(ValueError, match="7 tokens are too few"):
        program.draw_batch(text[:7], 6, 7)


def trained(text: torch.Tensor, steps: int, seed: int = 0, **more):
    torch.manual_seed(seed)
    model = program.GPT(8, 16, 1, 2).to(program.device)
    return model, program.train(model, text, steps, 8, 12, **more)


def test_training_is_repeatable_and_learns():
    text = torch.tensor([0, 1, 2, 3, 0, 1, 5] * 40)
    seen = []
    model, losses = trained(text, 40, watch=seen.append)
    assert len(losses) == 40 and seen == list(range(4, 41, 4)), "a tenth of the steps is not reported"
    assert losses[0] == pytest.approx(math.log(8), rel=1e-4) and losses[-1] < 0.5
    assert losses == trained(text, 40)[1] != trained(text, 40, seed=1)[1]
    assert program.evaluate(model, text, 12) < 0.5


@pytest.mark.parametrize("steps", [1, 7, 25])
def test_any_number_of_steps_is_watched_at_its_end(steps):
    seen = []
    trained(torch.arange(40) % 8, steps, watch=seen.append)
    assert seen[-1] == steps and len(seen) == min(steps, 10) and len(set(seen)) == len(seen)


def test_the_rate_falls_to_nothing(monkeypatch):
    """Muon has the matrices of the blocks, AdamW all other parameters at half its rate, and both end at 0."""
    rates, held = {}, {}

    def record(kind):
        step = kind.step

        def recorded(self, *given, **named):
            rates.setdefault(kind.__name__, []).append(self.param_groups[0]["lr"])
            held[kind.__name__] = {id(one) for one in self.param_groups[0]["params"]}
            return step(self, *given, **named)

        monkeypatch.setattr(kind, "step", recorded)

    for kind in (torch.optim.Muon, torch.optim.AdamW):
        record(kind)
    model, _ = trained(torch.arange(40) % 8, 4)
    assert rates["Muon"] == pytest.approx([0.02, 0.015, 0.01, 0.005]) and rates["AdamW"] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    assert held["Muon"] == {id(one) for one in model.blocks.parameters()}
    assert held["Muon"] | held["AdamW"] == {id(one) for one in model.parameters()}


# --- measuring


@pytest.mark.parametrize("length", [5, 8, 39, 50])
def test_each_token_but_the_first_is_counted_once(length):
    """Also in a last row that is shorter, and where the rows are no multiple of a batch."""
    torch.manual_seed(0)
    model, text = awake(10, 16, 1, 2).eval(), torch.randint(10, (40,))
    losses = []
    with torch.no_grad():
        for at in range(1, len(text)):
            begin = (at - 1) // length * length
            losses.append(-model(text[None, begin:at])[0, -1].log_softmax(0)[text[at]].item())
    assert program.evaluate(model, text, length) == pytest.approx(np.mean(losses), rel=1e-4)


def test_bits_and_nats():
    assert program.bits(math.log(256)) == pytest.approx(8)
    text = torch.arange(200) % 256
    assert program.bits(program.evaluate(program.GPT(256, 16, 1, 2), text, 9)) == pytest.approx(8, rel=1e-5)


class Fixed(nn.Module):
    """Answers always the same logits, and notes what it reads."""

    def __init__(self, logits: list[float]):
        super().__init__()
        self.logits, self.read = torch.tensor(logits), []

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (1, n, v), of (1, n) tokens; those of all positions but the last are wrong."""
        self.read.append(tokens[0].tolist())
        found = self.logits.flip(0).repeat(1, tokens.shape[1], 1)
        found[0, -1] = self.logits
        return found


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_drawn_at_their_temperature(temperature):
    shares = np.array([0.6, 0.3, 0.1])
    found = program.sample(Fixed(np.log(shares).tolist()), torch.tensor([0]), 3000, 4, temperature)[1:]
    expected = shares ** (1 / temperature) / (shares ** (1 / temperature)).sum()
    np.testing.assert_allclose(found.bincount(minlength=3) / 3000, expected, atol=0.03)


def test_a_sample_goes_on_from_its_beginning_by_its_seed():
    torch.manual_seed(0)
    model, start = awake(30, 16, 1, 2), torch.tensor([3, 4, 5])
    one = program.sample(model, start, 20, 8, seed=1)
    assert len(one) == 23 and one[:3].tolist() == [3, 4, 5]
    torch.rand(7)  # other random numbers change nothing
    assert torch.equal(one, program.sample(model, start, 20, 8, seed=1)) and not torch.equal(one, program.sample(model, start, 20, 8, seed=2))


def test_a_sample_reads_no_more_than_its_length():
    model = Fixed([0.0, 0.0])
    found = program.sample(model, torch.tensor([0, 1, 1]), 5, 4).tolist()
    assert model.read == [found[max(0, at - 4):at] for at in range(3, 8)]


# --- the data


def test_files_stay_in_one_part():
    files = [["a" * 30, "b"], *([f"text {number} " * 3] for number in range(40))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "docstrings", lambda: iter(files))
        data = {part: bytes(text.tolist()).decode() for part, text in program.load_data(size=10**6).items()}
    texts = ["\n\n".join([*texts, ""]) for texts in files]
    assert data["train"] == "".join(text for number, text in enumerate(texts) if number % 10 < 8)
    assert data["valid"] == "".join(texts[8::10]) and data["test"] == "".join(texts[9::10])


def test_docstrings_are_parted():
    data = program.load_data(size=300_000)
    assert list(data) == ["train", "valid", "test"] and 300_000 <= sum(map(len, data.values())) < 400_000
    pieces = [[text[at:at + 400].tolist() for at in range(0, len(text) - 400, 400)] for text in data.values()]
    check_split(*[[tuple(one) for one in some] for some in pieces])
    assert all(text.dtype == torch.long and 0 <= text.min() and text.max() < 256 for text in data.values())


def test_a_folder_of_text(tmp_path):
    (tmp_path / "b.txt").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "a.txt").write_bytes("你".encode() * 4800)
    (tmp_path / "c.md").write_bytes(b"no text of it")
    data = program.load_data(tmp_path)
    assert [len(text) for text in data.values()] == [36_000, 2_000, 2_000]
    assert bytes(torch.cat(list(data.values())).tolist()) == "你".encode() * 4800 + bytes(range(256)) * 100


def test_too_little_text_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(program.TextError, match="hold 0 bytes; at least 20,000"):
            program.load_data(folder)


# --- the whole program


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the program small; return its folder, its data and what it measured."""
    out = tmp_path_factory.mktemp("gpt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SIZES", SMALL)
        return out, program.load_data(size=300_000), program.main(out, size=300_000, steps=60)


SMALL = {"vocabulary_size": 256, "hidden_size": 32, "num_layers": 1, "num_heads": 2}


def test_main_writes_its_results(ran, capsys):
    out, data, metrics = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in out.iterdir()} == {"metrics.json", "loss.svg", "weights.pt"}
    assert metrics["train"] == len(data["train"]) and len(metrics["valid"]) == 10
    assert 2 < metrics["test"] < 5 and metrics["valid"][-1] < metrics["valid"][0]


def test_what_is_measured_is_what_is_kept(ran):
    out, data, metrics = ran
    model = program.GPT(**SMALL)
    model.load_state_dict(torch.load(out / "weights.pt", weights_only=True))
    model = model.to(program.device)
    assert program.evaluate(model, data["test"], program.LENGTH) == pytest.approx(metrics["nats"], rel=1e-3)
    assert metrics["test"] == program.bits(metrics["nats"])
    assert program.bits(program.evaluate(model, data["valid"][:100_000], program.LENGTH)) == pytest.approx(metrics["valid"][-1], rel=1e-3)


def test_samples_are_shown_on_one_line():
    for text in (bytes(range(256)), "你好\n\x1b[31m".encode(), b"\xe4\xbd"):
        shown = program.show(torch.tensor(list(text)))
        assert shown.isprintable() and len(shown) <= len(text)
    assert program.show(torch.tensor(list("a\nb 你".encode()))) == "a⏎b 你"


# --- what the page runs


def test_the_page_gets_the_network_in_eight_bits(ran, tmp_path):
    out, data, _ = ran
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SIZES", SMALL)
        patch.setattr(program, "load_data", lambda: data)
        measured = live.export(program, out, tmp_path)
    model = program.GPT(**SMALL)
    model.load_state_dict(torch.load(out / "weights.pt", weights_only=True))
    check_eight_bits(model, shrink, EightBits)
    run = exported(tmp_path)
    for length in (1, 7, program.LENGTH):
        check_export(run, live.Flat(shrink(model)), tokens=torch.randint(256, (length,), dtype=torch.int32))
    page = json.loads((tmp_path / "live.json").read_text(encoding="utf-8"))
    assert page["length"] == program.LENGTH
    for one in page["samples"]:
        (logits,) = run(tokens=np.frombuffer(one["text"].encode(), np.uint8).astype(np.int32))
        np.testing.assert_allclose(torch.tensor(logits[-1]).softmax(0), one["chances"], atol=1e-5)
    assert measured["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert b"stack_trace" not in (tmp_path / "model.onnx").read_bytes(), "the network tells on which lines of which files it was made"
    assert measured["before"] == pytest.approx(program.bits(program.evaluate(model, data["test"][:100_000], program.LENGTH)), rel=1e-3)
    assert measured["after"] == pytest.approx(measured["before"], abs=0.05)
