"""A trained model becomes a challenger: guarded, registered, and given judges."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.polarity import PolarityReport, check_label_polarity
from fulfillment_assets.delay_model.registry.holdout import current_holdout, freeze
from fulfillment_assets.delay_model.registry.versions import register
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fit import TrainedModel, package
from fulfillment_assets.delay_model.training.leaks import LeakReport, check_leaks


@dataclass(frozen=True, slots=True)
class Challenger:
    """A registered version, and what its guards say."""

    metadata: ModelMetadata
    polarity: PolarityReport
    leaks: LeakReport


def enter(engine: Engine, model: TrainedModel, data: TrainingData) -> Challenger:
    """Register a model as a challenger, in one transaction; idempotent by its version.

    The first model of the retailer's own orders also freezes their held-out side as the holdout:
    from then on these orders judge, and no longer a file's or simulated ones. While the held-out
    ones are too few to judge, it stays as it is.

    Args:
        engine: of the platform's database.
        model: trained on `data`.
        data: what it was trained on.
    """
    files = package(model)
    with engine.begin() as connection:
        metadata = register(connection, files)
        if data.source.kind == "orders" and current_holdout(connection).kind != "orders":
            with suppress(TrainingDataError):  # too few yet: the present holdout goes on judging
                freeze(connection, data)
    return Challenger(
        metadata=metadata,
        polarity=check_label_polarity(DelayScorer.open(files)),
        leaks=check_leaks(data, metadata),
    )
