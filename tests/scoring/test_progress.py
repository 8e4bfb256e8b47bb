"""Who listens hears how many rows are done."""

from __future__ import annotations

import pytest

from fulfillment_assets.scoring import pipeline, progress
from tests.scoring.workplace import Workplace


def test_every_chunk_is_reported_with_the_rows_so_far(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_ROWS", 100)
    heard: list[int] = []
    with progress.listening(heard.append):
        workplace.score(workplace.simulated(250, fault_share=0.1))
    assert heard == [100, 200, 250], "rejected rows are done too"


def test_nobody_needs_to_listen_and_nobody_listens_afterwards() -> None:
    heard: list[int] = []
    with progress.listening(heard.append):
        progress.report(1)
    progress.report(2)
    assert heard == [1]
