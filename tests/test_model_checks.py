"""The checks of model_checks accept a good model and reject each fault, in words."""

import pytest
import torch
import torch.nn.functional as F
from model_checks import (
    check_batch_is_learned, check_batch_of_one, check_device, check_eight_bits, check_export, check_fault, check_first_loss,
    check_future_is_hidden, check_gradients_are_fresh, check_losses_get_logits, check_model, check_modes, check_padding_is_ignored, check_samples_are_separate, check_seed,
    check_state_is_saved, check_step, tokens,
)
from torch import nn

CLASSES = 6
NUMBERS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % CLASSES
TOKENS = tokens(8, 7, 20, padding=0)
NEXT = torch.where(TOKENS == 0, -100, (5 * TOKENS + 2) % CLASSES)


class Classifier(nn.Module):
    """A good model of numbers, (batch, 5)."""

    def __init__(self):
        super().__init__()
        self.hidden, self.output = nn.Linear(5, 64), nn.Linear(64, CLASSES)

    def read(self, x):
        return torch.tanh(self.hidden(x))

    def forward(self, x):
        return self.output(self.read(x))


class Reader(nn.Module):
    """A good causal model of tokens, (batch, time), padded behind by 0: it answers at each."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 32, padding_idx=0)
        self.memory = nn.LSTM(32, 32, batch_first=True)
        self.output = nn.Linear(32, CLASSES)

    def forward(self, x):
        return self.output(self.memory(self.embedding(x))[0])


class LastReader(Reader):
    """A good model of the same with one answer, (batch, classes), where a sequence ends."""

    def forward(self, x):
        return super().forward(x)[torch.arange(len(x), device=x.device), (x != 0).sum(1) - 1]


def test_good_models_pass():
    check_model(Classifier, NUMBERS, LABELS, CLASSES)
    check_model(Reader, TOKENS, NEXT, CLASSES, padding=0, causal=True)
    check_model(LastReader, TOKENS, LABELS, CLASSES, padding=0)
    check_model(WithDropout, NUMBERS, LABELS, CLASSES)
    check_model(WithBatchNorm, NUMBERS, LABELS, CLASSES, skip=["one"])  # of one sample there is no variance


def test_nothing_is_skipped_by_a_misspelled_name():
    with pytest.raises(AssertionError, match="no such check"):
        check_model(Classifier, NUMBERS, LABELS, CLASSES, skip=["learnt"])


class WithDropout(Classifier):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        return self.output(self.dropout(self.read(x)))


class WithBatchNorm(Classifier):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(64)

    def forward(self, x):
        return self.output(self.norm(self.read(x)))


# --- one fault each


class TooLoud(Classifier):
    def forward(self, x):
        return 20 * super().forward(x)


class ClassMissing(Classifier):
    def forward(self, x):
        return super().forward(x)[:, :-1]


class Unused(Classifier):
    def __init__(self):
        super().__init__()
        self.forgotten = nn.Linear(5, 5)


class Detached(Classifier):
    def forward(self, x):
        return self.output(self.read(x).detach())


class Multiplied(Classifier):
    """A layer that begins at 0, behind another: the first receives no gradient."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.output.weight)


class Frozen(Classifier):
    def __init__(self):
        super().__init__()
        self.hidden.weight.register_hook(lambda gradient: gradient * torch.nan)


class Softmaxed(Classifier):
    def forward(self, x):
        return super().forward(x).softmax(1)


class Blind(Classifier):
    """It sees one of five numbers, the same in two samples: it cannot learn both by heart."""

    def forward(self, x):
        return super().forward(torch.ones_like(x) * x[:, :1].round())


class OwnSeed(Classifier):
    def __init__(self):
        super().__init__()
        nn.init.normal_(self.output.weight, generator=torch.Generator().manual_seed(torch.seed() % 2**32))


class SeedFixed(Classifier):
    def __init__(self):
        torch.manual_seed(3)
        super().__init__()


class Centered(Classifier):
    """Normalizes over the batch by hand."""

    def forward(self, x):
        x = self.read(x)
        return self.output(x - x.mean(0))


class CenteredInTraining(Classifier):
    def forward(self, x):
        x = self.read(x)
        return self.output(x - x.mean(0) if self.training else x)


class BatchIsTime(Reader):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(32, 32)


class RandomLogits(Classifier):
    """It does not look."""

    def forward(self, x):
        return super().forward(0 * x)


class Squeezed(Classifier):
    def forward(self, x):
        return super().forward(x).squeeze()


class BothWays(Reader):
    def __init__(self):
        super().__init__()
        self.memory, self.output = nn.LSTM(32, 32, batch_first=True, bidirectional=True), nn.Linear(64, CLASSES)


class OneStepAhead(Reader):
    """A mask that is off by one, as `triu(2)` in the place of `triu(1)`."""

    def forward(self, x):
        return super().forward(x).roll(-1, 1)


class Forgetful(Reader):
    def forward(self, x):
        return self.output(torch.tanh(self.embedding(x)) @ self.memory.weight_hh_l0[:32])


class LastStep(Reader):
    def forward(self, x):
        return super().forward(x)[:, -1]


class MeanOverPadding(Reader):
    """No number of the padding counts, but how many there are."""

    def forward(self, x):
        return (super().forward(x) * (x != 0)[..., None]).mean(1)


class AlwaysDropped(Classifier):
    def forward(self, x):
        return self.output(F.dropout(self.read(x)))


class HiddenDropout(Classifier):
    def forward(self, x):
        return self.output(F.dropout(self.read(x), 0.5, self.training))


class UnusedDropout(WithDropout):
    def forward(self, x):
        return self.output(self.read(x))


class Unsaved(Classifier):
    """A random table outside the state."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.randn(5, 5), persistent=False)

    def forward(self, x):
        return super().forward(x @ self.table)


class Homebound(Classifier):
    def forward(self, x):
        return super().forward(x + torch.zeros(5))


class Unregistered(Classifier):
    """A tensor that `to` does not find."""

    def __init__(self):
        super().__init__()
        self.scale = torch.ones(5)

    def forward(self, x):
        return super().forward(x * self.scale)


class NoEmbedding(Reader):
    def forward(self, x):
        return self.output(self.memory(F.one_hot(x, 32).float())[0])


def first_loss(make):
    check_first_loss(make, NUMBERS, LABELS, CLASSES)


def step(make):
    check_step(make, NUMBERS, LABELS)


def learned(make):
    check_batch_is_learned(make, NUMBERS, LABELS, CLASSES)


def seed(make):
    check_seed(make, NUMBERS, LABELS)


def samples(make):
    if issubclass(make, Reader):
        check_samples_are_separate(make, TOKENS, NEXT)
    else:
        check_samples_are_separate(make, NUMBERS, LABELS)


def one(make):
    check_batch_of_one(make, NUMBERS)


def future(make):
    check_future_is_hidden(make, TOKENS, NEXT)


def padding(make):
    check_padding_is_ignored(make, TOKENS, LABELS, 0)


def modes(make):
    check_modes(make, NUMBERS)


def state(make):
    check_state_is_saved(make, NUMBERS)


def device(make):
    check_device(make, NUMBERS)


@pytest.mark.parametrize(("check", "faulty", "message"), [
    (first_loss, TooLoud, "not near ln 6"),
    (first_loss, ClassMissing, "tells 5 classes apart, not 6"),
    (step, Unused, "forgotten.weight receives no gradient"),
    (step, Detached, "hidden.weight receives no gradient"),
    (step, Multiplied, "hidden.weight receives a gradient of zeros"),
    (step, Frozen, "hidden.weight receives a gradient that is not finite"),
    (learned, Softmaxed, "not learned by heart"),
    (learned, Blind, "not learned by heart"),
    (seed, OwnSeed, "two runs with one seed differ"),
    (seed, SeedFixed, "another seed changes nothing"),
    (samples, Centered, "in evaluation the answer to sample 0 depends on sample"),
    (samples, CenteredInTraining, "in training the answer to sample 0 depends on sample"),
    (samples, BatchIsTime, "in evaluation the answer to sample 1 depends on sample 0"),
    (samples, RandomLogits, "does not depend on input 0"),
    (samples, NoEmbedding, "no nn.Embedding reads input 0"),
    (one, Squeezed, r"gives \(6,\) in evaluation, not \(1, 6\)"),
    (one, WithBatchNorm, "fails in training"),
    (future, BothWays, "in evaluation position 0 sees its future"),
    (future, OneStepAhead, "in evaluation position 0 sees its future"),
    (future, Forgetful, "in evaluation position 1 does not see its past"),
    (padding, LastStep, "the padding of input 0 leaks"),
    (padding, MeanOverPadding, "more padding changes the answers"),
    (modes, AlwaysDropped, "two answers in evaluation differ"),
    (modes, HiddenDropout, "by more than the layers for dropout"),
    (modes, CenteredInTraining, "by more than the layers for dropout"),
    (modes, UnusedDropout, "there is dropout, but"),
    (state, Unsaved, "saved and loaded answers otherwise"),
    (device, Homebound, "does not run on"),
    (device, Unregistered, "does not run on"),
])
def test_fault_is_found(check, faulty, message):
    check(Reader if check is future else LastReader if check is padding else Classifier)  # what is good passes
    with pytest.raises(AssertionError, match=message):
        check(faulty)


def test_other_numbers_in_the_padding_are_seen():
    x, hidden = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) > torch.tensor([[5], [2], [3], [4]])

    class Mean(nn.Module):
        def forward(self, x):
            return (x.sign() if self.careless else x.masked_fill(hidden[..., None], 0)).mean(1)

    Mean.careless = False
    check_padding_is_ignored(Mean, x, LABELS[:4], hidden)
    Mean.careless = True  # the gradient of a sign is 0 everywhere
    with pytest.raises(AssertionError, match="other numbers in the padding change the answers"):
        check_padding_is_ignored(Mean, x, LABELS[:4], hidden)


def test_export_is_compared_output_by_output():
    model = Classifier()
    right = model(NUMBERS).detach().numpy()
    check_export(lambda x: [right], model, x=NUMBERS)
    for wrong in ([right + 0.001], [right, right]):
        with pytest.raises(AssertionError):
            check_export(lambda x: wrong, model, x=NUMBERS)


def test_a_fault_that_is_repaired_is_told():
    with check_fault(Classifier, "it was never right", ValueError, "seven"):
        raise ValueError("seven is too many")
    with pytest.raises(AssertionError, match="Classifier does not fail, though it was never right"):
        with check_fault(Classifier, "it was never right", ValueError):
            pass
    with pytest.raises(AssertionError, match="fails otherwise"):
        with check_fault(Classifier, "it was never right", ValueError, "seven"):
            raise ValueError("eight")


def test_eight_bits_must_be_eight_bits():
    with pytest.raises(AssertionError, match="no weight is stored in 8 bits"):
        check_eight_bits(Classifier(), lambda model: model, nn.Module)


# --- loops of training


def train(clear, batches=4, parts=1):
    """Train with gradients that are cleared by `clear`, each batch in parts."""
    torch.manual_seed(0)
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch in torch.randn(batches, parts, 8, 5):
        clear(optimizer)
        for part in batch:
            F.cross_entropy(model(part), LABELS).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()


def test_gradients_of_this_step_are_fresh():
    with check_gradients_are_fresh():
        train(lambda optimizer: optimizer.zero_grad())
        train(lambda optimizer: optimizer.zero_grad(set_to_none=False))
        train(lambda optimizer: optimizer.zero_grad(), parts=2)  # accumulated on purpose


def test_gradients_that_add_up_are_found():
    with pytest.raises(AssertionError, match="call optimizer.zero_grad"), check_gradients_are_fresh():
        train(lambda optimizer: None)


def test_a_softmax_before_the_loss_is_found():
    logits = torch.randn(8, 3)
    with check_losses_get_logits():
        F.cross_entropy(logits, LABELS[:8] % 3)
        F.cross_entropy(torch.zeros(8, 3), LABELS[:8] % 3)
        with pytest.raises(AssertionError, match="leave the softmax out"):
            F.cross_entropy(logits.softmax(1), LABELS[:8] % 3)
