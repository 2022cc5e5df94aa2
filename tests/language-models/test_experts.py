"""Mixtures of experts: what is computed, who gets what, what balances, and what is measured."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

program = load_snippet("language-models/experts")


def awake(model: nn.Module) -> nn.Module:
    """Return a model in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


class Placed(nn.Module):
    """A block at positions whose angles are all different."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        return self.layer(x, torch.arange(x.shape[1] * 4, device=x.device).view(-1, 4) / 3)


X, Y = torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 16
SMALL = {"vocabulary_size": 30, "hidden_size": 16, "num_layers": 2, "num_heads": 2}


DATA = ("device",)  # how many tokens an expert gets depends on their numbers, and those of the device of that check have none


def test_layers():
    check_model(lambda: awake(program.FeedForward(16, 24)), X, Y)
    check_model(lambda: awake(program.Experts(16, 8, 4, 2)), X, Y, skip=DATA)
    check_model(lambda: Placed(awake(program.FeedBlock(16, 2, program.Experts(16, 8, 3, 2)))), X, Y, causal=True, skip=DATA)


@pytest.mark.parametrize("feed", [(24,), (12, 4, 2)])
def test_network(feed):
    x = tokens(6, 9, 30)
    check_model(lambda: awake(program.ExpertGPT(**SMALL, feed=feed)), x, x.roll(-1, 1), classes=30, causal=True, skip=DATA if len(feed) > 1 else ())


def layer_of(num_experts: int = 6, num_chosen: int = 2, seed: int = 0) -> nn.Module:
    """Return experts whose router is far from even."""
    torch.manual_seed(seed)
    layer = awake(program.Experts(16, 8, num_experts, num_chosen))
    with torch.no_grad():
        layer.router.weight *= 16
    return layer


# --- what is computed


@pytest.mark.parametrize("num_chosen", [1, 2, 6])
def test_the_sparse_sum_is_that_of_all_experts_with_gates_of_zero(num_chosen):
    layer = layer_of(6, num_chosen)
    x = X.double()
    layer.double()
    probabilities = (x @ layer.router.weight.T / 4).softmax(2)  # (6, 5, experts)
    least = probabilities.sort(2, descending=True).values[:, :, num_chosen - 1 : num_chosen]
    gates = probabilities * (probabilities >= least)
    if num_chosen > 1:
        gates = gates / gates.sum(2, keepdim=True)
    expected = sum(gates[:, :, [number]] * expert(x) for number, expert in enumerate(layer.experts))
    torch.testing.assert_close(layer(x), expected, rtol=1e-9, atol=1e-12)
    assert ((gates > 0).sum(2) == num_chosen).all()


def test_gradients_are_those_of_the_naive_sum():
    layer = layer_of(6, 2)
    layer(X).square().sum().backward()
    found = {name: one.grad.clone() for name, one in layer.named_parameters()}
    layer.zero_grad()
    probabilities = (X @ layer.router.weight.T / 4).softmax(2)
    gates = probabilities * (probabilities >= probabilities.sort(2, descending=True).values[:, :, 1:2])
    gates = gates / gates.sum(2, keepdim=True)
    sum(gates[:, :, [number]] * expert(X) for number, expert in enumerate(layer.experts)).square().sum().backward()
    for name, one in layer.named_parameters():
        torch.testing.assert_close(found[name], one.grad, rtol=1e-3, atol=1e-4)


def test_experts_that_are_alike_are_one_dense_network():
    """Gates sum to 1, so that experts with the same weights answer as any one of them."""
    layer = layer_of(4, 3)
    for expert in layer.experts:
        expert.load_state_dict(layer.experts[0].state_dict())
    torch.testing.assert_close(layer(X), layer.experts[0](X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_chosen", [1, 2])
def test_the_router_learns_from_the_loss_of_the_text(num_chosen):
    layer = layer_of(6, num_chosen)
    (layer(X) * torch.randn(X.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert layer.router.weight.grad.abs().max() > 1e-3


@pytest.mark.parametrize("num_chosen", [0, 5, 9])
def test_more_experts_than_there_are_is_told(num_chosen):
    with pytest.raises(ValueError, match=f"of 4 experts a token can have 1 to 4, not {num_chosen}"):
        program.Experts(16, 8, 4, num_chosen)


def test_the_network_has_what_its_setting_says():
    model = program.ExpertGPT(**SMALL, feed=(24, 5, 2))
    dense = program.ExpertGPT(**SMALL, feed=(48,))
    assert [len(layer.experts) for layer in model.sparse()] == [5, 5] and dense.sparse() == []
    count = sum(one.numel() for one in dense.parameters())
    assert dense.active() == count
    assert model.active() == count + 2 * 5 * 16, "a token passes through two experts of half the width, and the router"
    assert sum(one.numel() for one in model.parameters()) == model.active() + 2 * 3 * 2 * 16 * 24
    assert not model(torch.arange(8)[None]).any(), "an untrained network holds all tokens equally likely"


def test_the_settings_compare_equal_compute():
    """Experts have as many active parameters as the dense network, but for the router; the wide one has as many in all."""
    made = {name: program.ExpertGPT(**program.SIZES, feed=setting.feed) for name, setting in program.SETTINGS.items()}
    total = {name: sum(one.numel() for one in model.parameters()) for name, model in made.items()}
    for name in ("no balancing", "balance loss", "bias"):
        assert total["dense"] < made[name].active() < 1.02 * total["dense"]
        assert total["wide"] < total[name] < 1.01 * total["wide"]


# --- balance


def test_the_load_is_the_share_of_each_expert():
    layer = layer_of(6, 2)
    layer(X)
    _, chosen, _ = layer.route(X.flatten(0, 1))
    expected = [(chosen == number).sum().item() / 60 for number in range(6)]
    np.testing.assert_allclose(layer.load(), expected, rtol=1e-6)
    assert layer.load().std() > 0.02


def test_the_balance_loss_is_that_of_its_formula():
    layer = layer_of(6, 2)
    layer(X)
    probability = (X @ layer.router.weight.T / 4).softmax(2).mean((0, 1))
    expected = 6 * sum(share * mean for share, mean in zip(layer.load().tolist(), probability.tolist()))
    assert program.balance_loss(layer).item() == pytest.approx(expected, rel=1e-5) and expected > 1
    with torch.no_grad():
        layer.router.weight.zero_()
    layer(X)
    assert program.balance_loss(layer).item() == pytest.approx(1)
    with torch.no_grad():  # one expert has everything
        layer.num_chosen = 1
        layer.router.weight[:] = 0
        layer.router.weight[2] = 400
    layer(X.abs())
    assert program.balance_loss(layer).item() == pytest.approx(6, rel=1e-3)


def test_the_balance_loss_reaches_the_router_and_evens_the_load():
    layer = layer_of(6, 2)
    x = torch.randn(40, 20, 16, generator=torch.Generator().manual_seed(2)) + 1
    layer(x)
    before = layer.load().max()
    optimizer = torch.optim.SGD(layer.parameters(), 5.0)
    for _ in range(100):
        layer(x)
        optimizer.zero_grad()
        program.balance_loss(layer).backward()
        assert layer.router.weight.grad is not None and layer.experts[0].up.weight.grad is None
        optimizer.step()
    layer(x)
    assert before > 0.25 and layer.load().max() < 0.2


def test_the_bias_rises_where_the_load_is_small():
    layer = layer_of(6, 2)
    layer(X)
    load = layer.load()
    program.move_bias(layer, 0.25)
    np.testing.assert_allclose(layer.bias, 0.25 * np.sign(1 / 6 - load.numpy()))


def test_the_bias_evens_the_load():
    layer = layer_of(6, 2)
    x = torch.randn(40, 20, 16, generator=torch.Generator().manual_seed(2)) + 1
    layer(x)
    before = layer.load().max()
    for _ in range(200):
        program.move_bias(layer, 0.005)
        layer(x)
    assert before > 0.25 and layer.load().max() < 0.2


def test_the_bias_decides_who_is_chosen_and_not_with_what_gate():
    layer = layer_of(6, 2)
    x = X.flatten(0, 1)
    layer.bias[3] = 10  # now always chosen
    probabilities, chosen, gates = layer.route(x)
    assert (chosen == 3).any(1).all()
    kept = (x @ layer.router.weight.T / 4).softmax(1)
    np.testing.assert_allclose(probabilities.detach(), kept.detach(), rtol=1e-5)
    own = kept.gather(1, chosen)
    np.testing.assert_allclose(gates.detach(), (own / own.sum(1, keepdim=True)).detach(), rtol=1e-5)


def test_what_balances_is_kept_with_the_weights():
    layer = layer_of()
    layer.bias += 1
    assert torch.equal(layer.state_dict()["bias"], torch.ones(6))


# --- training

TEXT = torch.tensor([0, 1, 2, 3, 0, 1, 5] * 40)


def test_training_is_repeatable_and_learns():
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        model = program.ExpertGPT(**SMALL, feed=(12, 4, 2)).to(program.device)
        program.train(model, TEXT, 40, 0.02, 8, 12)
        losses.append(program.evaluate(model, TEXT, 12))
    assert losses[0] == losses[1] != losses[2] and losses[0] < 0.5
    with pytest.raises(ValueError, match="12 tokens are too few: 12"):
        program.train(model, TEXT[:12], 1, 0.02, 8, 12)


def test_the_rate_falls_to_nothing_and_what_balances_is_called_in_each_step(monkeypatch):
    rates, called = [], []
    step = torch.optim.AdamW.step

    def recorded(self, *given, **named):
        rates.append([group["lr"] for group in self.param_groups])
        held = [{id(one) for one in group["params"]} for group in self.param_groups]
        assert held == [{id(one) for one in model.blocks.parameters()}, {id(one) for one in (model.embedding.weight, model.head.weight)}]
        called.append("step")
        return step(self, *given, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    model = program.ExpertGPT(**SMALL, feed=(12, 4, 2)).to(program.device)
    program.train(model, TEXT, 4, 0.02, 8, 12, lambda: called.append("penalty") or 0.0, lambda: called.append("after"))
    assert np.array(rates) == pytest.approx(np.array([[0.02, 0.08], [0.015, 0.06], [0.01, 0.04], [0.005, 0.02]]))
    assert called == ["penalty", "step", "after"] * 4


def test_targets_are_the_next_tokens(monkeypatch):
    class Counter(nn.Module):
        """Answers the token after each, and is wrong in nothing."""

        def __init__(self):
            super().__init__()
            self.blocks, self.embedding, self.head = nn.ModuleList([nn.Linear(1, 1)]), nn.Linear(1, 1), nn.Linear(1, 1)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            """Return logits, (batch, time, 50), of (batch, time) tokens."""
            return (50 + 0 * self.head.weight) * nn.functional.one_hot((tokens + 1) % 50, 50)

    losses = []
    entropy = program.F.cross_entropy
    monkeypatch.setattr(program.F, "cross_entropy", lambda *given: losses.append(entropy(*given)) or losses[-1])
    program.train(Counter().to(program.device), torch.arange(50), 5, 0.0, 6, 7)
    assert max(one.item() for one in losses) < 1e-3


@pytest.mark.parametrize(("setting", "moved"), [({"weight": 30.0}, False), ({"bias_step": 0.1}, True), ({}, False)])
def test_a_setting_balances_by_what_it_says(setting, moved, monkeypatch):
    """A heavy balance loss evens the load in training; a bias moves only where there is a step for it."""
    monkeypatch.setattr(program, "LENGTH", 12)
    monkeypatch.setattr(program, "BATCH", 8)
    largest = {}
    for name, one in {"this": setting, "none": {}}.items():
        torch.manual_seed(1)
        model = program.ExpertGPT(**SMALL, feed=(12, 4, 1))
        with torch.no_grad():
            for layer in model.sparse():
                layer.router.weight *= 40
        model.to(program.device)
        program.fit(model, program.Setting((12, 4, 1), 0.02, **one), TEXT, 0.02, 60)
        assert all(bool(layer.bias.any()) == (moved and name == "this") for layer in model.sparse())
        largest[name] = program.loads(model, TEXT).max()
    assert largest["this"] < largest["none"] - 0.1 if setting else largest["this"] == largest["none"]


# --- measuring


def test_loads_are_those_of_the_whole_text(monkeypatch):
    monkeypatch.setattr(program, "LENGTH", 8)
    torch.manual_seed(0)
    model, text = awake(program.ExpertGPT(**SMALL, feed=(12, 5, 2))), torch.randint(30, (100,))
    shares = program.loads(model.to(program.device), text)
    assert shares.shape == (2, 5)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    counts = torch.zeros(2, 5)
    for at in range(0, 96, 8):
        model(text[None, at : at + 8].to(program.device))
        counts += torch.stack([layer.chosen.flatten().bincount(minlength=5) for layer in model.sparse()]).cpu()
    np.testing.assert_allclose(shares, counts / 192, atol=1e-6)


class Known(nn.Module):
    """A network whose loss is known: it gives the right token, 0, a logit."""

    def __init__(self):
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(0.0))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, time, 2), of (batch, time) tokens."""
        return torch.stack([self.logit, torch.tensor(0.0)]).expand(*tokens.shape, 2)


def test_the_best_in_validation_is_chosen():
    """The test part, where another is best, has no say."""
    data = {"valid": torch.tensor([0] * 15 + [1] * 5), "test": torch.tensor([0] * 20)}
    answers = {0.1: 3.0, 0.2: 1.5, 0.3: 1.5, 0.4: 9.0}
    fitted = []

    def fit(model, rate):
        fitted.append(torch.rand(()).item())
        model.logit.data.fill_(answers[rate])

    model, found = program.choose(Known, fit, tuple(answers), data, 4, seed=5)
    assert found["rate"] == 0.2 and model.logit == 1.5
    assert found["test"] == pytest.approx(math.log2(1 + math.exp(-1.5)), rel=1e-5)
    assert found["valid"] == min(found["tried"].values()) and list(found["tried"]) == ["0.1", "0.2", "0.3", "0.4"]
    assert len(set(fitted)) == 1, "the rates do not begin alike"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the program small; return its folder and what it measured."""
    out = tmp_path_factory.mktemp("experts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SIZES", SMALL | {"vocabulary_size": 256})
        patch.setattr(program, "RATES", (0.01, 0.02))
        return out, program.main(out, size=100_000, steps=4, tune=True)


def test_main_writes_its_results(ran):
    out, metrics = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in out.iterdir()} == {"metrics.json", "load.svg"}
    assert list(metrics) == ["dense", "no_balancing", "balance_loss", "bias", "wide"]
    for one in metrics.values():
        assert list(one["tried"]) == ["0.01", "0.02"] and 3 < one["test"] < 8 and one["valid"] == one["tried"][str(one["rate"])]
    assert all(("largest" in one) == (one["parameters"] != one["active"]) for one in metrics.values())


def test_without_tuning_the_rates_are_those_that_were_best(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "SIZES", SMALL | {"vocabulary_size": 256})
    metrics = program.main(tmp_path, seed=3, size=100_000, steps=1)
    for name, setting in program.SETTINGS.items():
        assert metrics[name.replace(" ", "_")]["rate"] == setting.rate


def test_experts_that_are_never_chosen_are_counted(tmp_path, monkeypatch):
    """A router that a bias keeps from three of eight experts leaves them unused, and that is told."""
    def shut(model, setting, *_):
        for layer in model.sparse():
            layer.bias[:3] = -10

    monkeypatch.setattr(program, "SIZES", SMALL | {"vocabulary_size": 256})
    monkeypatch.setattr(program, "fit", shut)
    metrics = program.main(tmp_path, seed=1, size=100_000, steps=1)
    assert metrics["no_balancing"]["unused"] == 6, "three in each of two layers"
    assert 0.2 <= metrics["no_balancing"]["largest"] <= 0.5
