"""The API over a database of the test, asked as a program on this machine would."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr
from sqlalchemy.engine import Engine

from fulfillment_api.app import create_app
from fulfillment_api.roles import Role
from fulfillment_api.security.keys import create_key
from fulfillment_assets.knowledge.documents import ingest_files
from fulfillment_assets.knowledge.index import refresh
from fulfillment_assets.settings import Settings
from tests.kpis.examples import HOUR
from tests.scoring.fixtures import MODELS

THEN = dt.datetime.now(dt.UTC) - 30 * HOUR
"""A day ago and more: in every window, and in no hour of now."""

HERE = ("127.0.0.1", 50_000)
ELSEWHERE = ("203.0.113.7", 50_000)
NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"
"""A database that does not answer."""


def settings_for(url: str, **changes: Any) -> Settings:
    """Settings with a database, the committed model and nothing of the environment's."""
    chosen: dict[str, Any] = {
        "database_url": SecretStr(url),
        "dagster_postgres_url": None,
        "models_dir": MODELS,
        "chroma_url": None,
        "kafka_bootstrap_servers": None,
    }
    return Settings(**chosen | changes)


def client_for(
    url: str, *, address: tuple[str, int] = HERE, key: str | None = None, **changes: Any
) -> TestClient:
    """A client of the API over a database; to be entered."""
    return TestClient(
        create_app(settings_for(url, **changes)),
        base_url="http://127.0.0.1:8000",
        client=address,
        headers={"Authorization": f"Bearer {key}"} if key else None,
    )


def url_of(engine: Engine) -> str:
    """The URL of an engine, with its password."""
    return engine.url.render_as_string(hide_password=False)


def with_knowledge(engine: Engine, chroma: str) -> Settings:
    """Settings with the shipped knowledge base in the database and indexed in Chroma."""
    settings = settings_for(url_of(engine), chroma_url=chroma, knowledge_embedder="lexical")
    with engine.begin() as connection:
        ingest_files(connection, settings.knowledge_dir)
    refresh(settings, engine)
    return settings


def new_key(engine: Engine, role: str = "admin", name: str = "ada") -> str:
    """Make a key, and give it."""
    with engine.begin() as connection:
        return create_key(connection, name=name, role=Role(role))[1]


def problem(response: Response, status: int) -> dict[str, Any]:
    """The problem details of a response, which has this status."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["request_id"] == response.headers["x-request-id"]
    assert found["type"].startswith("urn:fulfillment:problem:")
    return found


def pages(api: TestClient, path: str, **parameters: Any) -> list[list[Any]]:
    """The items of every page of a list, one page after the other."""
    found, cursor = [], None
    while True:
        asked = parameters | ({} if cursor is None else {"cursor": cursor})
        response = api.get(path, params=asked)
        assert response.status_code == 200, response.text
        found.append(response.json()["items"])
        cursor = response.json()["pagination"]["next"]
        if cursor is None:
            return found
