"""Read the variables of a TensorFlow checkpoint without TensorFlow.

A checkpoint is a *tensor bundle*: an index, a sorted table of LevelDB from names to entries (protocol
buffers), and shards with the values. Each block of the index and each tensor has a masked CRC-32C, checked
here. Sources: ``tensor_bundle.cc`` and ``tensor_bundle.proto`` in ``tensorflow/core``, ``table_format.md`` of
LevelDB, and RFC 3720, section 12.1, for the checksum.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt32

from humalign.errors import HumalignError

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
# Two handles of a block, each two numbers of at most ten bytes, and MAGIC; behind a block, type and checksum.
FOOTER, TRAILER = 48, 5
# The numbers of tensorflow/core/framework/types.proto. Strings hold the object graph and no values.
STRING, BFLOAT16 = 7, 14
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 14: "<u2", 19: "<f2"}
POLYNOMIAL, MASK = 0x82F63B78, 0xA282EAD8
# Where a state goes, by the value of each of its bytes.
Tables = UInt32[np.ndarray, "4 256"]
AGAIN = "unpack its archive again, or download it again"


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a tensor lies: ``size`` bytes from ``offset`` of a shard; ``dtype`` is TensorFlow's number."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def read(prefix: Path) -> dict[str, np.ndarray]:
    """Return every array of the checkpoint whose files begin so, by key: no strings, bfloat16 as float32.

    Raises:
        HumalignError: a file is missing, cut short, damaged, compressed, or of a kind that is not read here.
    """
    path = prefix.with_name(f"{prefix.name}.index")
    shards, entries = _index(path, _content(path))
    arrays = {key: entry for key, entry in entries.items() if entry.dtype != STRING}
    found = {}
    for shard in range(shards):
        data = _content(prefix.with_name(f"{prefix.name}.data-{shard:05}-of-{shards:05}"))
        inside = {key: entry for key, entry in arrays.items() if entry.shard == shard}
        for key, entry in inside.items():
            part = data[entry.offset : entry.offset + entry.size]
            found[key] = _array(f"{key!r} in {prefix}", entry, part)
    if absent := [key for key in arrays if key not in found]:
        what = f"{absent[0]!r} is in none of its {shards} shards"
        raise HumalignError(f"{path} is no index of a TensorFlow checkpoint ({what}): {AGAIN}")
    return found


def _content(path: Path) -> memoryview:
    try:
        # Mapped, not read: a shard holds a whole network. An empty file cannot be mapped.
        return np.memmap(path, np.uint8, "r").data if path.stat().st_size else memoryview(b"")
    except OSError as error:
        raise HumalignError(f"cannot read {path} ({error.strerror}): {AGAIN}") from None


def _array(name: str, entry: Entry, data: memoryview) -> np.ndarray:
    if entry.dtype not in DTYPES:
        seen = f"{name} is of TensorFlow's type {entry.dtype}, which is not read"
        raise HumalignError(f"{seen}: export it as float32")
    dtype = np.dtype(DTYPES[entry.dtype])
    if len(data) != entry.size:
        raise HumalignError(f"{name} is cut short: {AGAIN}")
    if entry.size != math.prod(entry.shape) * dtype.itemsize or masked(crc32c(data)) != entry.checksum:
        raise HumalignError(f"{name} is damaged: {AGAIN}")
    values = np.frombuffer(data, dtype).reshape(entry.shape)
    # A bfloat16 is the upper half of a float32.
    return (values.astype("<u4") << 16).view("<f4") if entry.dtype == BFLOAT16 else values.copy()


# ---- the index ---------------------------------------------------------------------------------------------


def _index(path: Path, data: memoryview) -> tuple[int, dict[str, Entry]]:
    """Return the number of shards, and the entries by key."""
    try:
        rows = dict(_table(bytes(data)))
        header = _fields(rows.pop(b""))
        if header.get(2, [0])[-1]:
            raise ValueError("its numbers are big-endian")
        entries = {key.decode(): _entry(key.decode(), row) for key, row in rows.items()}
        return int(header.get(1, [1])[-1]), entries
    except (ValueError, KeyError, IndexError) as error:
        what = str(error) if type(error) is ValueError else "cut short, or another file"
        seen = f"{path} is no index of a TensorFlow checkpoint that can be read ({what})"
        raise HumalignError(f"{seen}: {AGAIN}") from None


def _entry(key: str, row: bytes) -> Entry:
    fields = _fields(row)
    if 7 in fields:
        raise ValueError(f"{key!r} is partitioned")
    dims = _fields(fields.get(2, [b""])[-1]).get(2, [])  # type: ignore[arg-type]
    sizes = [_fields(dim).get(1, [0])[-1] for dim in dims]  # type: ignore[arg-type]
    dtype, shard, offset, size, checksum = (int(fields.get(number, [0])[-1]) for number in (1, 3, 4, 5, 6))
    return Entry(dtype, tuple(map(int, sizes)), shard, offset, size, checksum)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of a sorted table of LevelDB: the rows of each block that its index block names."""
    if len(data) < FOOTER or not data.endswith(MAGIC):
        raise ValueError("it does not end as a table does")
    handles = data[-FOOTER:]
    at = _number(handles, _number(handles, 0)[1])[1]
    for _, handle in _block(data, handles, at):
        yield from _block(data, handle)


def _block(data: bytes, handle: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of one block; a key is given by how much of the one before it repeats, and the rest."""
    offset, at = _number(handle, at)
    size, _ = _number(handle, at)
    block, trailer = data[offset : offset + size], data[offset + size : offset + size + TRAILER]
    if len(trailer) < TRAILER or masked(crc32c(block + trailer[:1])) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("a block of it is damaged")
    if trailer[0]:
        raise ValueError("it is compressed, and TensorFlow writes it uncompressed")
    restarts = int.from_bytes(block[-4:], "little")
    at, end, key = 0, len(block) - 4 * (restarts + 1), b""
    while at < end:
        shared, at = _number(block, at)
        own, at = _number(block, at)
        length, at = _number(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """Return the fields of a protocol buffer by number, each with all its values."""
    found: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        kind, value = tag & 7, 0
        if kind == 0:
            value, at = _number(message, at)
            found.setdefault(tag >> 3, []).append(value)
            continue
        if kind not in (1, 2, 5):
            raise ValueError("an entry of it is damaged")
        size, at = _number(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        content, at = message[at : at + size], at + size
        if len(content) < size:
            raise ValueError("an entry of it is cut short")
        found.setdefault(tag >> 3, []).append(content if kind == 2 else int.from_bytes(content, "little"))
    return found


# ---- the checksum ------------------------------------------------------------------------------------------


def masked(checksum: int) -> int:
    """Return a checksum as it is stored: rotated by 15 bits, and a constant added."""
    return ((checksum >> 15 | checksum << 17) + MASK) & 0xFFFFFFFF


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of some bytes, as fast as NumPy; a loop over bytes takes minutes for a network.

    A word's contribution is linear in it, over the field of two elements: those of all words are computed at
    once and added up in pairs, the left one moved on by the length of the right one.
    """
    head = len(data) % 4
    state = np.array([0xFFFFFFFF], np.uint32)
    for byte in bytes(data[:head]):
        state = _moved(_by_one(), state ^ np.uint32(byte))
    words = np.frombuffer(data, "<u4", offset=head).copy()
    if len(words):
        words[0] ^= state[0]
        by_two = _moved(_by_one(), _by_one())
        state = _folded(words, _moved(by_two, by_two))
    return int(state[0]) ^ 0xFFFFFFFF


def _folded(words: UInt32[np.ndarray, " words"], by: Tables) -> UInt32[np.ndarray, " 1"]:
    parts = _moved(by, words)
    while len(parts) > 1:
        # Zeros in front of everything change nothing.
        parts = np.concatenate([np.zeros(len(parts) % 2, np.uint32), parts])
        parts, by = _moved(by, parts[::2]) ^ parts[1::2], _moved(by, by)
    return parts


def _moved(by: Tables, states: UInt32[np.ndarray, "*states"]) -> UInt32[np.ndarray, "*states"]:
    """Move states on by some zero bytes; ``by`` is where that takes each value of each byte of a state."""
    return by[0][states & 255] ^ by[1][states >> 8 & 255] ^ by[2][states >> 16 & 255] ^ by[3][states >> 24]


@functools.cache
def _by_one() -> Tables:
    """Return the tables that move a state on by one zero byte."""
    table = np.arange(256, dtype=np.uint32)
    lowest = table
    for _ in range(8):
        lowest = np.where(lowest & 1, lowest >> 1 ^ np.uint32(POLYNOMIAL), lowest >> 1).astype(np.uint32)
    return np.stack([lowest, table, table << 8, table << 16]).astype(np.uint32)
