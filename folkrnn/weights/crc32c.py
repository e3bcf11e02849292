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


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()


def crc32c(data: bytes | np.ndarray) -> int:
    """Returns the CRC-32C of bytes, or of a `uint8` array `[N]`."""
    octets = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    whole = len(octets) // _LANE
    register = 0xFFFFFFFF
    if whole:
        lanes = _run(np.zeros(whole, np.uint32), octets[: whole * _LANE].reshape(whole, _LANE))
        shift = _zeros_after(_LANE)
        for lane in lanes.tolist():
            register = _apply(shift, register) ^ lane
    rest = _run(np.array([register], np.uint32), octets[whole * _LANE :].reshape(1, -1))
    return int(rest[0]) ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Returns a CRC in the form in which it is stored: rotated by 15 bits and moved by a constant."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _run(register: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """The registers `[L]` after reading the bytes of `lanes [L, N]`."""
    for column in lanes.T:
        register = _TABLE[(register ^ column) & 0xFF] ^ (register >> np.uint32(8))
    return register


def _zeros_after(count: int) -> list[list[int]]:
    """The map "register after `count` zero bytes" as four tables, one per byte of the register."""
    columns = _run(np.uint32(1) << np.arange(32, dtype=np.uint32), np.zeros((32, count), np.uint8)).tolist()
    tables = []
    for byte in range(4):
        table = [0]
        for bit in range(8):
            table += [value ^ columns[8 * byte + bit] for value in table]
        tables.append(table)
    return tables


def _apply(tables: list[list[int]], register: int) -> int:
    return (
        tables[0][register & 0xFF]
        ^ tables[1][register >> 8 & 0xFF]
        ^ tables[2][register >> 16 & 0xFF]
        ^ tables[3][register >> 24]
    )
