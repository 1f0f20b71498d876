"""Open every page of a rendered book in headless Chromium, at desktop and phone width, light and dark, and use it.

    python .ci/check_book.py [--profile demo | --html FOLDER] [--screenshots DIR] [--only PART]

A page fails on: an error in the console, a request to any other host, an image or a drawing without a text, a formula that
is not set, a number that was not filled in, a dead link, a page wider than its screen, a table wider than its column, text
or marks of too little contrast (WCAG 2.1: 4.5 for text, 3 for marks). The task is played to its end by mouse and by keys,
the table of scores is filtered and sorted, and the search is asked, from a server and from a disk.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote, urlsplit

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from humalign.show.book import pages

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".ci"))
from book_browser import browser, served  # noqa: E402
from book_links import dead_links  # noqa: E402

SCREENS = {1400: 900, 390: 844}

INSPECT = Path(__file__).with_name("inspect.js").read_text("utf-8")
SCHEMES = ("light", "dark")
# Words that a reader looks for, each to be found from a server and from a disk.
SOUGHT = ("UnAligNet", "AligNet", "own model")
DRAWN = "return document.querySelectorAll('.odd-choices.odd-shown .odd-choice:enabled').length == 3"


def show(chrome: webdriver.Chrome, url: str, width: int, scheme: str = "light") -> None:
    """Open a page at a width in a scheme of colours."""
    screen = {"width": width, "height": SCREENS[width], "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    chrome.get(url)
    # The front page only sends its reader on to the first page.
    WebDriverWait(chrome, 20).until(
        lambda _: chrome.execute_script(
            "return document.readyState == 'complete' && !!document.querySelector('article, #search-results')"
        ),
        "no page came up",
    )


def faults(chrome: webdriver.Chrome, url: str, width: int, scheme: str = "light") -> list[str]:
    """Open a page and return what is wrong with it, in one line each."""
    show(chrome, url, width, scheme)
    return list(dict.fromkeys([*chrome.execute_async_script(INSPECT, width), *asked(chrome, url)]))


def looked_at(chrome: webdriver.Chrome, url: str, picture: Path | None) -> list[str]:
    """Open a page at every width in every scheme, and say once what is wrong, and where unless everywhere."""
    screens, found = list(itertools.product(SCREENS, SCHEMES)), defaultdict[str, list[str]](list)
    for width, scheme in screens:
        for fault in faults(chrome, url, width, scheme):
            found[fault].append(f"{width} px, {scheme}")
        if picture:
            screenshot(chrome, picture.with_name(f"{picture.name}-{width}-{scheme}.png"), width)
    return [
        fault if len(where) == len(screens) else f"{fault} ({'; '.join(where)})"
        for fault, where in found.items()
    ]


def asked(chrome: webdriver.Chrome, url: str) -> list[str]:
    """Return the errors in the console and the requests to other hosts since this was asked last."""
    found = [
        f"console: {entry['message'][:200]}"
        for entry in chrome.get_log("browser")
        if entry["level"] == "SEVERE"
    ]
    home = urlsplit(url)
    # A browser gives no page of a disk the theme's fonts, which hold only icons.
    found = [line for line in found if home.scheme != "file" or "fontawesome" not in line]
    for entry in chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            wanted = urlsplit(message["params"].get("url") or message["params"]["request"]["url"])
            if wanted.scheme not in ("data", "blob", "about") and (wanted.scheme, wanted.netloc) != (
                home.scheme,
                home.netloc,
            ):
                found.append(f"request to another host: {wanted.geturl()[:200]}")
    return found


# ---- what a reader does -------------------------------------------------------------------------------------------


def played(chrome: webdriver.Chrome, url: str, keys: bool) -> list[str]:
    """Play the task of a page to its end, by mouse or by keys alone, and return what is wrong."""
    show(chrome, url, 390 if keys else 1400)
    try:
        if keys:  # from the top of the page to the first picture
            for _ in range(300):
                chrome.switch_to.active_element.send_keys(Keys.TAB)
                if "odd-choice" in (chrome.switch_to.active_element.get_attribute("class") or ""):
                    break
            else:
                return ["the task is not reached by the key Tab"]
        trials = 0
        while not chrome.execute_script("return !!document.querySelector('.odd-score')"):
            WebDriverWait(chrome, 20, poll_frequency=0.05).until(
                lambda _: chrome.execute_script(DRAWN), "no triplet came up"
            )
            before, place = chrome.find_element(By.CSS_SELECTOR, ".odd-count").text, trials % 3
            if not keys:
                chrome.find_elements(By.CSS_SELECTOR, ".odd-choice")[place].click()
            elif trials % 2:
                chrome.switch_to.active_element.send_keys(str(place + 1))
            else:
                for key in (*[Keys.ARROW_RIGHT] * (place + 1), Keys.ENTER):
                    chrome.switch_to.active_element.send_keys(key)
            trials += 1
            WebDriverWait(chrome, 20, poll_frequency=0.05).until(
                lambda _, last=before: (
                    chrome.execute_script("return document.querySelector('.odd-count')?.textContent") != last
                ),
                "an answer was not taken",
            )
    except WebDriverException as error:
        return [f"the task stopped: {(error.msg or '').splitlines()[0]}"]
    ends = [cell.text for cell in chrome.find_elements(By.CSS_SELECTOR, ".odd-score td")]
    said = chrome.find_element(By.CSS_SELECTOR, ".odd-panel").text
    cards = len(chrome.find_elements(By.CSS_SELECTOR, ".odd-card"))
    found = [] if cards == trials else [f"{cards} triplets are shown after {trials} choices"]
    if len(ends) != 3 or not all(f" of {trials}" in end for end in ends) or "You chose" not in said:
        found.append(f"the totals after the task are {ends}")
    return found + list(chrome.execute_async_script(INSPECT, 390 if keys else 1400)) + asked(chrome, url)


def searched(chrome: webdriver.Chrome, home: str) -> list[str]:
    """Search for what readers look for, and return what is not found, not excerpted, or crowded by the API."""
    found = []
    for words in SOUGHT:
        show(chrome, f"{home}/search.html?q={quote(words)}", 1400)
        WebDriverWait(chrome, 20).until(
            lambda _: "finished" in (chrome.find_element(By.CSS_SELECTOR, ".search-summary").text),
            "no search",
        )
        hits = [
            (each.find_element(By.TAG_NAME, "a").get_attribute("href"), each.text)
            for each in chrome.find_elements(By.CSS_SELECTOR, "ul.search > li")
        ]
        where = home.split(":")[0]
        if not hits or not any(words.lower() in text.lower() for _, text in hits):
            found.append(f"{words}: nothing with an excerpt is found ({where})")
        if any("/book/api/" in address for address, _ in hits[:5]):
            found.append(f"{words}: the API is among the first five ({where})")
    return found + asked(chrome, home)


def looked_up(chrome: webdriver.Chrome, url: str) -> list[str]:
    """Filter and sort the page of scores by keys, and return what is wrong."""
    rows = "return [...document.querySelectorAll('.scores-table tbody tr')].map(row => row.cells[3].querySelector('span').textContent)"
    show(chrome, f"{url}#metric=accuracy", 1400)
    before = chrome.execute_script(rows)
    for _ in range(2):  # up, then down
        chrome.find_elements(By.CSS_SELECTOR, ".scores-sort")[3].send_keys(Keys.ENTER)
    values = [
        float(text.replace("\N{MINUS SIGN}", "-"))
        for text in chrome.execute_script(rows)
        if text != "not known"
    ]
    found = [] if before and values == sorted(values, reverse=True) else ["the table of scores is not sorted"]
    chrome.execute_script("location.hash = 'metric=none+such'")
    WebDriverWait(chrome, 10).until(lambda _: not chrome.execute_script(rows), "the address is not followed")
    return found + asked(chrome, url)


# ---- all pages ----------------------------------------------------------------------------------------------------


def screenshot(chrome: webdriver.Chrome, path: Path, width: int) -> None:
    """Save the whole page, not only the first screen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height = chrome.execute_script("return Math.max(innerHeight, document.documentElement.scrollHeight)")
    screen = {"width": width, "height": min(height, 16000), "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    path.write_bytes(base64.b64decode(chrome.execute_cdp_cmd("Page.captureScreenshot", {})["data"]))


def check(folder: Path, screenshots: Path | None, only: str = "") -> int:
    """Check every page, print one line each, and return how many failed."""
    named = ["index", *pages(ROOT / "_toc.yml")]
    made = [
        path.relative_to(folder).with_suffix("").as_posix()
        for path in sorted((folder / "book" / "api").glob("*.html"))
    ]
    dead, passed, failed = dead_links(folder), 0, 0
    with served(folder) as home, browser() as chrome:
        for name in [name for name in [*named, *made, "search"] if only in name]:
            found = list(dead.get(name, []))
            url, there = f"{home}/{name}.html", (folder / f"{name}.html").is_file()
            if not there:
                found.append("the page is not there")
            try:
                if there and name != "search":
                    found += looked_at(chrome, url, screenshots and screenshots / name.replace("/", "-"))
                if there and '<div id="odd-' in (folder / f"{name}.html").read_text("utf-8"):
                    found += [f"{fault} (by mouse)" for fault in played(chrome, url, keys=False)]
                    found += [f"{fault} (by keys)" for fault in played(chrome, url, keys=True)]
                if name == "book/scores":
                    found += looked_up(chrome, url)
                if name == "search":
                    found += [*searched(chrome, home), *searched(chrome, folder.resolve().as_uri())]
            except WebDriverException as error:
                found.append(f"the browser gave up: {(error.msg or '').splitlines()[0]}")
            passed, failed = passed + (not found), failed + bool(found)
            print(
                f"{'FAIL' if found else 'ok  '}  {name}" + "".join(f"\n        {fault}" for fault in found),
                flush=True,
            )
    print(f"{passed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="demo", help="whose book to open (default: demo)")
    parser.add_argument("--html", type=Path, help="a rendered book elsewhere")
    parser.add_argument(
        "--screenshots", type=Path, help="a folder for a picture of every page at both widths, light and dark"
    )
    parser.add_argument("--only", default="", help="check the pages with this in their names")
    chosen = parser.parse_args()
    folder = chosen.html or ROOT / "build" / chosen.profile / "book" / "html"
    if not (folder / "index.html").is_file():
        sys.exit(f"check_book: no book at {folder}: run `make reproduce PROFILE={chosen.profile}` first")
    sys.exit(bool(check(folder, chosen.screenshots, chosen.only)))
