"""The task to play: what it takes, and how it is played in a real browser."""

import json
import re
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait as Wait

from humalign.errors import HumalignError
from humalign.show import play

ROOT = Path(__file__).parents[2]
NAMES = (
    "bat chopsticks crown lizard pine_tree plastic_film scraper </script> orange fern moss ladybug".split()
)
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def triplets(n=10):
    """Make triplets in which most people leave out the last, the base model the first."""
    return [
        {
            "names": NAMES[row : row + 3],
            "votes": [1, 0, 4],
            "answers": 5,
            "choices": {"base": 0, "aligned": 2},
        }
        for row in range(n)
    ]


def written(folder, game):
    page = folder / "page.html"
    body = f'<h1>A chapter</h1><p><a href="#">A link</a></p>{game._repr_html_()}'
    page.write_text(f"<!doctype html><meta charset=utf-8><article>{body}</article>", "utf-8")
    return page.as_uri()


def test_it_is_played_to_the_end_by_mouse_and_by_keys_from_a_disk_without_a_request(check_book, tmp_path):
    address = written(tmp_path, play.of(triplets(), lambda name: PIXEL if name == "bat" else ""))
    with check_book.browser() as chrome:
        for keys in (False, True):
            assert check_book.played(chrome, address, keys) == []
        # Whoever chooses the last of the three, wherever it stands, chooses as most people did.
        check_book.show(chrome, address, 1400)
        for triplet in triplets():
            Wait(chrome, 20).until(lambda _: chrome.execute_script(check_book.DRAWN))
            wanted = triplet["names"][2].replace("_", " ")
            before = chrome.find_element(By.CSS_SELECTOR, ".odd-count").text
            (image,) = [
                each
                for each in chrome.find_elements(By.CSS_SELECTOR, ".odd-choice img")
                if each.get_attribute("alt") == wanted
            ]
            image.click()
            Wait(chrome, 20).until(
                lambda _, last=before: (
                    chrome.execute_script("return document.querySelector('.odd-count')?.textContent") != last
                )
            )
        text = chrome.find_element(By.CSS_SELECTOR, ".odd-panel").text
        assert (
            "You chose as most people did in 10 of 10, the base model in 0, the aligned model in 10." in text
        )
        first = [each.text.split("\n") for each in chrome.find_elements(By.CSS_SELECTOR, ".odd-told")[:3]]
        assert first == [
            ["People 1 of 5", "Base model"],
            ["People 0 of 5"],
            ["You", "People 4 of 5", "Aligned model"],
        ]


def test_where_one_person_answered_each_triplet_that_is_said():
    single = [triplet | {"votes": [0, 0, 1], "answers": 1} for triplet in triplets()]
    study = play.of(single, lambda name: "").study
    assert study["compare"][0] == "One person" and study["trials"][0]["compare"]["One person"] == 2
    assert "the person asked" in study["words"]["totals"] and "votes" not in study["trials"][0]
    assert play.of([*single, triplets()[0]], lambda name: "").study["compare"][0] == "People"


def test_the_recorded_run_has_ten_triplets_to_play(monkeypatch):
    monkeypatch.setenv("HUMALIGN_BOOK_PICTURES", "names")
    game = play.game(ROOT / "book" / "recorded" / "things" / "scores.csv")
    assert repr(game) == "The odd-one-out task: 10 triplets to play"
    assert all(file.startswith("data:image/svg") for trial in game.study["trials"] for file in trial["files"])


def test_a_name_cannot_end_the_script_and_pictures_are_used_where_there_are_any():
    text = play.of(triplets(), lambda name: PIXEL if name == "bat" else "")._repr_html_()
    assert text.count("</script>") == 2
    study = json.loads(re.search(r'type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[1])
    assert study["trials"][0]["files"][0] == PIXEL and study["trials"][7]["images"][0] == "</script>"
    assert all(file.startswith("data:") for trial in study["trials"] for file in trial["files"])
    assert "plastic" in study["trials"][3]["files"][2] and "http" not in text.replace(
        "http%3A//www.w3.org/2000/svg", ""
    )


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"names": ["bat", "bat", "crown"]}, "three different names"),
        ({"names": ["bat", "crown"]}, "three different names"),
        ({"votes": [0, 0, 0]}, "three counts of votes"),
        ({"votes": [1, 2]}, "three counts of votes"),
        ({"choices": {"base": 0}}, "by base and by aligned"),
        ({"choices": {"base": 0, "aligned": 3}}, "by base and by aligned"),
    ],
)
def test_a_triplet_that_cannot_be_is_one_line(broken, said):
    with pytest.raises(HumalignError, match=f"triplet 1 of the game.*{said}") as raised:
        play.of([triplets()[0], triplets()[1] | broken], lambda name: "")
    assert "\n" not in str(raised.value)


def test_no_triplets_are_one_line():
    with pytest.raises(HumalignError, match="there is no triplet to play"):
        play.of([], lambda name: "")
