"""What watching a model ends in: a verdict, and the findings that led to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Verdict: TypeAlias = Literal["too_few", "ok", "warn", "fail"]

VERDICTS: Final[tuple[Verdict, ...]] = ("too_few", "ok", "warn", "fail")
"""From the mildest to the gravest."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was held against its limits.

    Attributes:
        verdict: what came of it.
        message: the same in words, with the figures.
    """

    verdict: Verdict
    message: str


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of some verdicts; `too_few` where there is none."""
    return max(verdicts, key=VERDICTS.index, default="too_few")
