"""`fulfillment bench batch`: it measures, and its JSON has what is compared over time."""

from __future__ import annotations

import json

from tests.cli.commands import Fulfillment


def test_the_batch_path_is_timed_against_a_bare_copy(start_fulfillment: Fulfillment) -> None:
    outcome = start_fulfillment(
        "bench", "batch", "--rows", 2000, "--repeats", 1, "--json", environment={}
    )
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    assert set(told) >= {
        "rows",
        "seconds",
        "rows_per_second",
        "cpu_seconds_client",
        "cpu_seconds_postgres",
        "rows_per_cpu_second",
        "copy_floor_seconds",
        "ratio_to_floor",
        "peak_rss_mb",
    }
    assert told["rows"] == 2000
    assert all(told[name] > 0 for name in told if name != "history")
    assert told["seconds"] > told["copy_floor_seconds"]
