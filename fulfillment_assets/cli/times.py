"""Moments as people write them on the command line."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import typer

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([dhm])", re.IGNORECASE)
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


def moment_or_age(text: str) -> dt.datetime:
    """A moment from an age (`24h`, `7d`, `30m` ago) or from ISO 8601, in UTC unless it has a zone.

    Raises:
        typer.BadParameter: it is neither.
    """
    now = dt.datetime.now(dt.UTC)
    try:
        if (age := _AGE.fullmatch(text.strip())) is not None:
            return now - dt.timedelta(**{_UNITS[age[2].lower()]: float(age[1])})
        moment = dt.datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no moment: write an age such as 24h, 7d or 30m, "
            "or 2026-03-01T12:00, in UTC unless it has a zone"
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
