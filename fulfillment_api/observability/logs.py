"""The loggers of the API, whose lines are written as those of the whole platform are."""

from __future__ import annotations

from typing import Final

import structlog

from fulfillment_assets.observability import logs

LOGGER: Final = "fulfillment_api"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger below `fulfillment_api`, whose events have fields."""
    return logs.get_logger(f"{LOGGER}.{name}")
