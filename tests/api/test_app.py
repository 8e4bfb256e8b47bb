from __future__ import annotations

import pytest
from fastapi.routing import APIRoute
from sqlalchemy.engine import Engine

from fulfillment_api.app import create_app
from fulfillment_api.roles import PREFIX, ROLES
from fulfillment_assets.local.postgres import EmbeddedPostgres
from tests.api.conftest import Start
from tests.api.examples import NOWHERE, client_for, new_key, problem, settings_for, url_of


def test_without_a_database_url_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ValueError, match=r"DATABASE_URL is not set: .*`fulfillment up`, or set it"):
        create_app()


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert create_app().state.services.settings.database_url.get_secret_value() == database_url


def test_every_route_stands_in_the_table_of_roles_and_no_other() -> None:
    app = create_app(settings_for(NOWHERE))
    routes = {
        (method, route.path_format.removeprefix(PREFIX))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert routes == set(ROLES)


def test_the_openapi_document_describes_every_route_its_errors_and_an_example() -> None:
    with client_for(NOWHERE) as api:
        document = api.get("/openapi.json").json()
    operations = {
        (method.upper(), path.removeprefix(PREFIX)): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert set(operations) == set(ROLES)
    assert len({one["operationId"] for one in operations.values()}) == len(operations)
    for (_, path), operation in operations.items():
        assert operation["summary"]
        assert operation["tags"]
        responses = operation["responses"]
        assert {"400", "401", "403", "404", "413", "422", "429", "500", "503"} <= set(responses)
        assert set(responses["422"]["content"]) == {"application/problem+json"}
        success = next(status for status in sorted(responses) if status.startswith("2"))
        if not path.startswith(("/health", "/metrics", "/batch/{batch_id}/")) and path != "/live":
            content = responses[success].get("content", {"application/json": {"example": None}})
            assert "example" in content["application/json"], path


def test_paths_without_a_key_are_few() -> None:
    assert {path for (_, path), role in ROLES.items() if role is None} == {
        "/health/live",
        "/health/ready",
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "shop.example"])
def test_binding_beyond_loopback_takes_a_key(engine: Engine, host: str) -> None:
    settings = settings_for(url_of(engine), api_host=host)
    with pytest.raises(ValueError, match=r"there is no API key: .*`fulfillment keys create"):
        create_app(settings)
    new_key(engine, "viewer")
    create_app(settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_binding_to_loopback_takes_none(engine: Engine, host: str) -> None:
    create_app(settings_for(url_of(engine), api_host=host))


def test_a_path_without_the_prefix_is_the_same(engine: Engine, start: Start) -> None:
    api = start(url_of(engine))
    for path in ("/settings", f"{PREFIX}/settings"):
        assert api.get(path).status_code == 200


def test_a_database_that_went_away_is_503_and_it_recovers_by_itself(
    postgres_alone: EmbeddedPostgres, start: Start
) -> None:
    api = start(postgres_alone.url)
    assert api.get("/orders").status_code == 200
    postgres_alone.stop()
    for path in ("/orders", "/settings", "/batch"):
        response = api.get(path)
        assert "does not answer" in problem(response, 503)["detail"]
        assert response.headers["retry-after"] == "2"
    postgres_alone.start()
    assert api.get("/orders").status_code == 200
    pool = api.app.state.services.database.engine.pool  # type: ignore[attr-defined]
    assert pool.checkedout() == 0


def test_a_database_without_schema_is_503_and_says_what_to_do(
    empty_database_url: str, start: Start
) -> None:
    api = start(empty_database_url)
    assert "`fulfillment db upgrade`" in problem(api.get("/orders"), 503)["detail"]
