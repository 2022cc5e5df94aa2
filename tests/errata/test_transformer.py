"""Each faulty Transformer fails, or stays silent, as the page says."""

import torch
from conftest import load_snippet
from model_checks import check_fault, check_model, check_samples_are_separate


def test_undefined_names(capsys):
    program = load_snippet("errata/transformer_undefined_names")
    with check_fault(program.Transformer, "PositionalEncoding is not defined", NameError, "name 'PositionalEncoding' is not defined"):
        program.Transformer(10, 8)
    check_model(lambda: program.NoEncoding(8), torch.randn(4, 5, 8), torch.randint(8, (4, 5)))
    program.main()
    printed = capsys.readouterr().out
    assert "constructing it: NameError: name 'PositionalEncoding' is not defined" in printed
    assert "using it: NameError: name 'math' is not defined" in printed


def test_memory_as_mask_names_a_3d_shape():
    program = load_snippet("errata/transformer_memory_as_mask")
    said = program.decode(10, 7, 32, 64, 4)
    assert said == "RuntimeError: The shape of the 3D attn_mask is torch.Size([10, 32, 64]), but should be (128, 7, 7)."


def test_memory_as_mask_is_silent_where_the_sizes_agree():
    program = load_snippet("errata/transformer_memory_as_mask")
    said = program.decode(16, 8, 8, 8, 2)
    assert said.startswith("no error") and not said.endswith(" 0.0")
    program.main()


def test_one_layer_whatever_is_asked(capsys):
    program = load_snippet("errata/transformer_one_layer")

    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    with check_fault(program.Encoder, "num_layers is ignored", AssertionError):
        assert count(program.Encoder(64, 6, 4)) > count(program.Encoder(64, 1, 4))
    assert count(program.Repaired(64, 6, 4)) == 6 * count(program.Encoder(64, 1, 4))
    # (length, batch, hidden), as in the listing
    with check_fault(program.Repaired, "it has no batch_first, like the listing", AssertionError, "depends on sample"):
        check_samples_are_separate(lambda: program.Repaired(16, 2, 4), torch.randn(4, 5, 16), torch.zeros(4, 5).long())
    program.main()
    assert "281,152, 562,304, 1,686,912" in capsys.readouterr().out


def test_samples_mix_without_batch_first(capsys):
    program = load_snippet("errata/transformer_mixed_batch")
    assert (program.influence(batch_first=False) > 0.1).all()
    repaired = program.influence(batch_first=True)
    assert repaired[0] > 0.1 and (repaired[1:] == 0).all()
    program.main()
    assert "batch_first=True" in capsys.readouterr().out


def test_no_projection(capsys):
    program = load_snippet("errata/transformer_no_projection")
    output = torch.randn(2, 3, 8)
    assert "training would go on" in program.loss(output, torch.full((2, 3), 7))
    assert program.loss(output, torch.full((2, 3), 8)) == "IndexError: Target 8 is out of bounds."
    program.main()
    printed = capsys.readouterr().out
    assert "tokens up to 999: IndexError" in printed
    assert "tokens that can be predicted: 64 of 1000" in printed
