# --8<-- [start:setup]
"""Tell praise from blame: an LSTM beside a linear model on bags of words."""

import argparse
import csv
import io
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.nn.utils.rnn import pad_sequence

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")


class DataError(ValueError):
    """The folder of reviews cannot be used; the message says where and why."""


class Data(NamedTuple):
    """Texts as lists of words; 1 for praise, 0 for blame; and how to measure.

    One of `folds` parts is the test; the first `measured` folds take their turn. A
    share `hide` of the words is hidden in training.
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
    """Return a clause that praises or blames; "not" turns the word it stands before."""
    word = chance.choice(GOOD if positive != negated else BAD)
    subject = chance.choice("plot cast music ending script film".split())
    return ["the", subject, "was", *(["not"] if negated else []), word]


def invent(count: int = 4000, seed: int = 0) -> Data:
    """Write reviews by a rule: two clauses that disagree, of which one decides.

    "A but B": B decides. "A although B": A decides. Each clause is negated half of the
    time. So the same words in another order may be praise or blame.
    """
    chance, reviews = random.Random(seed), {}  # none twice: it could be in both parts
    while len(reviews) < count:
        label, contrast = chance.randrange(2), chance.choice(["but", "although"])
        first = bool(label) == (contrast == "although")  # does the first clause praise?
        parts = [
            clause(side, chance.random() < 0.5, chance) for side in (first, not first)
        ]
        reviews[" ".join([*parts[0], contrast, *parts[1]])] = label
    texts = [review.split() for review in reviews]
    return Data(texts, list(reviews.values()), folds=5, measured=1, epochs=10, hide=0)
# --8<-- [end:invent]


# --8<-- [start:load]
def read(file: Path, encoding: str) -> str:
    """Return the text of a file; raise DataError if it is missing or damaged."""
    try:
        return file.read_text(encoding)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{file} is not {encoding} text: get it again") from None


def rt_polarity(folder: Path) -> Data:
    """Read Pang and Lee's sentences, whose words are set apart by spaces."""
    praise, blame = (
        [line.split() for line in text.split("\n") if line.strip()]
        for text in (
            read(folder / f"rt-polarity.{kind}", "latin-1") for kind in ("pos", "neg")
        )
    )
    texts = praise + blame
    labels = [1] * len(praise) + [0] * len(blame)
    return Data(texts, labels, folds=10, measured=10, epochs=4, hide=0.2)


def hotel_reviews(file: Path) -> Data:
    """Read ChnSentiCorp's table `label,review`; jieba finds the words."""
    import jieba  # only here: it loads its lexicon

    jieba.setLogLevel("ERROR")
    try:
        table = list(csv.reader(io.StringIO(read(file, "utf-8-sig"))))
    except csv.Error as error:
        raise DataError(f"{file} is not a table of reviews: {error}") from None
    rows = [row for row in table[1:] if row and row[-1].strip()]
    if bad := [row for row in rows if len(row) != 2 or row[0] not in ("0", "1")]:
        raise DataError(f"{file}: needs columns label (0 or 1) and review: {bad[0]}")
    texts = [
        [word for word in jieba.lcut(review) if word.strip()] for _, review in rows
    ]
    labels = [int(label) for label, _ in rows]
    return Data(texts, labels, folds=5, measured=1, epochs=4, hide=0.2)


def load_data(folder: Path | None = None) -> Data:
    """Return the reviews in a folder, or invented ones; raise DataError if unusable."""
    if folder is None:
        return invent()
    if tables := sorted(folder.glob("ChnSentiCorp*.csv")):
        data = hotel_reviews(tables[0])
    elif (folder / "rt-polarity.pos").exists() or (folder / "rt-polarity.neg").exists():
        data = rt_polarity(folder)
    else:
        raise DataError(
            f"{folder} holds neither rt-polarity.pos and .neg nor ChnSentiCorp*.csv"
        )
    if min(data.labels.count(0), data.labels.count(1)) < data.folds:
        raise DataError(f"{folder}: needs {data.folds} reviews or more of either kind")
    return data
# --8<-- [end:load]


# --8<-- [start:encode]
PADDING, UNKNOWN = 0, 1


def vocabulary(texts: list[list[str]], least: int = 2) -> dict[str, int]:
    """Number the words that stand in the training texts `least` times or more."""
    counts = Counter(word.lower() for text in texts for word in text)
    known = sorted(word for word, count in counts.items() if count >= least)
    return {word: index for index, word in enumerate(known, 2)}


def encode(texts: list[list[str]], words: dict[str, int], longest: int = 100) -> list:
    """Return the numbers of the words of each text, (time,), of its last `longest`."""
    return [
        torch.tensor([words.get(word.lower(), UNKNOWN) for word in text[-longest:]])
        for text in texts
    ]
# --8<-- [end:encode]


# --8<-- [start:model]
class TextLSTM(nn.Module):
    """The network of the names on words; of each output the highest over time counts.

    Max pooling over time: Yoon Kim, Convolutional neural networks for sentence
    classification, 2014.
    """

    def __init__(self, symbols: int, input_size: int = 100, hidden_size: int = 256,
                 num_layers: int = 2, classes: int = 2, dropout: float = 0.5):
        super().__init__()
        self.embed = nn.Embedding(symbols, input_size, padding_idx=PADDING)
        with torch.no_grad():
            self.embed.weight *= 0.1  # a word seldom seen shall say little
        self.lstm = nn.LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, (batch, classes), of texts, (batch, time), padded by 0."""
        outputs, _ = self.lstm(self.dropout(self.embed(x)))  # (batch, time, 256)
        padding = (x == PADDING).unsqueeze(2)  # (batch, time, 1)
        highest = outputs.masked_fill(padding, -1).amax(1)  # (batch, 256)
        return self.output(self.dropout(highest))
# --8<-- [end:model]


# --8<-- [start:train]
def train(
    model: TextLSTM, rows: list[torch.Tensor], labels: list[int], epochs: int,
    hide: float = 0.2,
) -> list[float]:
    """Train on encoded texts, (time,) each; return the loss of each batch.

    A share `hide` of the words is made unknown, so that no single word decides alone.
    """
    targets, lengths = torch.tensor(labels), [len(row) for row in rows]
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    steps = -(-len(rows) // 64) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.003, total_steps=steps
    )
    model.train()
    losses = []
    for _ in range(epochs):
        order = torch.randperm(len(rows)).tolist()
        near = []  # texts of like length share a batch, within 16 batches
        for start in range(0, len(order), 16 * 64):
            near += sorted(order[start : start + 16 * 64], key=lengths.__getitem__)
        parts = [near[start : start + 64] for start in range(0, len(near), 64)]
        for part in (parts[index] for index in torch.randperm(len(parts))):
            x = pad_sequence([rows[row] for row in part], batch_first=True)
            x = x.masked_fill((torch.rand(x.shape) < hide) & (x != PADDING), UNKNOWN)
            loss = F.cross_entropy(model(x.to(device)), targets[part].to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    return losses
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def evaluate(model: TextLSTM, rows: list[torch.Tensor]) -> torch.Tensor:
    """Return the probability of praise, (count,), of encoded texts."""
    model.eval()
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    found = torch.empty(len(rows))
    for start in range(0, len(order), 256):
        part = order[start : start + 256]
        x = pad_sequence([rows[row] for row in part], batch_first=True)
        found[part] = model(x.to(device)).softmax(1)[:, 1].cpu()
    return found


def linear(
    train_texts: list, train_labels: list[int], test_texts: list
) -> np.ndarray:
    """Return the answers, (count,), of logistic regression on bags of words."""
    bags = TfidfVectorizer(
        analyzer=lambda text: [word.lower() for word in text], sublinear_tf=True
    )
    model = LogisticRegression(C=3, max_iter=300)
    model.fit(bags.fit_transform(train_texts), train_labels)
    return model.predict(bags.transform(test_texts))
# --8<-- [end:evaluate]


# --8<-- [start:compare]
def compare(
    data: Data, train_part: np.ndarray, test_part: np.ndarray, epochs: int
) -> tuple[float, float]:
    """Return the test accuracies of the LSTM and of the linear model on one split.

    A part holds the rows of its texts, (count,).
    """
    parts = (train_part, test_part)
    texts, test_texts = ([data.texts[row] for row in part] for part in parts)
    labels, test_labels = (np.array(data.labels)[part] for part in parts)
    words = vocabulary(texts)  # learned from the training part alone
    model = TextLSTM(len(words) + 2).to(device)
    train(model, encode(texts, words), labels.tolist(), epochs, data.hide)
    answers = evaluate(model, encode(test_texts, words)).numpy() > 0.5
    bag = linear(texts, labels, test_texts)
    return (answers == test_labels).mean(), (bag == test_labels).mean()
# --8<-- [end:compare]


# --8<-- [start:main]
def main(out: Path, folder: Path | None = None, epochs: int | None = None) -> dict:
    """Measure both on the folds; write metrics.json into `out`; return them."""
    data = load_data(folder)
    out.mkdir(parents=True, exist_ok=True)
    words = np.mean([len(text) for text in data.texts])
    print(f"{len(data.texts):,} texts of {words:.0f} words, "
          f"{np.mean(data.labels):.1%} of them praise")
    start, rows = time.perf_counter(), []
    folds = StratifiedKFold(data.folds, shuffle=True, random_state=0)
    parts = list(folds.split(data.labels, data.labels))[: data.measured]
    for number, (train_part, test_part) in enumerate(parts, 1):
        torch.manual_seed(number)
        rows.append(compare(data, train_part, test_part, epochs or data.epochs))
        print(f"  fold {number:2}: LSTM {rows[-1][0]:.3f}, "
              f"bag of words {rows[-1][1]:.3f}", flush=True)
    (lstm, bag), (lstm_spread, bag_spread) = np.mean(rows, axis=0), np.std(rows, axis=0)
    print(f"mean: LSTM {lstm:.3f} (deviation {lstm_spread:.3f}), "
          f"bag of words {bag:.3f} ({bag_spread:.3f})")
    metrics = {
        "texts": len(data.texts), "words": words, "folds": data.folds,
        "most_common": max(np.mean(data.labels), 1 - np.mean(data.labels)),
        "lstm": {"accuracy": lstm, "deviation": lstm_spread},
        "bag_of_words": {"accuracy": bag, "deviation": bag_spread},
        "seconds": time.perf_counter() - start,
    }
    text = json.dumps(metrics, indent=2, default=float)  # float: NumPy's numbers
    (out / "metrics.json").write_text(text + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("rnn_sentiment-results"))
    parser.add_argument("--data", type=Path, help="rt-polarity or ChnSentiCorp")
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    try:
        main(options.out, options.data)
    except DataError as error:
        parser.error(str(error))
# --8<-- [end:main]
