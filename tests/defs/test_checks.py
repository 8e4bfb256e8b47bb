"""The checks over whole tables find what they are there to find."""

from __future__ import annotations

import dagster as dg
import pytest

from fulfillment_assets.definitions import defs
from tests.defs.runs import checks, execute
from tests.scoring.workplace import Workplace


@pytest.mark.parametrize(
    ("damage", "passes"),
    [
        ("SELECT 1", True),
        ("UPDATE kpi_rollups SET orders = orders + 1 WHERE ctid = '(0,1)'", False),
        ("UPDATE kpi_rollups SET probability_sum = probability_sum + 0.000001", False),
        ("DELETE FROM kpi_rollups WHERE ctid = '(0,1)'", False),
        ("DELETE FROM predictions WHERE row_number = 1", False),
    ],
    ids=["sound", "an order too many", "sums that drifted", "a bucket lost", "a prediction lost"],
)
def test_the_daily_check_compares_the_rollups_with_a_rebuild(
    damage: str, passes: bool, instance: dg.DagsterInstance, workplace: Workplace
) -> None:
    workplace.score(workplace.simulated(100))
    workplace.execute(damage)
    run = execute(instance, "daily_checks")
    assert run.success
    assert checks(run) == {"rollups_equal_rebuild": passes}


def test_the_runs_that_score_files_do_not_pay_for_the_daily_check() -> None:
    graph = defs.resolve_job_def("score_batch").asset_layer.asset_graph
    assert {key.name for key in graph.asset_check_keys} == {
        "row_counts_balance",
        "probabilities_in_range",
        "no_orphans",
    }
