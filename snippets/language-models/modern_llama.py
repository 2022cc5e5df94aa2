# --8<-- [start:setup]
"""The network of Llama 3 and Qwen3, and a reader of their checkpoints."""

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
# --8<-- [end:setup]


# --8<-- [start:norm]
# From language-models/modern_layers.py, word for word:
class RMSNorm(nn.Module):
    """Scale each vector to a root mean square of 1, then each number.

    B. Zhang and R. Sennrich, Root mean square layer normalization, 2019.
    """

    def __init__(self, size: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., size) of the same."""
        square = x.square().mean(-1, keepdim=True)  # (..., 1)
        return x * (square + self.eps).rsqrt() * self.weight
# --8<-- [end:norm]


# --8<-- [start:rotary]
# From language-models/modern_layers.py, word for word:
def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair of numbers of x, (..., time, size), by its angle.

    J. Su et al., RoFormer: enhanced Transformer with rotary position
    embedding, 2021. The pair of a number is half a vector away. The angles
    are (time, size / 2).
    """
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)  # each (..., time, size / 2)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
# --8<-- [end:rotary]


# --8<-- [start:gated]
# From language-models/modern_layers.py, word for word:
class GatedMLP(nn.Module):
    """SwiGLU: what one matrix finds passes a gate that another one opens.

    N. Shazeer, GLU variants improve Transformer, 2020.
    """

    def __init__(self, hidden_size: int, inner_size: int):
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, inner_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, inner_size, bias=False)
        self.down_proj = nn.Linear(inner_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., hidden) of the same."""
        gate = F.silu(self.gate_proj(x))  # (..., inner)
        return self.down_proj(gate * self.up_proj(x))
# --8<-- [end:gated]


# --8<-- [start:grouped]
# From language-models/modern_layers.py, word for word:
class GroupedAttention(nn.Module):
    """Several queries share a key and a value; both may be normalized.

    J. Ainslie et al., GQA: training generalized multi-query Transformer
    models from multi-head checkpoints, 2023; A. Henry et al., Query-key
    normalization for Transformers, 2020.
    """

    def __init__(self, hidden_size: int, num_heads: int, num_key_heads: int,
                 head_size: int, normalized: bool, eps: float = 1e-6):
        super().__init__()
        self.head_size, self.group = head_size, num_heads // num_key_heads
        wide, narrow = num_heads * head_size, num_key_heads * head_size
        self.q_proj = nn.Linear(hidden_size, wide, bias=False)
        self.k_proj = nn.Linear(hidden_size, narrow, bias=False)
        self.v_proj = nn.Linear(hidden_size, narrow, bias=False)
        self.o_proj = nn.Linear(wide, hidden_size, bias=False)
        self.q_norm, self.k_norm = (
            RMSNorm(head_size, eps) if normalized else nn.Identity()
            for _ in range(2))

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """Return (batch, time, hidden) of the same, with angles or without."""
        q, k, v = (
            layer(x).unflatten(2, (-1, self.head_size)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )  # (batch, heads, time, size), (batch, key_heads, time, size)
        q, k = self.q_norm(q), self.k_norm(k)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        k, v = (part.repeat_interleave(self.group, dim=1) for part in (k, v))
        scores = q @ k.mT / math.sqrt(self.head_size)
        future = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(dim=3)
        mixed = (weights @ v).transpose(1, 2)  # (batch, time, heads, size)
        return self.o_proj(mixed.flatten(2))
# --8<-- [end:grouped]


# --8<-- [start:config]
class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message says why."""


class Config(NamedTuple):
    """The sizes of a network, by the names that config.json has for them."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    tie_word_embeddings: bool
    normalized: bool  # queries and keys
    rope: dict


NORMALIZED = {"llama": False, "qwen3": True}  # by the model_type
NEEDED = {"attention_bias": False, "mlp_bias": False, "hidden_act": "silu",
          "use_sliding_window": False, "quantization_config": None}
SCALING = ("factor", "low_freq_factor", "high_freq_factor",
           "original_max_position_embeddings")


def read_config(values: dict) -> Config:
    """Return what config.json says; raises CheckpointError."""
    kind = values.get("model_type")
    if kind not in NORMALIZED:
        raise CheckpointError(f"model_type {kind!r} is not supported; "
                              f"supported: {', '.join(NORMALIZED)}")
    for name, value in NEEDED.items():
        if values.get(name, value) != value:
            raise CheckpointError(f"{name} {values[name]!r} is not supported")
    rope = {"rope_theta": values.get("rope_theta", 10000.0),
            **(values.get("rope_scaling") or {}),  # in older files
            **(values.get("rope_parameters") or {})}
    rope["rope_type"] = rope.get("rope_type", rope.get("type", "default"))
    if rope["rope_type"] not in ("default", "llama3"):
        raise CheckpointError(f"rope_type {rope['rope_type']!r} is not "
                              "supported; supported: default, llama3")
    needed = [*Config._fields[:5], "rms_norm_eps"]
    missing = [name for name in needed if name not in values]
    if rope["rope_type"] == "llama3":
        missing += [name for name in SCALING if name not in rope]
    if missing:
        raise CheckpointError(f"config.json lacks {', '.join(missing)}")
    heads = values["num_attention_heads"]
    size = 128 if kind == "qwen3" else values["hidden_size"] // heads
    found = {"num_key_value_heads": heads, "head_dim": size,
             "tie_word_embeddings": False, "normalized": NORMALIZED[kind]}
    found |= {name: value for name, value in values.items()
              if name in Config._fields and value is not None}
    if heads % found["num_key_value_heads"]:
        raise CheckpointError(f"{heads} heads are no multiple of those for "
                              f"keys, {found['num_key_value_heads']}")
    return Config(**found, rope=rope)
# --8<-- [end:config]


# --8<-- [start:speeds]
def speeds(config: Config) -> Tensor:
    """Return by how much each pair turns from a token to the next: (pairs,).

    Llama 3.1 and later slow down those that turn less than `low` times
    within the length of training, by a factor; those that turn more than
    `high` times stay, and between them it is a mixture.
    """
    size, rope = config.head_dim, config.rope
    share = torch.arange(0, size, 2) / size  # (pairs,)
    speed = 1 / rope["rope_theta"] ** share  # (pairs,)
    if rope["rope_type"] == "llama3":
        factor, low, high, length = (rope[name] for name in SCALING)
        turns = length * speed / (2 * math.pi)
        kept = ((turns - low) / (high - low)).clamp(0, 1)
        speed = kept * speed + (1 - kept) * speed / factor
    return speed
# --8<-- [end:speeds]


# --8<-- [start:llama]
class LlamaLayer(nn.Module):
    """What GPT-2's block has become."""

    def __init__(self, config: Config):
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = RMSNorm(size, eps)
        self.self_attn = GroupedAttention(
            size, config.num_attention_heads, config.num_key_value_heads,
            config.head_dim, config.normalized, eps)
        self.post_attention_layernorm = RMSNorm(size, eps)
        self.mlp = GatedMLP(size, config.intermediate_size)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return (batch, time, hidden) of the same; angles: (time, size/2)."""
        x = x + self.self_attn(self.input_layernorm(x), angles)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """The network of Llama 3, or of Qwen3, by its configuration."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            LlamaLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size,
                                 bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (batch, time, vocab_size), of (batch, time)."""
        time = torch.arange(tokens.shape[1], device=tokens.device)  # (time,)
        speed = speeds(self.config).to(tokens.device)  # (pairs,)
        x, angles = self.embed_tokens(tokens), time[:, None] * speed
        for layer in self.layers:
            x = layer(x, angles.to(x.dtype))
        return self.lm_head(self.norm(x))
# --8<-- [end:llama]


# --8<-- [start:read]
def load_json(file: Path) -> dict:
    """Return the object that a file holds; raises CheckpointError."""
    if not file.is_file():
        raise CheckpointError(f"{file} is missing")
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file} holds no JSON object") from error


def find_tensors(folder: Path) -> dict[str, tuple[Path, str, tuple]]:
    """Find each tensor's file, name and shape; raises CheckpointError."""
    index, names = folder / "model.safetensors.index.json", [
        "model.safetensors"]
    if index.is_file():
        names = load_json(index).get("weight_map", {}).values()
    found = {}
    for file in sorted({folder / Path(name).name for name in names}):
        if not file.is_file():
            raise CheckpointError(f"{file} is missing")
        try:
            with safe_open(file, "pt") as tensors:
                for name in tensors.keys():
                    shape = tuple(tensors.get_slice(name).get_shape())
                    found[name.removeprefix("model.")] = file, name, shape
        except SafetensorError as error:
            raise CheckpointError(f"{file} is damaged: {error}") from error
    return found


def compare(wanted: dict[str, tuple], found: dict[str, tuple]) -> None:
    """Raise CheckpointError where the names or shapes of tensors differ."""
    other = {f"{name} {shape}, not {wanted[name]}" for name, shape
             in found.items() if shape != wanted.get(name, shape)}
    for names, told in (
            (wanted.keys() - found, "are missing"),
            (found.keys() - wanted, "have no place in the network"),
            (other, "are not as large as config.json says")):
        if names:
            first = sorted(names)[:3] + ["..."] * (len(names) > 3)
            raise CheckpointError(f"{len(names)} tensors {told}: "
                                  f"{', '.join(first)}")


def read_checkpoint(folder: Path, dtype: torch.dtype = torch.float32) -> Llama:
    """Return the network of a folder; raises CheckpointError."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder")
    config = read_config(load_json(folder / "config.json"))
    with torch.device("meta"):  # shapes alone: no memory, no random numbers
        model = Llama(config)
    wanted = {name: tuple(weight.shape)
              for name, weight in model.state_dict().items()}
    stored = find_tensors(folder)
    if config.tie_word_embeddings:  # the table is the head too
        del wanted["lm_head.weight"]
        stored.pop("lm_head.weight", None)
    compare(wanted, {name: shape for name, (*_, shape) in stored.items()})
    weights = {}
    for place, (file, name, _) in stored.items():
        with safe_open(file, "pt") as tensors:
            weights[place] = tensors.get_tensor(name).to(dtype)
    model.load_state_dict(weights, strict=False, assign=True)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.embed_tokens.weight
    return model.eval()


def write_checkpoint(model: Llama, values: dict, folder: Path) -> None:
    """Write a network, and the values of config.json, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    weights = {name if name.startswith("lm_head") else f"model.{name}": weight
               for name, weight in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
# --8<-- [end:read]


# --8<-- [start:main]
LLAMA = {"model_type": "llama", "vocab_size": 128256, "rms_norm_eps": 1e-5,
         "num_attention_heads": 32, "num_key_value_heads": 8,
         "rope_theta": 500000.0}
STRETCH = {"rope_type": "llama3", "low_freq_factor": 1.0,
           "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
PUBLISHED = {  # what config.json says
    "Llama 3.2 1B": LLAMA | {
        "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "head_dim": 64, "tie_word_embeddings": True,
        "rope_scaling": STRETCH | {"factor": 32.0}},
    "Llama 3.1 8B": LLAMA | {
        "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "tie_word_embeddings": False,
        "rope_scaling": STRETCH | {"factor": 8.0}},
    "Qwen3 0.6B": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024,
        "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "tie_word_embeddings": True},
}


def count(config: Config) -> dict:
    """Return the parameters, and the bytes that 4,096 tokens keep."""
    with torch.device("meta"):
        model = Llama(config)
    kept = 2 * config.num_hidden_layers * config.head_dim  # keys and values
    number = 4096 * kept * 2  # bytes for each head
    return {"parameters": sum(one.numel() for one in model.parameters()),
            "table": model.embed_tokens.weight.numel(),
            "cache": number * config.num_key_value_heads,
            "ungrouped": number * config.num_attention_heads}


def main(out: Path, folder: Path | None = None) -> dict:
    """Count known networks, or that of a folder; write and read one."""
    out.mkdir(parents=True, exist_ok=True)
    configs = {name: read_config(values) for name, values in PUBLISHED.items()}
    if folder:
        configs = {folder.resolve().name: read_checkpoint(folder).config}
    print("                 parameters    one table  cache, MB  ungrouped, MB")
    metrics = {name: count(config) for name, config in configs.items()}
    for name, found in metrics.items():
        print(f"{name:13}{found['parameters']:14,}{found['table']:13,}"
              f"{found['cache'] / 1e6:11.0f}{found['ungrouped'] / 1e6:15.0f}")
    if not folder:
        values = PUBLISHED["Qwen3 0.6B"] | {
            "vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 2}
        model = Llama(read_config(values))
        with TemporaryDirectory() as place:
            write_checkpoint(model, values, Path(place))
            again = read_checkpoint(Path(place))
            stored = list(find_tensors(Path(place)).values())
        tokens = torch.randint(256, (1, 32))
        difference = (model(tokens) - again(tokens)).abs().max().item()
        print(f"written and read again: logits differ by {difference}")
        for _, name, shape in stored[:12]:
            print(f"{name:48}{shape}")
        metrics["difference"] = difference
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:command_line]
# From models/cnn_layers.py, word for word:
import argparse
import contextlib
import inspect
import sys
import types


def run(
    main: types.FunctionType, folder: str, refusals: tuple = (), **more: dict
) -> None:
    """Call `main` with the options of the command line, which it checks.

    `folder` is where results go by default, `more` holds options besides
    --out and --seed. An exception out of `refusals` is told in one line.
    """
    with contextlib.suppress(AttributeError):  # a notebook shows any letter
        sys.stdout.reconfigure(errors="replace")  # and not every console
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=folder, help="folder for the results")
    if "seed" in inspect.signature(main).parameters:
        add("--seed", type=int, default=0, help="of all random numbers")
    for name, settings in more.items():
        add(f"--{name}", **settings)
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    for name, value in vars(options).items():
        least = 0 if name == "seed" else 1
        if isinstance(value, int) and not least <= value < 2**32:
            parser.error(f"--{name} {value}: at least {least}, below 2**32")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        check = options.out / ".writable"
        check.touch()
        check.unlink()
    except OSError as error:
        parser.error(f"--out {options.out}: {error.strerror}")
    before = {path: path.stat().st_mtime_ns for path in options.out.iterdir()}
    try:
        main(**vars(options))
    except refusals as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = [
            path.name for path in sorted(options.out.iterdir())
            if path.stat().st_mtime_ns != before.get(path)
        ]
        files = ", ".join(kept) or "nothing"
        sys.exit(f"\nstopped; kept in {options.out}: {files}")
    print(f"results in {options.out}")
# --8<-- [end:command_line]


# --8<-- [start:run]
if __name__ == "__main__":
    run(
        main, "modern_llama-results", (CheckpointError,),
        checkpoint={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder with config.json and .safetensors files to read",
        },
    )
# --8<-- [end:run]
