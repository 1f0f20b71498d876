"""The rendering of the book."""

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from alive import alive, until
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from humalign.errors import HumalignError
from humalign.show import book, generated, notebooks

ROOT = Path(__file__).parents[2]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
GLUED = {"data": {"application/papermill.record/text/plain": "0.25"},
         "metadata": {"scrapbook": {"name": "share", "mime_prefix": "application/papermill.record/"}}}
FIGURE = {"figure": {"name": "shares", "caption": "**Shares.**"}, "image": {"alt": "One pixel."}}
CHAPTER = [
    new_markdown_cell("# Chapter\n\n$$ a = b $$ (same)"),
    new_code_cell("glue('share', 0.25)", execution_count=1, outputs=[new_output("display_data", **GLUED)]),
    new_code_cell("figure", execution_count=2, outputs=[new_output("display_data", data={"image/png": PIXEL})],
                  metadata={"mystnb": FIGURE}),
]
INTRO = """# Intro

```{figure} _static/first.png
:name: first
:alt: One pixel.

First.
```

Of all, {glue:text}`../notebooks/01_data.ipynb::share:.0%`; see {numref}`shares` and {eq}`same`. {cite:t}`someone`
"""
REFERENCES = "# References\n\n```{bibliography}\n```\n"
BIB = "@article{someone, author={Some One}, title={A Title}, journal={J}, year={2020}}"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Make the smallest book that uses what the real one uses, with the real settings."""
    monkeypatch.setattr(generated, "MODULES", {"Errors": "errors"})
    root = tmp_path / "root"
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    (root / "book" / "_static" / "first.png").write_bytes(base64.b64decode(PIXEL))
    shutil.copy(ROOT / "_config.yml", root)
    toc = {"format": "jb-book", "root": "book/intro", "chapters": [{"file": "notebooks/01_data"}, {"file": "book/api"},
                                                                       {"file": "book/scores"}, {"file": "book/references"}]}
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    for name in ("api", "scores"):
        text = (ROOT / "book" / f"{name}.md").read_text()
        (root / "book" / f"{name}.md").write_text(re.sub(r"\[\]\(\.\./notebooks/.*?\)", "A page", text))
    for name, text in {"intro.md": INTRO, "references.md": REFERENCES, "references.bib": BIB}.items():
        (root / "book" / name).write_text(text)
    return root


@pytest.fixture
def build(tmp_path):
    """Make the build folder of a profile whose chapters have been run."""
    folder = tmp_path / "build" / "tiny"
    (folder / "notebooks").mkdir(parents=True)
    nbformat.write(new_notebook(cells=CHAPTER, metadata=notebooks.METADATA), folder / "notebooks" / "01_data.ipynb")
    return folder


@pytest.fixture
def render(root, build):
    """Render that book."""
    runs = {"demo": ROOT / "book" / "recorded" / "demo"}
    return lambda: book.render(root, build, build / "notebooks", runs)


def test_the_book_is_rendered_once_and_again_when_something_changed(root, build, render, capsys):
    page = render()
    assert page == build / "book" / "html" / "index.html" and page.is_file()
    intro = (page.parent / "book" / "intro.html").read_text()
    for text in ("25%", "Fig. 2", "(1)", "Some One"):
        assert text in intro
    assert list((page.parent / "_images").glob("first.png"))
    # What search engines and messengers show, what the search reads from a disk, the source of a function, the scores.
    assert '<meta name="description" content="First.' not in intro and 'property="og:image"' in intro
    assert re.search(r'<meta name="description" content="Of all, 25%', intro)
    assert "Of all, 25%" in (page.parent / "_static" / "texts.js").read_text()
    assert 'id="nearest"' in (page.parent / "_modules" / "humalign" / "errors.html").read_text()
    assert "nearest" in (page.parent / "book" / "api" / "humalign.errors.html").read_text()
    assert (page.parent / "_static" / "runs" / "demo" / "scores.csv").is_file()
    assert (page.parent / "_static" / "preview.png").is_file()
    capsys.readouterr()

    made = page.stat().st_mtime_ns
    assert render().stat().st_mtime_ns == made
    assert "reused" in capsys.readouterr().err

    (root / "book" / "intro.md").write_text(INTRO.replace("Of all", "Of most"))
    assert "Of most" in (render().parent / "book" / "intro.html").read_text()


@pytest.mark.parametrize("page", ["book/intro.html", "notebooks/01_data.html", "_images/first.png"])
@pytest.mark.parametrize("how", ["truncated", "deleted", "altered"])
def test_a_page_that_is_not_as_it_was_rendered_is_rendered_again(render, build, monkeypatch, page, how):
    built = []

    def fake(source, folder):
        built.append(1)
        for name in ("index.html", "book/intro.html", "notebooks/01_data.html", "_images/first.png"):
            (folder / "html" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "html" / name).write_text("whole")

    monkeypatch.setattr(book, "_build", fake)
    path = render().parent / page
    assert render() and len(built) == 1
    path.unlink() if how == "deleted" else path.write_text("who" if how == "truncated" else "whale")
    render()
    assert len(built) == 2 and path.read_text() == "whole"


def test_a_killed_rendering_leaves_no_builder_behind_and_the_next_one_clears_up(root, build, render):
    program = "import sys; from pathlib import Path; from humalign.show import book; book.render(*map(Path, sys.argv[1:]))"
    (root / "book" / "intro.md").write_text("# Intro\n")
    arguments = [sys.executable, "-c", program, root, build, build / "notebooks"]
    with subprocess.Popen(arguments, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        started = until(lambda: list((build / "book").glob(".building-*")))
        builders = until(lambda: alive(str(started[0])))
        process.kill()
    assert builders and until(lambda: not alive(str(started[0])), 10), "it ends with its starter"
    assert started[0].is_dir()
    (root / "book" / "intro.md").write_text(INTRO)
    render()
    assert not list((build / "book").glob(".building-*"))


@pytest.mark.parametrize("size", ["400k", "6m"], ids=["while pages are written", "before"])
def test_a_disk_that_fills_up_under_the_book_is_one_line_and_the_next_rendering_is_whole(root, build, tmp_path, size):
    place = tmp_path / "small"
    place.mkdir()

    def mount(options):
        return subprocess.run(["mount", *options, place], capture_output=True, check=False).returncode == 0

    def again():
        return book.render(root, place / "tiny", place / "tiny" / "notebooks", {"demo": ROOT / "book" / "recorded" / "demo"})

    if not mount(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]):
        pytest.skip("no file system may be mounted here")
    try:
        shutil.copytree(build, place / "tiny")
        assert mount(["-o", f"remount,size={size}"])
        with pytest.raises((HumalignError, OSError), match=r"[Nn]o space left") as caught:
            again()
        assert "\n" not in str(caught.value) and not list(place.rglob(".building-*"))
        assert mount(["-o", "remount,size=64m"])
        assert again().is_file()
    finally:
        subprocess.run(["umount", "-l", place], check=False)


@pytest.mark.parametrize("broken", [
    INTRO.replace("::share:", "::shares:"),  # a number that no chapter gives
    INTRO.replace("{numref}`shares`", "{numref}`share`"),
    INTRO.replace("{cite:t}`someone`", "{cite:t}`nobody`"),
])
def test_a_warning_is_an_error_that_names_page_and_log_and_leaves_no_older_page(root, build, render, broken):
    (build / "book" / "html").mkdir(parents=True)
    (build / "book" / "html" / "index.html").write_text("old")
    (root / "book" / "intro.md").write_text(broken)
    with pytest.raises(HumalignError, match=r"book/intro.*WARNING.*build\.log") as raised:
        render()
    assert "\n" not in str(raised.value) and str(root) not in str(raised.value)
    assert not (build / "book" / "html").exists()


def test_a_chapter_that_has_not_been_run_is_an_error_before_anything_is_built(root, build, render):
    (build / "notebooks" / "01_data.ipynb").unlink()
    with pytest.raises(HumalignError, match="nothing has been run for tiny yet: make reproduce PROFILE=tiny"):
        render()
    assert not (build / "book").exists()


def test_the_table_of_contents_names_every_page_and_every_chapter():
    named = book.pages(ROOT / "_toc.yml")
    assert named[0] == "notebooks/start" and len(named) == len(set(named))
    written = [path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "book").glob("*.md")]
    chapters = [path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks.chapters(ROOT / "notebooks")]
    assert sorted(named) == sorted(written + chapters)
