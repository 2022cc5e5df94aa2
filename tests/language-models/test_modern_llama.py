"""The network of Llama and Qwen3 is that of transformers, and reads what it writes; what it cannot read it refuses."""

import copy
import json
import math

import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

program = load_snippet("language-models/modern_llama")

SIZES = {"vocab_size": 97, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 6}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
KINDS = {
    "llama": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 6}),
    "llama, grouped and tied": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "llama, wide heads": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 1, "head_dim": 32, "rms_norm_eps": 1e-5}),
    "llama 3.1": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 3, "rope_parameters": LLAMA3 | {"rope_theta": 500000.0}}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"num_key_value_heads": 3, "head_dim": 16, "tie_word_embeddings": True}),
    "qwen3, untied": (Qwen3ForCausalLM, Qwen3Config, {"num_key_value_heads": 2, "head_dim": 8, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
}


def theirs(kind: str) -> nn.Module:
    """Return a network of transformers with random weights, its scales not all 1."""
    make, config, sizes = KINDS[kind]
    torch.manual_seed(0)
    model = make(config(**SIZES, **sizes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.2 * torch.randn_like(weight) + (weight.dim() == 1))
    return model


@pytest.mark.parametrize("shards", ["1GB", "30KB"], ids=["one file", "several"])
@pytest.mark.parametrize("kind", KINDS)
def test_its_logits_are_those_of_transformers(tmp_path, kind, shards):
    other = theirs(kind)
    other.save_pretrained(tmp_path, max_shard_size=shards)
    assert (tmp_path / "model.safetensors.index.json").is_file() == (shards == "30KB")
    mine, x = program.read_checkpoint(tmp_path), torch.randint(97, (3, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = other(x).logits
        torch.testing.assert_close(mine(x), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.3, "the logits are too small to differ by more than that"


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_reads_what_it_writes(tmp_path, kind):
    other = theirs(kind)
    other.save_pretrained(tmp_path / "theirs")
    mine = program.read_checkpoint(tmp_path / "theirs")
    values = json.loads((tmp_path / "theirs" / "config.json").read_text(encoding="utf-8"))
    program.write_checkpoint(mine, values, tmp_path / "mine")
    again, x = KINDS[kind][0].from_pretrained(tmp_path / "mine").eval(), torch.arange(40)[None] % 97
    with torch.no_grad():
        torch.testing.assert_close(again(x).logits, other(x).logits, rtol=0, atol=1e-6)
    assert (mine.lm_head.weight is mine.embed_tokens.weight) == mine.config.tie_word_embeddings


def small(**more) -> program.Config:
    """Return a small network of Llama."""
    return program.read_config({"model_type": "llama", **SIZES, "num_attention_heads": 6, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, **more})


def test_network():
    x = tokens(6, 9, 97)
    for kind in ("llama", "qwen3"):
        config = small(model_type=kind, head_dim=8, vocab_size=97)
        check_model(lambda: quiet(program.Llama(config)), x, x.roll(-1, 1), classes=97, causal=True)
        check_model(lambda: Placed(config), torch.randn(6, 5, 48, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 48, causal=True)


def quiet(model: nn.Module) -> nn.Module:
    """Return a network that begins as its checkpoints do: with the deviation 0.02."""
    for weight in model.parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=0.02)
    return model


class Placed(nn.Module):
    """A layer at positions whose angles are all different."""

    def __init__(self, config: program.Config):
        super().__init__()
        self.layer = program.LlamaLayer(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        return self.layer(x, torch.arange(4 * x.shape[1], device=x.device).view(-1, 4) / 3)


def test_positions_of_old_and_new_files():
    old = small(rope_theta=5000.0, rope_scaling={"type": "llama3", **{name: value for name, value in LLAMA3.items() if name != "rope_type"}})
    assert torch.equal(program.speeds(old), program.speeds(small(rope_parameters=LLAMA3 | {"rope_theta": 5000.0})))
    assert torch.equal(program.speeds(small()), program.speeds(small(rope_theta=10000.0, rope_scaling=None)))


def test_slow_pairs_are_slowed_down():
    """Of the pairs that turn more than `high` times none changes, and of those that turn less than `low` times all do."""
    plain, scaled = program.speeds(small(head_dim=64)), program.speeds(small(head_dim=64, rope_scaling=LLAMA3))
    turns = 64 * plain / (2 * math.pi)
    assert torch.equal(scaled[turns > 4], plain[turns > 4]) and (turns > 4).any()
    torch.testing.assert_close(scaled[turns < 1], plain[turns < 1] / 8)
    between = (turns > 1) & (turns < 4)
    assert between.any() and ((plain / 8 < scaled) & (scaled < plain))[between].all()


def test_what_is_not_told_is_as_usual():
    assert small(num_key_value_heads=None).num_key_value_heads == 6 and small().head_dim == 8
    assert small(model_type="qwen3").head_dim == 128 and small(head_dim=None).head_dim == 8 and not small().tie_word_embeddings


# --- what is refused


@pytest.mark.parametrize(("more", "message"), [
    ({"model_type": "gpt2"}, "model_type 'gpt2' is not supported; supported: llama, qwen3"),
    ({"model_type": None}, "model_type None is not supported"),
    ({"attention_bias": True}, "attention_bias True is not supported"),
    ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
    ({"use_sliding_window": True}, "use_sliding_window True"),
    ({"quantization_config": {"bits": 4}}, "quantization_config {'bits': 4}"),
    ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type 'yarn' is not supported; supported: default, llama3"),
    ({"rope_scaling": {"type": "linear", "factor": 4.0}}, "rope_type 'linear' is not supported"),
    ({"rope_parameters": {"rope_type": "llama3", "factor": 4.0}}, "config.json lacks low_freq_factor, high_freq_factor, original_max_position_embeddings"),
    ({"num_key_value_heads": 4}, "6 heads are no multiple of those for keys, 4"),
])
def test_a_network_that_it_cannot_compute_is_refused(more, message):
    with pytest.raises(program.CheckpointError) as caught:
        small(**more)
    assert message in str(caught.value)


def test_missing_sizes_are_named():
    with pytest.raises(program.CheckpointError, match="config.json lacks vocab_size, hidden_size, rms_norm_eps"):
        program.read_config({"model_type": "llama", "intermediate_size": 3, "num_hidden_layers": 1, "num_attention_heads": 2})


@pytest.fixture
def written(tmp_path):
    """Return a folder with a small checkpoint."""
    values = {"model_type": "qwen3", **SIZES, "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-6}
    program.write_checkpoint(program.Llama(program.read_config(values)), values, tmp_path / "it")
    return tmp_path / "it"


def changed(folder, change) -> None:
    """Change the tensors of a checkpoint."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    (lambda folder: (folder / "config.json").write_text("{", encoding="utf-8"), "config.json holds no JSON object"),
    (lambda folder: (folder / "config.json").write_text("[1]", encoding="utf-8"), "config.json holds no JSON object"),
    (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors" * 9), "model.safetensors is damaged"),
    (lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "second.safetensors"}}', encoding="utf-8"), "second.safetensors is missing"),
    (lambda folder: changed(folder, lambda weights: weights.pop("model.norm.weight")), "1 tensors are missing: norm.weight"),
    (lambda folder: changed(folder, dict.clear), "25 tensors are missing: embed_tokens.weight, layers.0.input_layernorm.weight, layers.0.mlp.down_proj.weight, ..."),
    (lambda folder: changed(folder, lambda weights: weights.update(more=torch.zeros(1))), "1 tensors have no place in the network: more"),
    (lambda folder: changed(folder, lambda weights: weights.update({"model.norm.weight": torch.ones(5)})), "1 tensors are not as large as config.json says: norm.weight (5,), not (48,)"),
])
def test_what_is_wrong_with_a_checkpoint_is_told(written, spoil, message):
    spoil(written)
    with pytest.raises(program.CheckpointError) as caught:
        program.read_checkpoint(written)
    assert message in str(caught.value)


def test_a_folder_that_is_none_is_told(tmp_path):
    with pytest.raises(program.CheckpointError, match="nothing is no folder"):
        program.read_checkpoint(tmp_path / "nothing")


def test_half_precision_is_read_as_wanted(written):
    changed(written, lambda weights: weights.update({name: weight.bfloat16() for name, weight in weights.items()}))
    assert {one.dtype for one in program.read_checkpoint(written).parameters()} == {torch.float32}
    model = program.read_checkpoint(written, torch.bfloat16)
    assert {one.dtype for one in model.parameters()} == {torch.bfloat16} and model(torch.tensor([[1, 2]])).isfinite().all()


def test_a_head_beside_a_tied_table_is_left_out(written):
    values = json.loads((written / "config.json").read_text(encoding="utf-8")) | {"tie_word_embeddings": True}
    (written / "config.json").write_text(json.dumps(values), encoding="utf-8")
    model = program.read_checkpoint(written)
    assert model.lm_head.weight is model.embed_tokens.weight


# --- the program


def test_known_networks_are_as_large_as_transformers_says(tmp_path):
    published = copy.deepcopy(program.PUBLISHED)
    metrics = program.main(tmp_path)
    assert program.PUBLISHED == published, "what config.json says was changed"
    for name, values in published.items():
        kind = "llama" if values["model_type"] == "llama" else "qwen3"
        make, config, _ = KINDS[kind]
        with torch.device("meta"):
            model = make(config(**values))
        assert metrics[name]["parameters"] == sum(one.numel() for one in model.parameters())
        assert metrics[name]["table"] == model.model.embed_tokens.weight.numel()
        layer = model.model.layers[0].self_attn
        assert metrics[name]["cache"] == 2 * values["num_hidden_layers"] * layer.k_proj.out_features * 4096 * 2
        assert metrics[name]["ungrouped"] == metrics[name]["cache"] * values["num_attention_heads"] // values["num_key_value_heads"]
    assert metrics["difference"] == 0 and json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics


def test_a_checkpoint_in_a_folder_is_counted(written, tmp_path, capsys):
    metrics = program.main(tmp_path / "out", written)
    assert list(metrics) == ["it"] and metrics["it"]["parameters"] == sum(one.numel() for one in program.read_checkpoint(written).parameters())
    assert "it " in capsys.readouterr().out
