from __future__ import annotations

import datetime as dt
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.artifacts import read_files
from fulfillment_assets.delay_model.registry.champion import first_champion
from fulfillment_assets.delay_model.registry.holdout import freeze
from fulfillment_assets.delay_model.training.data import simulated_training_data
from fulfillment_assets.kpis.snapshots import take_snapshot
from fulfillment_assets.monitoring.drift import measure_drift
from fulfillment_assets.monitoring.outcomes import learn_outcomes
from fulfillment_assets.monitoring.quality import measure_quality
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from fulfillment_assets.scoring.drop_folder import claim
from fulfillment_assets.scoring.pipeline import score_file
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import DAGSTER_SCHEMA, SCHEMA, create_engine
from fulfillment_assets.store.partitions import PREFIX, existing_days
from fulfillment_assets.store.settings_table import read_setting, write_setting
from tests.kpis.examples import committed_scorer

TABLES = {
    "agent_approvals",
    "agent_responses",
    "alembic_version",
    "api_audit",
    "api_keys",
    "batch_jobs",
    "customer_contacts",
    "customer_opt_outs",
    "data_drift",
    "deviations",
    "escalation_tickets",
    "idempotency_keys",
    "knowledge_documents",
    "knowledge_index",
    "kpi_daily_rollups",
    "kpi_outcomes",
    "kpi_rollups",
    "kpi_snapshots",
    "live_events",
    "live_retention",
    "model_artifacts",
    "model_champion",
    "model_decisions",
    "model_holdouts",
    "model_quality",
    "model_versions",
    "order_interventions",
    "orders",
    "outbox",
    "outcomes",
    "predictions",
    "rejected_records",
    "segment_baselines",
    "settings",
    "settings_audit",
    "stream_batches",
    "stream_gaps",
    "stream_offsets",
    "tool_actions",
}

# What no part of the platform writes yet.
INSERTS = """
INSERT INTO agent_responses
    (deviation_id, agent_type, action, details_json, conversation_history, model, usage)
SELECT id, 'shipment', 'none', '{}', '[]', 'm', '{}' FROM deviations LIMIT 1;
INSERT INTO tool_actions (idempotency_key, deviation_id, tool, arguments, result)
SELECT 'k', id, 'refund', '{}', '{}' FROM deviations LIMIT 1;
INSERT INTO order_interventions (tool_action_id, order_id, field, new_value, decided_at)
SELECT id, 'o', 'warehouse_block', 'B', now() FROM tool_actions;
INSERT INTO customer_contacts
    (tool_action_id, order_id, kind, direction, channel, body, send_at)
SELECT id, 'o', 'note', 'outbound', 'email', 'b', now() FROM tool_actions;
INSERT INTO customer_opt_outs (customer_id, source) VALUES ('c', 's');
INSERT INTO escalation_tickets (deviation_id, priority, queue, question, opened_at,
    work_starts_at, respond_by, resolve_by)
SELECT id, 'P1', 'q', '?', now(), now(), now(), now() FROM deviations LIMIT 1;
INSERT INTO agent_approvals
    (deviation_id, agent_type, tool, arguments, reason, expires_at)
SELECT id, 'payment', 'issue_refund', '{}', 'r', now() FROM deviations LIMIT 1;
INSERT INTO knowledge_index (collection, embedder, splitter, documents_hash)
VALUES ('c', 'e', 's', 'h');
INSERT INTO segment_baselines
VALUES (now(), '*/*/*', 24, 1, 0.5, 0.1, 1, 0, 1);
INSERT INTO stream_offsets (topic, partition, next_offset) VALUES ('t', 0, 1);
INSERT INTO stream_gaps (topic, partition, first_offset, last_offset, reason)
VALUES ('t', 0, 0, 0, 'expired');
INSERT INTO stream_batches (topic, partition, start_offset, end_offset, messages, predicted,
    dead_lettered, model_version, run_id, attempt, seconds)
VALUES ('t', 0, 0, 1, 1, 1, 0, 'm', 'r', 1, 0.1);
INSERT INTO knowledge_documents (source, title, category, content, sha256, version, origin)
VALUES ('s', 't', 'c', 'x', 'h', '1', 'entered');
INSERT INTO api_keys (name, role, prefix, hash) VALUES ('n', 'viewer', 'p', sha256('k'));
INSERT INTO api_audit (actor, role, action, target, request_id)
VALUES ('n', 'admin', 'a', 't', 'r');
INSERT INTO idempotency_keys (key, sha256, batch_job_id, known, to_score)
SELECT 'k', sha256, id, false, true FROM batch_jobs LIMIT 1;
"""

UPGRADE = "import sys; from fulfillment_assets.store import migrate; migrate.upgrade(sys.argv[1])"

WAITING = sa.text(
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE datname = current_database() AND NOT granted"
)


@pytest.fixture
def empty_engine(empty_database_url: str) -> Iterator[Engine]:
    """Engine of a database with nothing in it."""
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    """The tables of the schema, daily partitions left out."""
    names = sa.inspect(engine).get_table_names(SCHEMA)
    return {name for name in names if not name.startswith(PREFIX)}


def leftovers(engine: Engine) -> list[str]:
    """Every relation, function and type that the schema still holds."""
    query = """
    SELECT relname FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace)
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = CAST(:schema AS regnamespace)
    UNION ALL SELECT typname FROM pg_type WHERE typnamespace = CAST(:schema AS regnamespace)
    """
    with engine.connect() as connection:
        names = connection.execute(sa.text(query), {"schema": SCHEMA}).scalars()
        return sorted(name for name in names if not name.lstrip("_").startswith("alembic_version"))


def revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return found


def fill(engine: Engine, directory: Path) -> None:
    """Put rows into every table: orders through the pipeline, the rest by hand."""
    settings = Settings(data_dir=directory)
    orders = directory / "orders.csv"
    write_csv(SimulationPlan(300, seed=4, start=dt.date(2024, 3, 1), fault_share=0.1), orders)
    scorer, job = committed_scorer(), claim(engine, settings, orders).job
    first_champion(engine, read_files(settings.models_dir))
    score_file(engine, settings, scorer, job.id, run_id="r")
    assert learn_outcomes(engine, job.day).new > 0
    measure_quality(engine, job.day, scorer.metadata)
    measure_drift(engine, job.day, scorer.metadata)
    with engine.begin() as connection:
        take_snapshot(connection, job.day)
        freeze(connection, simulated_training_data(rows=2_000, seed=1))
        write_setting(connection, "kpi_window_days", 7, changed_by="test")
        connection.execute(sa.text(INSERTS))
    for table in TABLES:
        with engine.connect() as connection:
            assert connection.scalar(sa.text(f"SELECT EXISTS (SELECT FROM {table})")), table


def test_an_empty_database_gets_the_whole_schema(
    empty_engine: Engine, empty_database_url: str
) -> None:
    migrate.upgrade(empty_database_url)
    assert tables(empty_engine) == TABLES
    assert revision(empty_engine) == migrate.head()
    assert DAGSTER_SCHEMA in sa.inspect(empty_engine).get_schema_names()
    with empty_engine.connect() as connection:
        assert len(existing_days(connection)) == 8


def test_an_upgraded_empty_database_goes_down_and_up_again(
    empty_engine: Engine, empty_database_url: str
) -> None:
    migrate.upgrade(empty_database_url)
    migrate.downgrade(empty_database_url)
    assert leftovers(empty_engine) == []
    assert revision(empty_engine) is None
    migrate.upgrade(empty_database_url)
    assert tables(empty_engine) == TABLES


def test_a_filled_database_goes_down_and_up_again(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    fill(engine, tmp_path)
    migrate.downgrade(database_url)
    assert leftovers(engine) == []
    migrate.upgrade(database_url)
    assert tables(engine) == TABLES
    fill(engine, tmp_path / "again")


def test_an_upgrade_of_an_upgraded_database_keeps_everything(
    engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        write_setting(connection, "kpi_window_days", 7, changed_by="test")
        connection.execute(
            sa.text("INSERT INTO stream_offsets (topic, partition, next_offset) VALUES ('t', 0, 1)")
        )
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        assert read_setting(connection, "kpi_window_days") == 7
        assert connection.scalar(sa.text("SELECT next_offset FROM stream_offsets")) == 1
    assert revision(engine) == migrate.head()


def test_models_that_were_known_before_their_files_were_kept_stay_known(
    empty_engine: Engine, empty_database_url: str
) -> None:
    migrate.upgrade(empty_database_url, "0001")
    with empty_engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO model_versions (version, artifact_sha256, metrics, training_data) "
                "VALUES ('old', 'h', '{}', '{\"kind\": \"file\"}')"
            )
        )
    migrate.upgrade(empty_database_url)
    with empty_engine.connect() as connection:
        known = connection.execute(sa.text("SELECT * FROM model_versions")).one()
        assert (known.version, known.training_data) == ("old", {"kind": "file"})
        assert known.last_trained_at is not None
        assert connection.scalar(sa.text("SELECT count(*) FROM model_artifacts")) == 0
    migrate.downgrade(empty_database_url, "0001")
    with empty_engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version FROM model_versions")) == "old"


def test_dead_letters_of_a_topic_that_was_made_again_survive_as_far_as_they_can(
    engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        for hour in (1, 2):
            connection.execute(
                sa.text(
                    'INSERT INTO rejected_records (source, topic, partition, "offset", raw, '
                    "errors, message_key, message_time) VALUES ('streaming', 't', 0, 5, "
                    "'{}', '[]', '\\x00ff', make_timestamptz(2026, 1, 1, :hour, 0, 0))"
                ),
                {"hour": hour},
            )
        connection.execute(
            sa.text(
                "INSERT INTO outbox (event_id, topic, key, payload, refused) "
                "VALUES (uuidv7(), 't', 'k', '{}', 'too large')"
            )
        )
        connection.execute(
            sa.text("INSERT INTO stream_offsets (topic, partition, next_offset) VALUES ('t', 0, 6)")
        )
    kept = count(engine, "rejected_records")
    migrate.downgrade(database_url, "0002")
    assert (kept, count(engine, "rejected_records")) == (2, 1)
    assert count(engine, "outbox") == 1
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        position = connection.execute(sa.text("SELECT * FROM stream_offsets")).one()
    assert (position.next_offset, position.messages, position.topic_id) == (6, 0, None)


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0)


def test_an_upgrade_makes_the_partitions_of_the_coming_days(
    engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        days = existing_days(connection)
        connection.execute(sa.text(f"DROP TABLE {PREFIX}{days[-1]:%Y%m%d}"))
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        assert set(days) <= set(existing_days(connection))


def test_processes_that_upgrade_at_once_all_succeed(
    empty_engine: Engine, empty_database_url: str
) -> None:
    with (
        empty_engine.connect() as gate,
        empty_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch,
    ):
        gate.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))  # until it is rolled back, all wait
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", UPGRADE, empty_database_url],
                cwd=PROJECT_ROOT,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        while watch.scalar(WAITING) < len(processes):
            assert [process.poll() for process in processes] == [None] * len(processes)
            watch.execute(sa.text("SELECT pg_sleep(0.02)"))
        gate.rollback()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert tables(empty_engine) == TABLES


def test_a_failed_migration_leaves_the_database_as_it_was(
    empty_engine: Engine, empty_database_url: str
) -> None:
    with empty_engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA fulfillment"))
        connection.execute(sa.text("CREATE TABLE fulfillment.outbox (mine int)"))
    with pytest.raises(sa.exc.ProgrammingError, match='"outbox" already exists'):
        migrate.upgrade(empty_database_url)
    assert tables(empty_engine) == {"outbox"}


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ("batch", "batch_job_id, row_number"),
        ("streaming", 'topic, partition, "offset"'),
    ],
)
def test_a_replayed_prediction_is_refused(engine: Engine, source: str, keys: str) -> None:
    values = f"'{uuid.uuid4()}', 1" if source == "batch" else "'t', 0, 1"
    statement = sa.text(
        f"INSERT INTO predictions (id, created_at, source, {keys}, order_id, event_time, "
        "delay_probability, severity, features_json, reasons, model_version) "
        f"VALUES (uuidv7(), current_date, '{source}', {values}, 'O1', now(), 0.5, 'info', "
        "'{}', '[]', 'm')"
    )
    with engine.begin() as connection:
        connection.execute(statement)
    with (
        pytest.raises(sa.exc.IntegrityError, match="duplicate key"),
        engine.begin() as connection,
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    "row",
    [
        "(1, 2, 3, 'completed', repeat('0', 64))",
        "(1, 1, 0, 'done', repeat('0', 64))",
        "(1, 1, 0, 'completed', 'ABC')",
    ],
    ids=["counts that do not add up", "an unknown status", "no digest"],
)
def test_a_batch_job_that_contradicts_itself_is_refused(engine: Engine, row: str) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="check constraint"), engine.begin() as c:
        c.execute(
            sa.text(
                "INSERT INTO batch_jobs (filename, archive_name, size_bytes, row_count, "
                "accepted_count, rejected_count, status, sha256) "
                f"SELECT 'f', 'f', 1, * FROM (VALUES {row}) AS job"
            )
        )
