"""Text that a model hands to a tool: data, of a bounded length, without hidden characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from fulfillment_assets.agents.tools.desk import Refused

MAX_NOTE: Final = 1_000
"""Longest reason, note or question, in characters."""

_BREAKS: Final = frozenset("\n\t")
_FORBIDDEN: Final = frozenset({"Cc", "Cs", "Co", "Cn"})
_TURNING: Final = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINK: Final = re.compile(r"(?:https?://|www\.)", re.IGNORECASE)
_DIGITS: Final = re.compile(r"\d(?:[ -]?\d){12,18}")


def checked(text: str, name: str, limit: int = MAX_NOTE, *, rule: str | None = None) -> str:
    """The text without space around it.

    Raises:
        Refused: it is empty, longer than `limit`, or holds a character that is not seen.
    """
    text = text.strip()
    if not text:
        raise Refused(None, f"{name} is empty.")
    if len(text) > limit:
        raise Refused(
            rule,
            f"{name} has {len(text)} characters; at most {limit} are allowed.",
            max_length=limit,
        )
    for place, char in enumerate(text):
        if char in _BREAKS:
            continue
        if char in _TURNING or unicodedata.category(char) in _FORBIDDEN:
            raise Refused(
                None, f"{name} has a control character (U+{ord(char):04X}) at place {place + 1}."
            )
    return text


def check_no_card(text: str, name: str, rule: str) -> None:
    """Refuse a number that passes the check of payment cards (Luhn, ISO/IEC 7812-1)."""
    for match in _DIGITS.finditer(text):
        digits = [int(char) for char in match.group() if char.isdigit()]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
        if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0:
            raise Refused(rule, f"{name} holds what looks like a card number: leave it out.")


def check_wording(text: str, phrases: Iterable[str]) -> None:
    """Refuse phrases that are never used towards customers, and links.

    Case, width of characters, line breaks and invisible characters make no difference.
    """
    plain = _plain(text)
    for phrase in phrases:
        if re.search(rf"(?<!\w){re.escape(_plain(phrase))}(?!\w)", plain):
            raise Refused("CO-4.2", f"The words {phrase!r} are never used: write it differently.")
    if _LINK.search(plain):
        raise Refused(None, "A message holds no links: leave it out.")


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return " ".join(seen.split())
