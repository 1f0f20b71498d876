"""The end of a page in a real browser: answers sent or saved, misses, a comparison with recorded choices."""

import contextlib
import http.server
import threading
import time

import numpy as np
from made_answers import Participant
from played_pages import Player, saved
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait as Wait

from humalign.collect import page
from humalign.collect.study import read_person
from humalign.data.images import FolderImages
from humalign.data.judgments import random_triplets


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
    return page.write(
        pictures, folder, page.Settings(triplets=6, repeats=1, catches=1, practice=1, size=64, **settings)
    )


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
        assert len(read_person(tmp_path / "sent.csv", study).rows) == 9
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
    found = read_person(file, study)
    assert found.misses == 2 and (found.rows["odd"] < 0).sum() == 3  # one of them was practice


def test_fixed_triplets_are_compared_with_recorded_choices(chrome, pictures, looks, tmp_path):
    images = FolderImages(pictures)
    triplets = random_triplets(range(len(images)), 10, np.random.default_rng(3))
    names = images.labels["file"].tolist()
    rule = Participant(names, looks)
    odd = [rule.odd([names[each] for each in row]) for row in triplets]
    people = [np.where(np.arange(3) == place, 0.6, 0.2).tolist() for place in odd]
    base = [(place + 1) % 3 if row < 4 else place for row, place in enumerate(odd)]
    study = page.compared(
        images, triplets, {"People": people, "Base model": base, "Aligned model": odd}, tmp_path / "page"
    )
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
        told = [
            [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
            for row in chrome.find_elements(By.TAG_NAME, "tr")
        ]
        assert told == [["You", "10 of 10"], ["Base model", "6 of 10"], ["Aligned model", "10 of 10"]]
        cards = chrome.find_elements(By.CSS_SELECTOR, ".odd-card")
        pictures_told = [
            each.text.split("\n") for each in cards[0].find_elements(By.CSS_SELECTOR, ".odd-told")
        ]
        assert pictures_told[odd[0]] == ["You", "People 60%", "Aligned model"] and pictures_told[base[0]] == [
            "People 20%",
            "Base model",
        ]
        player.press("Play again")
    assert (
        chrome.execute_script(
            "return Object.keys(localStorage).filter(key => key.includes(arguments[0])).length", study.id
        )
        == 0
    )


def test_the_task_stands_in_a_chapter_and_leaves_its_keys_alone(chrome, pictures, looks, tmp_path):
    images = FolderImages(pictures)
    rule = Participant(images.labels["file"].tolist(), looks)
    study = page.compared(images, [[0, 5, 13], [1, 14, 30]], {"People": [0, 1]}, tmp_path / "page")
    text = (tmp_path / "page" / "index.html").read_text("utf-8")
    for old, new in (
        ('class="odd-page"', ""),
        (", document);", ");"),
        ("<main", "<h1>A chapter</h1><p>Text.</p><main"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "page" / "chapter.html").write_text(text, "utf-8")
    chrome.get((tmp_path / "page" / "chapter.html").as_uri())
    player = Player(chrome, study, rule)
    player.start()
    assert player.ready() and len(chrome.find_elements(By.TAG_NAME, "h1")) == 1
    chrome.execute_script("document.activeElement.blur()")
    player.chrome.switch_to.active_element.send_keys("1")
    time.sleep(0.5)
    assert chrome.find_element(By.CSS_SELECTOR, ".odd-count").text == "1 of 2"
    player.answer("mouse")
    assert player.ready()  # the next triplet has taken the focus
    player.answer("number")
    assert not player.ready() and player.screen() == "results"
