"""Who runs the command."""

from __future__ import annotations

import getpass


def user_name() -> str | None:
    """The user's name, for the record of a decision; None where there is none.

    In some containers a user is nothing but a number.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
