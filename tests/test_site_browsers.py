"""Other browsers than Chromium, in `pytest --thorough`: one page of each kind and every live model in Firefox and in WebKit, where they are installed."""

import contextlib
import json
import os
import shutil
import subprocess

import pytest
from reader import KINDS, address
from selenium import webdriver
from selenium.webdriver.webkitgtk.service import Service
from test_live import PLACES

from tooling import node, packages
from tooling.lessons import ROOT

TESTS = ROOT / "tests"
LOOKED_AT = sorted({*KINDS, *(address(*place) for place in PLACES)})


def in_firefox(executable: str, addresses: list[str]) -> dict[str, list[str]]:
    """Return what is wrong with each page in Firefox."""
    packages.find("puppeteer-core", "package.json")
    done = subprocess.run(
        [node.executable(), str(TESTS / "firefox.mjs"), executable, str(TESTS / "look.js")], input="\n".join(addresses),
        capture_output=True, text=True, encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def in_webkit(executable: str, addresses: list[str]) -> dict[str, list[str]]:
    """Return what is wrong with each page in WebKitGTK."""
    look = (TESTS / "look.js").read_text(encoding="utf-8")
    found = {}
    with screen(), webdriver.WebKitGTK(service=Service(executable)) as driver:
        driver.set_script_timeout(120)
        for one in addresses:
            driver.get(one)
            found[one] = driver.execute_async_script(f"const [end] = arguments; ({look})().then(end, error => end([String(error)]))")
    return found


@contextlib.contextmanager
def screen():
    """A screen for a browser that cannot do without."""
    if os.environ.get("DISPLAY"):
        yield
        return
    with subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8") as server:
        try:
            os.environ["DISPLAY"] = f":{server.stdout.readline().strip()}"
            yield
        finally:
            del os.environ["DISPLAY"]
            server.terminate()


@pytest.mark.parametrize(("look", "names"), [(in_firefox, ("firefox-esr", "firefox")), (in_webkit, ("WebKitWebDriver",))], ids=["firefox", "webkit"])
def test_pages_and_models_work_in_another_browser(site, look, names):
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None or (look is in_webkit and not (os.environ.get("DISPLAY") or shutil.which("Xvfb"))):
        pytest.skip(f"{' or '.join(names)} is not installed, or there is no screen for it (Debian: firefox-esr, webkit2gtk-driver, xvfb)")
    wrong = {place: found for place, found in look(executable, [site.url + place for place in LOOKED_AT]).items() if found}
    assert not wrong, json.dumps(wrong, indent=2, ensure_ascii=False)
