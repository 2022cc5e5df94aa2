"""The parts from scratch are PyTorch's own; masks hide what they should."""

import json

import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

layers = load_snippet("models/transformer_layers")
each_seed = pytest.mark.parametrize("seed", range(8))


def sizes(seed: int) -> tuple[int, ...]:
    """Return random (batch, queries, keys, heads, size of a head)."""
    torch.manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, ()))

    return draw(1, 4), draw(1, 9), draw(1, 9), draw(1, 4), 2 * draw(1, 6)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Fail where two tensors differ by more than 1e-5."""
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@each_seed
def test_attention_is_scaled_dot_product_attention(seed):
    batch, queries, keys, heads, size = sizes(seed)
    q = torch.randn(batch, heads, queries, size)
    k, v = torch.randn(2, batch, heads, keys, size)
    hidden = torch.rand(batch, 1, queries, keys) < 0.5
    hidden[..., 0] = False  # every query sees at least one key
    close(layers.attention(q, k, v)[0], F.scaled_dot_product_attention(q, k, v))
    found, weights = layers.attention(q, k, v, hidden)
    close(found, F.scaled_dot_product_attention(q, k, v, attn_mask=~hidden))
    close(weights.sum(-1), torch.ones(batch, heads, queries))
    assert weights.masked_select(hidden).abs().max() == 0 if hidden.any() else True


@each_seed
def test_multi_head_attention_is_pytorchs(seed):
    batch, queries, keys, heads, size = sizes(seed)
    width = heads * size
    x, memory = torch.randn(batch, queries, width), torch.randn(batch, keys, width)
    reference, own = nn.MultiheadAttention(width, heads, batch_first=True), layers.MultiHeadAttention(width, heads)
    nn.init.normal_(reference.in_proj_bias)
    own.load_state_dict(reference.state_dict())
    tokens = torch.ones(batch, keys, dtype=torch.long)
    tokens[0, 1:] = 0
    theirs = reference(x, memory, memory, key_padding_mask=tokens == 0, average_attn_weights=False)
    for mine, other in zip(own(x, memory, layers.padding_mask(tokens)), theirs):
        close(mine, other)


@each_seed
def test_layers_are_pytorchs(seed):
    batch, queries, keys, heads, size = sizes(seed)
    width = heads * size
    x, memory = torch.randn(batch, queries, width), torch.randn(batch, keys, width)
    options = {"dropout": 0.0, "batch_first": True}
    reference, own = nn.TransformerEncoderLayer(width, heads, 4 * width, **options), layers.EncoderLayer(width, heads)
    own.load_state_dict(reference.state_dict())
    close(own(x), reference(x))
    reference, own = nn.TransformerDecoderLayer(width, heads, 4 * width, **options), layers.DecoderLayer(width, heads)
    own.load_state_dict(reference.state_dict())
    mask = layers.causal_mask(queries)
    close(own(x, memory, mask), reference(x, memory, tgt_mask=mask))


@each_seed
def test_whole_is_pytorchs(seed):
    batch, queries, keys, heads, size = sizes(seed)
    width, depth = heads * size, 1 + seed % 3
    x, memory = torch.randn(batch, queries, width), torch.randn(batch, keys, width)
    reference = nn.Transformer(width, heads, depth, depth, 4 * width, dropout=0.0, batch_first=True)
    own = layers.EncoderDecoder(width, depth, heads)
    own.load_state_dict(reference.state_dict())
    close(own(memory, x), reference(memory, x, tgt_mask=layers.causal_mask(queries)))


@each_seed
def test_layer_norm_is_pytorchs(seed):
    batch, queries, _, heads, size = sizes(seed)
    x = 5 * torch.randn(batch, queries, heads * size) + 3
    own, reference = layers.LayerNorm(heads * size), nn.LayerNorm(heads * size)
    nn.init.normal_(reference.weight)
    nn.init.normal_(reference.bias)
    own.load_state_dict(reference.state_dict())
    close(own(x), reference(x))


def test_positional_encoding_is_the_formula():
    table = layers.positional_encoding(12, 8)
    for position in range(12):
        for pair in range(4):
            angle = torch.tensor(position / 10000 ** (2 * pair / 8))
            close(table[position, 2 * pair], angle.sin())
            close(table[position, 2 * pair + 1], angle.cos())


X, MEMORY = torch.randn(2, 8, 5, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(16, (8, 5), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("make", "x"), [
    (lambda: layers.MultiHeadAttention(16, 4), (X, MEMORY)),
    (lambda: nn.Sequential(layers.LayerNorm(16), nn.Linear(16, 16)), X),  # alone it has nothing to learn with
    (lambda: layers.EncoderLayer(16, 4), X),
    (lambda: layers.DecoderLayer(16, 4), (X, MEMORY)),
    (lambda: layers.Stack([layers.EncoderLayer(16, 4) for _ in range(2)], 16), X),
], ids=["attention", "normalization", "encoder layer", "decoder layer", "stack"])
def test_layer(make, x):
    check_model(make, x, LABELS)


def test_whole():
    padding = layers.padding_mask(tokens(8, 5, 20, padding=0))  # (batch, 1, 1, length)
    check_model(lambda: layers.EncoderDecoder(16, 2, 4), (MEMORY, X, padding), LABELS, padding=padding[:, 0, 0], causal=True)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    model = layers.EncoderDecoder(16, 2, 4)
    source, target = torch.randn(1, 5, 16), torch.randn(1, 6, 16)
    padded = torch.cat([source, 100 * torch.randn(1, 3, 16)], dim=1)
    tokens = torch.tensor([[1, 1, 1, 1, 1, 0, 0, 0]])
    close(model(padded, target, layers.padding_mask(tokens)), model(source, target))
    assert not torch.allclose(model(padded, target), model(source, target), atol=1e-3), "without the mask it must"


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_num_layers_is_the_number_of_layers(depth):
    model = layers.EncoderDecoder(8, depth, 2)
    assert len(model.encoder.layers) == len(model.decoder.layers) == depth


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="4 heads do not divide 10"):
        layers.MultiHeadAttention(10, 4)
    with pytest.raises(ValueError, match="7 is odd"):
        layers.positional_encoding(3, 7)


def test_main_writes_its_results(tmp_path):
    metrics = layers.main(tmp_path)
    assert metrics["equal"]
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.glob("*.svg")} == {"positions.svg", "masks.svg"}
