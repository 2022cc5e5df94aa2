"""Make the picture that shows where a page is shared: what the two convolutions of models/cnn see in a digit.

    python -m tooling.share

It holds no words, so both languages share it. Run it again where the results of models/cnn look different.
"""

import argparse
import base64
import io
import re
import sys

from tooling.lessons import DOCS, RESULTS, SiteError

FILE = DOCS / "assets" / "share.png"
SIZE = (1200, 630)  # what the sites ask for that show it
GROUND = (48, 63, 159)  # the theme's indigo
PLACES = ((60, 195, 240), (340, 75, 480), (860, 175, 280))  # left, top and size of the digit and of the two layers


def picture() -> "Image.Image":
    """Return the picture, 1200 by 630 pixels. Raises SiteError where the figure does not hold a digit and two layers."""
    from PIL import Image

    figure = (RESULTS / "models/cnn/feature_maps.svg").read_text(encoding="utf-8")
    found = re.findall(r'xlink:href="data:image/png;base64,\s*([^"]+)"', figure)
    if len(found) != len(PLACES):
        raise SiteError(f"docs/results/models/cnn/feature_maps.svg holds {len(found)} pictures, not {len(PLACES)}; change PLACES in tooling/share.py")
    made = Image.new("RGB", SIZE, GROUND)
    for text, (left, top, size) in zip(found, PLACES):
        part = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA")
        scale = size / max(part.size)
        part = part.resize((round(part.width * scale), round(part.height * scale)), Image.Resampling.NEAREST)
        made.paste(part, (left, top + (size - part.height) // 2), part)
    return made.quantize(64)


def main() -> int:
    """Write the picture; return the exit status."""
    argparse.ArgumentParser(prog="python -m tooling.share", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    picture().save(FILE, optimize=True)
    print(f"{FILE.relative_to(DOCS.parent)}: {FILE.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
