"""Cells that a spreadsheet would run as a formula, made harmless and back.

After https://owasp.org/www-community/attacks/CSV_Injection: a cell that begins with a formula
sign gets a leading apostrophe. So does one that already has apostrophes before the sign, which
makes the change reversible. Plain negative numbers stay as they are.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

# The full-width forms of =, +, - and @ count too: some spreadsheets fold them.
_SIGN: Final = "[=+\\-@\t\r\n＝＋－＠]"
_FORMULA: Final = re.compile(f"'*{_SIGN}")
_NEGATIVE: Final = re.compile(r"-[0-9]+(?:\.[0-9]+)?")


def neutralise(cell: str) -> str:
    """Make a cell harmless in a spreadsheet."""
    if _FORMULA.match(cell) and not _NEGATIVE.fullmatch(cell):
        return f"'{cell}"
    return cell


def restore(cell: str) -> str:
    """Undo `neutralise`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def restore_column(cells: Any) -> Any:
    """Undo `neutralise` in every cell of a binary column of valid UTF-8."""
    text = pc.replace_substring_regex(cells.cast(pa.string()), f"^'('*{_SIGN})", r"\1")
    return text.cast(pa.binary())
