"""The page in a real browser, from a disk: a simulated participant answers by mouse, keyboard and touch."""

import csv
import json
from urllib.parse import urlsplit

import numpy as np
import pytest
from made_answers import Participant
from played_pages import Player, saved
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait as Wait

from humalign.collect import pooling
from humalign.collect.study import COLUMNS, read_person
from humalign.data.judgments import agreement as agreeing
from humalign.data.judgments import cosine_similarities, random_triplets
from humalign.teach.teacher import AffineTeacher


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
            assert (
                player.done() == at
                and f"answered {at} of 60" in chrome.find_element(By.TAG_NAME, "main").text
            )
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
    assert {
        row["image1"] == study.trials("main")[row["triplet"]]["images"][0]
        for row in rows
        if row["kind"] == "main"
    } == {True, False}

    person = read_person(file, study)
    assert person.misses == 0 and person.caught == 1
    found = pooling.pool([person], study)
    table = pooling.report(found).set_index(["level", "measure"])
    assert table.loc[("all", pooling.WITHIN), "value"] == 1
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
    finger.pointer_action.move_to(
        chrome.find_element(By.CSS_SELECTOR, ".odd-choice")
    ).pointer_down().pointer_up()
    finger.perform()
    Wait(chrome, 5).until(lambda _: player.done() == 1)
    kept = chrome.execute_script("return JSON.parse(Object.entries(localStorage)[0][1]).rows[0]")
    assert kept[COLUMNS.index("input")] == "touch"
    assert player.ready()
    chrome.execute_script(
        "Object.defineProperty(document, 'hidden', {value: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
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
    assert (
        chrome.execute_script(f"return JSON.parse(localStorage['humalign-{small[1].id}-P-07']).rows[0][1]")
        == "P-07"
    )
    chrome.get(f"{home}?participant=no one")
    assert player.screen() == "bad" and "cannot be used" in chrome.find_element(By.TAG_NAME, "main").text
    chrome.get(home)  # nobody's answers are shown to another
    assert player.screen() == "welcome"


# ---- how it looks --------------------------------------------------------------------------------

INSPECT = r"""
const faults = [], linear = c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const colour = text => (text.match(/[\d.]+/g) || []).map(Number);
const ground = element => { const c = colour(getComputedStyle(element).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c;
  return element.parentElement ? ground(element.parentElement) : [255, 255, 255]; };
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) faults.push(`page is ${wide} px wide`);
for (const image of document.images)
  if (!image.alt || !image.naturalWidth) faults.push('image without text or content');
for (const element of document.querySelectorAll('h1, h2, p, span, button, td, th, caption')) {
  if (!element.textContent.trim() || element.disabled || !element.getClientRects().length) continue;
  const ink = light(colour(getComputedStyle(element).color));
  const [a, b] = [ink, light(ground(element))].sort((x, y) => y - x);
  if ((a + 0.05) / (b + 0.05) < 4.5) faults.push(`contrast of ${element.textContent.trim().slice(0, 30)}`);
}
for (const button of document.querySelectorAll('.odd-button, .odd-choice')) {
  const box = button.getBoundingClientRect();
  if (box.height < 44 || box.width < 44) faults.push(`${button.textContent} is small`);
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
    chrome.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        assert chrome.execute_script(INSPECT) == []
        player.start()
        assert player.ready() and chrome.execute_script(INSPECT) == []
        player.press("Pause")
        assert chrome.execute_script(INSPECT) == []
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
