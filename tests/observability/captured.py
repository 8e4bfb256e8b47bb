"""Log lines as they are written, to look at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from fulfillment_assets.observability.logs import configure_logging


@dataclass
class Lines:
    """What was written to standard error since the test began.

    Attributes:
        text: all of it, up to the last look.
    """

    _capture: pytest.CaptureFixture[str]
    text: str = field(default="")

    def all(self) -> list[dict[str, Any]]:
        """Every line, in its order; each must be one JSON object."""
        self.text += self._capture.readouterr().err
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of an event."""
        return [line for line in self.all() if line["event"] == event]

    def one(self, event: str) -> dict[str, Any]:
        """The only line of an event."""
        (line,) = self.of(event)
        return line


@pytest.fixture(name="lines")
def lines_fixture(capsys: pytest.CaptureFixture[str]) -> Lines:
    """The lines of the test, in JSON."""
    configure_logging("json")
    return Lines(capsys)
