"""What the theme leaves undone: its pages and its script are mended, and each page gets its policy."""

import base64
import hashlib
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

# Where the theme falls short: what it writes, and what stands there instead.
MENDS = (
    # a dialog without a name is lost on a screen reader
    (
        '<div class="md-search" data-md-component="search" role="dialog">',
        '<div class="md-search" data-md-component="search" role="dialog" aria-label="{search}">',
    ),
    # the theme's script asks for a sitemap below each address in such a link, where there is
    # none; the space keeps the link from its selector, and search engines do not mind
    ('<link rel="alternate" href', '<link rel="alternate " href'),
)


def finish(output: str, words: dict[str, str], with_policy: bool) -> str:
    """Mend what the theme leaves undone, and add the policy if asked. Raises PluginError where the theme has changed."""
    for bare, mended in MENDS:
        if bare not in output:
            raise PluginError(f"The theme no longer writes `{bare}`; see whether MENDS in tooling/theme_mends.py is still needed.")
        output = output.replace(bare, mended.format(**words))
    if 'id="__toc"' not in output:  # a page outside the navigation has no box that this label could tick
        output = output.replace(' for="__toc"', "")
    output = output.replace(' tabindex=""', "")  # of a chapter in the navigation; nothing is no number
    output = LINES.sub(with_lines, output)
    output = TABLE.sub(r'<div class="md-typeset__scrollwrap"><div class="md-typeset__table">\g<0></div></div>', output)
    if with_policy:
        output = output.replace('<meta charset="utf-8">', f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy(output)}">', 1)
    return output


def with_lines(block: re.Match) -> str:
    """Return the beginning of a block of code that says how many lines it has, for the room it takes before it is laid out."""
    return f'<pre{block[1] or ""} style="--lines: {block[2].count(chr(10)) + 1}">{block[2]}'


LINES = re.compile(r'<pre( tabindex="0")?>(.*?)(?=\s*(?:</code>)?</pre>)', re.DOTALL)
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
SCRIPT = re.compile(r'<script(?: type="module")?>(.*?)</script>', re.DOTALL)


def policy(page: str) -> str:
    """Return the content security policy of a page: its own host, and of inline scripts those it now holds.

    Styles are free: KaTeX and the figures place their parts by style attributes.
    """
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in SCRIPT.findall(page)}
    scripts = ["'self'", *(f"'sha256-{code}'" for code in sorted(hashes))]
    if "data-script=" in page:  # a live model is WebAssembly
        scripts.append("'wasm-unsafe-eval'")
    return (
        f"default-src 'self'; script-src {' '.join(scripts)}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'self'"
    )


# Where the theme's script falls short. What changes the whole page while it opens makes the browser style it all over again.
SCRIPT_MENDS = (
    # a page full of nameless landmarks is hard to hear
    ('"nav",{class:"md-code__nav"}', '"div",{class:"md-code__nav"}'),
    # tables stand in their scrolling frame already, see `finish`
    ('"table:not([class])"', '":not(.md-typeset__table)>table:not([class])"'),
    # transitions stop where the colors change, not where a page opens in its own
    (
        'document.body.setAttribute("data-md-color-switching","")',
        's.color.scheme!==document.body.getAttribute("data-md-color-scheme")&&document.body.setAttribute("data-md-color-switching","")',
    ),
    # a word that is pasted with the mouse is searched too
    ('h(e,"keyup"),o).pipe(m(()=>e.value),Y())', 'h(e,"keyup"),h(e,"input"),o).pipe(m(()=>e.value),Y())'),
    # the style says it, see site.css
    (';document.head.appendChild(o);', ';'),
)


def mend_script(config: MkDocsConfig) -> None:
    """Mend the theme's script. Raises PluginError where it has changed."""
    (script,) = Path(config.site_dir, "assets", "javascripts").glob("bundle.*.min.js")
    text = script.read_text(encoding="utf-8")
    for bare, mended in SCRIPT_MENDS:
        if text.count(bare) != 1:
            raise PluginError(f"The theme's script no longer holds `{bare}` once; see whether SCRIPT_MENDS in tooling/theme_mends.py is still needed.")
        text = text.replace(bare, mended)
    script.write_text(text, encoding="utf-8")
