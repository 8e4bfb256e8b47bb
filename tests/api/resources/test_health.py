from __future__ import annotations

import datetime as dt
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy.engine import Engine, make_url

from fulfillment_assets.delay_model.artifacts import METADATA_FILE, read_files, read_metadata
from fulfillment_assets.delay_model.registry.champion import ensure_champion
from fulfillment_assets.delay_model.registry.promotion import promote, rollback
from fulfillment_assets.delay_model.registry.versions import register
from fulfillment_assets.local.chroma import EmbeddedChroma
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import create_engine
from tests.api.conftest import Start
from tests.api.examples import url_of
from tests.scoring.fixtures import MODELS

PREFIXES = ["", "/api/v1"]

Client = Callable[..., TestClient]


@pytest.fixture
def client(start: Start) -> Client:
    """Starts the API over a database: `client(url, models_dir)`."""

    def begin(url: str, models_dir: Path = MODELS) -> TestClient:
        return start(url, models_dir=models_dir)

    return begin


def components(response: Response) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in response.json()["components"]}


def detail_of(response: Response, broken: str) -> str:
    """What is said of the component that is broken; without a database, none knows the model."""
    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    found = components(response)
    down = [name for name, one in found.items() if one["needed"] and one["state"] == "down"]
    if broken == "database":
        assert found["model"]["detail"] == "unknown: the database tells which model scores"
        assert down == ["database", "model"]
    else:
        assert down == [broken]
    return str(found[broken]["detail"])


@pytest.mark.parametrize("prefix", PREFIXES)
def test_it_is_alive_whatever_the_state_of_the_database(client: Client, prefix: str) -> None:
    response = client("postgresql://nobody@127.0.0.1:1/nowhere").get(f"{prefix}/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_it_is_ready_with_a_migrated_database_and_the_model(
    client: Client, database_url: str
) -> None:
    api = client(database_url)
    for prefix in PREFIXES:
        response = api.get(f"{prefix}/health/ready")
        assert response.status_code == 200
        assert response.json()["status"] == "ready"
        found = components(response)
        assert found["database"]["detail"] == f"schema at revision {migrate.head()}"
        assert found["model"]["detail"] == read_metadata(read_files(MODELS)).version
        assert all(component["latency_ms"] >= 0 for component in found.values())


def test_a_database_without_schema_is_not_ready(client: Client, empty_database_url: str) -> None:
    api = client(empty_database_url)
    for prefix in PREFIXES:
        detail = detail_of(api.get(f"{prefix}/health/ready"), "database")
        assert detail.startswith("schema is missing, or closed to this user")
        assert detail.endswith(": run `fulfillment db upgrade`")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE alembic_version SET version_num = '0000'", "0000"),
        ("DELETE FROM alembic_version", "none"),
    ],
    ids=["behind", "taken down"],
)
def test_a_schema_of_another_revision_is_not_ready(
    client: Client, database_url: str, change: str, found: str
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text(change))
    engine.dispose()
    assert detail_of(client(database_url).get("/health/ready"), "database") == (
        f"schema at revision {found}, {migrate.head()} is needed: run `fulfillment db upgrade`"
    )


def test_a_server_that_is_down_is_not_ready_and_tells_no_password(client: Client) -> None:
    started = time.monotonic()
    response = client("postgresql://ada:s3cret@127.0.0.1:1/shop").get("/health/ready")
    assert detail_of(response, "database") == "does not answer"
    assert "s3cret" not in response.text
    assert time.monotonic() - started < 5


def test_it_is_ready_again_once_the_database_is(client: Client, database_url: str) -> None:
    api = client(database_url)
    assert api.get("/health/ready").status_code == 200
    name = make_url(database_url).database
    admin = sa.create_engine(
        make_url(database_url).set(drivername="postgresql+psycopg2", database="postgres"),
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = :name"
            ),
            {"name": name},
        )
        assert detail_of(api.get("/health/ready"), "database") == "does not answer"
        connection.execute(sa.text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()
    assert api.get("/health/ready").status_code == 200


def test_it_tells_the_champion_of_the_moment(
    client: Client, database_url: str, second_models_dir: Path
) -> None:
    api, engine = client(database_url), create_engine(database_url)

    def told() -> str:
        response = api.get("/health/ready")
        assert response.status_code == 200
        return str(components(response)["model"]["detail"])

    first = told()
    assert ensure_champion(engine, MODELS) == first
    with engine.begin() as connection:
        second = register(connection, read_files(second_models_dir)).version
    assert told() == first
    promote(engine, second, MODELS, force=True, reason="a test")
    assert told() == second
    rollback(engine)
    assert told() == first
    engine.dispose()


def test_with_a_champion_the_folder_is_not_needed(
    client: Client, database_url: str, tmp_path: Path
) -> None:
    engine = create_engine(database_url)
    version = ensure_champion(engine, MODELS)
    api = client(database_url, tmp_path)
    found = components(api.get("/health/ready"))
    assert (found["model"]["state"], found["model"]["detail"]) == ("up", version)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE model_artifacts SET content = content || 'x'"))
    engine.dispose()
    detail = detail_of(api.get("/health/ready"), "model")
    assert f"model_artifacts/{version}/" in detail


def test_asking_changes_nothing(client: Client, database_url: str) -> None:
    api, engine = client(database_url), create_engine(database_url)
    api.get("/health/ready")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM model_versions")) == 0
    engine.dispose()


def test_a_missing_model_is_not_ready(client: Client, database_url: str, tmp_path: Path) -> None:
    response = client(database_url, tmp_path).get("/health/ready")
    assert re.search(
        r"There is no model: .*model_metadata\.json is missing\. .*`fulfillment train`",
        detail_of(response, "model"),
    )


def test_damaged_metadata_is_not_ready(client: Client, database_url: str, tmp_path: Path) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    (models / METADATA_FILE).write_text("{")
    detail = detail_of(client(database_url, models).get("/health/ready"), "model")
    assert "does not describe a model of this version" in detail


def test_an_altered_artefact_is_not_ready(
    client: Client, database_url: str, tmp_path: Path
) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    classifier = models / "delay_classifier.joblib"
    classifier.write_bytes(classifier.read_bytes() + b"!")
    answer = client(database_url, models).get("/health/ready")
    assert answer.status_code == 503
    assert "delay_classifier.joblib is not the file" in detail_of(answer, "model")


def test_a_model_that_comes_later_is_noticed(
    client: Client, database_url: str, tmp_path: Path
) -> None:
    api = client(database_url, tmp_path)
    assert api.get("/health/ready").status_code == 503
    shutil.copytree(MODELS, tmp_path, dirs_exist_ok=True)
    assert api.get("/health/ready").status_code == 200


def test_what_is_not_configured_is_told_and_not_missed(api: TestClient) -> None:
    response = api.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (200, "ready")
    found = components(response)
    states = {name: found[name]["state"] for name in ("chroma", "kafka", "dagster")}
    assert set(states.values()) == {"not configured"}
    assert not any(found[name]["needed"] for name in states)
    assert found["chroma"]["detail"] == "CHROMA_URL is not set"


def test_a_chroma_that_is_down_degrades_it_until_it_is_back(
    engine: Engine, start: Start, private_chroma: EmbeddedChroma
) -> None:
    api = start(url_of(engine), chroma_url=private_chroma.url)
    assert components(api.get("/health/ready"))["chroma"]["state"] == "up"
    private_chroma.stop()
    response = api.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert components(response)["chroma"]["detail"] == "does not answer"
    private_chroma.start()
    assert api.get("/health/ready").json()["status"] == "ready"


def test_a_broker_that_is_down_degrades_it(engine: Engine, start: Start) -> None:
    api = start(url_of(engine), kafka_bootstrap_servers="127.0.0.1:1,[::1]:2")
    response = api.get("/health/ready")
    assert response.json()["status"] == "degraded"
    assert components(response)["kafka"]["detail"] == "no broker accepts connections"


@pytest.mark.parametrize(("age", "state"), [(5, "up"), (600, "down")])
def test_a_daemon_is_known_by_its_heartbeat(
    api: TestClient, engine: Engine, age: int, state: str
) -> None:
    beat = dt.datetime.now(dt.UTC).replace(tzinfo=None) - dt.timedelta(seconds=age)
    with engine.begin() as connection:
        connection.execute(
            sa.text('CREATE TABLE dagster.daemon_heartbeats ("timestamp" timestamp)')
        )
        connection.execute(
            sa.text("INSERT INTO dagster.daemon_heartbeats VALUES (:beat)"),
            {"beat": beat},
        )
    found = components(api.get("/health/ready"))["dagster"]
    assert found["state"] == state
    assert re.fullmatch(r"its daemon's heartbeat is \d+ s old", found["detail"])
