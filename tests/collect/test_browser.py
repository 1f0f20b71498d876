"""The page in a real browser, from a disk: a simulated participant answers, by mouse and keyboard, with a reload and a step back."""

import contextlib
import csv
import http.server
import json
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from made_answers import Participant

from humalign.collect import agreement, page, pooling, reading
from humalign.collect.study import COLUMNS
from humalign.data.images import FolderImages
from humalign.data.judgments import agreement as agreeing
from humalign.data.judgments import cosine_similarities, random_triplets
from humalign.teach.teacher import AffineTeacher

By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
ActionBuilder = pytest.importorskip("selenium.webdriver.common.actions.action_builder").ActionBuilder
PointerInput = pytest.importorskip("selenium.webdriver.common.actions.pointer_input").PointerInput
Wait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

SCREEN = "return document.getElementById('task').dataset.screen"
READY = "return document.querySelectorAll('.odd-choices.odd-shown .odd-choice:enabled').length == 3"


class Player:
    """Go through a page as a participant does."""

    def __init__(self, chrome, study, participant):
        self.chrome, self.participant = chrome, participant
        self.names = {file: name for trial in study.page["trials"] for file, name in zip(trial["files"], trial["images"], strict=True)}

    def screen(self):
        return self.chrome.execute_script(SCREEN)

    def press(self, text):
        (button,) = [each for each in self.chrome.find_elements(By.CSS_SELECTOR, ".odd-button") if each.text == text]
        button.click()

    def start(self):
        assert self.screen() == "welcome"
        start = self.chrome.find_element(By.CSS_SELECTOR, ".odd-main")
        if box := self.chrome.find_elements(By.ID, "odd-agree"):
            assert not start.is_enabled()
            box[0].click()
        start.click()

    def ready(self):
        """Wait for the next triplet, passing over what stands before it; false at the end."""
        def there(chrome):
            if self.screen() in ("feedback", "missed"):
                self.press("Continue")
            return self.screen() in ("done", "results") or chrome.execute_script(READY)
        Wait(self.chrome, 20, poll_frequency=0.05).until(there)
        time.sleep(0.05)  # two frames, from which the time is taken
        return self.screen() == "trial"

    def odd(self):
        shown = [each.get_attribute("src") for each in self.chrome.find_elements(By.CSS_SELECTOR, ".odd-choice img")]
        return self.participant.odd([self.names["/".join(source.split("/")[-2:])] for source in shown])

    def answer(self, how):
        which, body = self.odd(), self.chrome.switch_to.active_element
        if how == "mouse":
            self.chrome.find_elements(By.CSS_SELECTOR, ".odd-choice")[which].click()
        elif how == "number":
            body.send_keys(str(which + 1))
        else:
            for _ in range(which + 1):
                self.chrome.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
            self.chrome.switch_to.active_element.send_keys(Keys.ENTER)

    def done(self):
        """Return how many trials are kept."""
        return self.chrome.execute_script(
            "return Math.max(...Object.keys(localStorage).filter(key => key.startsWith('humalign-s'))"
            ".map(key => JSON.parse(localStorage[key]).rows.length))")


@pytest.fixture
def player(chrome, small, looks):
    """Open the page afresh; afterwards it must have asked for nothing but its own files, without an error."""
    folder, study = small
    chrome.get((folder / "index.html").as_uri())
    chrome.execute_script("localStorage.clear()")
    chrome.get_log("browser"), chrome.get_log("performance")
    chrome.get((folder / "index.html").as_uri())
    yield Player(chrome, study, Participant(study.names, looks))
    assert not [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
    for entry in chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            assert urlsplit(message["params"]["request"]["url"]).scheme in ("file", "data", "blob")


def saved(player, folder):
    """Save the answers into a folder and return the file."""
    player.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    player.press("Save answers")
    # The browser first holds the name by an empty file.
    Wait(player.chrome, 20).until(lambda _: [file for file in folder.glob("answers-*.csv") if file.stat().st_size])
    (file,) = folder.glob("answers-*")
    return file


def test_sixty_trials_with_a_reload_and_a_step_back_are_saved_read_and_fitted(player, small, looks, tmp_path):
    _, study = small
    chrome = player.chrome
    player.start()
    at = 0
    while player.ready():
        if at in (19, 33, 40):  # before the answer: a reload, the back button, another page and back
            if at == 19:
                chrome.refresh()
            elif at == 33:
                chrome.back()
            else:
                chrome.get("about:blank")
                chrome.back()
            Wait(chrome, 10).until(lambda _: player.screen() == "paused")
            assert player.done() == at and f"answered {at} of 60" in chrome.find_element(By.TAG_NAME, "main").text
            player.press("Continue")
            assert player.ready()
        player.answer(("mouse", "number", "arrows")[at % 3])
        if at == 25:  # pressed twice: the second is no answer
            player.chrome.switch_to.active_element.send_keys("1")
        at += 1
        assert player.done() == at
    assert at == 60
    # A reload at the end brings neither the task nor a second record.
    chrome.refresh()
    Wait(chrome, 10).until(lambda _: player.screen() == "done")
    file = saved(player, tmp_path)

    with open(file, encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert list(rows[0]) == COLUMNS
    assert [row["kind"] for row in rows].count("main") == 48
    assert [number for number, row in enumerate(rows) if row["shown"] != "1"] == [19, 33, 40]
    assert {row["input"] for row in rows} == {"mouse", "keyboard"}
    assert all(0 < int(row["rt_ms"]) < 15000 for row in rows)
    # Repeats come after their first showing, catch trials are spread, and each place is used.
    first = {row["triplet"]: number for number, row in enumerate(rows) if row["kind"] == "main"}
    assert all(number > first[row["triplet"]] for number, row in enumerate(rows) if row["kind"] == "repeat")
    catches = [number for number, row in enumerate(rows) if row["kind"] == "catch"]
    assert len(catches) == 6 and catches[0] < 15 and catches[-1] > 45
    assert {row["image1"] == study.trials("main")[row["triplet"]]["images"][0] for row in rows if row["kind"] == "main"} == {True, False}

    person = reading.read(file, study)
    assert person.misses == 0 and person.caught == 1
    found = pooling.pool([person], study)
    table = agreement.report(found).set_index(["level", "measure"])
    assert table.loc[("all", agreement.WITHIN), "value"] == 1
    # The teacher that is fitted to what was saved predicts the rule on triplets that were not asked.
    choices = found.choices()
    teacher = AffineTeacher(pull=1e-3).fit(looks, choices)
    asked = random_triplets(range(len(study.names)), 3000, np.random.default_rng(0))
    known = {tuple(row) for row in np.sort(choices.triplets, axis=1)}
    asked = asked[[tuple(row) not in known for row in np.sort(asked, axis=1)]]
    truth = np.eye(3)[[2 - player.participant.odd([study.names[each] for each in row]) for row in asked]]
    right = agreeing(teacher.choice_probabilities(looks, asked), truth).mean()
    assert right > 0.6 and right > agreeing(cosine_similarities(looks, asked), truth).mean()


def test_touch_is_told_from_a_mouse_and_a_hidden_page_pauses(player):
    chrome = player.chrome
    player.start()
    assert player.ready()
    finger = ActionBuilder(chrome, mouse=PointerInput("touch", "finger"))
    finger.pointer_action.move_to(chrome.find_element(By.CSS_SELECTOR, ".odd-choice")).pointer_down().pointer_up()
    finger.perform()
    Wait(chrome, 5).until(lambda _: player.done() == 1)
    kept = chrome.execute_script("return JSON.parse(Object.entries(localStorage)[0][1]).rows[0]")
    assert kept[COLUMNS.index("input")] == "touch"
    assert player.ready()
    chrome.execute_script("Object.defineProperty(document, 'hidden', {value: true}); document.dispatchEvent(new Event('visibilitychange'))")
    assert player.screen() == "paused" and player.done() == 1


def test_another_tab_that_went_on_is_followed_and_nothing_is_recorded_twice(player):
    chrome = player.chrome
    player.start()
    assert player.ready()
    first = chrome.current_window_handle
    address = chrome.current_url
    chrome.switch_to.new_window("tab")
    chrome.get(address)
    player.press("Continue")
    assert player.ready()
    player.answer("number")
    assert player.done() == 1
    chrome.close()
    chrome.switch_to.window(first)
    Wait(chrome, 5).until(lambda _: player.screen() == "paused")
    player.press("Continue")
    assert player.ready()
    player.answer("number")
    assert player.done() == 2


def test_a_participant_may_be_named_in_the_address(player, small):
    chrome, home = player.chrome, (small[0] / "index.html").as_uri()
    chrome.get(f"{home}?participant=P-07")
    player.start()
    assert player.ready()
    player.answer("number")
    assert chrome.execute_script(f"return JSON.parse(localStorage['humalign-{small[1].id}-P-07']).rows[0][1]") == "P-07"
    chrome.get(f"{home}?participant=no one")
    assert player.screen() == "bad" and "cannot be used" in chrome.find_element(By.TAG_NAME, "main").text
    chrome.get(home)  # nobody's answers are shown to another
    assert player.screen() == "welcome"


@contextlib.contextmanager
def receiver(status):
    """Yield the address of a server and what was sent to it."""
    sent = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            sent.append(self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8"))
            self.send_response(status)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/answers", sent
        server.shutdown()


def short(pictures, folder, **settings):
    return page.write(pictures, folder, page.Settings(triplets=6, repeats=1, catches=1, practice=1, size=64, **settings))


def played(chrome, folder, study, looks):
    chrome.get((folder / "index.html").as_uri())
    player = Player(chrome, study, Participant(study.names, looks))
    player.start()
    while player.ready():
        player.answer("number")
    return player


def test_answers_are_sent_once_or_saved_where_that_fails(chrome, pictures, looks, tmp_path):
    with receiver(200) as (address, sent):
        study = short(pictures, tmp_path / "page", send=address)
        player = played(chrome, tmp_path / "page", study, looks)
        Wait(chrome, 10).until(lambda _: "have been sent" in chrome.find_element(By.TAG_NAME, "main").text)
        chrome.refresh()
        assert "have been sent" in chrome.find_element(By.TAG_NAME, "main").text and len(sent) == 1
        (tmp_path / "sent.csv").write_text(sent[0], "utf-8")
        assert len(reading.read(tmp_path / "sent.csv", study).rows) == 9
    with receiver(500) as (address, sent):
        study = short(pictures, tmp_path / "other", send=address)
        player = played(chrome, tmp_path / "other", study, looks)
        Wait(chrome, 10).until(lambda _: "could not be sent" in chrome.find_element(By.TAG_NAME, "main").text)
        (tmp_path / "saved").mkdir()
        file = saved(player, tmp_path / "saved")
        assert file.read_text("utf-8") == sent[0]
        # The next person on the same machine starts afresh, with another code.
        player.press("Another person starts")
        assert player.screen() == "welcome"
    chrome.get_log("browser")


def test_a_trial_that_times_out_is_a_miss(chrome, pictures, looks, tmp_path):
    study = short(pictures, tmp_path / "page", timeout=0.6)
    chrome.get((tmp_path / "page" / "index.html").as_uri())
    player = Player(chrome, study, Participant(study.names, looks))
    player.start()
    for _ in range(3):
        Wait(chrome, 10).until(lambda _: player.screen() == "missed")
        assert "No answer in 0.6 seconds" in chrome.find_element(By.TAG_NAME, "main").text
        player.press("Continue")
    while player.ready():
        player.answer("number")
    file = saved(player, tmp_path)
    found = reading.read(file, study)
    assert found.misses == 2 and (found.rows["odd"] < 0).sum() == 3  # one of them was practice


def test_fixed_triplets_are_compared_with_recorded_choices(chrome, pictures, looks, tmp_path):
    images = FolderImages(pictures)
    triplets = random_triplets(range(len(images)), 10, np.random.default_rng(3))
    names = images.labels["file"].tolist()
    rule = Participant(names, looks)
    odd = [rule.odd([names[each] for each in row]) for row in triplets]
    people = [np.where(np.arange(3) == place, 0.6, 0.2).tolist() for place in odd]
    base = [(place + 1) % 3 if row < 4 else place for row, place in enumerate(odd)]
    study = page.compared(images, triplets, {"People": people, "Base model": base, "Aligned model": odd}, tmp_path / "page")
    chrome.get((tmp_path / "page" / "index.html").as_uri())
    player = Player(chrome, study, rule)
    for _ in range(2):  # it may be played again
        if player.screen() == "welcome":
            player.start()
        count = 0
        while player.ready():
            player.answer("arrows")
            count += 1
        assert count == 10
        told = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in chrome.find_elements(By.TAG_NAME, "tr")]
        assert told == [["You", "10 of 10"], ["Base model", "6 of 10"], ["Aligned model", "10 of 10"]]
        cards = chrome.find_elements(By.CSS_SELECTOR, ".odd-card")
        pictures_told = [each.text.split("\n") for each in cards[0].find_elements(By.CSS_SELECTOR, ".odd-told")]
        assert pictures_told[odd[0]] == ["You", "People 60%", "Aligned model"] and pictures_told[base[0]] == ["People 20%", "Base model"]
        player.press("Play again")
    assert chrome.execute_script("return Object.keys(localStorage).filter(key => key.includes(arguments[0])).length", study.id) == 0


# ---- how it looks ----------------------------------------------------------------------------------------------------

INSPECT = r"""
const faults = [], light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const colour = text => (text.match(/[\d.]+/g) || []).map(Number);
const ground = element => { const c = colour(getComputedStyle(element).backgroundColor);
  return (c.length === 4 && c[3] === 0) ? (element.parentElement ? ground(element.parentElement) : [255, 255, 255]) : c; };
if (document.documentElement.scrollWidth > innerWidth) faults.push(`page is ${document.documentElement.scrollWidth} px wide`);
for (const image of document.images) if (!image.alt || !image.naturalWidth) faults.push('image without text or content');
for (const element of document.querySelectorAll('h1, h2, p, span, button, td, th, caption')) {
  if (!element.textContent.trim() || element.disabled || !element.getClientRects().length) continue;
  const [a, b] = [light(colour(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) faults.push(`contrast of ${element.textContent.trim().slice(0, 30)}`);
}
for (const button of document.querySelectorAll('.odd-button, .odd-choice')) {
  const box = button.getBoundingClientRect();
  if (box.height < 44 || box.width < 44) faults.push(`${button.textContent} is small: ${box.width} x ${box.height}`);
}
const last = [...document.querySelectorAll('.odd-choice')].at(-1);
if (last && last.getBoundingClientRect().bottom > innerHeight) faults.push('a picture is below the screen');
return faults;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844), (320, 568), (844, 390)])
def test_no_screen_overflows_or_is_hard_to_read(player, width, height, scheme):
    chrome = player.chrome
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 900}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    try:
        assert chrome.execute_script(INSPECT) == []
        player.start()
        assert player.ready() and chrome.execute_script(INSPECT) == []
        player.press("Pause")
        assert chrome.execute_script(INSPECT) == []
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
