"""What the book holds besides prose and chapters: the API, the data of the scores, a preview image; and its links."""

import importlib
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from humalign.errors import HumalignError
from humalign.evaluation import scores as score
from humalign.show import book, cells, generated, site
from humalign.show.stages import STAGES

ROOT = Path(__file__).parents[2]
RECORDED = {name: ROOT / "book" / "recorded" / name for name in ("things", "demo")}


@pytest.fixture
def source(tmp_path):
    """Make a staged book with its two pages that have marks."""
    for name in ("api", "scores"):
        (tmp_path / "book").mkdir(exist_ok=True)
        shutil.copy(ROOT / "book" / f"{name}.md", tmp_path / "book")
    return tmp_path


# ---- the API -----------------------------------------------------------------------------------------------------


def test_each_module_has_a_page_and_stands_once_in_the_list(source):
    pages = generated.api(source)
    text = (source / "book" / "api.md").read_text()
    assert len(pages) == len(set(pages)) > 40 and "<!--" not in text
    for page in pages:
        module = page.rsplit("/", 1)[1]
        assert text.count(f"(api/{module}.md)") == 1
        assert f".. automodule:: {module}\n" in (source / f"{page}.md").read_text()
        importlib.import_module(module)


def test_what_the_readme_imports_and_what_draws_is_in_the_api():
    named = {module for members in generated.modules().values() for module in members}
    drawing = {f"humalign.show.{path.stem}" for path in (ROOT / "humalign" / "show").glob("[!_]*.py")}
    imported = set(
        re.findall(r"^from (humalign\.[\w.]+) import", (ROOT / "README.md").read_text(), re.MULTILINE)
    )
    assert imported <= named and drawing <= named | {"humalign.show.stages"}


def test_a_module_that_is_gone_is_one_line(monkeypatch):
    monkeypatch.setitem(generated.MODULES, "Models", "models.gone")
    with pytest.raises(HumalignError, match="no module gone: correct MODULES"):
        generated.modules()


# ---- the scores --------------------------------------------------------------------------------------------------


def test_the_page_of_scores_holds_every_score_and_the_files_of_each_run(source):
    generated.scores(RECORDED, source)
    text = (source / "book" / "_static" / "scores-data.js").read_text()
    data = json.loads(text.removeprefix("const SCORES = ").rstrip().removesuffix(";"))
    assert list(data["runs"]) == ["things", "demo"]
    for name, held in data["runs"].items():
        table = score.read(RECORDED[name] / "scores.csv")
        assert len(held["rows"]) == len(table)
        for row, expected in zip(held["rows"][::97], table.iloc[::97].to_dict("records"), strict=True):
            for column, cell in zip(data["columns"], row, strict=True):
                if column in ("value", "low", "high", "n"):
                    assert (
                        pd.isna(expected[column])
                        if cell is None
                        else cell == pytest.approx(expected[column], abs=1e-6)
                    )
                elif column != "x":
                    assert held["texts"][cell] == expected[column]
        for file in ("scores.csv", "provenance.json", "steps.json"):
            copied = source / "book" / "_static" / "runs" / name / file
            assert copied.read_bytes() == (RECORDED[name] / file).read_bytes()
            assert f"../_static/runs/{name}/{file}" in (source / "book" / "scores.md").read_text()


def test_the_preview_image_has_the_size_that_is_asked_for(tmp_path):
    generated.preview(RECORDED, tmp_path / "with.png")
    generated.preview({}, tmp_path / "without.png")
    with Image.open(tmp_path / "with.png") as drawn, Image.open(tmp_path / "without.png") as empty:
        assert drawn.size == empty.size == (1200, 630) and drawn.tobytes() != empty.tobytes()
    table = score.read(RECORDED["things"] / "scores.csv")
    found = generated._marks({"demo": RECORDED["demo"], "things": RECORDED["things"]})
    row = score.one(table, stage="teacher", task="odd-one-out", split="unseen objects", metric="accuracy")
    assert found["after"] == pytest.approx(100 * row["value"]) and list(found) == [
        "before",
        "after",
        "people",
    ]


# ---- the repository's address ------------------------------------------------------------------------------------


def config(address):
    text = (ROOT / "_config.yml").read_text().replace('url: ""', f"url: {address}")
    return yaml.safe_load(book.configured(text))


def test_the_address_of_the_repository_is_one_setting():
    bare, given = config(""), config("https://github.com/someone/humalign")
    assert not any(bare["html"][name] for name in book.BUTTONS) and "baseurl" not in bare["html"]
    assert all(given["html"][name] for name in book.BUTTONS)
    assert given["html"]["baseurl"] == "https://someone.github.io/humalign"
    assert given["sphinx"]["config"]["repository"] == "https://github.com/someone/humalign"
    for wrong in ("humalign", "github.com/someone/humalign", "https://github.com/someone"):
        with pytest.raises(HumalignError, match=r"repository.url .* in _config.yml: expected https://"):
            config(wrong)


def test_commits_become_links_only_with_an_address():
    body = (
        '<p class="provenance">Numbers: a recorded run, commit 01eda2e · <a href="x">y</a></p>'
        "<table><td>01eda2e</td><td>1234567</td></table><p>commit 01eda2e</p>"
    )
    assert site.commits(body, "") == body
    found = site.commits(body, "https://github.com/someone/humalign/")
    assert found.count('<a href="https://github.com/someone/humalign/commit/01eda2e">01eda2e</a>') == 2
    assert "<td>1234567</td>" in found and found.endswith("<p>commit 01eda2e</p>")


# ---- dead links --------------------------------------------------------------------------------------------------


def test_dead_links_are_found(tmp_path, source, ci):
    generated.scores(RECORDED, source)
    html = tmp_path / "html"
    (html / "_static").mkdir(parents=True)
    shutil.copy(source / "book" / "_static" / "scores-data.js", html / "_static")
    (html / "book").mkdir()
    (html / "book" / "scores.html").write_text('<p id="files">')
    good = [
        "book/scores.html",
        "book/scores.html#files",
        "#",
        "https://example.org/x",
        "#here",
        "book/scores.html#run=things&task=odd-one-out&split=unseen%20objects|repeated%20triplets",
    ]
    bad = [
        "book/gone.html",
        "book/scores.html#gone",
        "#gone",
        "book/scores.html#run=things&task=odd",
        "book/scores.html#run=gone",
        "book/scores.html#colour=red",
    ]
    cells = "".join(f'<a href="{link.replace("&", "&amp;")}">x</a>' for link in good + bad)
    (html / "page.html").write_text(f'<p id="here">{cells}')
    assert ci("book_links").dead_links(html) == {"page": [f"a dead link: {link}" for link in sorted(bad)]}


def test_the_rows_of_any_figure_are_found_on_the_page_of_scores(source, ci):
    rows = ci("book_links").rows
    generated.scores(RECORDED, source)
    text = (source / "book" / "_static" / "scores-data.js").read_text()
    held = json.loads(text.split("=", 1)[1].rstrip(";\n"))
    table = score.read(RECORDED["things"] / "scores.csv")
    barred = table[table["split"].str.contains("|", regex=False)]
    assert len(barred)
    for found in (*(rows for _, rows in table.groupby("task")), barred, table.iloc[[0]]):
        fragment = cells.rows_address(found).split("#")[1]
        wanted = table["task"].isin(found["task"])
        for column in ("split", "metric", "model", "stage"):
            if found[column].nunique() <= cells.SEVERAL and set(found["stage"]) <= set(STAGES):
                wanted &= table[column].isin(found[column])
        if set(found["stage"]) <= set(STAGES):
            assert rows(held, fragment) == wanted.sum()
        assert rows(held, fragment) >= len(found)
    renamed = table[table["task"] == "dense-against-sparse"].assign(stage="dense", model="one")
    assert rows(held, cells.rows_address(renamed).split("#")[1]) == len(renamed)
