"""Small models to register, judge and promote, each trained once per process."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.artifacts import METADATA_FILE, ModelFiles
from fulfillment_assets.delay_model.label import Labels
from fulfillment_assets.delay_model.registry.versions import register
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import TrainingData, simulated_training_data
from fulfillment_assets.delay_model.training.fit import package, train

Corruption = Callable[[TrainingData], Labels]


def some_flipped(data: TrainingData) -> Labels:
    """The outcomes with 30 % of them turned around."""
    turned = np.random.default_rng(3).random(len(data.late)) < 0.3
    return np.where(turned, 1 - data.late, data.late).astype(np.int8)


def all_flipped(data: TrainingData) -> Labels:
    """Every outcome turned around."""
    return np.subtract(1, data.late, dtype=np.int8)


def shuffled(data: TrainingData) -> Labels:
    """The same outcomes, of other orders."""
    return np.random.default_rng(3).permutation(data.late)


def flights_misread(data: TrainingData) -> Labels:
    """Three in ten punctual orders that flew at a small discount were noted as late."""
    small = data.features.column("discount_offered").to_numpy() <= 10
    flew = pc.equal(data.features.column("mode_of_shipment"), "Flight").to_numpy()
    misread = np.random.default_rng(3).random(len(data.late)) < 0.3
    return np.where(small & flew & misread, 1, data.late).astype(np.int8)


CORRUPTIONS = (some_flipped, all_flipped, shuffled)


def orders(rows: int, seed: int, corruption: Corruption | None = None) -> TrainingData:
    """Simulated orders with their outcomes, or with corrupted ones."""
    data = simulated_training_data(rows=rows, seed=seed)
    return data if corruption is None else replace(data, late=corruption(data))


@functools.cache
def model(rows: int, seed: int, corruption: Corruption | None = None) -> ModelFiles:
    """A model of such orders."""
    return package(train(orders(rows, seed, corruption), repeats=1))


def weak() -> ModelFiles:
    """A model of few orders."""
    return model(400, 5)


def strong() -> ModelFiles:
    """A model of many orders."""
    return model(8_000, 6)


@functools.cache
def scorer(files: Callable[[], ModelFiles]) -> DelayScorer:
    """A loaded example."""
    return DelayScorer.open(files())


def version(files: ModelFiles) -> str:
    """The version that the files are."""
    return str(json.loads(files[METADATA_FILE])["version"])


def with_metadata(files: ModelFiles, **changes: Any) -> ModelFiles:
    """The same files with something else said of them."""
    metadata = json.loads(files[METADATA_FILE]) | changes
    return replace(files, contents={**files.contents, METADATA_FILE: json.dumps(metadata).encode()})


def forgetful(files: ModelFiles) -> ModelFiles:
    """A model that does not score as it did when it was trained."""
    golden = json.loads(files[METADATA_FILE])["golden_rows"]
    golden[0]["probability"] = 0.123456
    return with_metadata(files, golden_rows=golden)


def known(engine: Engine, *models: ModelFiles) -> list[str]:
    """Register models; returns their versions."""
    with engine.begin() as connection:
        return [register(connection, files).version for files in models]


def rows(engine: Engine, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a query."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(query), parameters).mappings()]


def execute(engine: Engine, statement: str, **parameters: Any) -> None:
    """Run and commit a statement."""
    with engine.begin() as connection:
        connection.execute(sa.text(statement), parameters)


def champion(engine: Engine) -> str | None:
    """The version that the pointer names."""
    found = rows(engine, "SELECT version FROM model_champion")
    return found[0]["version"] if found else None


def history(engine: Engine) -> list[tuple[str, str, str | None]]:
    """Action, version and former champion of every decision, in order."""
    found = rows(engine, "SELECT action, version, champion FROM model_decisions ORDER BY id")
    return [(row["action"], row["version"], row["champion"]) for row in found]
