"""From training data to the matrix that models are fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.features import (
    FeatureEncoder,
    build_preprocessor,
    learn_encoder,
)
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.split import split

MINIMUM_PER_CLASS: Final = 100
"""Fewer late or punctual orders than this cannot be calibrated in a meaningful way."""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """Training data, divided and encoded.

    Attributes:
        learnt: the orders to learn from.
        held_out: those that are left aside by rule.
        encoder: the encoding, learnt from `learnt`.
        preprocessor: the fitted ColumnTransformer that does the same.
        matrix: its output for `learnt`, shape (n, 10), columns in contract order.
    """

    learnt: TrainingData
    held_out: TrainingData
    encoder: FeatureEncoder
    preprocessor: Any
    matrix: npt.NDArray[np.float64]


def prepare(data: TrainingData) -> PreparedData:
    """Leave the held-out orders aside (see `split`) and encode the others.

    Raises:
        TrainingDataError: there are too few late or too few punctual orders to learn from.
    """
    learnt, aside = split(data)
    _require_both_classes(learnt.late)
    encoder = learn_encoder(learnt.features)
    preprocessor = build_preprocessor(encoder)
    matrix = preprocessor.fit_transform(encoder.frame(learnt.features))
    return PreparedData(learnt, aside, encoder, preprocessor, matrix)


def _require_both_classes(late: label.Labels) -> None:
    counts = {
        "late": int((late == label.LATE).sum()),
        "on time": int((late == label.ON_TIME).sum()),
    }
    for outcome, count in counts.items():
        if count < MINIMUM_PER_CLASS:
            raise TrainingDataError(
                f"The training data hold {count} orders that were {outcome}, apart from those "
                f"that are held out; at least {MINIMUM_PER_CLASS} are needed to learn the "
                "difference."
            )
