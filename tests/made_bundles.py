"""A tiny writer of TensorFlow's checkpoints, from the descriptions of their format and without a line of the reader."""

import io
import itertools
import struct
import tarfile

import numpy as np

VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
TYPES = {"f4": 1, "f8": 2, "i4": 3, "u1": 4, "i2": 5, "i1": 6, "i8": 9, "b1": 10, "f2": 19}
STRING, BFLOAT16 = 7, 14


def eight_bits(state):
    for _ in range(8):
        state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state


TABLE = [eight_bits(byte) for byte in range(256)]


def crc32c(data):
    """The checksum byte by byte, as RFC 3720 defines it."""
    state = 0xFFFFFFFF
    for byte in data:
        state = state >> 8 ^ TABLE[(state ^ byte) & 255]
    return state ^ 0xFFFFFFFF


def masked(data):
    found = crc32c(data)
    return ((found >> 15 | found << 17) + 0xA282EAD8) % 2**32


def number(value):
    """A number of seven bits a byte, the lowest first."""
    low = bytes([value & 127 | (128 if value > 127 else 0)])
    return low + (number(value >> 7) if value > 127 else b"")


def field(place, value):
    """A field of a protocol buffer: a number, or some bytes; zero and nothing are not written."""
    if isinstance(value, bytes):
        return number(place << 3 | 2) + number(len(value)) + value
    return number(place << 3) + number(value) if value else b""


def entry(dtype, shape, shard, offset, data):
    dims = b"".join(field(2, field(1, size)) for size in shape)
    return (field(1, dtype) + field(2, dims) + field(3, shard) + field(4, offset) + field(5, len(data))
            + b"\x35" + struct.pack("<I", masked(data)))


def block(rows, kind):
    """A block of a sorted table: keys without what they share with the one before, one restart at the start."""
    before, body = b"", b""
    for key, value in rows:
        shared = len([1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, key, strict=False))])
        body += number(shared) + number(len(key) - shared) + number(len(value)) + key[shared:] + value
        before = key
    body += struct.pack("<II", 0, 1)
    return body, bytes([kind]) + struct.pack("<I", masked(body + bytes([kind])))


def table(rows, in_block=4, kind=0):
    rows, content, index = sorted(rows.items()), b"", []
    for start in range(0, len(rows), in_block):
        part = rows[start : start + in_block]
        body, trailer = block(part, kind)
        index.append((part[-1][0], number(len(content)) + number(len(body))))
        content += body + trailer
    handles = b""
    for part in ([], index):
        body, trailer = block(part, 0)
        handles += number(len(content)) + number(len(body))
        content += body + trailer
    return content + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def write(folder, arrays, shards=1, bfloat16=(), kind=0):
    """Write ``variables.index`` and its shards; arrays by key, those named in ``bfloat16`` as such."""
    header = field(1, shards) + field(3, field(1, 1))
    graph = b"\x04" + struct.pack("<I", masked(struct.pack("<I", 4))) + b"node"
    data, rows = [bytearray(graph)] + [bytearray() for _ in range(shards - 1)], {b"": header}
    rows[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = entry(STRING, (), 0, 0, graph)
    for place, (key, array) in enumerate(arrays.items()):
        shard, array = place % shards, np.asarray(array)
        dtype, content = TYPES.get(array.dtype.str[1:]), array.tobytes()
        if key in bfloat16:
            dtype, content = BFLOAT16, (array.view("<u4") >> 16).astype("<u2").tobytes()
        rows[key.encode()] = entry(dtype, array.shape, shard, len(data[shard]), content)
        data[shard] += content
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "variables.index").write_bytes(table(rows, kind=kind))
    for shard, content in enumerate(data):
        (folder / f"variables.data-{shard:05}-of-{shards:05}").write_bytes(content)
    return folder / "variables"


def pack(path, files, odd=()):
    """Write a ``.tar.gz`` of files by name, and of members that a released archive does not have."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in odd:
            tar.addfile(member)
    return path
