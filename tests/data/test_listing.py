"""Which files are pictures, their order and their classes: the same in a folder and in an archive of it."""

import os
import unicodedata
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from one_line import refused
from PIL import Image

from humalign.data import listing, named, readers, readers_similarity
from humalign.data.images import Files, FolderImages, ImageSet, ZipImages
from humalign.data.registry import imagenet

# What systems and programs leave beside pictures, as folders of pictures and as files.
LEFT = [
    ".ipynb_checkpoints/1-checkpoint.png", "__MACOSX/1.png", "__MACOSX/._1.png", "@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "._1.png", ".1.png",
    ".git/x.png", ".Trash-1000/files/1.png", "$RECYCLE.BIN/1.png", "lost+found/1.png", "~$1.png", ".AppleDouble/1.png", ".thumbnails/1.png",
    "System Volume Information/1.png", "#recycle/1.png", "@Recently-Snapshot/1.png", "__macosx/1.png", "@eadir/1.png",
]  # fmt: skip
FILES = ["Thumbs.db", "desktop.ini", "Desktop.ini", "ehthumbs.db", ".DS_Store", "Icon\r"]


def draw(root, *names, grey=None):
    """Write pictures whose grey tells their place among the names."""
    for place, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (grey or place + 1,) * 3).save(
            path, "PNG" if path.suffix.lower() not in (".jpg", ".jpeg") else "JPEG"
        )
    return root


def packed(root, path):
    """Return an archive of everything below a folder, hidden files, too."""
    with zipfile.ZipFile(path, "w") as archive:
        for folder, _, names in os.walk(root):
            for name in names:
                archive.write(Path(folder) / name, (Path(folder) / name).relative_to(root))
    return path


def files(found):
    return found.labels["file"].tolist()


def classes(found):
    return found.labels["class"].tolist()


def greys(found):
    return [found[row].getpixel((0, 0))[0] for row in range(len(found))]


def both(root, tmp_path, **options):
    return FolderImages(root, **options), ZipImages(packed(root, tmp_path / "packed.zip"), **options)


# ---- what is none of the data ------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [*LEFT, *FILES])
def test_what_systems_leave_is_no_picture_in_folders_and_archives_nor_a_class(tmp_path, left):
    root = draw(tmp_path / "judged", "0.png", "1.png")
    (root / left).parent.mkdir(parents=True, exist_ok=True)
    (root / left).write_bytes((root / "1.png").read_bytes())
    for found in both(root, tmp_path):
        assert files(found) == ["0.png", "1.png"] and classes(found) == ["", ""] and greys(found)[0] == 1


@pytest.mark.parametrize(
    "name", "0.png a_.png _a.png thumbs.png _checkpoints MACOSX eaDir 1-checkpoint.png a.b.png".split()
)
def test_what_only_looks_alike_is_data(name):
    assert not listing.hidden(name)


@pytest.mark.parametrize("left", [*LEFT, *FILES])
def test_the_readers_of_photographs_pass_over_the_same(tmp_path, left):
    root = draw(tmp_path / "photographs", "ant.png", "owl.png", "ant/ant_01b.png", "owl/owl_01b.png")
    for folder in (root, root / "ant"):
        (folder / left).parent.mkdir(parents=True, exist_ok=True)
        (folder / left).write_bytes(b"no picture")
    paths, rows = readers.things_photographs(root, ("ant", "owl"))
    assert [path.name for path in paths] == ["ant.png", "owl.png"] and rows.tolist() == [0, 1]
    paths, _ = readers.reference_photographs(root, ("ant", "owl"))
    assert [path.stem for path in paths] == ["ant_01b", "owl_01b"]
    assert [path.name for path in listing.right_in(root)] == ["ant.png", "owl.png"]
    archive = packed(root / "ant", tmp_path / "animals.zip")
    assert [file.name for file in readers_similarity._zipped(archive)] == ["ant_01b.png"]


@pytest.mark.parametrize("left", [".ipynb_checkpoints", "@eaDir", "__MACOSX", "._n01440764"])
def test_the_reader_of_imagenet_passes_over_the_same(tmp_path, left):
    draw(
        tmp_path,
        "n01440764/n01440764_1.JPEG",
        f"{left}/n01440764_2.JPEG",
        "n01440764/._n01440764_1.JPEG",
        "n01440764/~$1.JPEG",
    )
    assert list(imagenet.in_folders(tmp_path)) == ["n01440764/n01440764_1.JPEG"]


def test_a_folder_above_the_root_may_be_hidden(tmp_path):
    root = draw(tmp_path / ".cache" / "@eaDir" / "judged", "0.png")
    assert len(FolderImages(root)) == 1


# ---- pictures of every kind --------------------------------------------------------------------------------

WRITTEN = "tif tiff gif webp bmp ppm pgm tga jp2 png jfif jpe ico pcx TIF avif dds sgi".split()


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_picture_of_any_kind_keeps_its_place_between_others(tmp_path, suffix):
    root = draw(tmp_path / "judged", "a.jpg", "c.jpg")
    picture = Image.new("RGB", (16, 16), (200,) * 3)
    picture.convert("L" if suffix == "pgm" else "RGB").save(root / f"b.{suffix}")
    for found in both(root, tmp_path):
        assert files(found) == ["a.jpg", f"b.{suffix}", "c.jpg"]
        assert found[1].getpixel((8, 8))[0] == pytest.approx(200, abs=2)


@pytest.mark.parametrize("suffix", ["heic", "HEIC", "heif", "jxl", "svg", "eps", "nef", "CR2", "dng", "exr"])
def test_a_picture_of_a_kind_that_is_not_read_is_named(tmp_path, suffix):
    root = draw(tmp_path / "judged", "a.jpg", "c.jpg")
    (root / f"b.{suffix}").write_bytes(b"anything")
    said = rf"b\.{suffix} is a picture of a kind that is not read: convert it to .png or .jpg, or take it"
    refused(said, FolderImages, root)
    refused(said, ZipImages, packed(root, tmp_path / "packed.zip"))
    refused(said, readers.things_photographs, root, ("a", "c"))


@pytest.mark.parametrize("name", "b.txt b.json b.h5 b.mp4 b b.pdf b.npy b.xml b.jpg.part".split())
def test_what_is_no_picture_is_passed_over(tmp_path, name):
    root = draw(tmp_path / "judged", "a.jpg", "c.jpg")
    (root / name).write_bytes(b"anything")
    for found in both(root, tmp_path):
        assert files(found) == ["a.jpg", "c.jpg"]


@pytest.mark.parametrize("name", ["b.png.", "b.PNG ", "b.png. ."])
def test_dots_and_blanks_behind_an_ending_do_not_hide_a_picture(tmp_path, name):
    root = tmp_path / "root"
    draw(root, "a.png", "c.png")
    (root / "c.png").rename(root / "d.png")
    (root / name).write_bytes((root / "a.png").read_bytes())
    for images in both(root, tmp_path):
        assert images.labels["file"].tolist() == ["a.png", name, "d.png"] and images[1].size == images[0].size


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP"])
def test_a_picture_without_an_ending_is_named_and_not_passed_over(tmp_path, kind):
    root = tmp_path / "root"
    draw(root, "cat/a.png", "cat/c.png")
    Image.new("RGB", (4, 4)).save(root / "cat" / "b", kind)
    (root / "LICENSE").write_text("no picture")
    os.mkfifo(root / "pipe")
    refused("cat/b is a picture whose name has no ending: add one", FolderImages, root)
    (root / "pipe").unlink()
    refused("cat/b is a picture whose name has no ending: add one", ZipImages, packed(root, tmp_path / "a.zip"))
    (root / "cat" / "b").unlink()
    assert len(FolderImages(root)) == 2


@pytest.mark.parametrize("above", ["/", "../", "./", "x/../../", "//"])
def test_an_archive_is_read_as_it_is_unpacked_whatever_leads_out_of_it(tmp_path, above):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, grey in ((f"{above}dog/a.png", 3), ("cat/b.png", 7)):
            with archive.open(name, "w") as member:
                Image.new("L", (2, 2), grey).save(member, "PNG")
    images = ZipImages(tmp_path / "a.zip", order=["cat/b.png", f"{above}dog/a.png"])
    assert [images[row].getpixel((0, 0))[0] for row in range(2)] == [7, 3]
    assert images.labels["file"][1].endswith("dog/a.png") and not images.labels["file"][1].startswith(("/", "."))


def test_a_folder_may_lie_below_the_home_and_is_no_file(tmp_path, monkeypatch):
    draw(tmp_path / "mine", "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(FolderImages("~/mine")) == 1
    assert Files([tmp_path / "mine" / "a.png"])[0].size == FolderImages("~/mine")[0].size
    refused("^/.*/not-there is not there: name the folder", FolderImages, "~/not-there")
    refused("a.png is a file: read a .zip with ZipImages", FolderImages, tmp_path / "mine" / "a.png")
    refused("is a folder: read it with FolderImages", ZipImages, "~/mine")


def test_a_folder_that_is_named_like_a_picture_is_a_folder(tmp_path):
    root = draw(tmp_path / "judged", "a.jpg", "b.png/1.png", "c.jpg")
    for found in both(root, tmp_path):
        assert files(found) == ["a.jpg", "b.png/1.png", "c.jpg"] and found.labels[
            "class"
        ].tolist() == ["", "b.png", ""]


# ---- links -------------------------------------------------------------------------------------------------


def test_a_linked_class_folder_is_followed_and_a_loop_is_not(tmp_path):
    elsewhere = draw(tmp_path / "elsewhere", "1.png", "deep/2.png")
    root = draw(tmp_path / "pets", "dog/1.png")
    (root / "cat").symlink_to(elsewhere)
    (root / "dog" / "up").symlink_to(root)
    (elsewhere / "deep" / "again").symlink_to(elsewhere)
    (root / "self").symlink_to(".")
    found = FolderImages(root)
    assert files(found) == ["cat/1.png", "cat/deep/2.png", "dog/1.png"]
    assert classes(found) == ["cat", "cat", "dog"] and found[1].size == (4, 3)
    assert [str(path.relative_to(root)) for path in listing.everything(root)] == files(found)
    (tmp_path / "link").symlink_to(root)
    assert FolderImages(tmp_path / "link").labels.equals(found.labels), "the root itself may be a link"


def test_a_relative_link_and_a_linked_picture_are_followed(tmp_path):
    root = draw(tmp_path / "pets", "dog/1.png", "dog/3.png")
    (root / "cat").symlink_to("dog")
    (root / "dog" / "2.png").symlink_to("1.png")
    names = [f"{which}/{number}.png" for which in ("cat", "dog") for number in (1, 2, 3)]
    assert FolderImages(root).labels["file"].tolist() == names


@pytest.mark.parametrize("name", ["cat", "b.png", "loop"])
def test_a_link_to_nothing_is_named_and_not_passed_over(tmp_path, name):
    root = draw(tmp_path / "pets", "a.png", "c.png")
    (root / name).symlink_to("loop" if name == "loop" else tmp_path / "gone")
    refused(
        rf"{name} is a link to .*, which is not there: mend the link, or take it away", FolderImages, root
    )


def test_a_link_that_broke_later_is_not_a_matter_for_doctor(tmp_path):
    root = draw(tmp_path / "pets", "a.png", "real.png")
    (root / "b.png").symlink_to("real.png")
    images = FolderImages(root)
    (root / "real.png").unlink()
    said = r"no picture at .*b\.png: it is a link to real\.png, which is not there: mend the link"
    refused(said, images.__getitem__, 1)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    root = draw(tmp_path / "pets", "cat/1.png", "dog/1.png")
    scandir = os.scandir

    def closed(path):
        if Path(path).name == "cat":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    refused(r"cannot read the folder .*cat \(Permission denied\)", FolderImages, root)


# ---- classes and splits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["a/sub/1.png", "b/2.png"], ["a", "b"]),
        (["pets/a/1.png", "pets/b/2.png"], ["a", "b"]),
        (["x/pets/a/1.png", "x/pets/a/sub/2.png", "x/pets/b/2.png"], ["a", "a", "b"]),
        (["a/1.png", "a/2.png"], ["a", "a"]),
        (["1.png", "2.png"], ["", ""]),
        (["a/1.png", "b.png"], ["a", ""]),
        (["train/a/1.png", "train/b/1.png"], ["a", "b"]),
        (["a-b/1.png", "a/1.png"], ["a", "a-b"]),
        (["pets/a/1.png", "pets/loose.png"], ["a", ""]),
    ],
)
def test_classes_and_order_are_the_same_in_a_folder_and_in_its_archive(tmp_path, names, wanted):
    folder, archive = both(draw(tmp_path / "root", *names), tmp_path)
    assert isinstance(folder, ImageSet) and isinstance(archive, ImageSet)
    assert classes(folder) == classes(archive) == wanted
    assert files(folder) == files(archive) and greys(folder) == greys(archive)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png"], ["train", "val"]),
        (["Training/a/1.png", "Validation/a/1.png", "Test/b/1.png"], ["Test", "Training", "Validation"]),
        (["data/train2017/a/1.png", "data/test_set/a/1.png"], ["data/test_set", "data/train2017"]),
        (["train/a/1.png", "val/a/1.png", "extra/a/1.png"], ["train", "val"]),
        (["train/1.png", "test/1.png"], ["test", "train"]),
    ],
)
def test_of_splits_the_one_to_classify_is_asked_for(tmp_path, names, splits):
    root = draw(tmp_path / "root", *names)
    said = f"holds splits, not classes: name one of {', '.join(f'.*{each}' for each in splits)}$"
    refused(said, named.find, str(root))
    refused(said, named.find, str(packed(root, tmp_path / "root.zip")))
    assert len(FolderImages(root)) == len(names), "as a pool, without classes, it is one set"


@pytest.mark.parametrize("both_of", [("train", "boat"), ("test", "a"), ("trainer", "value")])
def test_a_class_may_be_called_like_a_split(tmp_path, both_of):
    found = named.find(str(draw(tmp_path / "root", *(f"{name}/1.png" for name in both_of))))
    assert classes(found) == sorted(both_of)


def test_a_split_of_a_folder_or_of_an_archive_is_a_set(tmp_path):
    names = ["train/a/1.png", "train/b/1.png", "val/a/2.png", "val/b/3.png", "val/b/x/4.png"]
    root = draw(tmp_path / "pets", *names)
    archive = packed(root, tmp_path / "pets.zip")
    for name in (root / "val", archive / "val"):
        found = named.find(str(name))
        assert classes(found) == ["a", "b", "b"] and greys(found) == [3, 4, 5]
        assert files(found) == ["a/2.png", "b/3.png", "b/x/4.png"]
    refused(r"no pictures .* in .*pets\.zip, folder tset", named.find, str(archive / "tset"))


def test_an_archive_of_windows_has_folders_too(tmp_path):
    draw(tmp_path, "1.png")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for name in ("pets\\cat\\1.png", "pets\\dog\\1.png", "pets\\@eaDir\\1.png", "./pets/dog/2.png"):
            archive.writestr(name, (tmp_path / "1.png").read_bytes())
    found = ZipImages(tmp_path / "pets.zip")
    assert classes(found) == ["cat", "dog", "dog"] and found[2].size == (4, 3)


def test_an_archive_with_a_picture_twice_is_refused(tmp_path):
    draw(tmp_path, "1.png")
    twice = pytest.warns(UserWarning, match="Duplicate name")
    with twice, zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for _ in range(2):
            archive.writestr("cat/1.png", (tmp_path / "1.png").read_bytes())
    refused(r"pets\.zip holds two pictures cat/1\.png: pack it again", ZipImages, tmp_path / "pets.zip")


# ---- orders ------------------------------------------------------------------------------------------------

# As unique_id.txt has them, and not as they are sorted.
IDS = ["ice", "ice_cream", "ice-cream_cone", "camera_lens", "camera1"]


@pytest.mark.parametrize(
    "order",
    [
        IDS,
        [f"{name}.png" for name in IDS],
        [f"things/{name}.png" for name in IDS],
        np.array(IDS),
        np.array(IDS, "S"),
        pd.Series(IDS),
        (f" {name} " for name in IDS),
        [f"things\\{name}" for name in IDS],
        dict.fromkeys(IDS),
    ],
    ids=["ids", "files", "paths", "array", "bytes", "series", "blanks", "windows", "keys"],
)
def test_pictures_stand_in_the_order_of_given_names(tmp_path, order):
    root = draw(tmp_path / "judged", *(f"things/{name}.png" for name in IDS))
    wanted = [f"things/{name}.png" for name in IDS]
    assert files(FolderImages(root)) != wanted
    for found in both(root, tmp_path, order=list(order)):
        assert greys(found) == [1, 2, 3, 4, 5] and files(found) == wanted
        assert set(classes(found)) == {"things"}


@pytest.mark.parametrize("content", ["{}\n", "\N{BYTE ORDER MARK}{}\n", "{}  \n\n\n", "{}"])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n", "\t\r\n"])
def test_an_order_may_be_a_list_with_a_mark_and_blanks(tmp_path, content, end):
    root = draw(tmp_path / "judged", *(f"{name}.png" for name in IDS))
    (tmp_path / "unique_id.txt").write_bytes(content.format(end.join(IDS)).encode())
    for path in (tmp_path / "unique_id.txt", str(tmp_path / "unique_id.txt")):
        found = FolderImages(root, order=path)
        assert files(found) == [f"{name}.png" for name in IDS]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (["a", "b", "c", "d"], "holds no picture of 'd', number 3 of the order: add it, or take the"),
        (["a", "b"], "1 pictures are not in the order, such as c.png: name all, or take them away"),
        (["a", "b", "b", "c"], "'b', number 2 of the order, means a picture that stands before: name each"),
        (["a", "b", "b.png", "c"], r"'b\.png', number 2 of the order, means a picture that stands before"),
        (["A", "b", "c"], "holds no picture of 'A', number 0"),
        ([], "3 pictures are not in the order, such as a.png"),
        ([0, 1, 2], "holds no picture of '0', number 0"),
    ],
)
def test_an_order_that_is_not_one_of_the_pictures_is_refused(tmp_path, order, said):
    root = draw(tmp_path / "judged", "a.png", "b.png", "c.png")
    refused(said, FolderImages, root, order=order)
    refused(said, ZipImages, packed(root, tmp_path / "packed.zip"), order=order)


def test_a_name_of_two_pictures_asks_for_the_whole_path(tmp_path):
    root = draw(tmp_path / "judged", "x/a.png", "y/a.png", "y/b.png", "y/b.jpg")
    said = r"'a', number 0 of the order, may be x/a\.png and y/a\.png: write the whole path"
    refused(said, FolderImages, root, order=["a"])
    found = FolderImages(root, order=["y/b.jpg", "y/a", "x/a.png", "y/b.png"])
    assert files(found) == ["y/b.jpg", "y/a.png", "x/a.png", "y/b.png"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\n\nb\n", "line 2: no name: take the line out, or write the name"),
        (b"", "is empty"),
        (b"\xff\xfea\x00\n\x00", "is text in UTF-16: save it in UTF-8"),
        (b"caf\xe9\n", "is no text in UTF-8: save it so"),
        (b"PK\x03\x04", "is an archive, not text"),
    ],
)
def test_a_list_of_names_that_cannot_be_is_one_line(tmp_path, content, said):
    root = draw(tmp_path / "judged", "a.png", "b.png")
    (tmp_path / "list.txt").write_bytes(content)
    refused(said, FolderImages, root, order=tmp_path / "list.txt")


def hints(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    ("names", "hinted"),
    [
        ([f"{number}.png" for number in range(1, 12)], True),
        ([f"img_{number}.jpg" for number in range(1, 12)], True),
        ([f"{number}.png" for number in range(1, 10)], False),
        ([f"{number:02}.png" for number in range(1, 12)], False),
        (["aardvark.png", "zucchini.png"], False),
        ([f"a{number}.png" for number in range(8, 12)] + ["b1.png"], False),
    ],
)
def test_numbers_that_are_not_sorted_as_numbers_are_hinted_at(tmp_path, names, hinted):
    root = draw(tmp_path / "judged", *names)
    archive = packed(root, tmp_path / "packed.zip")
    for call in (lambda: FolderImages(root), lambda: ZipImages(archive)):
        said = hints(call)
        assert len(said) == hinted
        assert all("is picture 2 and " in each and "give the names in their order" in each for each in said)
    assert not hints(lambda: FolderImages(root, order=names))
    assert greys(FolderImages(root, order=names)) == pytest.approx(range(1, len(names) + 1), abs=1)


# ---- letters -----------------------------------------------------------------------------------------------


def test_a_name_has_the_same_place_however_its_accent_is_written(tmp_path):
    names = ["café.png", "cafz.png", "zoë/é.png"]
    found = []
    for form in ("NFC", "NFD"):
        root = draw(tmp_path / form, *(unicodedata.normalize(form, name) for name in names))
        found += [FolderImages(root), ZipImages(packed(root, tmp_path / f"{form}.zip"))]
    for each in found:
        assert files(each) == sorted(names) and classes(each) == ["", "", "zoë"] and greys(each) == [2, 1, 3]
    for form in ("NFC", "NFD"):
        order = [unicodedata.normalize(form, name) for name in reversed(names)]
        assert greys(FolderImages(tmp_path / "NFD", order=order)) == [3, 2, 1]


def test_file_names_that_are_not_utf_8_are_read_and_can_be_written_anywhere(tmp_path):
    root = draw(tmp_path / "judged", "a.png")
    os.rename(os.fsencode(root / "a.png"), os.fsencode(root) + b"/caf\xe9.png")
    os.mkdir(os.fsencode(root) + b"/\xff")
    Image.new("RGB", (2, 2)).save(root / "b.png")
    os.rename(os.fsencode(root / "b.png"), os.fsencode(root) + b"/\xff/b.png")
    found = FolderImages(root)
    assert files(found) == ["\\xff/b.png", "caf\\xe9.png"] and classes(found) == ["\\xff", ""]
    assert found[0].size == (2, 2) and found[1].size == (4, 3)
    "".join(found.labels["file"]).encode("utf-8")
    assert Files(found.paths).labels["file"].tolist() == ["b.png", "caf\\xe9.png"]
    found.paths[1].write_bytes(b"no picture")
    refused(r"caf\\xe9\.png", found.__getitem__, 1)
