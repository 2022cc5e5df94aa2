"""A reader of the built site: its addresses, and a browser that reports what goes wrong in it."""

import contextlib


def address(language: str, page: str) -> str:
    """Return where a page lies in the site, such as `en/models/cnn/`."""
    prefix = "" if language == "zh" else f"{language}/"
    folder = page.removesuffix("index").rstrip("/")
    return f"{prefix}{folder}/" if folder else prefix


def notebook_address(language: str, page: str) -> str:
    """Return where the notebook of a lesson lies in the site."""
    return f"{address(language, page)}notebook/"


@contextlib.contextmanager
def reading(browser, site, **options):
    """Open a tab; fail at its end if the console complained, a file was missing or another host was asked."""
    context = browser.new_context(**{"color_scheme": "light", "viewport": {"width": 1280, "height": 900}} | options)
    complaints = []

    def request(asked):  # the browser itself lets none of these out, see its switches
        if not asked.url.startswith((site.url, "data:", "blob:")):
            complaints.append(f"asked for {asked.url}")

    def response(answer):
        if answer.status >= 400:
            complaints.append(f"{answer.status} for {answer.url}")

    def console(message):
        if message.type in ("error", "warning"):
            complaints.append(f"console: {message.text}")

    context.on("request", request)
    context.on("response", response)
    context.on("console", console)
    context.on("weberror", lambda error: complaints.append(f"script: {error.error}"))
    try:
        yield context.new_page()
    finally:
        context.close()
    assert not complaints, "\n".join(complaints)


def open_page(tab, site, place: str):
    """Go to a page of the site."""
    answer = tab.goto(site.url + place)
    assert answer.status == 200, f"/{place} is not there"
