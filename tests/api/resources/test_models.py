"""The known models through the API."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_api.resources.predictions.schemas import ORDER_EXAMPLE
from fulfillment_assets.delay_model.artifacts import read_files
from fulfillment_assets.delay_model.registry.champion import ensure_champion
from fulfillment_assets.delay_model.registry.versions import register
from tests.agents.examples import Office
from tests.api.conftest import Start
from tests.api.examples import new_key, problem, url_of
from tests.scoring.fixtures import MODELS

FORCED = {"force": True, "reason": "The old one was trained on other orders."}


def test_models_are_listed_with_the_champion_among_them(api: TestClient, engine: Engine) -> None:
    assert api.get("/models").json() == {"champion": None, "models": []}
    version = ensure_champion(engine, MODELS)
    found = api.get("/models").json()
    assert found["champion"] == version
    assert [(one["version"], one["is_champion"]) for one in found["models"]] == [(version, True)]


@pytest.fixture
def other(engine: Engine, second_models_dir: Path) -> str:
    """A version that is known beside the champion, and worse."""
    ensure_champion(engine, MODELS)
    with engine.begin() as connection:
        return register(connection, read_files(second_models_dir)).version


def audited(office: Office) -> list[tuple[str, str]]:
    return [(one["action"], one["target"]) for one in office.rows("SELECT * FROM api_audit")]


def test_a_card_tells_data_figures_bands_and_decisions(api: TestClient, engine: Engine) -> None:
    version = ensure_champion(engine, MODELS)
    card = api.get(f"/models/{version}").json()
    assert (card["version"], card["is_champion"]) == (version, True)
    assert 0 < card["metrics"]["brier"]["mean"] < 0.25
    assert card["training_data"]["kind"] == "file"
    assert card["thresholds"]["critical"] == 0.7
    assert {band["severity"] for band in card["bands"]} >= {"critical", "warning"}
    assert [one["action"] for one in card["decisions"]] == ["first"]
    assert "/models" in problem(api.get("/models/nothing"), 404)["detail"]


def test_a_version_whose_files_are_gone_has_no_card(
    api: TestClient, engine: Engine, other: str
) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text("DELETE FROM model_artifacts WHERE version = :version"), {"version": other}
        )
    assert "not kept" in problem(api.get(f"/models/{other}"), 404)["detail"]
    problem(api.post(f"/models/{other}/promote"), 404)


def test_a_version_that_is_not_better_is_refused_and_the_refusal_recorded(
    api: TestClient, office: Office, other: str
) -> None:
    champion = api.get("/models").json()["champion"]
    detail = problem(api.post(f"/models/{other}/promote"), 409)["detail"]
    assert "Brier score" in detail or "Simulated orders judge" in detail
    assert detail.endswith('send {"force": true, "reason": "..."}.')
    models = api.get("/models").json()
    assert models["champion"] == champion
    assert models["models"][0]["decision"]["action"] == "refused"
    assert audited(office) == [("models.promote", other)]


def test_by_force_takes_a_reason(api: TestClient, office: Office, other: str) -> None:
    found = problem(api.post(f"/models/{other}/promote", json={"force": True}), 422)
    assert "needs a reason" in found["detail"]
    assert audited(office) == []


def test_predictions_go_over_to_the_new_champion_and_back(
    engine: Engine, start: Start, office: Office, other: str
) -> None:
    api = start(url_of(engine), key=new_key(engine, "admin", "ada"))
    first = api.post("/predict", json=ORDER_EXAMPLE).json()["model_version"]
    told = api.post(f"/models/{other}/promote", json=FORCED).json()
    assert told["champion"] == other
    assert (told["decision"]["decided_by"], told["decision"]["forced"]) == ("ada", True)
    wait_for_version(api, other)
    again = api.post(f"/models/{other}/promote", json=FORCED).json()
    assert again == {"champion": other, "decision": None}
    back = api.post("/models/rollback", json={"reason": "It was a mistake."}).json()
    assert (back["champion"], back["decision"]["reason"]) == (first, "It was a mistake.")
    wait_for_version(api, first)
    assert audited(office) == [("models.promote", other), ("models.rollback", "champion")]


def wait_for_version(api: TestClient, version: str) -> None:
    deadline = time.monotonic() + 60
    while api.post("/predict", json=ORDER_EXAMPLE).json()["model_version"] != version:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_where_there_is_nothing_to_go_back_to_it_says_so(
    api: TestClient, engine: Engine, office: Office
) -> None:
    assert "no champion yet" in problem(api.post("/models/rollback"), 409)["detail"]
    ensure_champion(engine, MODELS)
    assert "is the first champion" in problem(api.post("/models/rollback"), 409)["detail"]
    assert audited(office) == []
