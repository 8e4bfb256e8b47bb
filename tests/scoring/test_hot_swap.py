"""Champions change while orders are scored: nothing fails, every prediction says who made it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.artifacts import read_files
from fulfillment_assets.delay_model.registry.champion import Champion, ensure_champion
from fulfillment_assets.delay_model.registry.promotion import promote, rollback
from fulfillment_assets.delay_model.registry.versions import register
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.orders.simulator import training_frame
from fulfillment_assets.scoring.direct import Prediction, score_now
from fulfillment_assets.scoring.pipeline import score_file
from fulfillment_assets.store.connection import create_engine
from tests.scoring.fixtures import MODELS
from tests.scoring.workplace import Workplace

Order = dict[str, str | int | float]

THREADS = 3
SWAPS = 12
FILE_ROWS = 20_000


@pytest.fixture
def busy(workplace: Workplace) -> Iterator[Engine]:
    """An engine with a connection for each of many threads."""
    engine = create_engine(workplace.engine.url, pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def models(busy: Engine, second_models_dir: Path) -> dict[str, DelayScorer]:
    """Two known models by version; the first is the champion."""
    first = ensure_champion(busy, MODELS)
    with busy.begin() as connection:
        second = register(connection, read_files(second_models_dir)).version
    return {first: DelayScorer.load(MODELS), second: DelayScorer.load(second_models_dir)}


def test_a_promote_and_a_rollback_under_load_lose_no_request_and_no_version(
    workplace: Workplace, busy: Engine, models: dict[str, DelayScorer]
) -> None:
    champion = Champion(busy, MODELS)
    job = workplace.claim(workplace.simulated(FILE_ROWS))
    answered_one = threading.Semaphore(0)
    done = threading.Event()

    def request(number: int) -> list[tuple[Order, Prediction]]:
        answers = []
        for features in orders(number):
            order = EnrichedOrder.model_validate(features)
            (prediction,) = score_now(busy, champion.scorer(), [order])
            answers.append((features, prediction))
            answered_one.release()
            if done.is_set():
                return answers
        raise AssertionError("the orders do not end")

    def swap() -> None:
        _, second = models
        for turn in range(SWAPS):
            for _ in range(THREADS):  # some requests between any two swaps
                assert answered_one.acquire(timeout=60)
            if turn % 2:
                rollback(busy, reason="under load")
            else:
                promote(busy, second, MODELS, force=True, reason="under load")

    with ThreadPoolExecutor(THREADS + 1) as pool:
        requests = [pool.submit(request, number) for number in range(THREADS)]
        file = pool.submit(
            score_file, busy, workplace.settings, champion.scorer(), job.id, run_id="run-1"
        )
        try:
            swap()
            result = file.result()
        finally:
            done.set()
        answered = [answer for one in requests for answer in one.result()]

    assert result.job.accepted_count == FILE_ROWS
    assert {prediction.model_version for _, prediction in answered} == set(models), "both scored"
    for features, prediction in answered:
        alone = models[prediction.model_version].score_one(features)
        assert prediction.delay_probability == alone.probability
        assert [(reason.feature, reason.contribution) for reason in prediction.reasons] == [
            (reason.feature, reason.contribution) for reason in alone.reasons
        ]
    assert_stored_as_answered(workplace, [prediction for _, prediction in answered])
    assert_each_row_is_its_models(workplace, models)
    versions = workplace.rows(
        "SELECT DISTINCT model_version FROM predictions WHERE batch_job_id = :job", job=job.id
    )
    assert versions == [{"model_version": result.job.model_version}], "a file has one model"
    assert workplace.value("SELECT count(*) FROM model_decisions") == 1 + SWAPS
    assert workplace.rollup_differences() == 0


def orders(number: int) -> Iterator[Order]:
    """Orders of one thread, without end."""
    features, _ = training_frame(500, seed=number)
    rows = features.to_pylist()
    for count in itertools.count():
        yield {**rows[count % len(rows)], "order_id": f"T{number}-{count}"}


def assert_stored_as_answered(workplace: Workplace, answers: list[Prediction]) -> None:
    """Whatever was answered is in the table, and nothing else of its kind."""
    stored = workplace.rows(
        "SELECT id, order_id, delay_probability, model_version FROM predictions "
        "WHERE source = 'api'"
    )
    told = {(one.id, one.order_id, one.delay_probability, one.model_version) for one in answers}
    assert {tuple(row.values()) for row in stored} == told
    assert len(stored) == len(answers)


def assert_each_row_is_its_models(workplace: Workplace, models: dict[str, DelayScorer]) -> None:
    """Every stored probability is what the named model gives for the stored features."""
    for row in workplace.rows(
        "SELECT features_json, delay_probability, model_version FROM predictions"
    ):
        assert set(row["features_json"]) == set(FEATURES)
        scored = models[row["model_version"]].score_one(row["features_json"])
        assert scored.probability == row["delay_probability"]
