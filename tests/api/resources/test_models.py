"""The known models through the API."""

from __future__ import annotations

from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.registry.champion import ensure_champion
from tests.scoring.fixtures import MODELS


def test_models_are_listed_with_the_champion_among_them(api: TestClient, engine: Engine) -> None:
    assert api.get("/models").json() == {"champion": None, "models": []}
    version = ensure_champion(engine, MODELS)
    found = api.get("/models").json()
    assert found["champion"] == version
    assert [(one["version"], one["is_champion"]) for one in found["models"]] == [(version, True)]
