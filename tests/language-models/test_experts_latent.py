"""Grouped and latent attention: equal to PyTorch's own and to the written-out formula, with and without a cache."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

program = load_snippet("language-models/experts_latent")

SMALL = {"vocabulary_size": 30, "hidden_size": 24, "num_layers": 2, "num_heads": 6}
KINDS = {"multi-head": (program.GroupedAttention, (6,)), "grouped": (program.GroupedAttention, (2,)), "multi-query": (program.GroupedAttention, (1,)), "latent": (program.LatentAttention, (5, 4))}
each_kind = pytest.mark.parametrize("kind", KINDS)


class Placed(nn.Module):
    """A layer at positions whose angles are all different."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        attention = getattr(layer, "attention", layer)
        self.layer, self.pairs = layer, attention.rotary_size // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        return self.layer(x, angles_of(x.shape[1], self.pairs).to(x))


def angles_of(time: int, pairs: int) -> torch.Tensor:
    """Return angles, (time, pairs), that are all different."""
    return torch.arange(time * pairs).view(time, pairs) / 3


def awake(model: nn.Module) -> nn.Module:
    """Return a model in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


def attention(kind: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    make, more = KINDS[kind]
    return make(24, 6, *more)


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return awake(program.CachedGPT(**SMALL, make=lambda: KINDS[kind][0](24, 6, *KINDS[kind][1]))).to(program.device)


X, Y = torch.randn(6, 5, 24, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 24


def test_grouped_layers():
    for groups in (6, 2, 1):
        check_model(lambda groups=groups: Placed(program.GroupedAttention(24, 6, groups)), X, Y, causal=True)
    check_model(lambda: Placed(awake(program.CachedBlock(program.GroupedAttention(24, 6, 2), 24, 40))), X, Y, causal=True)


def test_latent_layers():
    check_model(lambda: Placed(program.LatentAttention(24, 6, 5, 4)), X, Y, causal=True)
    check_model(lambda: Placed(awake(program.CachedBlock(program.LatentAttention(24, 6, 5, 4), 24, 40))), X, Y, causal=True)


@each_kind
def test_network(kind):
    x = tokens(6, 9, 30)
    make, more = KINDS[kind]
    check_model(lambda: awake(program.CachedGPT(**SMALL, make=lambda: make(24, 6, *more))), x, x.roll(-1, 1), classes=30, causal=True)


# --- what is computed


@pytest.mark.parametrize("groups", [6, 3, 2, 1])
def test_grouped_attention_is_that_of_pytorch(groups):
    torch.manual_seed(0)
    layer, angles = program.GroupedAttention(24, 6, groups), angles_of(5, 2)
    q, k, v = (part(X).unflatten(2, (-1, 4)).transpose(1, 2) for part in (layer.query, layer.key, layer.value))
    q, k = program.rotate(q, angles), program.rotate(k, angles)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(layer(X, angles), layer.output(mixed.transpose(1, 2).flatten(2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("absorb", [False, True])
def test_latent_attention_is_that_of_its_formulas(absorb):
    """Head by head, position by position, as in the paper: a key is its content beside the one turned key of all heads."""
    layer, angles = attention("latent").double(), angles_of(5, 2).double()
    layer.absorb = absorb
    x = X.double()
    latent, shared = layer.compress(x).split([5, 4], dim=2)
    latent, shared = F.layer_norm(latent, (5,)), program.rotate(shared, angles)
    rows = []
    for head in range(6):
        own = slice(4 * head, 4 * head + 4)
        q = layer.query(x)[:, :, 8 * head : 8 * head + 8]
        q = torch.cat([q[:, :, :4], program.rotate(q[:, :, 4:], angles)], 2)
        k = torch.cat([latent @ layer.key.weight[own].T, shared], 2)
        rows.append(F.scaled_dot_product_attention(q, k, latent @ layer.value.weight[own].T, is_causal=True))
    torch.testing.assert_close(layer(x, angles), layer.output(torch.cat(rows, 2)), rtol=1e-9, atol=1e-10)


def test_absorbing_gives_the_same_logits_and_the_same_gradients():
    model, x = network("latent").double(), tokens(4, 12, 30).to(program.device)
    found = []
    for absorb in (False, True):
        for block in model.blocks:
            block.attention.absorb = absorb
        model.zero_grad()
        logits = model(x)
        logits.square().mean().backward()
        found.append([logits.detach(), *(one.grad.clone() for one in model.parameters())])
    for plain, absorbed in zip(*found, strict=True):
        torch.testing.assert_close(absorbed, plain, rtol=1e-8, atol=1e-10)


def test_absorbing_makes_no_keys_and_values(monkeypatch):
    layer = attention("latent")
    layer.absorb = True
    for part in (layer.key, layer.value):
        monkeypatch.setattr(part, "forward", lambda *_: pytest.fail("keys or values are made"))
    layer(X, angles_of(5, 2))


# --- the cache


@pytest.mark.parametrize("pieces", [[12], [7, 5], [1] * 12, [3, 1, 1, 4, 3]])
@pytest.mark.parametrize("absorb", [False, True])
@each_kind
def test_the_cache_changes_no_logits(kind, absorb, pieces):
    model, x = network(kind).eval(), tokens(4, 12, 30).to(program.device)
    for block in model.blocks:
        block.attention.absorb = absorb
    expected, cache = model(x), []
    found = torch.cat([model.read(part, cache) for part in x.split(pieces, dim=1)], dim=1)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-4)
    assert len(cache) == 2 and all(one.shape[:2] == (4, 12) for one in cache)


@each_kind
def test_what_is_kept_is_turned_by_its_own_position(kind):
    """What a position keeps does not change when the text goes on, and what is turned is not what was before it."""
    layer, angles = attention(kind), angles_of(5, 2)
    whole, first = layer.remember(X, angles), layer.remember(X[:, :3], angles[:3])
    torch.testing.assert_close(whole[:, :3], first)
    unturned = layer.remember(X, torch.zeros(5, 2))
    moved = (whole - unturned).abs().amax((0, 1)) > 1e-3
    count = {"multi-head": 24, "grouped": 8, "multi-query": 4, "latent": 4}[kind]
    assert moved.sum() == count, "other numbers than the keys' depend on the position"


@pytest.mark.parametrize(("kind", "numbers"), [("multi-head", 2 * 24), ("grouped", 2 * 8), ("multi-query", 2 * 4), ("latent", 5 + 4)])
def test_the_bytes_of_the_cache(kind, numbers):
    model = network(kind)
    assert program.kept_bytes(model, torch.randint(30, (11,))) == 2 * numbers * 2, "numbers of each of two layers, two bytes each"


def test_distance_alone_matters_where_there_is_no_content():
    """The positions of a cached text go on where it ended: another beginning of the count would give other logits."""
    model, x = network("latent"), tokens(4, 12, 30).to(program.device)
    cache = []
    model.read(x[:, :6], cache)
    right = model.read(x[:, 6:7], list(cache))
    shifted = [torch.cat([one, one[:, -1:]], 1) for one in cache]
    assert (model.read(x[:, 6:7], shifted) - right).abs().max() > 1e-4


# --- sizes


@pytest.mark.parametrize(("make", "sizes", "told"), [
    (program.GroupedAttention, (24, 6, 4), "4 groups must divide 6 heads, and twice these the hidden size, 24"),
    (program.GroupedAttention, (24, 5, 5), "5 groups must divide 5 heads"),
    (program.GroupedAttention, (18, 6, 2), "twice these the hidden size, 18"),
    (program.LatentAttention, (24, 5, 8, 4), "5 heads must divide the hidden size, 24"),
    (program.LatentAttention, (24, 6, 8, 3), "2 the turned numbers, 3"),
])
def test_sizes_that_do_not_fit_are_told(make, sizes, told):
    with pytest.raises(ValueError, match=told):
        make(*sizes)


def test_all_networks_are_of_one_size():
    expected = sum(one.numel() for one in program.GPT(**program.SIZES).parameters())
    for kind, more, _ in program.SETTINGS.values():
        found = sum(one.numel() for one in program.build(kind, more).parameters())
        assert 0.995 * expected < found <= expected


def test_the_small_networks_have_the_widths_of_the_page():
    """The page names them where it says what latent attention pays for its larger matrices."""
    found = {name: [block.up.weight.shape[0] for block in program.build(kind, more).blocks] for name, (kind, more, _) in program.SETTINGS.items()}
    assert found == {name: [width] * 2 for name, width in zip(program.SETTINGS, (256, 288, 304, 208, 256), strict=True)}


def test_an_untrained_network_holds_all_tokens_equally_likely():
    model = program.CachedGPT(**SMALL, make=lambda: program.LatentAttention(24, 6, 5, 4))
    assert not model(torch.arange(8)[None]).any()
    assert len(model.speed) == 2 and model.speed[0] == 1


# --- the whole program


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the program small; return its folder and what it measured."""
    out = tmp_path_factory.mktemp("experts_latent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SIZES", SMALL | {"vocabulary_size": 256, "num_heads": 4})
        patch.setattr(program, "RATES", (0.01, 0.02))
        return out, program.main(out, size=100_000, steps=4, tune=True)


def test_main_writes_its_results(ran):
    out, metrics = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in out.iterdir()} == {"metrics.json", "cache.svg"}
    assert list(metrics) == list(program.SETTINGS)
    for name, one in metrics.items():
        kind, more, _ = program.SETTINGS[name]
        size = 2 * more[0] * 6 if kind is program.GroupedAttention else sum(more)
        assert one["bytes"] == 2 * size * 2
        assert list(one["tried"]) == ["0.01", "0.02"] and 3 < one["test"] < 8 and one["valid"] == one["tried"][str(one["rate"])]


def test_without_tuning_the_rates_are_those_that_were_best(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "SIZES", SMALL | {"vocabulary_size": 256, "num_heads": 4})
    metrics = program.main(tmp_path, seed=3, size=100_000, steps=1)
    assert {name: one["rate"] for name, one in metrics.items()} == {name: rate for name, (_, _, rate) in program.SETTINGS.items()}
    assert all(math.isfinite(one["test"]) for one in metrics.values())
