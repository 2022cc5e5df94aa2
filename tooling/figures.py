"""Figures become part of the page, so that they follow its light and dark scheme."""

import html
import re
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)

REFERENCE = re.compile(r"url\(#([^)]+)\)")
# What a program leaves black is drawn in the color of the text around the figure.
BLACK = re.compile(r"(?<=: )(#000000|#000|black)\b|^(#000000|#000|black)$")


def inline(svg: str, prefix: str, alternative: str, caption: str = "") -> str:
    """Return an SVG file as a `<figure>`: its ids made unique by `prefix`, black as text color."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif key in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
                element.set(key, f"#{prefix}-{value[1:]}")
            else:
                value = REFERENCE.sub(rf"url(#{prefix}-\1)", value)
                element.set(key, BLACK.sub("currentColor", value))
    # points become pixels, so that the text of a figure is as large as that of the page
    width, height = (f"{float(side) * 4 / 3:.0f}" for side in root.get("viewBox").split()[2:])
    root.attrib.pop("version", None)
    root.attrib |= {"width": width, "height": height, "role": "img", "aria-label": alternative}
    drawn = ElementTree.tostring(root, encoding="unicode")
    described = f"<figcaption>{html.escape(caption, quote=False)}</figcaption>" if caption else ""
    return f'<figure class="result" style="--width: {width}; --height: {height}">{drawn}{described}</figure>'
