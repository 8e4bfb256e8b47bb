"""The model alone: one order, a batch, training, and how far simulated orders replace real ones.

The floor of one order is LightGBM's own `Booster.predict` on a row that is encoded already: trees
only, with neither encoding, calibration nor reasons. Both are timed in turn, order by order, so
their ratio holds on a noisy machine. Loading is timed with all libraries imported.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from fulfillment_assets.delay_model.artifacts import open_artifacts, read_files
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.candidates import compare_candidates
from fulfillment_assets.delay_model.training.data import TrainingData, load_training_data
from fulfillment_assets.delay_model.training.fit import package, train
from fulfillment_assets.orders.simulator import training_frame
from fulfillment_assets.settings import Settings

SINGLE_ORDERS: Final = 20_000
BATCH_ROWS: Final = 500_000
REPEATS: Final = 5
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class ModelTimes:
    """Microseconds of one order, seconds of the rest, and what follows from them.

    Attributes:
        transfer_roc_auc: of a model trained on simulated orders, on the file of real ones; None
            without such a file.
    """

    one_row_us_median: float
    one_row_us_p99: float
    floor_us_median: float
    floor_us_p99: float
    ratio_to_floor: float
    rows_per_cpu_second: int
    load_seconds: float
    training_rows: int
    training_seconds: float
    search_seconds: float
    transfer_roc_auc: float | None


class OneOrder(NamedTuple):
    """Nanoseconds of each single order, by the scorer and by the floor."""

    scored: list[int]
    floor: list[int]


def run(data: Path | None) -> ModelTimes:
    """Measure the model of the models folder, and training.

    Args:
        data: real orders with known outcomes to train on; None for simulated ones.
    """
    training = load_training_data(data)
    models = Settings().models_dir
    single = _one_order(models)
    scored, floor = (statistics.median(times) / 1000 for times in single)
    return ModelTimes(
        one_row_us_median=round(scored, 2),
        one_row_us_p99=round(float(np.quantile(single.scored, 0.99)) / 1000, 2),
        floor_us_median=round(floor, 2),
        floor_us_p99=round(float(np.quantile(single.floor, 0.99)) / 1000, 2),
        ratio_to_floor=round(scored / floor, 2),
        rows_per_cpu_second=_rows_per_cpu_second(models),
        load_seconds=_median_seconds(lambda: DelayScorer.load(models)),
        training_rows=len(training.late),
        training_seconds=_seconds(lambda: package(train(training))),
        search_seconds=_seconds(lambda: compare_candidates(training)),
        transfer_roc_auc=_transfer(training) if data else None,
    )


def _one_order(models: Path) -> OneOrder:
    artifacts = open_artifacts(read_files(models))
    scorer = DelayScorer(artifacts.classifier, artifacts.preprocessor, artifacts.metadata)
    [calibrated] = artifacts.classifier.calibrated_classifiers_
    booster = calibrated.estimator.booster_
    orders, _ = training_frame(SINGLE_ORDERS, SEED)
    prepared = [row.reshape(1, -1) for row in np.ascontiguousarray(scorer.matrix(orders))]
    times = OneOrder([], [])
    for order, row in zip(orders.to_pylist(), prepared, strict=True):
        begun = time.perf_counter_ns()
        scorer.score_one(order)
        between = time.perf_counter_ns()
        booster.predict(row, num_threads=1)
        ended = time.perf_counter_ns()
        times.scored.append(between - begun)
        times.floor.append(ended - between)
    return times


def _rows_per_cpu_second(models: Path) -> int:
    scorer = DelayScorer.load(models)
    orders, _ = training_frame(BATCH_ROWS, SEED)
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        scorer.score(orders)
        times.append(time.process_time() - begun)
    return round(BATCH_ROWS / statistics.median(times))


def _transfer(real: TrainingData) -> float:
    from sklearn.metrics import roc_auc_score

    scorer = DelayScorer.open(package(train(load_training_data(None), repeats=1)))
    return round(float(roc_auc_score(real.late, scorer.score(real.features).probability)), 4)


def _median_seconds(do: Callable[[], object]) -> float:
    return round(statistics.median(_seconds(do) for _ in range(REPEATS)), 4)


def _seconds(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return round(time.perf_counter() - begun, 4)
