"""When to train again: weekly, or when live quality or drift fails."""

from __future__ import annotations

import datetime as dt
from typing import Final

from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.registry.versions import versions
from fulfillment_assets.monitoring.drift import latest_drift
from fulfillment_assets.monitoring.quality import latest_quality

_SLACK: Final = dt.timedelta(hours=2)
"""A training ends after the look that led to it: the same hour of a later day must not be early."""

RETRAIN_EVERY: Final = dt.timedelta(days=7) - _SLACK

COOLDOWN: Final = dt.timedelta(days=1) - _SLACK
"""Least time between two trainings: a drift that lasts trains once a day, not at every look."""


def retrain_reason(connection: Connection, now: dt.datetime) -> str | None:
    """Why a model is to be trained now; None if none is.

    Only models of real orders count as trained. A failure counts until something was trained
    after it was measured. Live quality fails for this purpose where the predictions of the
    champion itself fail: those of former champions are no reason to replace it.

    Args:
        connection: of the application's database.
        now: aware.
    """
    real = [known for known in versions(connection) if known.trained_on != "simulator"]
    if not real:
        return "no model was trained on real orders yet"
    last = max(real, key=lambda known: known.last_trained_at)
    age = now - last.last_trained_at
    if age >= RETRAIN_EVERY:
        return (
            f"no model was trained on real orders for a week: {last.version} was the last, on "
            f"{last.last_trained_at:%Y-%m-%d}"
        )
    if age < COOLDOWN:
        return None
    return "; ".join(_failures(connection, last.last_trained_at)) or None


def _failures(connection: Connection, since: dt.datetime) -> list[str]:
    """What has failed on the newest day that could be judged, if measured after `since`."""
    failures = []
    quality = latest_quality(connection, champion_judged=True)
    if quality is not None and quality.measured_at > since:
        champion = quality.champion
        if champion is not None and champion.status == "fail":
            found = ". ".join(finding.message for finding in champion.findings)
            failures.append(f"the champion's predictions failed on {quality.day}: {found}")
    drift = latest_drift(connection, judged=True)
    if drift is not None and drift.measured_at > since and drift.status == "fail":
        failures.append(drift.message)
    return failures
