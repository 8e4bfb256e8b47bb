"""The known models, and which of them scores."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from fulfillment_api.dependencies import TheDatabase
from fulfillment_api.routing import example, resource
from fulfillment_assets.delay_model.registry.versions import ModelVersion, versions

_EXAMPLE: Final = {
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

router = resource("models")


class Models(BaseModel):
    """Every known version, the newest first."""

    champion: str | None
    models: list[ModelVersion]


@router.get("/models", responses=example({"champion": _EXAMPLE["version"], "models": [_EXAMPLE]}))
def list_models(database: TheDatabase) -> Models:
    """The known versions with their figures, and the champion among them."""
    with database.read() as connection:
        found = versions(connection)
    champion = next((one.version for one in found if one.is_champion), None)
    return Models(champion=champion, models=found)
