"""The neighbors of a word, of language-models/embeddings: the vectors of the most frequent words in 8 bits a number."""

import base64
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from tooling.live.export import write_data

MOST = 2000  # words of a language
METHODS = ("sgns", "svd")


def eight_bits(vectors: np.ndarray) -> np.ndarray:
    """Return vectors, (words, size), of whole numbers from -127 to 127 that point in nearly the same directions."""
    return np.round(127 * vectors / np.abs(vectors).max(1, keepdims=True).clip(1e-12)).astype(np.int8)


def export(program: ModuleType, made: Path, out: Path) -> dict:
    """Write what the page needs into `out`; return its size, and which share of the ten nearest words 8 bits leave as they were."""
    kept = torch.load(made / "weights.pt", weights_only=True)
    page, same = {}, []
    for language, one in kept.items():
        page[language] = {"words": one["words"][:MOST], "counts": one["counts"][:MOST].tolist()}
        for method in METHODS:
            vectors = one[method][:MOST].double().numpy()
            small = eight_bits(vectors)
            page[language][method] = base64.b64encode(small.tobytes()).decode()
            found = [program.nearest(program.cosines(these.astype(float))) for these in (vectors, small)]
            same.append(np.mean([len(set(before) & set(after)) / 10 for before, after in zip(*found)]))
    write_data(page, out)
    return {"bytes": (out / "live.json").stat().st_size, "same": float(np.mean(same))}
