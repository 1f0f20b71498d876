"""The check of the book finds what is wrong with a page, and nothing else."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRAWING = '<svg {} viewBox="0 0 100 100" width="200" height="200">{}</svg>'
GOOD = """<p>Dark text. <a href="#">A link</a></p>
<div class="cell_output"><table><caption>Scores</caption><tr><th scope="col">a</th></tr><tr><td>1</td></tr></table></div>
<img alt="A square" src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">
""" + DRAWING.format(
    'role="img" aria-label="A drawing"',
    '<rect width="100" height="50" fill="#003366"/><text x="10" y="30" fill="#ffffff">on blue</text>'
    '<path class="grid" d="M0 60H100" stroke="#eeeeee"/><circle cx="50" cy="80" r="5" fill="#1f5f99"/>',
)
WRONG = {
    '<p style="color:#999">pale words</p>': "contrast 2.8 of text: pale words",
    '<div style="background:#222"><p style="color:#333">dark on dark</p></div>': "of text: dark on dark",
    DRAWING.format('role="img" aria-label="x"', '<text y="50" fill="#bbb">faint</text>'): "of text in a drawing: faint",
    DRAWING.format('role="img" aria-label="x"', '<rect width="90" height="50"/><text y="30">lost</text>'):
        "contrast 1.0 of text in a drawing: lost",
    DRAWING.format('role="img" aria-label="x"', '<circle cx="50" cy="50" r="20" fill="#fda"/>'): "of a mark: circle",
    DRAWING.format("", '<circle cx="50" cy="50" r="20"/>'): "a drawing without role",
    '<img src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">': "no alternative text",
    '<img alt="x" src="gone.png">': "missing image gone.png",
    '<div style="width:300px"><table style="width:400px"><tr><td>wide</td></tr></table></div>': "a table of 400 px in a column of 300",
    '<div class="cell_output"><table><tr><td>1</td></tr></table></div>': "a table without a caption",
    '<div class="cell_output"><table><caption>c</caption><tr><th>1</th></tr></table></div>': "without scope",
    '<div style="width:5000px;height:9px" class="long"></div>': 'px wide: <div class="long">',
    "<p>{glue}`x`</p>": "not filled in",
    "<button></button>": "a control without a name",
    "<script>console.error('an error')</script>": "console:",
    '<link rel="stylesheet" href="http://elsewhere.invalid/x.css">': "request to another host: http://elsewhere.invalid/x.css",
}  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory, check_book):
    """Open a page with a body in a browser and return what is wrong."""
    folder = tmp_path_factory.mktemp("pages")

    def faults(body, width=1400):
        page = folder / f"{len(list(folder.iterdir()))}.html"  # a browser keeps a page of the same name
        page.write_text(
            f"<!doctype html><meta charset=utf-8><body style='margin:0;background:#fff'><article>{body}</article>"
        )
        return check_book.faults(chrome, f"{home}/{page.name}", width)

    with check_book.served(folder) as home, check_book.browser() as chrome:
        yield faults


@pytest.mark.parametrize("width", [1400, 390])
def test_a_good_page_passes(opened, width):
    assert opened(GOOD, width) == []


@pytest.mark.parametrize("body", WRONG)
def test_what_is_wrong_is_found(opened, body):
    found = opened(GOOD + body)
    assert any(WRONG[body] in fault for fault in found), found
