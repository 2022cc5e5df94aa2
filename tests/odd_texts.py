"""Texts of every kind that a tokenizer may meet, the same each time."""

import random

PARTS = [
    "the", "The", " tokenizer", "tokenizers", "array_like", "don't", "naïve", "nai\u0308ve", "Привет", "αβγ", "École", "x²+½", "0", "42", "2026", "3.14", "1,000,000", "0x1F",
    "人人生而自由", "一心一意", "比喻", "。", "，", "“引号”", "：", "日本語テキスト", "한국어", "𠮷", "々〆", " ", "  ", "    ", "\n", "\n\n    ", "\r\n", "\t", "\u3000", "\u00a0", "\u200b", "\ufeff",
    "🙂", "👩‍👩‍👧‍👦", "🇨🇳", "❤️", "<|end|>", "<|end", "|>", "<b>", "$&", "$1", "\\n", "...", "!!!", "==", ">>> ", "\x00", "\x1f", "\x7f", "\x85", "\u2028", "\ufffd", "\uffff", "\U0010ffff", "ǅ", "ẞ", "ﬁ",
    "a" * 40, "字" * 40, "!" * 40, " " * 40,
]


def odd_texts(count: int) -> list[str]:
    """Return texts of up to ten parts, now and then with a character of any kind between them; the first is empty."""
    drawn = random.Random(0)
    texts = [""]
    while len(texts) < count:
        parts = [drawn.choice(PARTS) if drawn.random() < 0.8 else chr(drawn.choice([drawn.randrange(0xD800), drawn.randrange(0xE000, 0x110000)])) for _ in range(drawn.randint(1, 10))]
        texts.append("".join(parts))
    return texts
