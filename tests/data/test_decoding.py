"""Pictures as people see them: turned, on a ground, of 256 levels; and as they are stored, where the official
pipeline gives them so.
"""

import io
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from one_line import refused
from PIL import Image

from humalign.data import imagenet, wordnet
from humalign.data.decoding import as_seen, open_image
from humalign.data.images import Files, FolderImages, ZipImages, squash
from humalign.data.torchvision_sets import TorchvisionImages
from humalign.errors import HumalignError

RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def pixels(picture):
    assert picture.mode == "RGB"
    return np.asarray(picture)


def png(kind, rows, width, clear=b"", bits=16):
    """A PNG with samples of as many bits, which Pillow does not write of every kind."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    head = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = {b"IHDR": head, b"tRNS": clear, b"IDAT": body}
    held = b"".join(chunk(name, content) for name, content in parts.items() if content)
    return b"\x89PNG\r\n\x1a\n" + held + chunk(b"IEND", b"")


# ---- levels ------------------------------------------------------------------------------------------------


def saved(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


DEEP = {
    "png": lambda folder: saved(RAMP, folder / "a.png"),
    "tiff": lambda folder: saved(RAMP, folder / "a.tif"),
    "tiff, packed": lambda folder: saved(RAMP, folder / "a.tif", compression="tiff_lzw"),
    "tiff, big-endian": lambda folder: big_endian(folder / "a.tif"),
    "pgm": lambda folder: saved(RAMP, folder / "a.pgm"),
    "jpeg 2000": lambda folder: saved(RAMP, folder / "a.jp2", irreversible=False),
    "floats from 0 to 1": lambda folder: saved(
        (RAMP / np.float32(65535)).astype(np.float32), folder / "a.tif"
    ),
}


def big_endian(path):
    rows = RAMP.astype(">u2").tobytes()
    tags = [(256, 4, 256), (257, 4, 256), (258, 3, 16 << 16), (259, 3, 1 << 16), (262, 3, 1 << 16), (273, 4, 8), (277, 3, 1 << 16),
            (278, 4, 256), (279, 4, len(rows))]  # fmt: skip
    entries = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in tags)
    path.write_bytes(
        b"MM\0\x2a"
        + struct.pack(">I", 8 + len(rows))
        + rows
        + struct.pack(">H", len(tags))
        + entries
        + bytes(4)
    )
    return path


@pytest.mark.parametrize("make", DEEP.values(), ids=DEEP)
def test_a_ramp_of_16_bits_keeps_256_levels_about_their_mean(tmp_path, make):
    found = pixels(open_image(make(tmp_path)))
    assert len(np.unique(found)) == 256 and found.mean() == pytest.approx(127.5, abs=0.01)
    assert (np.diff(found[..., 0].ravel().astype(int)) >= 0).all() and (found[..., :1] == found).all()


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_a_picture_in_memory_of_16_bits_is_squashed_with_all_its_levels(mode):
    picture = Image.frombytes(mode, (256, 256), RAMP.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    assert picture.mode == mode
    assert len(np.unique(pixels(as_seen(picture)))) == 256
    assert len(np.unique(squash(picture, 256).numpy())) == 256


def test_levels_of_8_bits_stay_as_they_are(tmp_path):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for name in ("a.png", "a.tif", "a.bmp", "a.pgm", "a.gif"):
        Image.fromarray(levels).save(tmp_path / name)
        np.testing.assert_array_equal(pixels(open_image(tmp_path / name))[..., 1], levels)
    one = np.array([[False, True]])
    Image.fromarray(one).save(tmp_path / "one.png")
    assert pixels(open_image(tmp_path / "one.png"))[0].tolist() == [[0] * 3, [255] * 3]


def test_colours_of_16_bits_keep_their_upper_eight(tmp_path):
    row = np.array([[0x1234, 0x5678, 0x9ABC], [0xFFFF, 0, 0x8000]], ">u2").tobytes()
    (tmp_path / "a.png").write_bytes(png(2, [row], 2))
    assert pixels(open_image(tmp_path / "a.png"))[0].tolist() == [[0x12, 0x56, 0x9A], [255, 0, 128]]


def tiff(path, bits, photometric, values):
    """A grey TIFF of one strip."""
    rows = np.asarray(values, "<u2").tobytes()
    tags = [(256, 4, len(values)), (257, 4, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8), (277, 3, 1), (278, 4, 1),
            (279, 4, len(rows))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II\x2a\0" + struct.pack("<I", 8 + len(rows))
    path.write_bytes(head + rows + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path


def test_a_tiff_whose_zero_is_white_is_no_negative(tmp_path):
    for name, photometric, wanted in (("a.tif", 1, [0, 128, 255]), ("b.tif", 0, [255, 127, 0])):
        found = pixels(open_image(tiff(tmp_path / name, 16, photometric, [0, 32768, 65535])))
        assert found[0, :, 0].tolist() == wanted


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (RAMP.astype(np.int32), "grey values of 32 bits, of which nothing says which is white: save it"),
        (np.arange(256, dtype=np.int32)[None], "grey values of 32 bits"),
        (np.array([[-1.0, 0.5]], np.float32), "in floating point from -1 to 0.5 instead of 0 to 1"),
        (np.array([[0, 255.0]], np.float32), "in floating point from 0 to 255"),
        (np.array([[0, np.nan]], np.float32), "in floating point from nan to nan"),
        (np.array([[0, np.inf]], np.float32), "in floating point from 0 to inf"),
    ],
)
def test_values_of_which_nothing_says_what_is_white_are_refused(tmp_path, array, said):
    Image.fromarray(array).save(tmp_path / "a.tif")
    refused(rf"cannot use the picture .*a\.tif: .*{said}", open_image, tmp_path / "a.tif")
    refused(said, squash, Image.fromarray(array), 8)


@pytest.mark.parametrize("mode", "LAB HSV YCbCr CMYK RGBX P 1 LA PA La RGBa RGBA".split())
def test_other_modes_are_rgb_or_one_line(tmp_path, mode):
    source = Image.new("RGB", (4, 4), (200, 30, 40))
    steps = {"PA": "P", "La": "LA", "RGBa": "RGBA"}
    try:
        picture = source.convert(steps.get(mode, "RGB" if mode == "LAB" else mode))
        picture = Image.new("LAB", (4, 4)) if mode == "LAB" else picture.convert(mode)
    except ValueError:
        pytest.skip(f"Pillow makes no {mode}")
    picture.info = {}
    try:
        found = pixels(as_seen(picture))
    except HumalignError as error:
        assert mode == "LAB" and "\n" not in str(error)
    else:
        near = 22 if mode in ("P", "PA") else 12  # the colours of the web
        off = np.abs(found[0, 0].astype(int) - [200, 30, 40]).max()
        assert off <= near or mode in ("1", "LA", "La", "LAB")


# ---- orientation -------------------------------------------------------------------------------------------

# As people see it: a picture of 6 x 4 whose upper left corner is red, upper right green, lower left blue.
UPRIGHT = np.full((40, 60, 3), 90, np.uint8)
UPRIGHT[:10, :10], UPRIGHT[:10, -10:], UPRIGHT[-10:, :10] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
# How it is stored for each orientation, by the meaning of the tag: what the first row and the first column of
# the file are.
STORED = {
    1: UPRIGHT, 2: UPRIGHT[:, ::-1], 3: UPRIGHT[::-1, ::-1], 4: UPRIGHT[::-1], 5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT), 7: np.rot90(UPRIGHT, 2).transpose(1, 0, 2), 8: np.rot90(UPRIGHT, -1),
}  # fmt: skip


def oriented(path, orientation, **options):
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(np.ascontiguousarray(STORED.get(orientation, UPRIGHT))).save(path, exif=exif, **options)
    return path


def same(found):
    return np.abs(pixels(found).astype(int) - UPRIGHT).mean() < 12 if found.size == (60, 40) else False


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_a_picture_stands_as_people_see_it(tmp_path, orientation, suffix):
    options = {} if suffix in ("png", "tif") else {"quality": 95}
    path = oriented(tmp_path / f"a.{suffix}", orientation, **options)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, path.name)
    sets = (FolderImages(tmp_path), ZipImages(tmp_path / "a.zip"), Files([path]))
    for found in (open_image(path), *(images[0] for images in sets)):
        assert same(found)
        assert same(as_seen(found)), "it is not turned twice"
    upright = squash(Image.fromarray(UPRIGHT), 16)
    assert (squash(Image.open(path), 16) - upright).abs().mean() < 0.06


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_means_nothing_turns_nothing(tmp_path, orientation):
    assert same(open_image(oriented(tmp_path / "a.jpg", orientation, quality=95)))


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x03\x01\x12", b"Exif\0\0nonsense", b"x"],
)
def test_damaged_exif_beside_sound_pixels_turns_nothing(tmp_path, exif):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.fromarray(UPRIGHT).save(tmp_path / "a.jpg", exif=exif, quality=95)
        assert same(open_image(tmp_path / "a.jpg"))


def test_an_orientation_in_xmp_counts_too(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(np.ascontiguousarray(STORED[6])).save(tmp_path / "a.jpg", xmp=xmp, quality=95)
    assert same(open_image(tmp_path / "a.jpg"))


def test_a_turned_picture_of_16_bits_and_one_with_alpha(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(RAMP))).save(tmp_path / "deep.png", exif=exif)
    np.testing.assert_array_equal(pixels(open_image(tmp_path / "deep.png"))[..., 0], RAMP >> 8)
    clear = np.dstack([UPRIGHT, np.full((40, 60), 255, np.uint8)])
    clear[20:, 30:, 3] = 0
    Image.fromarray(np.ascontiguousarray(np.rot90(clear))).save(tmp_path / "clear.png", exif=exif)
    found = pixels(open_image(tmp_path / "clear.png"))
    assert (
        found.shape == (40, 60, 3) and (found[20:, 30:] == 255).all() and (found[:20] == UPRIGHT[:20]).all()
    )


def test_imagenet_is_read_as_it_is_stored_and_says_so(tmp_path):
    folder = tmp_path / "n01440764"
    folder.mkdir()
    path = oriented(folder / "n01440764_1.JPEG", 6, format="JPEG", quality=95)
    content = path.read_bytes()
    images = imagenet.ClassFolders(tmp_path)
    with pytest.warns(
        UserWarning,
        match="some pictures lie on their side or head, as the training pipelines of this set read them too",
    ):
        found = images[0]
    assert found.size == (40, 60) and np.abs(pixels(found).astype(int) - STORED[6]).mean() < 12
    assert squash(found, 8).shape == (3, 8, 8) and as_seen(found).size == (40, 60), "no later step turns it"
    assert images.stamp(0).startswith(f"{len(content)} ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(oriented(tmp_path / "a.jpg", 1), stored=True).size == (60, 40)


def test_imagenet_a_is_read_as_it_is_stored(tmp_path):
    classes = [f"n{number:08}" for number in range(200)]
    for name in classes:
        (tmp_path / name).mkdir()
        oriented(tmp_path / name / "a.jpg", 8)
    images, *_ = wordnet.imagenet_a(tmp_path, classes)
    with pytest.warns(UserWarning, match=r"lie on their side or head, .* such as .*a\.jpg"):
        assert images[0].size == (40, 60)


def test_pictures_of_torchvision_stand_as_people_see_them(tmp_path):
    path = oriented(tmp_path / "a.jpg", 6, quality=95)

    class Listed:
        targets, classes = (0,), ("cat",)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return Image.open(path).convert("RGB"), 0

    assert same(TorchvisionImages("listed", Listed(), "again")[0])


# ---- transparency ------------------------------------------------------------------------------------------


def transparent(kind, path):
    """Write a picture of a dark pixel that is seen and of one that is not, under which the same dark colour
    is stored.
    """
    dark = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8)
    picture = Image.fromarray(dark)
    if kind == "LA":
        picture = picture.convert("LA")
    elif kind in ("P", "P bytes"):
        palette = Image.new("P", (2, 1))
        palette.putpalette([10, 20, 30, 10, 20, 30])
        palette.putpixel((1, 0), 1)
        return palette.save(path, transparency=1 if kind == "P" else bytes([255, 0]))
    elif kind in ("RGB key", "L key"):
        grey = kind == "L key"
        keyed = Image.fromarray(
            np.array([[10, 11]], np.uint8) if grey else np.array([[[10, 20, 30], [11, 20, 30]]], np.uint8)
        )
        return keyed.save(path, transparency=11 if grey else (11, 20, 30))
    picture.save(path)


@pytest.mark.parametrize(("kind", "suffix"), [
    ("RGBA", "png"), ("LA", "png"), ("P", "png"), ("P bytes", "png"), ("RGB key", "png"), ("L key", "png"), ("P", "gif"), ("RGBA", "tif"),
    ("RGBA", "webp"), ("RGBA", "ico"), ("RGBA", "tga"), ("RGBA", "jp2"), ("RGBA", "dds"),
])  # fmt: skip
def test_what_is_transparent_shows_the_ground(tmp_path, kind, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "ico":
        Image.fromarray(
            np.tile(np.array([[[10, 20, 30, 255]], [[10, 20, 30, 0]]], np.uint8), (8, 16, 1))
        ).save(path, sizes=[(16, 16)])
        rows = pixels(open_image(path))[:2, 0].tolist()
    else:
        transparent(kind, path)
        options = {"lossless": True} if suffix == "webp" else {}
        if suffix == "webp":
            Image.fromarray(np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8)).save(
                path, exact=True, **options
            )
        rows = pixels(open_image(path))[0].tolist()
    assert max(rows[0]) <= 40 and rows[1] == [255, 255, 255]
    assert pixels(open_image(path, ground="black"))[-1, -1].tolist() == [0, 0, 0]
    assert pixels(FolderImages(tmp_path, ground="#808080")[0])[-1, -1].tolist() == [128, 128, 128]
    assert pixels(Files([path], ground="red")[0])[-1, -1].tolist() == [255, 0, 0]


def test_half_transparent_is_half_way_to_the_ground(tmp_path):
    Image.fromarray(np.array([[[100, 0, 0, 128]]], np.uint8)).save(tmp_path / "a.png")
    assert pixels(open_image(tmp_path / "a.png"))[0, 0].tolist() == pytest.approx([177, 127, 127], abs=1)
    assert pixels(open_image(tmp_path / "a.png", ground="black"))[0, 0].tolist() == pytest.approx(
        [50, 0, 0], abs=1
    )


def test_a_transparent_value_of_16_bits_is_that_value_alone(tmp_path):
    row = np.array([40000, 40001, 300], ">u2").tobytes()
    (tmp_path / "grey.png").write_bytes(png(0, [row], 3, struct.pack(">H", 40000)))
    assert pixels(open_image(tmp_path / "grey.png"))[0, :, 0].tolist() == [255, 40001 >> 8, 1]
    row = np.array([[0x1234, 0x5678, 0x9ABC], [0x2234, 0x5678, 0x9ABC]], ">u2").tobytes()
    (tmp_path / "colour.png").write_bytes(png(2, [row], 2, struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)))
    assert pixels(open_image(tmp_path / "colour.png"))[0].tolist() == [[255] * 3, [0x22, 0x56, 0x9A]]


def test_a_ground_that_is_no_colour_is_one_line(tmp_path):
    transparent("RGBA", tmp_path / "a.png")
    refused("no colour 'transparant' to lay transparent pixels on: write white, black, or #808080", open_image, tmp_path / "a.png",
            ground="transparant")  # fmt: skip


def test_in_memory_and_in_an_archive_it_is_the_same(tmp_path):
    transparent("RGBA", tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "a.png")
    wanted = pixels(open_image(tmp_path / "a.png"))
    assert (pixels(ZipImages(tmp_path / "a.zip")[0]) == wanted).all()
    assert (pixels(open_image(io.BytesIO((tmp_path / "a.png").read_bytes()))) == wanted).all()
    assert squash(Image.open(tmp_path / "a.png"), 2)[:, 0, 1].tolist() == [1, 1, 1]
    assert open_image(tmp_path / "a.png", mode="RGBA").getpixel((1, 0)) == (10, 20, 30, 0), (
        "another mode is as stored"
    )


# ---- damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif", "avif"])
def test_of_several_frames_the_first_is_taken_and_that_is_said(tmp_path, suffix):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / f"moves.{suffix}", save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match=f"several frames, of which the first is taken, such as .*moves.{suffix}$"):
        assert open_image(tmp_path / f"moves.{suffix}").getpixel((0, 0))[0] > 250
    first.save(tmp_path / f"one.{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_image(tmp_path / f"one.{suffix}")


@pytest.mark.parametrize(
    "suffix",
    ["tif", "gif", "webp", "bmp", "tga", "jp2", "pcx", "ico", "psd", "dds", "ppm", "avif", "sgi", "qoi"],
)
def test_damage_of_any_kind_ends_in_one_line(tmp_path, suffix):
    path, rng = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    if suffix == "psd":
        path.write_bytes(
            b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x20\0\0\0\x20\0\x08\0\3" + bytes(12) + bytes(3074)
        )
    else:
        picture.save(path)
    whole = path.read_bytes()
    for kept in (1, 4, 12, 30, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:kept])
        read(path)
    for _ in range(25):
        damaged = bytearray(whole)
        for place in rng.integers(min(len(whole), 200), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        read(path)


def read(path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert open_image(path).mode == "RGB"
    except HumalignError as error:
        assert "\n" not in str(error) and path.name in str(error)
