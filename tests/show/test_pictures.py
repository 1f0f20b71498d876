"""Pictures as pieces of a page: every one of the recorded run, with photographs and with names, and each mistake as one line."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from humalign.chain import origins
from humalign.errors import HumalignError
from humalign.show import photographs, pictures

RUN = origins.RECORDED / "things" / origins.TABLE
DRAWN = {
    "triplets": lambda run: pictures.triplets(run),
    "doubt": lambda run: pictures.triplets(run, "doubt"),
    "levels": pictures.levels,
    "agreement": pictures.agreement,
    "flipped": pictures.flipped,
    "map": pictures.map,
    "neighbours": pictures.neighbours,
    "matrices": pictures.matrices,
    "92 images": lambda run: pictures.matrices(run, "92 images"),
    "diagram": pictures.diagram,
    "followed": pictures.followed,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with a photograph of each object that the recorded run shows."""
    place = tmp_path_factory.mktemp("data")
    shown = place / "things" / "object_images_CC0"
    shown.mkdir(parents=True)
    names = json.loads(RUN.with_name(photographs.FILE).read_text())["photographs"]
    (place / "things" / "unique_id.txt").write_text("\n".join(names) + "\n")
    for at, name in enumerate(names):
        Image.new("RGB", (60, 40), (at % 256, 90, 200)).save(shown / f"{name}.jpg")
    return place


@pytest.fixture(autouse=True)
def at_hand(folder, monkeypatch):
    monkeypatch.setenv("HUMALIGN_DATA", str(folder))
    monkeypatch.delenv(photographs.SWITCH, raising=False)


@pytest.fixture
def names_only(monkeypatch):
    monkeypatch.setenv(photographs.SWITCH, photographs.NAMES)


def page(name):
    return DRAWN[name](RUN)._repr_html_()


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


# ---- every picture -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_asks_for_nothing_names_every_image_and_is_the_same_each_time(name):
    found = page(name)
    assert not re.search(r"""(src|href)=["'](?!data:|#|\.\./)""", found) and "http" not in found
    images = re.findall(r"<img [^>]*>", found)
    assert all(re.search(r'alt="[^"]+"', image) for image in images)
    assert all('role="img"' in each and "aria-label=" in each for each in re.findall(r"<svg [^>]*>", found))
    assert found == page(name) and repr(DRAWN[name](RUN)).count("\n") == 0
    assert (
        "nan"
        not in re.sub(r"base64,[^\"]*", "", re.sub(r"<style>.*?</style>", "", found, flags=re.S))
        .lower()
        .split()
    )
    for tag in ("div", "figure", "svg", "span", "p", "ol", "li", "table"):
        assert len(re.findall(f"<{tag}[ >]", found)) == found.count(f"</{tag}>"), tag


@pytest.mark.parametrize("name", DRAWN)
def test_with_names_no_photograph_is_in_a_picture(name, names_only):
    found = page(name)
    assert "image/webp" not in found and "image/jpeg" not in found
    assert photographs.NOTE not in found
    if name not in ("agreement", "matrices", "92 images"):
        assert photographs.NO_NOTE in found


def test_triplets_say_the_votes_and_frame_the_most_frequent():
    one = photographs.of(RUN)["triplets"]["clear"][0]
    found = pictures.triplets(RUN, "clear")
    html = found._repr_html_()
    assert html.count("hp-card hp-odd") == 1
    odd = one["names"][int(np.argmax(one["votes"]))]
    assert (
        f'alt="photograph: {photographs.said(odd)}"'
        in html.partition('hp-card hp-odd"')[2].partition("</figure>")[0]
    )
    for name, vote in zip(one["names"], one["votes"], strict=True):
        assert f"{vote} of {one['answers']}" in html and f"{photographs.said(name)} {vote}" in repr(found)


def test_flipped_counts_all_and_shows_both_directions():
    counts = photographs.of(RUN)["flipped"]["efficientnet-lite1"]["counts"]
    found = pictures.flipped(RUN, "efficientnet-lite1")._repr_html_()
    cells = [int(cell) for cell in re.findall(r"<td>(\d+)</td>", found)]
    kinds = ("gained", "lost", "both", "neither")
    assert cells == [counts[reference][kind] for kind in kinds for reference in ("base", "base-centred")]
    assert f"4 of {counts['base']['gained']}" in found and f"4 of {counts['base']['lost']}" in found
    assert found.count('<div class="hp-three">') == 8


def test_both_maps_show_the_same_photographs_each_kept_once():
    one = photographs.of(RUN)["map"]["efficientnet-lite0"][0]
    found = pictures.map(RUN)._repr_html_()
    kept, used = re.findall(r'<image id="([^"]+)"', found), re.findall(r'<use href="#([^"]+)"', found)
    assert len(kept) == len(set(kept)) == len(one["names"]) and sorted(used) == sorted(2 * kept)
    inside = re.search(r'viewBox="0 0 (\d+) (\d+)"', found).groups()
    for x, y in re.findall(r'<use [^>]*x="([-\d.]+)" y="([-\d.]+)"', found):
        assert 0 <= float(x) <= float(inside[0]) and 0 <= float(y) <= float(inside[1])


def test_names_on_a_map_cover_no_other(names_only):
    found = pictures.map(RUN)._repr_html_()
    for panel in found.split("<svg")[1:]:
        written = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]+)<', panel)
        boxes = [(float(x), float(y), 6.2 * len(text)) for x, y, text in written]
        assert len(boxes) > 20
        for at, (x, y, width) in enumerate(boxes):
            assert all(
                abs(y - v) > 10 or x + width <= u + 1 or u + wide <= x + 1 for u, v, wide in boxes[:at]
            )


def test_a_heat_map_is_symmetric_and_brighter_for_higher_ranks():
    ranks = np.arange(6, dtype=np.uint8) * 50
    image = opened(photographs.heat(ranks, 4))
    pixels = np.asarray(image.convert("L")).astype(int)
    assert image.size == (4, 4) and (pixels == pixels.T).all()
    assert np.all(np.diff(pixels[np.triu_indices(4, 1)]) > 0) and (np.diag(pixels) == pixels.max()).all()


def test_a_photograph_is_square_and_small_and_empty_where_there_is_none():
    uri = pictures.thumbnail("donkey")
    assert opened(uri).size == (photographs.SIDE, photographs.SIDE) and len(uri) < 10_000
    assert opened(pictures.thumbnail("donkey", 54)).size == (54, 54)
    assert pictures.thumbnail("nothing") == ""


def test_without_a_data_folder_names_are_drawn(monkeypatch, tmp_path):
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path))
    assert pictures.thumbnail("donkey") == "" and "image/webp" not in page("triplets")


@pytest.mark.parametrize(
    ("name", "said"), [("bat1", "bat"), ("hot-air_balloon", "hot-air balloon"), ("ice_cream", "ice cream")]
)
def test_names_are_those_that_people_write(name, said):
    assert photographs.said(name) == said


def test_names_are_escaped(names_only):
    assert "<b>" not in photographs.card("<b>x")


# ---- mistakes ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    for name in (origins.TABLE, photographs.FILE):
        shutil.copy(RUN.with_name(name), tmp_path / name)
    return tmp_path / origins.TABLE


@pytest.mark.parametrize(("draw", "line"), [
    (lambda run: pictures.triplets(run, "claer"), "'claer': did you mean 'clear'"),
    (lambda run: pictures.flipped(run, "efficientnet-lite3"), "efficientnet-lite3.*efficientnet-lite"),
    (lambda run: pictures.matrices(run, "objcts"), "no matrices of 'objcts'.*objects"),
    (lambda run: pictures.matrices(run, "92 images", "clip"), "no matrices of 'clip'.*efficientnet"),
])  # fmt: skip
def test_an_unknown_name_is_one_line_that_names_the_nearest(run, draw, line):
    with pytest.raises(HumalignError, match=line) as raised:
        draw(run)
    assert "\n" not in str(raised.value)


def test_a_missing_or_damaged_file_is_one_line_with_the_mend(run):
    path = run.with_name(photographs.FILE)
    for text in ("{", "[]", '{"rules": {}}'):
        path.write_text(text)
        with pytest.raises(HumalignError, match=r"damaged.*humalign run illustrations --profile"):
            pictures.triplets(run)
    path.unlink()
    with pytest.raises(
        HumalignError, match=r"no .*illustrations.json: `humalign run illustrations --profile"
    ):
        pictures.triplets(run)


def test_a_file_that_was_made_again_is_read_again(run):
    first = pictures.of(run)
    path = run.with_name(photographs.FILE)
    path.write_text(json.dumps(first | {"game": []}))
    assert pictures.of(run)["game"] == [] != first["game"]


def test_a_damaged_matrix_is_one_line(run):
    found = pictures.of(run)
    path = run.with_name(photographs.FILE)
    for broken in ("!", base64.b64encode(b"123").decode()):
        one = found["matrices"][0] | {"panels": dict.fromkeys(found["matrices"][0]["panels"], broken)}
        path.write_text(json.dumps(found | {"matrices": [one]}))
        with pytest.raises(HumalignError, match=r"make the.* illustrations again"):
            pictures.matrices(run)


def test_a_damaged_photograph_is_one_line(folder, monkeypatch, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    (tmp_path / "data" / "things" / "object_images_CC0" / "donkey.jpg").write_bytes(b"no picture")
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path / "data"))
    with pytest.raises(HumalignError, match=r"donkey.jpg is no picture, or a damaged one") as raised:
        pictures.thumbnail("donkey")
    assert "\n" not in str(raised.value)


def test_another_value_of_the_switch_is_one_line(monkeypatch):
    monkeypatch.setenv(photographs.SWITCH, "name")
    with pytest.raises(HumalignError, match=r"HUMALIGN_BOOK_PICTURES=name: .*names"):
        pictures.thumbnail("donkey")
