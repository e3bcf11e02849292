"""TensorFlow checkpoints without TensorFlow: `X.index` + `X.data-00000-of-00001` (facts on MusicVAE, section 3).

The index is a LevelDB table whose keys are variable names and whose values are protobuf messages that say where in the
data files the variable lies. Nothing that these files claim is believed before it is checked against what is there:
memory stays within the size of the files, checksums are verified, and damage of any kind is a UserError.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from folkrnn.errors import UserError

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TRAILER = 5
"""Bytes after each block: type of compression and masked checksum."""
RESTART_INTERVAL = 16
LARGEST_INDEX = 4 * 2**20
"""Bytes. Those of MusicVAE have one or two thousand."""
MOST_VARIABLES, LONGEST_NAME = 10_000, 1024
MOST_DIMENSIONS, WIDEST = 8, 2**31

DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
"""numpy types of the TensorFlow type numbers that are read."""


@dataclass(frozen=True)
class Region:
    """A stretch of a file: a file of its own, or a member of an archive."""

    path: Path
    start: int
    size: int
    name: str
    """What to call it in messages."""

    @staticmethod
    def of(path: Path) -> Region:
        return Region(path, 0, path.stat().st_size, str(path))

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)

    def mapped(self, offset: int, size: int) -> np.ndarray:
        """Returns bytes `[size]` as a read-only view of the file."""
        if size == 0:
            return np.empty(0, np.uint8)
        return np.memmap(self.path, np.uint8, mode="r", offset=self.start + offset, shape=(size,))


@dataclass(frozen=True)
class StoredArray:
    """A stored array; `read` fetches and checks it."""

    shape: tuple[int, ...]
    dtype: str
    """numpy's name of its type; empty for types that are not read."""
    read: Callable[[], np.ndarray]


def read_bundle(index: Region, shards: Mapping[int, Region]) -> dict[str, StoredArray]:
    """Returns the variables of a checkpoint by name, unread.

    Raises UserError where the index is damaged, compressed, too large, or names what the data files (`shards`, by
    number) do not hold; `read` of a variable raises it for an unknown type or a wrong checksum.
    """
    if index.size > LARGEST_INDEX:
        raise UserError(f"{index.name} has {index.size} bytes; an index of a checkpoint has at most {LARGEST_INDEX}")
    entries = dict(_table(index.read(), index.name))
    header = _fields(entries.pop(b"", b""), index.name)
    if _number(header, 2, index.name) != 0:
        raise UserError(f"{index.name} was written on a big-endian machine, which is not read")
    variables, claimed = {}, 0
    for key, value in entries.items():
        name = _name(key, index.name)
        variables[name], size = _variable(name, value, index.name, shards)
        claimed += size
    held = sum(shard.size for shard in shards.values())
    if claimed > held:
        raise UserError(f"{index.name} names {claimed} bytes of variables, but its data files hold {held}")
    return variables


def write_bundle(prefix: Path, variables: Mapping[str, np.ndarray]) -> None:
    """Writes `prefix.index` and `prefix.data-00000-of-00001`, byte for byte as TensorFlow would write them.

    `variables` are little-endian numpy arrays of the types in DTYPES.
    """
    numbers = {dtype: number for number, dtype in DTYPES.items()}
    entries = {b"": b"\x08\x01" + _message(3, b"\x08\x01")}
    offset = 0
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{prefix}.data-00000-of-00001").open("wb") as file:
        for name, array in sorted(variables.items()):
            octets = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
            file.write(octets.data)
            shape = b"".join(_message(2, b"\x08" + _varint(width) if width else b"") for width in array.shape)
            entry = b"\x08" + _varint(numbers[array.dtype.newbyteorder("<").str]) + _message(2, shape)
            entry += b"\x20" + _varint(offset) if offset else b""
            entry += b"\x28" + _varint(len(octets)) if len(octets) else b""
            entries[name.encode()] = entry + b"\x35" + struct.pack("<I", masked_crc(octets))
            offset += len(octets)
    Path(f"{prefix}.index").write_bytes(_written_table(entries))


def masked_crc(data: bytes | np.ndarray) -> int:
    """Returns the CRC-32C of bytes, or of a read-only `uint8` array, in TensorFlow's form: rotated, and moved."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _variable(name: str, value: bytes, where: str, shards: Mapping[int, Region]) -> tuple[StoredArray, int]:
    fields = _fields(value, where)
    if 7 in fields:
        raise UserError(f"{where}: {name} is stored in slices, which is not read")
    number, shard, offset, size, crc = (_number(fields, field, where) for field in (1, 3, 4, 5, 6))
    shape = _shape(fields.get(2, [b""])[-1], name, where)
    if shard not in shards:
        raise UserError(f"{where}: {name} lies in data file {shard}, which is missing")
    if offset + size > shards[shard].size:
        raise UserError(
            f"{where}: {name} claims bytes {offset} to {offset + size} of {shards[shard].name}, "
            f"which has {shards[shard].size}"
        )
    dtype = DTYPES.get(number, "")
    if dtype and math.prod(shape) * np.dtype(dtype).itemsize != size:
        raise UserError(f"{where}: {name} has shape {list(shape)} but {size} bytes")

    def read() -> np.ndarray:
        if not dtype:
            raise UserError(f"{where}: {name} has TensorFlow's type {number}; read are {', '.join(DTYPES.values())}")
        octets = shards[shard].mapped(offset, size)
        if masked_crc(octets) != crc:
            raise UserError(f"{shards[shard].name} is damaged: the checksum of {name} is wrong")
        return octets.view(dtype).reshape(shape)

    return StoredArray(shape, dtype, read), size


def _shape(message: object, name: str, where: str) -> tuple[int, ...]:
    fields = _fields(message, where)
    widths = tuple(_number(_fields(dimension, where), 1, where) for dimension in fields.get(2, [])[:MOST_DIMENSIONS])
    if len(widths) != len(fields.get(2, [])) or 3 in fields or not all(0 < width < WIDEST for width in widths):
        raise UserError(f"{where}: {name} has no shape that a variable can have")
    return widths


def _name(key: bytes, where: str) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise UserError(f"{where} is damaged: a variable's name is not text") from None


@dataclass
class _Reader:
    """A place in bytes that never runs past their end."""

    data: bytes
    where: str
    at: int = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise UserError(f"{self.where} is damaged or cut short: {count} bytes wanted where fewer are left")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            octet = self.take(1)[0]
            value |= (octet & 0x7F) << shift
            if octet < 0x80:
                return value
        raise UserError(f"{self.where} is damaged: a number does not end")


def _table(data: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a LevelDB table, in order."""
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise UserError(f"{where} is no index of a TensorFlow checkpoint, or is cut short")
    footer = _Reader(data[-FOOTER:], where)
    for _ in range(2):
        footer.varint()  # of the meta index, which is empty
    previous, count = None, 0
    for _, handle in _block(data, footer.varint(), footer.varint(), where):
        reader = _Reader(handle, where)
        for key, value in _block(data, reader.varint(), reader.varint(), where):
            count += 1
            if count > MOST_VARIABLES:
                raise UserError(f"{where} names more than {MOST_VARIABLES} variables")
            # increasing names also keep a block from being read over and over
            if previous is not None and key <= previous:
                raise UserError(f"{where} is damaged: its names are out of order")
            previous = key
            yield key, value


def _block(data: bytes, offset: int, size: int, where: str) -> Iterator[tuple[bytes, bytes]]:
    if offset + size + TRAILER > len(data) - FOOTER or size < 4:
        raise UserError(f"{where} is damaged or cut short: a block lies outside it")
    stored = data[offset : offset + size + TRAILER]
    if masked_crc(stored[: size + 1]) != struct.unpack("<I", stored[size + 1 :])[0]:
        raise UserError(f"{where} is damaged: the checksum of a block is wrong")
    if stored[size] == 1:
        raise UserError(f"{where} is compressed with snappy, which is not read; TensorFlow's Saver writes it plain")
    if stored[size] != 0:
        raise UserError(f"{where} is compressed in an unknown way ({stored[size]})")
    restarts = 4 + 4 * struct.unpack("<I", stored[size - 4 : size])[0]
    if restarts > size:
        raise UserError(f"{where} is damaged: a block has more restarts than bytes")
    return _entries(_Reader(stored[: size - restarts], where))


def _entries(reader: _Reader) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block: each key shares its beginning with the one before."""
    key = b""
    while reader.at < len(reader.data):
        shared, own, length = reader.varint(), reader.varint(), reader.varint()
        if shared > len(key) or shared + own > LONGEST_NAME:
            raise UserError(
                f"{reader.where} is damaged: a name is longer than {LONGEST_NAME} bytes or has no beginning"
            )
        key = key[:shared] + reader.take(own)
        yield key, reader.take(length)


def _fields(message: object, where: str) -> dict[int, list[int | bytes]]:
    """The fields of a protobuf message by number; values of numbers and of nested messages."""
    if not isinstance(message, bytes):
        raise UserError(f"{where} is damaged: a number stands where a message should")
    reader, fields = _Reader(message, where), {}
    while reader.at < len(message):
        tag = reader.varint()
        kind = tag & 7
        if kind == 0:
            value: int | bytes = reader.varint()
        elif kind == 2:
            value = reader.take(reader.varint())
        elif kind in (1, 5):
            value = int.from_bytes(reader.take(8 if kind == 1 else 4), "little")
        else:
            raise UserError(f"{where} is damaged: a field of unknown kind {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: Mapping[int, list[int | bytes]], field: int, where: str) -> int:
    value = fields.get(field, [0])[-1]
    if not isinstance(value, int):
        raise UserError(f"{where} is damaged: a message stands where a number should")
    return value


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _written_table(entries: Mapping[bytes, bytes]) -> bytes:
    """One data block, an empty meta index, an index of one entry, the footer."""
    table, data = _with_block(b"", entries)
    table, meta = _with_block(table, {})
    # the index key only has to lie at or after the block's last key: TensorFlow writes the shortest such
    last = max(entries)
    table, index = _with_block(table, {bytes([last[0] + 1]) if last else b"": data})
    return table + (meta + index).ljust(FOOTER - 8, b"\x00") + struct.pack("<Q", MAGIC)


def _with_block(table: bytes, entries: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """The table with one block more, and the handle of that block."""
    block = _written_block(entries)
    handle = _varint(len(table)) + _varint(len(block))
    return table + block + b"\x00" + struct.pack("<I", masked_crc(block + b"\x00")), handle


def _written_block(entries: Mapping[bytes, bytes]) -> bytes:
    block, restarts, previous = b"", [0], b""
    for count, (key, value) in enumerate(sorted(entries.items())):
        shared = 0
        if count % RESTART_INTERVAL == 0:
            restarts = [*restarts, len(block)] if count else restarts
        else:
            while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
                shared += 1
        block += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        previous = key
    return block + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
