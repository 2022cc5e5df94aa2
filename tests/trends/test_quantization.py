"""Quantization: rounding, packing, and what it costs."""

import math

import pytest
import torch
from conftest import load_snippet
from data_checks import check_balance, check_split, shares
from model_checks import check_model

quantization = load_snippet("trends/quantization")


@pytest.mark.parametrize("bits", quantization.BITS)
@pytest.mark.parametrize("by_row", [False, True])
def test_rounding_errs_by_half_a_step_at_most(bits, by_row):
    torch.manual_seed(bits)
    weight = torch.randn(7, 13) * torch.rand(7, 1)
    numbers, scale = quantization.quantize(weight, bits, by_row)
    assert scale.shape == ((7, 1) if by_row else (1, 1))
    assert numbers.abs().max() == 2 ** (bits - 1) - 1
    assert ((numbers * scale - weight).abs() <= scale / 2 + 1e-6).all()


@pytest.mark.parametrize("bits", quantization.BITS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (16, 8)])
def test_packing_loses_nothing_and_wastes_nothing(bits, shape):
    largest = 2 ** (bits - 1) - 1
    numbers = torch.randint(-largest, largest + 1, shape, dtype=torch.int8)
    stored = quantization.pack(numbers, bits)
    assert stored.nbytes == math.ceil(numbers.numel() * bits / 8)
    assert torch.equal(quantization.unpack(stored, bits, numbers.shape), numbers.to(torch.int16))


def test_parts_do_not_overlap():
    images, labels, test, test_labels = quantization.load_data()
    assert [len(images), len(test)] == [1257, 540]
    check_split(images, test)
    check_balance(test_labels, shares(labels), 0.005)


def test_zero_weights_stay_zero():
    numbers, scale = quantization.quantize(torch.zeros(3, 4), 4, True)
    assert (numbers * scale == 0).all() and scale.isfinite().all()


def test_network():
    torch.manual_seed(0)
    nothing = torch.zeros(1, 64), torch.zeros(1, dtype=torch.long)
    check_model(lambda: quantization.train(*nothing, seed=torch.initial_seed(), epochs=0), torch.rand(8, 64), torch.arange(8), classes=10)


def test_compressing_leaves_the_model_alone():
    images, labels, test, test_labels = quantization.load_data()
    model = quantization.train(images, labels, seed=0, epochs=3)
    before = quantization.evaluate(model, test, test_labels)
    scores, sizes = {}, {}
    for bits in (8, 2):
        small, sizes[bits] = quantization.compress(model, bits, by_row=False)
        scores[bits] = quantization.evaluate(small, test, test_labels)
    assert quantization.evaluate(model, test, test_labels) == before > 0.85
    assert abs(scores[8] - before) < 0.01 and scores[2] < before - 0.02
    assert sizes[8] > 3 * sizes[2]


def test_main(tmp_path):
    metrics = quantization.main(tmp_path, runs=2, epochs=2)
    assert (tmp_path / "quantization.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert metrics["one scale a row"]["bits_4"]["bytes"] < metrics["full"]["bytes"] / 6
