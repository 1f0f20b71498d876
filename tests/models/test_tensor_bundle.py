"""Checkpoints of TensorFlow, read by the description of their format: value for value, or one line."""

import made_bundles
import numpy as np
import pytest

from humalign.errors import HumalignError
from humalign.models import tensor_bundle

VECTORS = {  # RFC 3720, B.4, and the usual check value
    b"123456789": 0xE3069283, bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E,
    bytes(reversed(range(32))): 0x113FDB5C, b"": 0,
}


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    shapes = {"f4": (3, 4, 5), "f8": (2,), "i4": (), "u1": (3,), "i2": (1, 1), "i1": (5,), "i8": (2, 2), "f2": (7,), "b1": (4,)}
    made = {f"a/{name}/{made_bundles.VALUE}": (generator.normal(size=shape) * 50).astype(name) for name, shape in shapes.items()}
    return made | {f"layer_{i}/kernel": generator.normal(size=i).astype("f4") for i in range(12)}


@pytest.fixture
def written(arrays, tmp_path):
    return made_bundles.write(tmp_path / "variables", arrays)


def refused(prefix, said):
    with pytest.raises(HumalignError, match=said) as caught:
        tensor_bundle.read(prefix)
    assert "\n" not in str(caught.value)


# ---- what is read ----------------------------------------------------------------------------------------------------

def test_the_checksum_is_that_of_the_rfc():
    assert {data: tensor_bundle.crc32c(data) for data in VECTORS} == VECTORS
    for size in (*range(40), 1001, 4099):
        data = np.random.default_rng(size).bytes(size)
        assert tensor_bundle.crc32c(data) == made_bundles.crc32c(data), size


@pytest.mark.parametrize("shards", [1, 3])
def test_every_array_is_read_value_for_value(shards, arrays, tmp_path):
    found = tensor_bundle.read(made_bundles.write(tmp_path / "variables", arrays, shards))
    assert found.keys() == arrays.keys(), "and the string with the graph of objects is left out"
    for key, array in arrays.items():
        assert found[key].dtype == array.dtype and np.array_equal(found[key], array) and found[key].shape == array.shape


def test_bfloat16_comes_as_float32(tmp_path):
    values = np.array([[1.0, -2.5], [3.140625, 1e30]], "f4")
    found = tensor_bundle.read(made_bundles.write(tmp_path, {"w": values}, bfloat16={"w"}))["w"]
    assert found.dtype == np.float32 and found.shape == (2, 2)
    np.testing.assert_allclose(found, values, rtol=2**-7)
    assert found[1, 0] == np.float32(3.140625), "which has few enough digits"


def test_rows_are_written_here_as_tensorflow_writes_them():
    """The first two rows of an index that TensorFlow 2 wrote: that of basic_pitch 0.4.0, `nmp/variables/variables.index`."""
    wanted = bytes.fromhex("00000608011a020801") + b"\x00\x1c\x11_CHECKPOINTABLE_OBJECT_GRAPH" + bytes.fromhex(
        "0807120020a8a80c288589013533b53580"
    )
    rows = [(b"", made_bundles.field(1, 1) + made_bundles.field(3, made_bundles.field(1, 1))),
            (b"_CHECKPOINTABLE_OBJECT_GRAPH", wanted[-17:])]
    assert made_bundles.block(rows, 0)[0].startswith(wanted)
    ours = made_bundles.entry(7, (), 0, 201768, bytes(17541))
    assert ours[:-4] == wanted[-17:-4], "but for the checksum of what it points to"
    assert tensor_bundle._entry("graph", wanted[-17:]) == tensor_bundle.Entry(7, (), 0, 201768, 17541, 0x8035B533)


# ---- what is wrong ---------------------------------------------------------------------------------------------------

def test_a_file_that_is_missing_is_named(written):
    written.with_name("variables.data-00000-of-00001").unlink()
    refused(written, r"cannot read .*variables.data-00000-of-00001 \(No such file or directory\): unpack its archive again")
    refused(written.with_name("other"), r"cannot read .*other.index")


def test_a_shard_that_is_cut_or_changed_is_told_with_the_array(written, arrays):
    path = written.with_name("variables.data-00000-of-00001")
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    refused(written, r"'layer_11/kernel' in .* is cut short: unpack")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused(written, r"'layer_11/kernel' in .* is damaged")
    path.write_bytes(b"")
    refused(written, "is cut short")


@pytest.mark.parametrize("at", [0, 3, 40, 200, -60, -49])
def test_an_index_with_one_bit_changed_is_refused(at, written):
    path = written.with_name("variables.index")
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)
    refused(written, "a block of it is damaged")


def test_an_index_that_is_none_is_one_line(written):
    path = written.with_name("variables.index")
    whole = path.read_bytes()
    for content, said in {
        b"": "does not end as a table does", b"<html>": "does not end as a table does", whole[:-1]: "does not end", whole[20:]: "damaged",
        bytes(40) + whole[-8:]: "damaged", b"\xff" * 40 + whole[-8:]: "damaged",
    }.items():
        path.write_bytes(content)
        refused(written, rf"variables.index is no index of a TensorFlow checkpoint that can be read \(.*({said})")


def test_a_compressed_index_is_refused(arrays, tmp_path):
    refused(made_bundles.write(tmp_path, arrays, kind=1), "it is compressed, and TensorFlow writes it uncompressed")


def test_kinds_that_are_not_read_are_named(written):
    def index(row, header=b"\x08\x01"):
        written.with_name("variables.index").write_bytes(made_bundles.table({b"": header, b"w": row}))

    index(made_bundles.entry(8, (1,), 0, 0, b"12345678"))
    refused(written, "'w' in .* is of TensorFlow's type 8, which is not read: export it as float32")
    index(made_bundles.field(7, b"\x0a\x00"))
    refused(written, "'w' is partitioned")
    index(made_bundles.entry(1, (1,), 5, 0, b"1234"))
    refused(written, "'w' is in none of its 1 shards")
    index(b"\x0b")
    refused(written, "an entry of it is damaged")
    index(b"\x12\x05a")
    refused(written, "an entry of it is cut short")
    index(b"", b"\x08\x01\x10\x01")
    refused(written, "its numbers are big-endian")
    written.with_name("variables.index").write_bytes(made_bundles.table({b"w": b""}))
    refused(written, "cut short, or another file")
