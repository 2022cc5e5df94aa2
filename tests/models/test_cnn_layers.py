"""The layers from scratch are PyTorch's own."""

import json

import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet

layers = load_snippet("models/cnn_layers")
each_seed = pytest.mark.parametrize("seed", range(12))


def sizes(seed: int) -> tuple[int, ...]:
    """Return random (batch, channels, outputs, height, width, kernel, stride, padding)."""
    torch.manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, ()))

    return draw(1, 4), draw(1, 5), draw(1, 6), draw(5, 14), draw(5, 14), draw(1, 5), draw(1, 3), draw(0, 2)


@each_seed
def test_convolution_is_conv2d(seed):
    batch, channels, outputs, height, width, size, stride, padding = sizes(seed)
    image, weight, bias = torch.randn(batch, channels, height, width), torch.randn(outputs, channels, size, size), torch.randn(outputs)
    ours = layers.convolution(image, weight, bias, stride, padding)
    torch.testing.assert_close(ours, F.conv2d(image, weight, bias, stride, padding), rtol=1e-5, atol=1e-5)


@each_seed
def test_max_pooling_is_max_pool2d(seed):
    batch, channels, _, height, width, size, stride, padding = sizes(seed)
    padding = min(padding, size // 2)  # more is refused by PyTorch
    image = torch.randn(batch, channels, height, width) - 3  # mostly negative: zeros of a padding would win
    ours = layers.max_pooling(image, size, stride, padding)
    torch.testing.assert_close(ours, F.max_pool2d(image, size, stride, padding), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layers.max_pooling(image, size), F.max_pool2d(image, size), rtol=1e-5, atol=1e-5)


@each_seed
def test_fully_connected_is_linear(seed):
    batch, inputs, outputs, *_ = sizes(seed)
    x, weight, bias = torch.randn(batch, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    torch.testing.assert_close(layers.fully_connected(x, weight, bias), F.linear(x, weight, bias), rtol=1e-5, atol=1e-5)


def test_counts_are_those_of_pytorch():
    assert sum(p.numel() for p in torch.nn.Conv2d(3, 32, 3, padding=1).parameters()) == 896
    linear = torch.nn.Linear(3072, 32768, device="meta")
    assert sum(p.numel() for p in linear.parameters()) == 100_696_064


def test_main_writes_its_results(tmp_path):
    metrics = layers.main(tmp_path)
    assert metrics["parameters"] == {"convolution": 896, "fully_connected": 100_696_064}
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.glob("*.svg")} == {"convolution.svg", "pooling.svg", "fully_connected.svg"}
