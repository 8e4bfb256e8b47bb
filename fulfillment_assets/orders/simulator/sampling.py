"""Random draws that give the same values on every machine and with every numpy.

Only the raw output of the bit generator is used, whose stream numpy guarantees for good, and
only integer arithmetic follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

_BITS = 31  # the product of two draws still fits a signed 64-bit integer
_SCALE = 1 << _BITS


class Draws:
    """The random stream of one block of rows; every array drawn has a value for each row."""

    def __init__(self, seed: int, block: int, rows: int) -> None:
        """Start the stream.

        Args:
            seed: the plan's seed.
            block: number of the block; each has its own independent stream.
            rows: even number of rows in the block.
        """
        self._bits = np.random.PCG64DXSM(np.random.SeedSequence(seed, spawn_key=(block,)))
        self._rows = rows

    def uniform(self) -> IntArray:
        """Draw one 31-bit integer a row."""
        words = self._bits.random_raw(self._rows // 2).astype("<u8", copy=False).view("<u4")
        return (words >> (32 - _BITS)).astype(np.int64)

    def below(self, span: int | IntArray) -> IntArray:
        """Draw uniformly from 0 to `span` - 1 (the bias is below `span` / 2**31)."""
        return scaled(self.uniform(), span)

    def happens(self, probability: float) -> BoolArray:
        """Draw True with the given probability."""
        return self.uniform() < round(probability * _SCALE)


def scaled(uniform: IntArray, span: int | IntArray) -> IntArray:
    """Map 31-bit integers evenly onto 0 to `span` - 1."""
    return (uniform * span) >> _BITS


def squared(uniform: IntArray) -> IntArray:
    """Skew 31-bit integers towards 0, as u -> u**2 does on the unit interval."""
    return (uniform * uniform) >> _BITS


class Distribution:
    """Integer-valued distributions, one per group of rows, drawn by their inverse CDF."""

    def __init__(self, *groups: Mapping[int, float]) -> None:
        """Take the probability (or weight) of each value; each group is normalised by itself."""
        # Group g owns the keys from g to g + 1 (times the scale), so that one search serves all.
        self._edges = np.concatenate([_edges(pmf) + g * _SCALE for g, pmf in enumerate(groups)])
        self._values = np.array([value for pmf in groups for value in pmf], dtype=np.int64)

    def draw(self, uniform: IntArray, group: IntArray | int = 0) -> IntArray:
        """Turn 31-bit integers into values of each row's group."""
        position = np.searchsorted(self._edges, uniform + group * _SCALE, side="right")
        return self._values[position]


class UniformRange:
    """Uniform distributions of integers, one range per group of rows."""

    def __init__(self, *groups: tuple[int, int]) -> None:
        """Take the lowest and highest value of each group, inclusive."""
        self._lowest = np.array([lowest for lowest, _ in groups], dtype=np.int64)
        self._span = np.array([highest - lowest + 1 for lowest, highest in groups], dtype=np.int64)

    def draw(self, uniform: IntArray, group: IntArray) -> IntArray:
        """Turn 31-bit integers into values of each row's group."""
        return self._lowest[group] + scaled(uniform, self._span[group])


def _edges(pmf: Mapping[int, float]) -> IntArray:
    cumulated = np.cumsum(np.array(list(pmf.values()), dtype=np.float64))
    edges: IntArray = np.rint(cumulated / cumulated[-1] * _SCALE).astype(np.int64)
    return edges
