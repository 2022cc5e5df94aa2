# --8<-- [start:setup]
"""Tell praise from blame: an LSTM beside a linear model on bags of words."""

import csv
import io
import json
import math
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")


class Data(NamedTuple):
    """Texts as lists of words; 1 for praise, 0 for blame; how to measure.

    One of `folds` parts is the test; the first `measured` folds take their
    turn. A share `hide` of the words is hidden in training.
    """

    texts: list[list[str]]
    labels: list[int]
    folds: int
    measured: int
    epochs: int
    hide: float
# --8<-- [end:setup]


# --8<-- [start:invent]
GOOD = "good great funny clever warm moving".split()
BAD = "bad dull boring silly cold empty".split()


def clause(positive: bool, negated: bool, chance: random.Random) -> list[str]:
    """Return a clause that praises or blames; "not" turns its last word."""
    word = chance.choice(GOOD if positive != negated else BAD)
    subject = chance.choice("plot cast music ending script film".split())
    return ["the", subject, "was", *(["not"] if negated else []), word]


def invent(count: int = 4000, seed: int = 0) -> Data:
    """Write reviews by a rule: of two clauses that disagree, one decides.

    "A but B": B decides. "A although B": A decides. Each clause is negated
    half of the time. So the same words in another order may praise or blame.
    """
    chance, reviews = random.Random(seed), {}  # a dict: none is there twice
    while len(reviews) < count:
        label = chance.randrange(2)
        contrast = chance.choice(["but", "although"])
        first = bool(label) == (contrast == "although")  # does it praise?
        parts = [clause(side, chance.random() < 0.5, chance)
                 for side in (first, not first)]
        reviews[" ".join([*parts[0], contrast, *parts[1]])] = label
    texts = [review.split() for review in reviews]
    return Data(texts, list(reviews.values()), folds=5, measured=1,
                epochs=10, hide=0)
# --8<-- [end:invent]


# --8<-- [start:load]
class DataError(ValueError):
    """The folder of reviews cannot be used; the message says where and why."""


def read(file: Path, encoding: str) -> str:
    """Return the text of a file; raise DataError if missing or damaged."""
    try:
        return file.read_text(encoding)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(
            f"{file} is not {encoding} text: get it again"
        ) from None


def rt_polarity(folder: Path) -> Data:
    """Read Pang and Lee's sentences, whose words are set apart by spaces."""
    praise, blame = (
        [line.split() for line in read(file, "latin-1").split("\n")
         if line.strip()]
        for file in (folder / "rt-polarity.pos", folder / "rt-polarity.neg")
    )
    labels = [1] * len(praise) + [0] * len(blame)
    return Data(praise + blame, labels, folds=10, measured=10,
                epochs=4, hide=0.2)


def hotel_reviews(file: Path) -> Data:
    """Read ChnSentiCorp's table `label,review`; jieba finds the words."""
    import jieba  # only here: it loads its lexicon

    jieba.setLogLevel("ERROR")
    try:
        table = list(csv.reader(io.StringIO(read(file, "utf-8-sig"))))
    except csv.Error as error:
        raise DataError(f"{file} is no table of reviews: {error}") from None
    rows = [row for row in table[1:] if row and row[-1].strip()]
    for row in rows:
        if len(row) != 2 or row[0] not in ("0", "1"):
            raise DataError(
                f"{file}: needs columns label (0 or 1) and review: {row}"
            )
    texts = [[word for word in jieba.lcut(review) if word.strip()]
             for _, review in rows]
    labels = [int(label) for label, _ in rows]
    return Data(texts, labels, folds=5, measured=1, epochs=4, hide=0.2)


def load_data(folder: Path | None = None) -> Data:
    """Return the reviews in a folder, or invented ones; raise DataError."""
    if folder is None:
        return invent()
    if tables := sorted(folder.glob("ChnSentiCorp*.csv")):
        data = hotel_reviews(tables[0])
    elif any(folder.glob("rt-polarity.*")):
        data = rt_polarity(folder)
    else:
        raise DataError(f"{folder} holds neither rt-polarity.pos and .neg "
                        "nor ChnSentiCorp*.csv")
    if min(data.labels.count(0), data.labels.count(1)) < data.folds:
        raise DataError(f"{folder}: needs {data.folds} reviews of either kind")
    return data
# --8<-- [end:load]


# --8<-- [start:encode]
PADDING, UNKNOWN = 0, 1


def vocabulary(texts: list[list[str]], least: int = 2) -> dict[str, int]:
    """Number the words that the training texts hold `least` times or more."""
    counts = Counter(word.lower() for text in texts for word in text)
    known = sorted(word for word, count in counts.items() if count >= least)
    return {word: index for index, word in enumerate(known, 2)}


class Texts(Dataset):
    """Pairs of the last `longest` words of a text, (time,), and its label.

    A share `hide` of the words is made unknown, each time others.
    """

    def __init__(self, texts: list, labels: list, words: dict,
                 hide: float = 0, longest: int = 100):
        self.labels, self.hide = labels, hide
        self.rows = [
            torch.tensor([words.get(word.lower(), UNKNOWN) for word in text])
            for text in (text[-longest:] for text in texts)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        x = self.rows[row]
        mask = torch.rand(len(x)) < self.hide
        return x.masked_fill(mask, UNKNOWN), self.labels[row]
# --8<-- [end:encode]


# --8<-- [start:batches]
# From models/rnn.py, word for word:
def pad(pairs: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, ...]:
    """Return rows, (time,) each, as (batch, longest), and labels, (batch,)."""
    rows, labels = zip(*pairs)
    x = pad_sequence(rows, batch_first=True, padding_value=PADDING)
    return x, torch.tensor(labels)


class LikeLengths(Sampler):
    """Draws batches in random order; the rows of each are of like length."""

    def __init__(self, lengths: list[int], batch_size: int):
        self.lengths, self.batch_size = torch.tensor(lengths), batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rows, batches = torch.randperm(len(self.lengths)), []
        for near in rows.split(16 * self.batch_size):  # sorted within, not all
            ordered = near[self.lengths[near].argsort()]
            batches += ordered.split(self.batch_size)
        for number in torch.randperm(len(batches)):
            yield batches[number].tolist()
# --8<-- [end:batches]


# --8<-- [start:model]
class TextLSTM(nn.Module):
    """Two LSTM layers on words; of each output the highest over time counts.

    Max pooling over time: Yoon Kim, Convolutional neural networks for sentence
    classification, 2014.
    """

    def __init__(self, symbols: int, input_size: int = 100,
                 hidden_size: int = 256, dropout: float = 0.5):
        super().__init__()
        self.embed = nn.Embedding(symbols, input_size, padding_idx=PADDING)
        nn.init.normal_(self.embed.weight, std=0.1)  # rare words say little
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers=2,
                            batch_first=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, 2), of padded texts, (batch, time)."""
        outputs, _ = self.lstm(self.dropout(self.embed(x)))
        mask = (x == PADDING).unsqueeze(2)  # (batch, time, 1)
        highest = outputs.masked_fill(mask, -1).amax(1)  # (batch, hidden_size)
        return self.output(self.dropout(highest))
# --8<-- [end:model]


# --8<-- [start:loss]
def loss_of(model: TextLSTM, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean cross entropy of texts, (batch, time)."""
    return F.cross_entropy(model(x), y)
# --8<-- [end:loss]


# --8<-- [start:train]
# From models/rnn.py, word for word:
def train(model: nn.Module, loader: DataLoader, epochs: int, rate: float,
          decay: float) -> list[float]:
    """Train with AdamW and a one-cycle schedule; return losses by epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, epochs=epochs, steps_per_epoch=len(loader)
    )
    model.train()
    means = []
    for epoch in range(epochs):
        losses = []
        for x, y in loader:  # (batch, time), (batch,)
            loss = loss_of(model, x.to(device), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        means.append(np.mean(losses))
        print(f"  epoch {epoch + 1:2}: loss {means[-1]:.3f}", flush=True)
    return means
# --8<-- [end:train]


# --8<-- [start:evaluate]
# From models/rnn.py, word for word:
@torch.inference_mode()
def evaluate(model: nn.Module, loader: DataLoader) -> torch.Tensor:
    """Return the probabilities, (count, classes), that a model gives."""
    model.eval()
    return torch.cat([model(x.to(device)).softmax(1).cpu() for x, _ in loader])
# --8<-- [end:evaluate]


# --8<-- [start:linear]
def linear(
    train_texts: list, train_labels: list[int], test_texts: list
) -> np.ndarray:
    """Return the answers, (count,), of logistic regression on word bags."""
    bags = TfidfVectorizer(
        analyzer=lambda text: [word.lower() for word in text],
        sublinear_tf=True,
    )
    model = LogisticRegression(C=3, max_iter=300)
    model.fit(bags.fit_transform(train_texts), train_labels)
    return model.predict(bags.transform(test_texts))
# --8<-- [end:linear]


# --8<-- [start:compare]
def compare(
    data: Data, train_rows: np.ndarray, test_rows: np.ndarray, epochs: int
) -> tuple[TextLSTM, dict[str, int], float, float]:
    """Return the LSTM, its words, and its accuracy and the bag's on a split.

    The rows of a part have the shape (count,).
    """
    (texts, labels), (test_texts, test_labels) = (
        ([data.texts[row] for row in rows], [data.labels[row] for row in rows])
        for rows in (train_rows, test_rows)
    )
    words = vocabulary(texts)  # learned from the training part alone
    train_set = Texts(texts, labels, words, data.hide)
    alike = LikeLengths([len(row) for row in train_set.rows], 64)
    model = TextLSTM(len(words) + 2).to(device)
    batches = DataLoader(train_set, batch_sampler=alike, collate_fn=pad)
    train(model, batches, epochs, rate=0.003, decay=0.05)
    test_set = Texts(test_texts, test_labels, words)
    test_batches = DataLoader(test_set, batch_size=256, collate_fn=pad)
    answers = evaluate(model, test_batches).argmax(1).numpy()
    bag = linear(texts, labels, test_texts)
    truth = np.array(test_labels)
    return model, words, (answers == truth).mean(), (bag == truth).mean()
# --8<-- [end:compare]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, folder: Path | None = None,
         epochs: int | None = None) -> dict:
    """Measure both on the folds; write all into `out`, return the metrics."""
    data = load_data(folder)
    out.mkdir(parents=True, exist_ok=True)
    length = np.mean([len(text) for text in data.texts])
    print(f"{len(data.texts):,} texts of {length:.0f} words, "
          f"{np.mean(data.labels):.1%} of them praise")
    started, found = time.perf_counter(), []
    folds = StratifiedKFold(data.folds, shuffle=True, random_state=seed)
    parts = list(folds.split(data.labels, data.labels))[: data.measured]
    for number, rows in enumerate(parts, 1):
        torch.manual_seed(seed + number)
        model, words, *pair = compare(data, *rows, epochs or data.epochs)
        found.append(pair)
        print(f"  fold {number:2}: LSTM {pair[0]:.3f}, "
              f"bag of words {pair[1]:.3f}", flush=True)
    (lstm, bag), spread = np.mean(found, axis=0), np.std(found, axis=0)
    print(f"mean: LSTM {lstm:.3f} (deviation {spread[0]:.3f}), "
          f"bag of words {bag:.3f} ({spread[1]:.3f})")
    metrics = {
        "texts": len(data.texts), "words": length, "folds": data.folds,
        "most_common": np.bincount(data.labels).max() / len(data.labels),
        "lstm": {"accuracy": lstm, "deviation": spread[0]},
        "bag_of_words": {"accuracy": bag, "deviation": spread[1]},
        "seconds": time.perf_counter() - started,
    }
    text = json.dumps(metrics, indent=2, default=float)  # NumPy's numbers
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")
    if folder is None:
        draw_reading(model, words, out / "reading.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
FIRST, SECOND = "the plot was not bad", "the ending was dull"


def draw_reading(model: TextLSTM, words: dict[str, int], file: Path) -> None:
    """Draw the probability of praise after each word of two reviews."""
    figure, parts = plt.subplots(2, figsize=(7, 5), layout="constrained")
    for axes, (left, right) in zip(parts, [(FIRST, SECOND), (SECOND, FIRST)]):
        text = f"{left} although {right}".split()
        begun = [text[: count + 1] for count in range(len(text))]
        rows = Texts(begun, [1] * len(begun), words)
        shares = evaluate(model, DataLoader(rows, 32, collate_fn=pad)).numpy()
        axes.plot(shares[:, 1], marker="o", color="#2f7ed8")
        axes.axhline(0.5, color="#888888", linestyle=":")
        axes.set_xticks(range(len(text)), text)
        axes.set(ylim=(-0.05, 1.05), ylabel="probability of praise")
    figure.savefig(file)
    plt.close(figure)
# --8<-- [end:figures]


# --8<-- [start:command_line]
# From models/cnn_layers.py, word for word:
import argparse
import contextlib
import inspect
import sys
import types


def run(
    main: types.FunctionType, folder: str, refusals: tuple = (), **more: dict
) -> None:
    """Call `main` with the options of the command line, which it checks.

    `folder` is where results go by default, `more` holds options besides
    --out and --seed. An exception out of `refusals` is told in one line.
    """
    with contextlib.suppress(AttributeError):  # a notebook shows any letter
        sys.stdout.reconfigure(errors="replace")  # and not every console
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=folder, help="folder for the results")
    if "seed" in inspect.signature(main).parameters:
        add("--seed", type=int, default=0, help="of all random numbers")
    for name, settings in more.items():
        add(f"--{name}", **settings)
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    for name, value in vars(options).items():
        least = 0 if name == "seed" else 1
        if isinstance(value, int) and not least <= value < 2**32:
            parser.error(f"--{name} {value}: at least {least}, below 2**32")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        check = options.out / ".writable"
        check.touch()
        check.unlink()
    except OSError as error:
        parser.error(f"--out {options.out}: {error.strerror}")
    before = {path: path.stat().st_mtime_ns for path in options.out.iterdir()}
    try:
        main(**vars(options))
    except refusals as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = [
            path.name for path in sorted(options.out.iterdir())
            if path.stat().st_mtime_ns != before.get(path)
        ]
        files = ", ".join(kept) or "nothing"
        sys.exit(f"\nstopped; kept in {options.out}: {files}")
    print(f"results in {options.out}")
# --8<-- [end:command_line]


# --8<-- [start:run]
if __name__ == "__main__":
    run(
        main, "sentiment-results", (DataError,),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of rt-polarity or ChnSentiCorp",
        },
    )
# --8<-- [end:run]
