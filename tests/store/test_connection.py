from __future__ import annotations

import socket
import time

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url

from fulfillment_assets.local.postgres import EmbeddedPostgres
from fulfillment_assets.store import connection as connection_module
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import (
    DatabaseUnavailableError,
    create_engine,
    dagster_storage_url,
    normalise_url,
    wait_for_database,
)

PASSWORD = "s3cr%2Ft"
PLAIN_PASSWORD = "s3cr/t"


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def failure(url: str, *, seconds: float = 0.0) -> str:
    """What a user is told of a database that cannot be used."""
    engine = create_engine(url)
    with pytest.raises(DatabaseUnavailableError) as caught:
        wait_for_database(engine, seconds=seconds)
    engine.dispose()
    return str(caught.value)


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg"],
)
def test_every_spelling_of_postgresql_gets_the_same_driver(scheme: str) -> None:
    url = normalise_url(f"{scheme}://ada:{PASSWORD}@db.example:5433/shop?sslmode=require")
    assert url.render_as_string(hide_password=False) == (
        f"postgresql+psycopg2://ada:{PASSWORD}@db.example:5433/shop?sslmode=require"
    )


def test_a_parsed_url_is_normalised_too() -> None:
    assert normalise_url(make_url("postgresql://h/d")).drivername == "postgresql+psycopg2"


def test_sessions_see_the_schema_first_in_utc(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT current_schema()")) == "fulfillment"
        assert connection.scalar(sa.text("SHOW timezone")) == "UTC"
        assert connection.scalar(sa.text("SELECT count(*) FROM predictions")) == 0
        assert connection.scalar(sa.text("SHOW application_name")) == "fulfillment"


def test_sessions_keep_their_settings_after_a_rollback(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.rollback()
        assert connection.scalar(sa.text("SELECT current_schema()")) == "fulfillment"


def test_a_session_that_the_server_ended_is_replaced(engine: Engine, database_url: str) -> None:
    with engine.connect() as connection:
        pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    other = create_engine(database_url)
    with other.connect() as connection:
        assert connection.scalar(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    other.dispose()
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT pg_backend_pid()")) != pid


def test_dagsters_storage_is_a_schema_of_its_own_in_the_same_database(database_url: str) -> None:
    storage = sa.create_engine(dagster_storage_url(database_url))
    with storage.begin() as connection:
        assert connection.scalar(sa.text("SELECT current_schema()")) == "dagster"
        connection.execute(sa.text("CREATE TABLE runs (id int)"))
    assert sa.inspect(storage).get_table_names("dagster") == ["runs"]
    storage.dispose()
    assert make_url(dagster_storage_url(database_url)).drivername == "postgresql+psycopg2"
    assert make_url(dagster_storage_url(database_url)).password == make_url(database_url).password


def test_a_server_that_answers_is_waited_for_no_longer(postgres: EmbeddedPostgres) -> None:
    engine = create_engine(postgres.url)
    started = time.monotonic()
    wait_for_database(engine)
    assert time.monotonic() - started < 5
    engine.dispose()


def test_a_server_that_does_not_answer_is_named_with_what_to_do(closed_port: int) -> None:
    message = failure(f"postgresql://ada:{PASSWORD}@127.0.0.1:{closed_port}/shop", seconds=0.5)
    assert f"//ada:***@127.0.0.1:{closed_port}/shop does not answer: " in message
    assert "Connection refused" in message
    assert PASSWORD not in message and PLAIN_PASSWORD not in message
    assert message.endswith("Start it, or set DATABASE_URL to one that runs.")


def test_a_server_gets_the_time_that_it_was_given(closed_port: int) -> None:
    started = time.monotonic()
    failure(f"postgresql://ada@127.0.0.1:{closed_port}/shop", seconds=1.0)
    assert 1.0 <= time.monotonic() - started < 5


def test_a_database_that_is_missing_is_named(postgres: EmbeddedPostgres) -> None:
    url = make_url(postgres.url).set(database="nowhere").render_as_string(hide_password=False)
    assert 'database "nowhere" does not exist' in failure(url)


@pytest.fixture(params=["authority", "query"])
def url_with_wrong_password(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> str:
    url = make_url(postgres.url)
    if request.param == "authority":
        return url.set(password=PLAIN_PASSWORD).render_as_string(hide_password=False)
    bare = url._replace(password=None).update_query_dict({"password": PLAIN_PASSWORD})
    return bare.render_as_string(hide_password=False)


def test_a_refused_password_is_never_shown(url_with_wrong_password: str) -> None:
    message = failure(url_with_wrong_password)
    assert "password authentication failed" in message
    assert PASSWORD not in message
    assert PLAIN_PASSWORD not in message


def test_a_server_that_is_too_old_says_which_one_is_needed(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MINIMUM_SERVER", 990000)
    message = failure(postgres.url)
    assert "has version number 18" in message
    assert message.endswith("; 18 or newer is needed.")
    password = make_url(postgres.url).password
    assert password is not None
    assert str(password) not in message


def test_a_server_that_is_too_old_is_not_migrated(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MINIMUM_SERVER", 990000)
    with pytest.raises(DatabaseUnavailableError):
        migrate.upgrade(empty_database_url)
    engine = create_engine(empty_database_url)
    assert "fulfillment" not in sa.inspect(engine).get_schema_names()
    engine.dispose()
