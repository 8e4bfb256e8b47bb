from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from fulfillment_api.app import create_app
from fulfillment_assets.settings import Settings

ANYWHERE = Settings(database_url=SecretStr("postgresql://nobody@127.0.0.1:1/nowhere"))


def test_without_a_database_url_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ValueError, match=r"DATABASE_URL is not set: .*`fulfillment up`, or set it"):
        create_app()


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    with TestClient(create_app()) as client:
        assert client.get("/health/ready").json()["status"] == "ready"


def test_the_openapi_document_describes_every_path_once() -> None:
    with TestClient(create_app(ANYWHERE)) as client:
        document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        f"{prefix}/health/{name}" for prefix in ("", "/api/v1") for name in ("live", "ready")
    }
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for path, item in document["paths"].items():
        assert item["get"]["summary"]
        assert ("503" in item["get"]["responses"]) == path.endswith("ready")


def test_an_unknown_path_is_not_found() -> None:
    with TestClient(create_app(ANYWHERE)) as client:
        assert client.get("/nowhere").status_code == 404
        assert client.post("/health/ready").status_code == 405
