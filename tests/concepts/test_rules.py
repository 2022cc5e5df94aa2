"""The rules of thumb agree with what papers state, and what the program counts with counting by hand."""

import json
import math

import torch
from conftest import load_snippet
from model_checks import check_model, tokens

rules = load_snippet("concepts/rules")


def test_language_model_passes_what_every_model_must():
    check_model(lambda: rules.LanguageModel(50, 8, 32, 2, 2), tokens(8, 8, 50), tokens(8, 8, 50, seed=1), 50, causal=True)


def test_multiply_adds_of_attention_grow_with_the_square_of_the_length():
    def forward(time):
        with torch.device("meta"):
            model = rules.LanguageModel(50, 64, 32, 3, 4)
            return rules.multiply_adds(model, torch.zeros(1, time).long())[0]

    for time in (4, 64):
        assert forward(time) == 3 * (12 * 32**2 * time + 2 * time**2 * 32) + time * 32 * 50


def test_gpt2_has_as_many_parameters_as_published():
    with torch.device("meta"):
        model = rules.LanguageModel(50257, 1024, 1600, 48, 25)
    assert rules.parameters(model) == 1_557_611_200


def test_rules_reproduce_what_the_papers_state():
    gpt3, llama3 = (rules.rules(rules.PUBLISHED[name]) for name in ("GPT-3", "Llama 3"))
    assert math.isclose(gpt3["training"], 3.14e23, rel_tol=0.01)  # table D.1 of Brown et al.
    assert math.isclose(llama3["training"], 3.8e25, rel_tol=0.01)  # Grattafiori et al.
    assert "training" not in rules.rules(rules.PUBLISHED["GPT-2"])
    for model in rules.PUBLISHED.values():
        assert 0.85 < rules.rules(model)["share"] < 1.1


def test_main_writes_its_results(tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "WIDTHS", (64, 128))
    monkeypatch.setattr(rules, "CONTEXTS", (128, 1024))
    metrics = rules.main(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.glob("*.svg")} == {"scale.svg", "rule.svg"}
    assert metrics["misses"]["1024"]["64"] > metrics["misses"]["128"]["64"]
