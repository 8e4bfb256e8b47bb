"""Statements, sent one by one or prepared and together."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DataError

from fulfillment_assets.store.prepared import Statement, one_message

NOTE = Statement(
    "note",
    "INSERT INTO noted SELECT word || '%: a::b', :number FROM unnest(:words) AS word",
    {"words": "text[]", "number": "int"},
)
DOUBLE = Statement("double", "UPDATE noted SET number = number * 2")
DIVIDE = Statement("divide", "UPDATE noted SET number = number / :by", {"by": "int"})


def noted(connection: Connection) -> list[tuple[str, int | None]]:
    rows = connection.execute(sa.text("SELECT word, number FROM noted ORDER BY word"))
    return [(row.word, row.number) for row in rows]


def prepared(connection: Connection) -> set[str]:
    return set(connection.scalars(sa.text("SELECT name FROM pg_prepared_statements")))


@pytest.fixture
def table(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE noted (word text, number int)"))
    return engine


def test_a_statement_runs_at_once_and_is_not_prepared(table: Engine) -> None:
    with table.begin() as connection:
        NOTE.execute(connection, {"words": ["it's", 'a "b"'], "number": 3})
        assert noted(connection) == [('a "b"%: a::b', 3), ("it's%: a::b", 3)]
        assert prepared(connection) == set()


def test_those_of_one_message_run_prepared_in_order_at_its_end(table: Engine) -> None:
    with table.connect() as connection:
        for number in (1, 2):
            with connection.begin():
                with one_message(connection):
                    NOTE.execute(connection, {"words": [f"50 % {number}"], "number": number})
                    DOUBLE.execute(connection, {})
                    assert len(noted(connection)) == number - 1
                assert len(noted(connection)) == number
        assert noted(connection) == [("50 % 1%: a::b", 4), ("50 % 2%: a::b", 4)]
        assert prepared(connection) == {"note", "double"}


def test_a_null_is_a_null_and_types_are_those_declared(table: Engine) -> None:
    with table.begin() as connection, one_message(connection):
        NOTE.execute(connection, {"words": ["a"], "number": None})
    with table.begin() as connection:
        assert noted(connection) == [("a%: a::b", None)]


def test_an_error_undoes_the_transaction_and_leaves_the_statements_prepared(table: Engine) -> None:
    with table.connect() as connection:
        with (
            pytest.raises(DataError, match="division by zero"),
            connection.begin(),
            one_message(connection),
        ):
            NOTE.execute(connection, {"words": ["a"], "number": 6})
            DIVIDE.execute(connection, {"by": 0})
        with connection.begin(), one_message(connection):
            NOTE.execute(connection, {"words": ["a"], "number": 6})
            DIVIDE.execute(connection, {"by": 3})
        assert noted(connection) == [("a%: a::b", 2)]


def test_nothing_is_sent_if_the_block_fails(table: Engine) -> None:
    with table.connect() as connection:
        with pytest.raises(ZeroDivisionError), connection.begin(), one_message(connection):
            NOTE.execute(connection, {"words": ["a"], "number": 6})
            raise ZeroDivisionError
        with connection.begin():
            NOTE.execute(connection, {"words": ["b"], "number": 1})
        assert noted(connection) == [("b%: a::b", 1)]
