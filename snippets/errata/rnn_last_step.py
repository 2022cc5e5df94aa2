# --8<-- [start:program]
"""The listing's `out[:, -1, :]` reads padding, but for the longest."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class RNN(nn.Module):
    """The network that takes the last step of the batch."""

    def __init__(
        self, input_size: int, hidden_size: int, layers: int, classes: int
    ):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, classes), of (batch, time, input_size)."""
        out, _ = self.lstm(x)  # (batch, time, hidden)
        return self.fc(out[:, -1, :])  # the last column, padding or not


class LastValid(RNN):
    """The repair: the output at the last step that belongs to the sequence."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Take the length of each sequence too, (batch,)."""
        out, _ = self.lstm(x)  # (batch, time, hidden)
        return self.fc(out[torch.arange(len(x)), lengths - 1])


class Packed(RNN):
    """The other repair: the padding never enters the network."""

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Take the length of each sequence too, (batch,)."""
        packed = pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        _, (hidden, _) = self.lstm(packed)  # (layers, batch, hidden)
        return self.fc(hidden[-1])  # of each sequence at its own end
# --8<-- [end:program]


# --8<-- [start:task]
def batch(
    count: int, longest: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return sequences of 3 to `longest` symbols out of 8, zeros behind.

    Returns (count, time, 8), the lengths, (count,), and the answers,
    (count,): the last symbol of each sequence, the easiest of all questions
    to a recurrent network.
    """
    lengths = torch.randint(3, longest + 1, (count,))
    symbols = [torch.randint(8, (int(length),)) for length in lengths]
    vectors = [torch.eye(8)[line] for line in symbols]
    answers = torch.tensor([int(line[-1]) for line in symbols])
    return pad_sequence(vectors, batch_first=True), lengths, answers


def train(model: RNN, longest: int, steps: int = 150) -> None:
    """Train on new batches of 64."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        x, lengths, y = batch(64, longest)
        logits = model(x) if type(model) is RNN else model(x, lengths)
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, y).backward()
        optimizer.step()


@torch.inference_mode()
def evaluate(model: RNN, longest: int) -> dict[str, float]:
    """Return the accuracy on 1,000 sequences, each alone and in a batch."""
    x, lengths, y = batch(1000, longest)
    take = (lambda x, _: model(x)) if type(model) is RNN else model
    together = take(x, lengths).argmax(1)
    alone = [
        take(x[[row], : lengths[row]], lengths[[row]])
        for row in range(len(x))
    ]
    alone = torch.cat(alone).argmax(1)
    return {
        "alone": (alone == y).float().mean().item(),
        "batch": (together == y).float().mean().item(),
        "changed": (alone != together).float().mean().item(),
    }
# --8<-- [end:task]


# --8<-- [start:main]
def main() -> dict[str, dict[str, float]]:
    """Train the three and print how each fares; return the accuracies.

    The fourth has learned as the second, and reads its answer as the first.
    """
    sizes = {"input_size": 8, "hidden_size": 32, "layers": 2, "classes": 8}
    models = {}
    for kind in (RNN, LastValid, Packed):
        torch.manual_seed(0)
        models[kind.__name__] = kind(**sizes)
        train(models[kind.__name__], longest=40)
    mixed = RNN(**sizes)
    mixed.load_state_dict(models["LastValid"].state_dict())
    models["RNN, weights of LastValid"] = mixed
    found = {}
    print("sequences of 3 to 40 symbols; accuracy, 0.125 is guessing")
    for name, model in models.items():
        torch.manual_seed(1)
        found[name] = evaluate(model, longest=40)
        parts = [f"{part} {share:.3f}" for part, share in found[name].items()]
        print(f"{name:25} {', '.join(parts)}")
    return found


if __name__ == "__main__":
    main()
# --8<-- [end:main]
