from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError, OperationalError

from fulfillment_assets.store.connection import create_engine, normalise_url
from fulfillment_assets.store.partitions import (
    DAYS_AHEAD,
    PREFIX,
    drop_partitions_before,
    ensure_partition,
    ensure_partitions,
    existing_days,
    partition_name,
    utc_today,
)

DAY = dt.timedelta(days=1)
TODAY = utc_today()
LONG_AGO = dt.date(2024, 2, 28)

INSERT = """
INSERT INTO {table} (id, created_at, source, order_id, event_time, delay_probability, severity,
    features_json, reasons, model_version)
VALUES (:id, :at, 'api', 'O1', :at, 0.5, 'info', '{{}}', '[]', 'm')
"""


def make(engine: Engine, *days: dt.date) -> None:
    with engine.begin() as connection:
        for day in days:
            ensure_partition(connection, day)


def insert(connection: Connection, at: dt.datetime, table: str = "predictions") -> None:
    connection.execute(sa.text(INSERT.format(table=table)), {"id": uuid.uuid4(), "at": at})


def noon(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


def old_days(engine: Engine) -> list[dt.date]:
    with engine.connect() as connection:
        return [day for day in existing_days(connection) if day < TODAY]


def tables(engine: Engine) -> set[str]:
    """The daily tables of past days, attached or not."""
    names = sa.inspect(engine).get_table_names("fulfillment")
    return {name for name in names if PREFIX < name < partition_name(TODAY)}


@pytest.fixture
def impatient_engine(database_url: str) -> Iterator[Engine]:
    """Its statements are cut off after a while, as those of a dying process are."""
    options = {"options": "-cstatement_timeout=400"}
    engine = create_engine(normalise_url(database_url).update_query_dict(options))
    yield engine
    engine.dispose()


def interrupt_drop(engine: Engine, impatient_engine: Engine, day: dt.date) -> None:
    """Start to drop the partitions up to `day`, and be interrupted while readers hold them."""
    with engine.connect() as reader:
        reader.execute(sa.text("SELECT count(*) FROM predictions"))
        with pytest.raises(OperationalError, match="statement timeout"):
            drop_partitions_before(impatient_engine, day + DAY)


def test_partitions_are_made_for_today_and_the_coming_days(engine: Engine) -> None:
    with engine.connect() as connection:
        assert existing_days(connection) == [
            TODAY + offset * DAY for offset in range(DAYS_AHEAD + 1)
        ]


def test_making_partitions_again_changes_nothing(engine: Engine) -> None:
    names = ensure_partitions(engine, days_ahead=2)
    assert names == ensure_partitions(engine, days_ahead=2)
    assert names == [partition_name(TODAY + offset * DAY) for offset in range(3)]


def test_a_partition_holds_its_utc_day_and_no_more(engine: Engine) -> None:
    make(engine, dt.date(2024, 2, 28), dt.date(2024, 2, 29))
    first, last = noon(LONG_AGO) - DAY / 2, noon(LONG_AGO) + DAY / 2 - dt.timedelta(microseconds=1)
    tokyo = dt.timezone(dt.timedelta(hours=9))
    with engine.begin() as connection:
        for moment in (first, last, last.astimezone(tokyo), last + dt.timedelta(microseconds=1)):
            insert(connection, moment)
        rows = connection.execute(
            sa.text("SELECT tableoid::regclass::text, count(*) FROM predictions GROUP BY 1")
        )
        assert dict(tuple(row) for row in rows) == {
            "predictions_p20240228": 3,
            "predictions_p20240229": 1,
        }


def test_a_day_without_partition_refuses_its_rows(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(IntegrityError, match="no partition"):
        insert(connection, noon(LONG_AGO))


def test_a_partition_has_the_indexes_and_the_checks_of_predictions(engine: Engine) -> None:
    make(engine, LONG_AGO)
    name = partition_name(LONG_AGO)
    inspector = sa.inspect(engine)
    indexed = [
        sorted(
            tuple(index["column_names"]) for index in inspector.get_indexes(table, "fulfillment")
        )
        for table in (name, "predictions")
    ]
    assert indexed[0] == indexed[1]
    with engine.connect() as connection:
        unattached = connection.scalar(
            sa.text(
                "SELECT count(*) FROM pg_index i LEFT JOIN pg_inherits p "
                "ON p.inhrelid = i.indexrelid "
                "WHERE i.indrelid = to_regclass(:name) AND p.inhparent IS NULL"
            ),
            {"name": name},
        )
        assert unattached == 0
        with pytest.raises(IntegrityError, match="severity"):
            connection.execute(
                sa.text(INSERT.format(table=name).replace("'info'", "'grave'")),
                {"id": uuid.uuid4(), "at": noon(LONG_AGO)},
            )


def test_concurrent_callers_make_one_partition(engine: Engine) -> None:
    callers = 8
    for day in (LONG_AGO, LONG_AGO + DAY, LONG_AGO + 2 * DAY):
        together = threading.Barrier(callers)

        def call(day: dt.date = day, together: threading.Barrier = together) -> str:
            with engine.begin() as connection:
                connection.execute(sa.text("SELECT 1"))
                together.wait(timeout=30)
                return ensure_partition(connection, day)

        with ThreadPoolExecutor(callers) as pool:
            names = [call.result() for call in [pool.submit(call) for _ in range(callers)]]
        assert set(names) == {partition_name(day)}
    assert old_days(engine) == [LONG_AGO, LONG_AGO + DAY, LONG_AGO + 2 * DAY]


def test_only_days_before_the_first_kept_one_are_dropped(engine: Engine) -> None:
    days = [LONG_AGO + offset * DAY for offset in range(4)]
    make(engine, *days)
    with engine.begin() as connection:
        for day in days:
            insert(connection, noon(day))
    assert drop_partitions_before(engine, days[2]) == [partition_name(day) for day in days[:2]]
    assert old_days(engine) == days[2:]
    assert tables(engine) == {partition_name(day) for day in days[2:]}
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM predictions")) == 2
    assert drop_partitions_before(engine, days[2]) == []


def test_tables_of_other_names_are_left_alone(engine: Engine) -> None:
    others = ["predictions_p20240228_copy", "predictions_p2024022", "xpredictions_p20240228"]
    with engine.begin() as connection:
        for name in others:
            connection.execute(sa.text(f"CREATE TABLE {name} (a int)"))
    drop_partitions_before(engine, TODAY)
    assert set(others) < set(sa.inspect(engine).get_table_names("fulfillment"))


def test_a_table_that_was_detached_but_not_dropped_is_dropped_by_the_next_call(
    engine: Engine,
) -> None:
    make(engine, LONG_AGO, LONG_AGO + DAY)
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"ALTER TABLE predictions DETACH PARTITION {partition_name(LONG_AGO)}")
        )
    assert old_days(engine) == [LONG_AGO + DAY]
    assert drop_partitions_before(engine, LONG_AGO + DAY) == [partition_name(LONG_AGO)]
    assert tables(engine) == {partition_name(LONG_AGO + DAY)}


def test_an_interrupted_detach_is_finished_by_the_next_call(
    engine: Engine, impatient_engine: Engine
) -> None:
    make(engine, LONG_AGO, LONG_AGO + DAY)
    interrupt_drop(engine, impatient_engine, LONG_AGO)
    assert old_days(engine) == [LONG_AGO + DAY]
    assert partition_name(LONG_AGO) in tables(engine)
    assert drop_partitions_before(engine, LONG_AGO + DAY) == [partition_name(LONG_AGO)]
    assert tables(engine) == {partition_name(LONG_AGO + DAY)}


def test_an_interrupted_detach_is_finished_before_older_days_are_dropped(
    engine: Engine, impatient_engine: Engine
) -> None:
    make(engine, LONG_AGO)
    interrupt_drop(engine, impatient_engine, LONG_AGO)
    make(engine, LONG_AGO - DAY)
    dropped = drop_partitions_before(engine, TODAY)
    assert sorted(dropped) == [partition_name(LONG_AGO - DAY), partition_name(LONG_AGO)]
    assert tables(engine) == set()


def test_an_interrupted_detach_is_finished_even_if_more_days_are_kept_by_now(
    engine: Engine, impatient_engine: Engine
) -> None:
    make(engine, LONG_AGO)
    interrupt_drop(engine, impatient_engine, LONG_AGO)
    assert drop_partitions_before(engine, LONG_AGO - DAY) == [partition_name(LONG_AGO)]
    make(engine, LONG_AGO)
    assert old_days(engine) == [LONG_AGO]


def test_dropping_old_days_does_not_block_the_writers_of_today(engine: Engine) -> None:
    make(engine, LONG_AGO)
    table = partition_name(TODAY)
    now = noon(TODAY)
    with ThreadPoolExecutor(1) as pool, engine.connect() as long_writer:
        insert(long_writer, now, table)
        drop = pool.submit(drop_partitions_before, engine, TODAY)
        while old_days(engine):
            assert not drop.done()
        for _ in range(3):
            with engine.begin() as writer:
                writer.execute(sa.text("SET LOCAL lock_timeout TO '2s'"))
                insert(writer, now, table)
                insert(writer, now)
        assert not drop.done()
        long_writer.commit()
        assert drop.result() == [partition_name(LONG_AGO)]
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM predictions")) == 7


def test_two_that_drop_at_once_take_turns(engine: Engine) -> None:
    make(engine, *(LONG_AGO + offset * DAY for offset in range(4)))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(drop_partitions_before, engine, TODAY) for _ in range(2)]
        dropped = [name for call in both for name in call.result()]
    assert sorted(dropped) == [partition_name(LONG_AGO + offset * DAY) for offset in range(4)]
    assert tables(engine) == set()
