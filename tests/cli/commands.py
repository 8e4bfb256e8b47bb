"""The `fulfillment` command as a process, untouched by the developer's own environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAIN: Final = "from fulfillment_assets.cli import main; main()"
"""Python code that runs the command."""

_OURS: Final = ("DATABASE_URL", "DAGSTER", "FULFILLMENT", "KAFKA", "CHROMA", "OPENAI")


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and the status that it ended with."""

    status: int
    out: str
    err: str


Fulfillment = Callable[..., Outcome]
"""Runs a command: `fulfillment("score", path)`."""


def bare_environment() -> dict[str, str]:
    """The environment without any setting of the platform."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
