"""Where a client stands in the stream: not at an id, but at what had been committed.

Ids are given before transactions commit, so that a smaller id may appear after a larger one, by
hours even. What a snapshot of PostgreSQL had seen does not shift: see "Transaction ID and Snapshot
Information Functions" in its manual.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

LONGEST: Final = 8_000
"""Characters of a position; a header may not be much longer."""

_LARGEST: Final = 2**63 - 1
_SNAPSHOT: Final = r"\d{1,19}:\d{1,19}:(?:\d{1,19}(?:,\d{1,19})*)?"
_POSITION: Final = re.compile(rf"(?a:({_SNAPSHOT})(?:~({_SNAPSHOT})~(\d{{1,19}}))?)")
_RULE: Final = "must be the id of an event, as the stream gave it"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions had committed at a moment, as `pg_snapshot` tells it.

    Attributes:
        xmin: every transaction before it had ended.
        xmax: this one and those after it had not begun.
        running: those between the two that had not ended.
    """

    xmin: int
    xmax: int
    running: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read PostgreSQL's text form.

        Raises:
            ValueError: it is none.
        """
        xmin, xmax, listed = text.split(":")
        running = tuple(int(xid) for xid in listed.split(",") if xid)
        found = cls(int(xmin), int(xmax), running)
        ordered = all(one < other for one, other in pairwise(running))
        within = all(found.xmin <= xid < found.xmax for xid in running)
        if not (0 < found.xmin <= found.xmax <= _LARGEST and ordered and within):
            raise ValueError(_RULE)
        return found

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.running))}"

    def sees(self, xid: int) -> bool:
        """Whether a transaction that committed had done so."""
        return xid < self.xmax and xid not in self.running

    def covers(self, other: Snapshot) -> bool:
        """Whether it was taken of the same server at the same moment as `other`, or later."""
        return self.xmax >= other.xmax and not any(other.sees(xid) for xid in self.running)


@dataclass(frozen=True, slots=True)
class Position:
    """What a client has had.

    Attributes:
        seen: it has had whatever this snapshot sees;
        reading: of what this one sees besides,
        up_to: it has had the events with ids up to this one.
    """

    seen: Snapshot
    reading: Snapshot | None = None
    up_to: int = 0

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read the id of an event.

        Raises:
            ValueError: it is none; the text is for the user.
        """
        found = _POSITION.fullmatch(text) if len(text) <= LONGEST else None
        if found is None:
            raise ValueError(_RULE)
        seen = Snapshot.parse(found[1])
        if found[2] is None:
            return cls(seen)
        position = cls(seen, Snapshot.parse(found[2]), int(found[3]))
        if not position.end.covers(seen) or position.up_to > _LARGEST:
            raise ValueError(_RULE)
        return position

    def __str__(self) -> str:
        if self.reading is None:
            return str(self.seen)
        return f"{self.seen}~{self.reading}~{self.up_to}"

    @property
    def end(self) -> Snapshot:
        """The later of the two snapshots."""
        return self.reading or self.seen
