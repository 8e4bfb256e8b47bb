"""Which partition a key belongs to, for many keys at once.

The client computes it key by key, in Python, which takes as long as all the rest of sending.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = np.uint32(0x5BD1E995)


def key_hashes(keys: pa.Array) -> npt.NDArray[np.int64]:
    """Hash keys as Kafka's clients do; a key's partition is its hash modulo their number.

    It is the 32-bit MurmurHash2 of `org.apache.kafka.common.utils.Utils`, without its sign.

    Args:
        keys: texts that all have the same number of bytes; none is null.

    Raises:
        ValueError: the keys differ in length.
    """
    if not len(keys):
        return np.empty(0, np.int64)
    offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset :][: len(keys) + 1]
    length = int(offsets[1] - offsets[0])
    if (np.diff(offsets) != length).any():
        raise ValueError("the keys differ in length")
    data = np.frombuffer(keys.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    text = data.reshape(len(keys), length)
    whole = length - length % 4
    hashed = np.full(len(keys), _SEED ^ length, np.uint32)
    for word in np.ascontiguousarray(text[:, :whole]).view("<u4").T:
        mixed = word * _MULTIPLIER
        mixed ^= mixed >> 24
        hashed = hashed * _MULTIPLIER ^ mixed * _MULTIPLIER
    if whole < length:
        for place in range(whole, length):
            hashed ^= text[:, place].astype(np.uint32) << 8 * (place - whole)
        hashed *= _MULTIPLIER
    hashed ^= hashed >> 13
    hashed *= _MULTIPLIER
    hashed ^= hashed >> 15
    return (hashed & 0x7FFFFFFF).astype(np.int64)
