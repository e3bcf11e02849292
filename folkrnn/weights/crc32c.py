"""CRC-32C (Castagnoli), as TensorFlow's tables and bundles carry it, at numpy speed.

A checksum of bytes is linear over GF(2): long data are cut into equal lanes, whose checksums run side by side, and the
lanes are put together by the matrix that appends zeros.
"""

from __future__ import annotations

import numpy as np

_POLYNOMIAL = 0x82F63B78  # bits reversed
_MASK_DELTA = 0xA282EAD8
_LANE = 4096
"""Bytes in a lane: short enough for many lanes, long enough for few steps to put them together."""
_LANES = 4096
"""Lanes that run at once: 16 MiB of data."""


def _table() -> np.ndarray:
    """What a register of one byte becomes when that byte is read, `[256]`."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()


def _after_zeros(register: np.ndarray, count: int) -> np.ndarray:
    """What registers become when `count` zero bytes are read."""
    for _ in range(count):
        register = _TABLE[register & 0xFF] ^ (register >> np.uint32(8))
    return register


def _halves(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The linear map "after `count` zero bytes" as tables of the lower and the upper 16 bits, `[65536]` each."""
    bits = _after_zeros(np.uint32(1) << np.arange(32, dtype=np.uint32), count)
    tables = []
    for half in (bits[:16], bits[16:]):
        table = np.zeros(1, np.uint32)
        for bit in half:
            table = np.concatenate([table, table ^ bit])
        tables.append(table)
    return tables[0], tables[1]


_LOW, _HIGH = _halves(4)
_LANE_LOW, _LANE_HIGH = _halves(_LANE)


def crc32c(data: bytes | np.ndarray) -> int:
    """Returns the CRC-32C of bytes, or of a `uint8` array `[N]`."""
    octets = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    register = 0xFFFFFFFF
    whole = len(octets) // _LANE * _LANE
    for start in range(0, whole, _LANE * _LANES):
        part = octets[start : min(whole, start + _LANE * _LANES)]
        for lane in _lanes(part).tolist():
            register = int(_LANE_LOW[register & 0xFFFF] ^ _LANE_HIGH[register >> 16]) ^ lane
    for octet in octets[whole:].tolist():
        register = int(_TABLE[(register ^ octet) & 0xFF]) ^ register >> 8
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Returns a CRC in the form in which it is stored: rotated by 15 bits and moved by a constant."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _lanes(octets: np.ndarray) -> np.ndarray:
    """The registers `[L]` after reading each of the lanes in `octets [L · 4096]`, from zero; four bytes a step."""
    words = np.ascontiguousarray(octets.view("<u4").reshape(-1, _LANE // 4).T)
    register = np.zeros(words.shape[1], np.uint32)
    for row in words:
        register = register ^ row
        register = _LOW[register & 0xFFFF] ^ _HIGH[register >> np.uint32(16)]
    return register
