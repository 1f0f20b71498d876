"""Making a page: which triplets it holds, and what stops it."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from one_line import refused
from PIL import Image

from humalign import cli
from humalign.collect import page, trials
from humalign.collect.study import COLUMNS, WORDS, Study
from humalign.data.images import FolderImages


def folder(root, names):
    """Make pictures of one colour each under the given names."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (70 + number, 60), (number * 37 % 256, number * 91 % 256, 90)).save(root / name)
    return root


def of_level(study, level):
    return [
        [name.split("/") for name in trial["images"]]
        for trial in study.trials("main").values()
        if trial["level"] == level
    ]


# ---- triplets ------------------------------------------------------------------------------------


def test_a_page_asks_at_the_three_levels_of_the_paper(small):
    _, study = small
    assert [len(of_level(study, level)) for level in trials.CLASSES] == [16, 16, 16]
    for shown in of_level(study, "global-coarse"):
        assert len({group for group, _, _ in shown}) == 3
    for shown in of_level(study, "class-boundary"):
        assert len({group for group, _, _ in shown}) == 1 and len({kind for _, kind, _ in shown}) == 2
    for shown in of_level(study, "local-fine"):
        assert len({(group, kind) for group, kind, _ in shown}) == 1
    main = [tuple(sorted(trial["images"])) for trial in study.trials("main").values()]
    assert len(set(main)) == 48 and all(len(set(each)) == 3 for each in main)


def test_classes_without_groups_give_levels_and_loose_pictures_do_not(tmp_path):
    classes = folder(tmp_path / "classes", [f"{kind}/{number}.png" for kind in "abc" for number in range(4)])
    study = page.write(classes, tmp_path / "page", page.Settings(triplets=9, repeats=3, catches=3, size=64))
    kinds = {
        level: {len({kind for kind, _ in shown}) for shown in of_level(study, level)}
        for level in trials.CLASSES
    }
    assert kinds == {"global-coarse": {3}, "class-boundary": {2}, "local-fine": {1}}
    loose = folder(tmp_path / "loose", [f"{number}.png" for number in range(6)])
    study = page.write(loose, tmp_path / "other", page.Settings(triplets=18, repeats=0, size=64))
    assert {trial["level"] for trial in study.trials("main").values()} == {"uniform"}


def test_levels_that_the_folders_cannot_give_are_named(tmp_path, capsys):
    names = [f"{group}/{kind}/{number}.png" for group in "ab" for kind in "xy" for number in range(2)]
    two = folder(tmp_path / "two", names)
    options = "--triplets 8 --repeats 2 --size 64".split()
    assert cli.main(["collect", str(two), str(tmp_path / "page"), *options]) == 0
    told = capsys.readouterr().out
    assert "8 class-boundary triplets" in told
    assert "has no class folders that would give global-coarse or local-fine triplets" in told
    assert "a person is given 21 trials" in told


def test_a_level_that_holds_few_triplets_leaves_the_others_more(tmp_path):
    names = [f"{group}/{kind}/{number}.png" for group in "abc" for kind in "xy" for number in range(3)]
    pictures = folder(tmp_path / "pictures", names)
    study = page.write(pictures, tmp_path / "page", page.Settings(triplets=30, size=64, repeats=0))
    assert [len(of_level(study, level)) for level in trials.CLASSES] == [12, 12, 6]
    counted = [t for t in study.page["trials"] if t["kind"] == "main" or t["id"].startswith("q")]
    assert len({tuple(sorted(trial["images"])) for trial in counted}) == 32
    counted = trials.Folders.of(study.names, "here").levels()
    assert counted == {"global-coarse": 6**3, "class-boundary": 6 * 3 * 3, "local-fine": 6}
    assert trials.shared(100, {"a": 70, "b": 5, "c": 80}) == {"a": 47, "b": 5, "c": 48}


def test_a_folder_around_all_may_be_called_like_a_class():
    names = ["cats/cats/1.png", "cats/cats/2.png", "cats/dogs/1.png"]
    found = trials.Folders.of(names, "here")
    assert [each.tolist() for each in found.near[0]] == [[0, 1], [2]] and len(found.far) == 2


def test_a_catch_trial_shows_one_picture_twice_and_one_of_another_group(small):
    folder, study = small
    catches = list(study.trials("catch").values())
    assert len(catches) == 6
    for trial in catches:
        assert trial["images"][0] == trial["images"][1] and trial["odd"] == 2
        assert trial["images"][2].split("/")[0] != trial["images"][0].split("/")[0]
        one, copy, other = (
            np.asarray(Image.open(folder / file).resize((32, 32)), dtype=float) for file in trial["files"]
        )
        assert trial["files"][0] != trial["files"][1]
        assert np.abs(one - copy[:, ::-1]).mean() < np.abs(one - other).mean() / 2


def test_a_page_is_whole_small_and_the_same_again(small, pictures, tmp_path):
    folder, study = small
    held = ["index.html", "pictures", "study.json", "task.css", "task.js"]
    assert sorted(path.name for path in folder.iterdir()) == held
    named = {file for trial in study.page["trials"] for file in trial["files"]}
    assert named == {f"pictures/{path.name}" for path in (folder / "pictures").iterdir()}
    assert max(max(Image.open(folder / file).size) for file in named) == 160
    text = page.script() + "".join((folder / name).read_text("utf-8") for name in ("index.html", "task.css"))
    assert not re.search(r"(https?:)?//\w+\.\w+", text) and "@import" not in text
    assert study.names == tuple(FolderImages(pictures).labels["file"]) and study.page["columns"] == COLUMNS
    settings = page.Settings(triplets=48, repeats=4, catches=6, practice=2, size=160)
    again = page.write(pictures, tmp_path / "again", settings)
    other = page.write(pictures, tmp_path / "other", dataclasses.replace(settings, seed=1))
    assert again == study and other.id != study.id


def test_what_a_page_is_made_of_is_installed_with_the_package():
    root = Path(__file__).parents[2]
    setuptools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    held = root / "humalign" / "collect"
    packed = {path for each in setuptools["package-data"]["humalign.collect"] for path in held.glob(each)}
    assert packed == {path for path in held.iterdir() if path.suffix not in (".py", "")}


# ---- what stops it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "no pictures"),
        (["1.png", "2.png"], "holds 2 pictures: a triplet needs three"),
        (["a/1.png", "2.png", "3.png"], "2.png has fewer folders above it than a/1.png"),
        (["a/x/1.png", "b/2.png", "b/3.png"], "b/2.png has fewer folders above it than a/x/1.png"),
        (["train/a/1.png", "val/a/2.png", "val/b/3.png"], "train and .*val look like splits"),
        (["1.png", "2.png", "3.png", "4.png"], "9 different triplets are wanted, these pictures give 4: ask"),
    ],
)
def test_a_folder_that_cannot_be_asked_about_is_one_line(tmp_path, names, said):
    (tmp_path / "pictures").mkdir()
    folder(tmp_path / "pictures", names)
    settings = page.Settings(triplets=9, repeats=0, size=64)
    refused(said, page.write, tmp_path / "pictures", tmp_path / "page", settings)
    assert not (tmp_path / "page").exists() and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--triplets", "0"], "triplets = 0: expected a whole number, 1 or more"),
        (["--each", "121"], "each = 121: one person cannot answer more than the 120 triplets"),
        (["--repeats", "41"], "repeats = 41: of 120 triplets a person, at most 40 can come again"),
        (["--timeout", "0"], "timeout = 0: expected seconds above 0"),
        (["--size", "8"], "size = 8: expected a whole number, 64 or more"),
        (["--send", "me@example.org"], "send = 'me@example.org': an address begins with https://"),
        (["--consent", "none.txt"], "cannot read the consent text none.txt"),
        (["--words", "none.json"], "cannot read none.json"),
        (["--out", "a.csv"], "--page and --out belong to --read"),
    ],
)
def test_a_setting_out_of_its_range_is_one_line(pictures, tmp_path, capsys, options, said):
    assert cli.main(["collect", str(pictures), str(tmp_path / "page"), *options]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and not (tmp_path / "page").exists()


def test_arguments_that_do_not_go_together_are_one_line(capsys):
    assert cli.main(["collect"]) == 2
    assert "name the folder of pictures and a new folder for the page" in capsys.readouterr().err
    assert cli.main(["collect", "pictures", "--read", "a.csv"]) == 2
    assert "--read takes files, and no FOLDER" in capsys.readouterr().err


def test_a_page_is_not_written_over(small, pictures):
    refused("is not empty: name a new folder", page.write, pictures, small[0])


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("[]", "holds no texts by name"),
        ('{"begin ": "x"}', "unknown text 'begin ': did you mean 'begin'"),
        ('{"start": ["x"]}', "'start' should be a text"),
        ('{"instructions": "x"}', "'instructions' should be a list of texts"),
        ('{"progress": "{done}"}', "'progress' lacks {trials}, where a value is filled in"),
    ],
)
def test_words_that_cannot_be_are_one_line(tmp_path, held, said):
    (tmp_path / "words.json").write_text(held, "utf-8")
    refused(said, page.words, tmp_path / "words.json")


def test_own_words_and_consent_are_on_the_page(pictures, tmp_path):
    (tmp_path / "words.json").write_text(json.dumps({"title": "Was passt nicht? </script>"}), "utf-8")
    (tmp_path / "consent.txt").write_text("Erster Absatz,\nzwei Zeilen.\n\nZweiter.\n", "utf-8")
    files = {"words": tmp_path / "words.json", "consent": tmp_path / "consent.txt"}
    settings = page.Settings(triplets=3, repeats=1, catches=1, size=64, **files)
    study = page.write(pictures, tmp_path / "page", settings)
    assert study.page["consent"] == ["Erster Absatz, zwei Zeilen.", "Zweiter."]
    assert study.page["words"] == WORDS | {"title": "Was passt nicht? </script>"}
    text = (tmp_path / "page" / "index.html").read_text("utf-8")
    assert text.count("</script>") == 3 and "<title>Was passt nicht? &lt;/script&gt;</title>" in text
    assert Study.read(tmp_path / "page") == study


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({}, "choices of nobody: one for each of the 2 triplets"),
        ({"People": [0]}, "choices of People: one for each of the 2 triplets"),
        ({"People": [0, 3]}, "choices of People, triplet 1: 3 is neither a place"),
        ({"People": [[0.5, 0.5, 0.5], 1]}, "choices of People, triplet 0"),
    ],
)
def test_choices_that_cannot_be_compared_are_one_line(pictures, tmp_path, choices, said):
    refused(said, page.compared, FolderImages(pictures), [[0, 1, 2], [3, 4, 5]], choices, tmp_path / "page")
