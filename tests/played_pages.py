"""Go through a page of the odd-one-out task in a browser, as a participant does."""

import time

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait as Wait

SCREEN = "return document.getElementById('task').dataset.screen"
READY = "return document.querySelectorAll('.odd-choices.odd-shown .odd-choice:enabled').length == 3"


class Player:
    """Go through a page as a participant does."""

    def __init__(self, chrome, study, participant):
        self.chrome, self.participant = chrome, participant
        self.names = {
            file: name
            for trial in study.page["trials"]
            for file, name in zip(trial["files"], trial["images"], strict=True)
        }

    def screen(self):
        return self.chrome.execute_script(SCREEN)

    def press(self, text):
        (button,) = [
            each for each in self.chrome.find_elements(By.CSS_SELECTOR, ".odd-button") if each.text == text
        ]
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
        shown = [
            each.get_attribute("src")
            for each in self.chrome.find_elements(By.CSS_SELECTOR, ".odd-choice img")
        ]
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
            ".map(key => JSON.parse(localStorage[key]).rows.length))"
        )


def saved(player, folder):
    """Save the answers into a folder and return the file."""
    player.chrome.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    player.press("Save answers")
    # The browser first holds the name by an empty file.
    Wait(player.chrome, 20).until(
        lambda _: [file for file in folder.glob("answers-*.csv") if file.stat().st_size]
    )
    (file,) = folder.glob("answers-*")
    return file
