"""Keys are hashed as Kafka's own client hashes them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kafka.partitioner.default import murmur2  # type: ignore[import-untyped]

from fulfillment_assets.events.partitioning import key_hashes


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 8, 18, 64])
def test_a_hash_is_that_of_the_client(length: int) -> None:
    keys = [f"{number * 7919:064x}"[-length:] for number in range(200)]
    expected = [murmur2(key.encode()) & 0x7FFFFFFF for key in keys]
    assert key_hashes(pa.array(keys)).tolist() == expected
    assert key_hashes(pa.array(keys)[50:60]).tolist() == expected[50:60]


def test_no_keys_have_no_hashes() -> None:
    assert key_hashes(pa.array([], pa.string())).tolist() == []


def test_keys_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="the keys differ in length"):
        key_hashes(pa.array(["ORD-1", "ORD-10"]))
