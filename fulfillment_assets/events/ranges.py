"""Ranges of offsets, and gaps in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GapReason = Literal["expired", "unreadable", "skipped", "truncated", "recreated"]
"""Why offsets were passed over.

Kafka had deleted them; no client can read them; a person asked for it; the log lost its end,
or its whole topic was deleted and made again, which cost what had not been read by then.
"""


@dataclass(frozen=True, slots=True)
class StreamRange:
    """The offsets from `start` up to, and without, `end` of one partition."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def offsets(self) -> int:
        """How many offsets it spans."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] {self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `first` to `last` of a partition, which were passed over.

    `last` is None where nobody can tell how much was lost.
    """

    topic: str
    partition: int
    first: int
    last: int | None
    reason: GapReason

    @property
    def offsets(self) -> int:
        """How many offsets it spans, as far as one can tell."""
        return 0 if self.last is None else self.last - self.first + 1

    def __str__(self) -> str:
        last = "…" if self.last is None else self.last
        return f"{self.topic}[{self.partition}] {self.first}-{last}: {self.reason}"
