"""Open every page of a rendered book in headless Chromium, at desktop and phone width, and fail on what a reader would notice.

    python .ci/check_book.py [--profile demo | --html FOLDER] [--screenshots DIR]

A page fails on: an error in the console, a request to any other host, an image that is missing or has no alternative text,
a formula that is not set, a number that was not filled in, a page wider than its screen.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import http.server
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from humalign.show.book import pages

ROOT = Path(__file__).resolve().parent.parent
SCREENS = {1280: 900, 390: 844}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

# Waits for MathJax and all images, then lists what is wrong with the page at this width.
INSPECT = r"""
const [width, done] = arguments, faults = [];
const article = document.querySelector('article');
const settled = Promise.all([
  window.MathJax && MathJax.startup ? MathJax.startup.promise : null,
  ...[...document.images].map(image => image.decode().catch(() => null)),
]);
settled.then(() => {
  for (const image of document.images) {
    const source = image.getAttribute('src') || '', name = source.startsWith('data:') ? 'data:' : source.split('/').pop();
    if (!image.naturalWidth) faults.push(`missing image ${name}`);
    // Sphinx writes the file's name where an author gave no text.
    if (article.contains(image) && (!image.alt || image.alt.endsWith(name))) faults.push(`no alternative text for ${name}`);
  }
  for (const formula of article.querySelectorAll('.math'))
    if (!formula.querySelector('mjx-container')) faults.push(`formula not set: ${formula.textContent.trim().slice(0, 60)}`);
  // MathJax sets a command that it does not know in red, other mistakes in a box.
  for (const error of article.querySelectorAll('mjx-merror, mjx-mtext[style*="red"]')) {
    const spoken = error.closest('mjx-container').querySelector('mjx-assistive-mml');
    faults.push(`formula wrong: ${(spoken || error).textContent.trim().slice(0, 60)}`);
  }
  for (const mark of article.querySelectorAll('.problematic, .system-message'))
    faults.push(`error mark: ${mark.textContent.trim().slice(0, 80)}`);
  for (const prose of article.querySelectorAll('p, li, td, th, figcaption, h1, h2, h3')) {
    const left = prose.textContent.match(/\{(glue|numref|ref|cite|eq|doc)[:}]|np\.\w+\(|No key .* in glue/);
    if (left) faults.push(`not filled in: ${prose.textContent.trim().slice(0, 80)}`);
  }
  const wide = document.documentElement.scrollWidth;
  if (wide > width + 1) {
    const boxed = element => element !== article && (getComputedStyle(element).overflowX !== 'visible' || boxed(element.parentElement));
    const outside = [...article.querySelectorAll('*')].find(element =>
      element.getBoundingClientRect().right > width + 1 && !boxed(element.parentElement));
    faults.push(`page is ${wide} px wide` + (outside ? `: <${outside.tagName.toLowerCase()} class="${outside.className}">` : ''));
  }
  done([...new Set(faults)]);
});
"""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yield the address of a folder on the loopback interface."""
    class Pages(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/favicon.ico":  # asked for by the browser itself, on a page that names no icon
                self.send_response(http.HTTPStatus.NO_CONTENT)
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the browser went on to the next page

    with Server(("127.0.0.1", 0), functools.partial(Pages, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Yield a headless Chromium that can reach nothing but this machine."""
    driver, binary = shutil.which("chromedriver"), next(filter(None, map(shutil.which, BROWSERS)), None)
    if not driver or not binary:
        sys.exit("check_book: no chromium or no chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-background-networking", "hide-scrollbars",
                 "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"):
        options.add_argument(f"--{flag}")
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        chrome.set_page_load_timeout(60)
        chrome.set_script_timeout(60)
        yield chrome
    finally:
        chrome.quit()


def faults(chrome: webdriver.Chrome, url: str, width: int) -> list[str]:
    """Open a page at a width and return what is wrong with it, in one line each."""
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": SCREENS[width], "deviceScaleFactor": 1, "mobile": False})
    chrome.get(url)
    # The front page only sends its reader on to the first page.
    WebDriverWait(chrome, 20).until(lambda _: chrome.execute_script(
        "return document.readyState == 'complete' && !!document.querySelector('article')"), "no page came up")
    found = list(chrome.execute_async_script(INSPECT, width))
    found += [f"console: {entry['message']}" for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
    home = urlsplit(url).netloc
    for entry in chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            asked = message["params"].get("url") or message["params"]["request"]["url"]
            if urlsplit(asked).scheme not in ("data", "blob", "about") and urlsplit(asked).netloc != home:
                found.append(f"request to another host: {asked}")
    return list(dict.fromkeys(found))


def screenshot(chrome: webdriver.Chrome, path: Path) -> None:
    """Save the whole page, not only the first screen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = chrome.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
    shot = chrome.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    path.write_bytes(base64.b64decode(shot["data"]))


def check(html: Path, screenshots: Path | None) -> int:
    """Check every page that the table of contents names, print one line each, and return how many failed."""
    names = ["index", *pages(ROOT / "_toc.yml")]
    passed = failed = 0
    with served(html) as home, browser() as chrome:
        for name in names:
            found = [] if (html / f"{name}.html").is_file() else ["the page is not there"]
            for width in SCREENS if not found else ():
                try:
                    found += [f"{fault} ({width} px)" for fault in faults(chrome, f"{home}/{name}.html", width)]
                    if screenshots:
                        screenshot(chrome, screenshots / f"{name.replace('/', '-')}-{width}.png")
                except WebDriverException as error:
                    found.append(f"the browser gave up: {(error.msg or '').splitlines()[0]} ({width} px)")
            passed, failed = passed + (not found), failed + bool(found)
            print(f"{'FAIL' if found else 'ok  '}  {name}" + "".join(f"\n        {fault}" for fault in found), flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="demo", help="whose book to open (default: demo)")
    parser.add_argument("--html", type=Path, help="a rendered book elsewhere")
    parser.add_argument("--screenshots", type=Path, help="a folder for a picture of every page at both widths")
    chosen = parser.parse_args()
    folder = chosen.html or ROOT / "build" / chosen.profile / "book" / "html"
    if not (folder / "index.html").is_file():
        sys.exit(f"check_book: no book at {folder}: run `make reproduce PROFILE={chosen.profile}` first")
    sys.exit(bool(check(folder, chosen.screenshots)))
