"""Identifiers of predictions: version 7 of RFC 9562, ascending within a batch and over time."""

from __future__ import annotations

import time
import uuid

import pytest

from fulfillment_assets.scoring.identifiers import uuid7_column

MANY = 70_000
"""More than 16 bits of the counter can number."""


def made(count: int) -> list[uuid.UUID]:
    return [uuid.UUID(hex=text) for text in uuid7_column(count).to_pylist()]


@pytest.fixture(scope="module")
def identifiers() -> list[uuid.UUID]:
    return made(MANY)


def test_each_says_that_it_is_of_version_7(identifiers: list[uuid.UUID]) -> None:
    assert {(one.version, one.variant) for one in identifiers} == {(7, uuid.RFC_4122)}


def test_they_ascend_within_a_batch_and_none_comes_twice(identifiers: list[uuid.UUID]) -> None:
    assert identifiers == sorted(set(identifiers))


def test_they_begin_with_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    stamps = {one.int >> 80 for one in made(3)}
    assert len(stamps) == 1
    assert before <= stamps.pop() <= time.time_ns() // 1_000_000


def test_a_later_batch_sorts_after_an_earlier_one() -> None:
    earlier = made(2)
    time.sleep(0.002)
    assert max(earlier) < min(made(2))


def test_what_time_and_counter_leave_is_random() -> None:
    first, second = (one.int & ((1 << 58) - 1) for one in (made(1) + made(1)))
    assert first != second


def test_an_empty_batch_has_none() -> None:
    assert uuid7_column(0).to_pylist() == []
