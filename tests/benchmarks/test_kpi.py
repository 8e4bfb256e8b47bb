"""The benchmark of the KPIs, on a small history: it measures real rows, and all of its parts."""

from __future__ import annotations

import pytest

from benchmarks.kpi import run


def test_reads_and_batches_are_timed() -> None:
    times = run(2_000, reads=5, batches=2)
    assert times.history == 2_000
    assert 0 < times.read_ms_p50 <= times.read_ms_p95
    assert 0 < times.smaller_ms_p50 <= times.smaller_ms_p95
    assert times.ratio == pytest.approx(times.read_ms_p50 / times.smaller_ms_p50, abs=0.02)
    assert 0 < times.rollups_ms_p50 + times.rules_ms_p50 < times.batch_ms_p50
    assert 0 < times.rollups_and_rules_share < 1


def test_too_few_orders_for_a_hundredth_are_refused() -> None:
    with pytest.raises(ValueError, match="100 orders at least, not 99"):
        run(99)
