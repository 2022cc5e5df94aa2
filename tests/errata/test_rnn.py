"""The faults of the recurrent network's listing fail as the page says."""

import torch
from conftest import load_snippet
from data_checks import check_balance
from model_checks import check_fault, check_model, check_padding_is_ignored

last_step = load_snippet("errata/rnn_last_step")


def make(kind):
    """Return a network with weights from seed 0."""
    torch.manual_seed(0)
    return kind(input_size=8, hidden_size=16, layers=2, classes=8).eval()


def test_listing_answers_otherwise_in_a_padded_batch_and_says_nothing():
    x, lengths, _ = last_step.batch(20, 30)
    model = make(last_step.RNN)
    together = model(x)
    assert together.isfinite().all()
    for row, length in enumerate(lengths):
        alone = model(x[row : row + 1, :length])
        same = torch.allclose(together[row], alone[0], atol=1e-5)
        assert same == (length == x.shape[1]), "only the longest sequence is answered as if alone"


SIZES = {"input_size": 8, "hidden_size": 16, "layers": 2, "classes": 8}


def batch():
    """Return random sequences, (count, time, 8), the lengths, (count,), the answers, (count,), and where padding is."""
    torch.manual_seed(0)
    x, lengths, y = last_step.batch(8, 9)
    return x, lengths, y, torch.arange(x.shape[1]) >= lengths[:, None]


def test_listing_reads_its_answer_from_the_padding():
    x, _, y, padding = batch()
    with check_fault(last_step.RNN, "it takes the last step of the batch", AssertionError, "the padding of input 0 leaks"):
        check_padding_is_ignored(lambda: last_step.RNN(**SIZES), x, y, padding)


def test_repairs_pass_what_every_model_must():
    x, lengths, y, padding = batch()
    check_model(lambda: last_step.LastValid(**SIZES), (x, lengths), y, classes=8, padding=padding)
    # PyTorch packs by lengths that lie on the CPU
    check_model(lambda: last_step.Packed(**SIZES), (x, lengths), y, classes=8, padding=padding, skip=["device"])


def test_repairs_agree_and_padding_changes_nothing():
    x, lengths, _ = last_step.batch(20, 30)
    valid, packed = make(last_step.LastValid), make(last_step.Packed)
    torch.testing.assert_close(valid(x, lengths), packed(x, lengths), rtol=1e-5, atol=1e-5)
    longer = torch.cat([x, torch.zeros(20, 25, 8)], dim=1)
    for model in (valid, packed):
        torch.testing.assert_close(model(longer, lengths), model(x, lengths), rtol=1e-5, atol=1e-5)
        alone = torch.cat([model(x[row : row + 1, :length], lengths[row : row + 1]) for row, length in enumerate(lengths)])
        torch.testing.assert_close(model(x, lengths), alone, rtol=1e-5, atol=1e-5)


def test_answer_is_the_last_symbol():
    x, lengths, y = last_step.batch(50, 12)
    assert x.shape == (50, int(lengths.max()), 8)
    for row, length, answer in zip(x, lengths, y):
        assert row[length - 1].argmax() == answer
        assert row[:length].sum() == length and row[length:].sum() == 0


def test_guessing_is_right_once_in_eight():
    torch.manual_seed(0)
    check_balance(last_step.batch(8000, 40)[2], dict.fromkeys(range(8), 0.125), 0.015)


def test_damage(capsys):
    found = last_step.main()
    assert found["RNN"]["batch"] < 0.5 and found["RNN"]["alone"] < 0.5
    for kind in ("LastValid", "Packed"):
        assert found[kind]["batch"] > 0.95 and found[kind]["changed"] == 0
    mixed = found["RNN, weights of LastValid"]
    assert mixed["alone"] == found["LastValid"]["alone"]
    assert mixed["batch"] < 0.3 and mixed["changed"] > 0.7
    assert capsys.readouterr().out.count("\n") == 5


def test_every_network_begins_with_the_same_numbers(monkeypatch):
    """Else each run of the listing would print other shares than the page."""
    begun = []
    monkeypatch.setattr(last_step, "train", lambda model, longest: begun.append(torch.cat([one.detach().flatten() for one in model.parameters()])) or torch.rand(7))
    monkeypatch.setattr(last_step, "evaluate", lambda model, longest: {"alone": torch.rand(()).item()})
    for seed in (1, 2):
        torch.manual_seed(seed)
        begun.append(torch.tensor(list(last_step.main()["Packed"].values())))
    torch.testing.assert_close(begun[:4], begun[4:], rtol=0, atol=0)
