"""Lists that are filtered by several values at once, read from one group of rows after another."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

EVERYTHING: Final = "(VALUES (true)) AS g"
"""SQL of one group that holds all rows."""


def combinations(choices: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, list[str]]]:
    """A group for each combination of values; each is a short range of an index.

    Args:
        choices: for each column the values that it may have.

    Returns:
        SQL of a table `g` with these columns, and its parameters, which have their names.
    """
    columns = zip(*itertools.product(*choices.values()), strict=True)
    values = {name: list(column) for name, column in zip(choices, columns, strict=True)}
    arrays = ", ".join(f"CAST(:{name} AS text[])" for name in choices)
    return f"unnest({arrays}) AS g ({', '.join(choices)})", values
