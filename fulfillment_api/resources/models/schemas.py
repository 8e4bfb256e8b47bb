"""What the models' endpoints take and give."""

from __future__ import annotations

import datetime as dt
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fulfillment_api.fields import Question
from fulfillment_assets.delay_model.bands import Band
from fulfillment_assets.delay_model.metadata import (
    HeldOut,
    Label,
    ModelMetadata,
    TrainingSet,
    Validation,
)
from fulfillment_assets.delay_model.metrics import Metric
from fulfillment_assets.delay_model.registry.decisions import Decision
from fulfillment_assets.delay_model.registry.versions import ModelVersion


class Models(BaseModel):
    """Every known version, the newest first."""

    champion: str | None
    models: list[ModelVersion]


class ModelCard(BaseModel):
    """What is known of a version: data, metrics, bands, decisions."""

    version: str
    is_champion: bool
    created_at: dt.datetime
    last_trained_at: dt.datetime
    label: Label
    features: list[str] = Field(description="The model's inputs, in order.")
    candidate: str = Field(description="Name of the setting that was trained.")
    hyperparameters: dict[str, float]
    training_data: TrainingSet
    validation: Validation
    metrics: dict[str, Metric] = Field(description="Out of sample, over the folds.")
    held_out: HeldOut | None = Field(description="On orders that were left aside.")
    thresholds: dict[str, float] = Field(description="Probability above which a severity begins.")
    bands: list[Band] = Field(description="Size and measured precision of each severity.")
    library_versions: dict[str, str]
    artifacts: dict[str, str] = Field(description="SHA-256 of each file.")
    decisions: list[Decision] = Field(description="About it, the oldest first.")

    @classmethod
    def of(cls, known: ModelVersion, metadata: ModelMetadata, about: list[Decision]) -> Self:
        """The card of a version."""
        told = {
            name: getattr(metadata, name)
            for name in cls.model_fields
            if name in ModelMetadata.model_fields
        }
        return cls(
            **told,
            is_champion=known.is_champion,
            created_at=known.created_at,
            last_trained_at=known.last_trained_at,
            decisions=about,
        )


class ChangeReason(BaseModel):
    """Why a champion is changed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Carrier costs changed."}]}
    )

    reason: Question | None = Field(default=None, description="Kept with the decision.")


class Promote(ChangeReason):
    """How a version shall be promoted."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"force": False}]})

    force: bool = Field(default=False, description="Skip the comparison; needs a reason.")

    @model_validator(mode="after")
    def _forced_with_a_reason(self) -> Self:
        if self.force and self.reason is None:
            raise ValueError("a promotion by force needs a reason: say why")
        return self


class Decided(BaseModel):
    """Which version scores now, and the decision that made it so."""

    champion: str
    decision: Decision | None = Field(description="Null where it was the champion already.")


VERSION_EXAMPLE: Final = {
    "version": "lgbm-a598de0a3c2d",
    "trained_on": "file",
    "data_name": "customer_analytics_train.csv",
    "rows": 7479,
    "metrics": {"brier": 0.1785, "roc_auc": 0.742},
    "created_at": "2026-03-01T09:30:00Z",
    "last_trained_at": "2026-03-01T09:30:00Z",
    "is_champion": True,
    "decision": None,
}
DECISION_EXAMPLE: Final = {
    "id": 2,
    "action": "promoted",
    "version": "lgbm-a598de0a3c2d",
    "champion": "lgbm-0b1c2d3e4f50",
    "forced": False,
    "reason": "Brier score 0.1785 against the champion's 0.1802: better by 0.0017",
    "evidence": None,
    "decided_by": "ada",
    "decided_at": "2026-03-10T09:30:00Z",
}
DECIDED_EXAMPLE: Final = {"champion": DECISION_EXAMPLE["version"], "decision": DECISION_EXAMPLE}
CARD_EXAMPLE: Final = {
    "version": "lgbm-a598de0a3c2d",
    "is_champion": True,
    "created_at": "2026-03-01T09:30:00Z",
    "last_trained_at": "2026-03-01T09:30:00Z",
    "label": {"name": "late", "meaning": "the order arrives after it was promised"},
    "features": ["warehouse_block", "mode_of_shipment", "discount_offered"],
    "candidate": "served",
    "hyperparameters": {"num_leaves": 7, "learning_rate": 0.05},
    "training_data": {
        "kind": "file",
        "name": "customer_analytics_train.csv",
        "sha256": "9f2c...",
        "rows": 7479,
        "held_out": 1320,
        "late_share": 0.597,
    },
    "validation": {"folds": 5, "repeats": 3, "seed": 17},
    "metrics": {"brier": {"mean": 0.1785, "std": 0.0031}},
    "held_out": None,
    "thresholds": {"critical": 0.7, "warning": 0.5, "info": 0.3},
    "bands": [],
    "library_versions": {"lightgbm": "4.7.0"},
    "artifacts": {"delay_classifier.joblib": "1b7e..."},
    "decisions": [DECISION_EXAMPLE],
}
