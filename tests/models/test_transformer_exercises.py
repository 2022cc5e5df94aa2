"""The answers to the exercises on the Transformer."""

import pytest
import torch
from conftest import load_snippet
from torch import nn

exercises = load_snippet("models/transformer_exercises")


def test_scaling_keeps_the_weights_apart():
    torch.manual_seed(0)
    assert exercises.largest_weight(1024, scaled=False) > 0.9
    assert abs(exercises.largest_weight(1024, True) - exercises.largest_weight(4, True)) < 0.05


def test_only_a_causal_layer_sees_the_order():
    torch.manual_seed(0)
    assert exercises.moved(causal=False) < 1e-5
    assert exercises.moved(causal=True) > 0.1


def test_where_a_query_without_keys_gives_nan():
    assert exercises.attend_to_nothing() == {
        "softmax by hand": True,
        "its gradient": True,
        "scaled_dot_product_attention": False,
        "MultiheadAttention": True,
        "MultiheadAttention, need_weights=False": False,
        "encoder layer in training": False,
        "encoder layer in eval() and inference_mode": True,
    }


@pytest.mark.parametrize("length", [16, 384, 1024])
def test_share_of_the_scores_is_the_formula(length):
    assert exercises.shares(length) == pytest.approx(length / (length + 6 * 64), abs=1e-6)


def test_cache_changes_nothing():
    torch.manual_seed(0)
    layer, x = nn.MultiheadAttention(16, 2, batch_first=True), torch.randn(3, 9, 16)
    mask = torch.ones(9, 9, dtype=torch.bool).triu(1)
    whole = layer(x, x, x, attn_mask=mask)[0]
    for answer, projected in (exercises.cached(layer, x), exercises.again(layer, x)):
        torch.testing.assert_close(answer, whole, rtol=1e-5, atol=1e-5)
        assert projected in (9, 45)


def test_main_answers_everything(tmp_path):
    metrics = exercises.main(tmp_path)
    assert metrics["order"] == {"free": False, "causal": True}
    assert metrics["cache"] == {"equal": True, "kept": 40, "again": 820}
    assert (tmp_path / "metrics.json").is_file()
