"""Two quatrains, and as many regular ones without sense as a test needs."""

import random

POEMS = ["牀前看月光，疑是地上霜。舉頭望山月，低頭思故鄉。", "朝辭白帝彩雲間，千里江陵一日還。兩岸猿聲啼不盡，輕舟已過萬重山。"]


def invent(count: int, seed: int = 0) -> list[str]:
    """Return regular quatrains of chance characters."""
    chance, signs = random.Random(seed), "床前明月光春眠不覺曉處聞啼鳥朝辭白帝彩雲間千里江陵一日還山水花人風天"
    poems = []
    for number in range(count):
        lines = ["".join(chance.choices(signs, k=(5, 7)[number % 2])) for _ in range(4)]
        poems.append("{}，{}。{}，{}。".format(*lines))
    return poems
