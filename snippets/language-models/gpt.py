# --8<-- [start:setup]
"""Train a small GPT on bytes of text, and let it write."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:model]
def normalize(x: Tensor) -> Tensor:
    """Give each vector, (..., size), the mean 0 and the variance 1."""
    return F.layer_norm(x, x.shape[-1:])


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair of numbers of x, (..., time, size), by its angle.

    J. Su et al., RoFormer: enhanced Transformer with rotary position
    embedding, 2021. The pair of a number is half a vector away. The angles
    are (time, size / 2).
    """
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)  # each (..., time, size / 2)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Each position gathers from itself and the positions before it."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return (batch, time, hidden) of the same; angles: (time, size/2)."""
        q, k, v = (
            layer(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )  # each (batch, heads, time, size)
        q, k = rotate(normalize(q), angles), rotate(normalize(k), angles)
        scores = q @ k.mT / math.sqrt(q.shape[3])  # (batch, heads, time, time)
        future = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(dim=3)
        mixed = (weights @ v).transpose(1, 2)  # (batch, time, heads, size)
        return self.output(mixed.flatten(2))


class Block(nn.Module):
    """Attention, then a small network at each position by itself."""

    def __init__(self, hidden_size: int, num_heads: int, dropout: float):
        super().__init__()
        self.attention = Attention(hidden_size, num_heads)
        self.up = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.down = nn.Linear(4 * hidden_size, hidden_size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return (batch, time, hidden) of the same; angles: (time, size/2)."""
        x = x + self.dropout(self.attention(normalize(x), angles))
        wide = self.up(normalize(x))  # (batch, time, 4 * hidden)
        return x + self.dropout(self.down(F.relu(wide).square()))


class GPT(nn.Module):
    """A decoder-only Transformer that predicts the next token."""

    def __init__(self, vocabulary_size: int, hidden_size: int,
                 num_layers: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        if hidden_size % (2 * num_heads):
            raise ValueError(f"{num_heads} heads need a hidden size that "
                             f"{2 * num_heads} divides, not {hidden_size}")
        self.embedding = nn.Embedding(vocabulary_size, hidden_size)
        self.blocks = nn.ModuleList(
            Block(hidden_size, num_heads, dropout) for _ in range(num_layers)
        )
        self.head = nn.Linear(hidden_size, vocabulary_size, bias=False)
        pairs = hidden_size // num_heads // 2  # in a head
        speed = 10000 ** -(torch.arange(pairs) / pairs)  # (pairs,)
        self.register_buffer("speed", speed, persistent=False)
        for block in self.blocks:  # at first a block changes nothing
            nn.init.zeros_(block.attention.output.weight)
            nn.init.zeros_(block.down.weight)
        nn.init.zeros_(self.head.weight)  # and all tokens are equally likely

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (batch, time, vocabulary), of (batch, time) tokens.

        Those at a position are for the token after it.
        """
        time = torch.arange(tokens.shape[1], device=tokens.device)  # (time,)
        angles = time[:, None] * self.speed  # (time, pairs): radians
        x = normalize(self.embedding(tokens))  # (batch, time, hidden)
        for block in self.blocks:
            x = block(x, angles)
        return self.head(normalize(x))
# --8<-- [end:model]


# --8<-- [start:train]
def draw_batch(
    tokens: Tensor, size: int, length: int
) -> tuple[Tensor, Tensor]:
    """Return inputs and targets, each (size, length), out of (n,) tokens.

    They begin anywhere. The target at a position is the token after it.
    """
    if len(tokens) <= length:
        raise ValueError(f"{len(tokens)} tokens are too few: {length} + 1")
    starts = torch.randint(len(tokens) - length, (size, 1))
    pieces = tokens[starts + torch.arange(length + 1)]  # (size, length + 1)
    return pieces[:, :-1].to(device), pieces[:, 1:].to(device)


def train(
    model: GPT, tokens: Tensor, steps: int, batch_size: int, length: int,
    rate: float = 0.02, watch: Callable[[int], None] = lambda step: None,
) -> list[float]:
    """Train on (n,) tokens; return the loss of each step, in nats a token.

    `watch` is called after each tenth of the steps. The matrices of the
    blocks learn by Muon: K. Jordan et al., 2024.
    """
    optimizers = [
        torch.optim.Muon(model.blocks.parameters(), rate),
        torch.optim.AdamW(
            [model.embedding.weight, model.head.weight], rate / 2,
            betas=(0.9, 0.95), weight_decay=0,
        ),
    ]
    schedules = [
        torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
        for optimizer in optimizers
    ]
    losses = []
    for step in range(1, steps + 1):
        model.train()
        inputs, targets = draw_batch(tokens, batch_size, length)
        logits = model(inputs)  # (batch_size, length, v)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        model.zero_grad()
        loss.backward()
        for optimizer, schedule in zip(optimizers, schedules):
            optimizer.step()
            schedule.step()
        losses.append(loss.item())
        if step * 10 // steps > (step - 1) * 10 // steps:
            watch(step)
    return losses
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def evaluate(model: nn.Module, tokens: Tensor, length: int) -> float:
    """Return the mean loss in nats of all (n,) tokens but the first.

    The model reads `length` tokens at a time, and knows nothing of those
    before; each loss counts once.
    """
    model.eval()
    rest = -(len(tokens) - 1) % length  # to fill the last row
    inputs = F.pad(tokens[:-1], (0, rest)).view(-1, length)
    targets = F.pad(tokens[1:], (0, rest), value=-100).view(-1, length)
    total = 0.0
    for some, wanted in zip(inputs.split(64), targets.split(64)):
        logits = model(some.to(device)).flatten(0, 1)  # (64 * length, v)
        total += F.cross_entropy(
            logits, wanted.flatten().to(device), ignore_index=-100,
            reduction="sum",
        ).item()
    return total / (len(tokens) - 1)


def bits(nats: float) -> float:
    """Turn a loss in nats into one in bits."""
    return nats / math.log(2)
# --8<-- [end:evaluate]


# --8<-- [start:sample]
@torch.inference_mode()
def sample(
    model: nn.Module, tokens: Tensor, count: int, length: int,
    temperature: float = 1.0, seed: int = 0,
) -> Tensor:
    """Return (n,) tokens with `count` more; the model reads `length` of them.

    A temperature below 1 makes likely tokens likelier.
    """
    model.eval()
    random = torch.Generator().manual_seed(seed)
    for _ in range(count):
        logits = model(tokens[None, -length:].to(device))[0, -1]  # (v,)
        chances = (logits / temperature).softmax(dim=0).cpu()  # (v,)
        drawn = torch.multinomial(chances, 1, generator=random)  # (1,)
        tokens = torch.cat([tokens, drawn])
    return tokens
# --8<-- [end:sample]
