"""Time-ordered identifiers, many at a time."""

from __future__ import annotations

import secrets
import time

import numpy as np
import pyarrow as pa

_BYTES = 16


def uuid7_column(count: int) -> pa.Array:
    """`count` ascending UUIDs of version 7, as 32 hexadecimal digits each.

    Layout of RFC 9562, section 5.7, with a counter in the 32 bits after the timestamp
    (section 6.2, method 1): within a batch they ascend, so index pages fill from one side.
    """
    random = np.frombuffer(secrets.token_bytes(count * _BYTES), np.uint8).reshape(count, _BYTES)
    octets = random.copy()
    octets[:, :6] = np.frombuffer((time.time_ns() // 1_000_000).to_bytes(6, "big"), np.uint8)
    counter = np.arange(count, dtype=np.uint32)
    octets[:, 6] = 0x70 | (counter >> 28)
    octets[:, 7] = (counter >> 20) & 0xFF
    octets[:, 8] = 0x80 | ((counter >> 14) & 0x3F)
    octets[:, 9] = (counter >> 6) & 0xFF
    octets[:, 10] = ((counter & 0x3F) << 2) | (octets[:, 10] & 0x03)
    return _hexadecimal(octets)


def _hexadecimal(octets: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> pa.Array:
    count, width = octets.shape
    offsets = np.arange(count + 1, dtype=np.int32) * (2 * width)
    digits = pa.py_buffer(octets.tobytes().hex().encode())
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), digits])
