"""The checks over whole tables and over the model find what they are there to find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from fulfillment_assets.definitions import defs
from fulfillment_assets.defs.delay_model.checks import label_polarity
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.delay_model.training import save, train
from fulfillment_assets.delay_model.training_data import simulated_training_data
from tests.defs.runs import checks, execute
from tests.scoring.workplace import Workplace


def polarity(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> dg.AssetCheckResult:
    """The verdict on the model of a folder."""
    monkeypatch.setenv("FULFILLMENT_MODELS_DIR", str(models_dir))
    result = label_polarity(Platform(database_url="not needed"))
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_the_committed_model_has_the_right_polarity(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = polarity(workplace.settings.models_dir, monkeypatch)
    assert result.passed
    lowest = result.metadata["lowest_probability"].value
    assert isinstance(lowest, float)
    assert lowest > 0.9


def test_a_model_trained_on_an_inverted_label_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = simulated_training_data(rows=1_500, seed=5)
    inverted = replace(data, late=np.subtract(1, data.late, dtype=np.int8))
    save(train(inverted, repeats=1), tmp_path)
    result = polarity(tmp_path, monkeypatch)
    assert not result.passed
    assert "label may be inverted" in (result.description or "")


def test_the_polarity_check_blocks_whatever_follows() -> None:
    (spec,) = label_polarity.check_specs
    assert spec.blocking


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
