"""Each faulty listing fails as the page says."""

import pytest
import torch
from conftest import load_snippet
from model_checks import check_fault


def test_missing_import_shows_at_the_first_image():
    program = load_snippet("errata/cnn_missing_import")
    net = program.Net()
    with check_fault(program.Net, "F is not imported", NameError, "name 'F' is not defined"):
        net(torch.zeros(1, 3, 32, 32))


def test_wrong_size(capsys):
    program = load_snippet("errata/cnn_wrong_size")
    with pytest.raises(RuntimeError, match=r"shape '\[-1, 2304\]' is invalid for input of size 16384"):
        program.convolutions(torch.zeros(4, 3, 32, 32)).view(-1, 64 * 6 * 6)
    program.main()
    printed = capsys.readouterr().out
    assert "RuntimeError: shape '[-1, 2304]' is invalid for input of size 16384" in printed
    assert "nn.Linear(4096, 128) returns (4, 128)" in printed


def test_view_hides_the_mistake_at_multiples_of_nine(capsys):
    program = load_snippet("errata/cnn_hidden_by_view")
    x = program.convolutions(torch.zeros(36, 3, 32, 32))
    assert program.classifier(x.view(-1, 64 * 6 * 6)).shape == (64, 10)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        program.classifier(x.flatten(1))
    program.main()
    printed = capsys.readouterr().out
    assert "36 images, 64 predictions" in printed
    assert "Expected input batch_size (64) to match target batch_size (36)" in printed
    assert "[9, 18, 27, 36, 45, 54, 63]" in printed
