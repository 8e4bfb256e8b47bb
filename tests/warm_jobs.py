"""A code location with jobs of every kind of conduct, which tests start in other processes."""

import contextlib
import os
import time
from collections.abc import Iterator

import dagster as dg
import psycopg2
from psycopg2.extensions import cursor
from sqlalchemy.engine import make_url


@dg.op
def speak(context: dg.OpExecutionContext) -> None:
    """Log the environment variable COLOUR and our niceness, and print something."""
    context.log.info(f"the colour is {os.environ.get('COLOUR')}")
    context.log.info(f"the niceness is {os.nice(0)}")
    print("a printed line", flush=True)  # noqa: T201


@dg.op
def fail() -> None:
    """Raise an error."""
    raise ValueError("the work itself is wrong")


@dg.op
def swell() -> None:
    """Use much memory."""
    if len(b"x" * 100_000_000) < 0:
        raise MemoryError


@dg.op
def wait(context: dg.OpExecutionContext) -> None:
    """Take a while."""
    context.log.info("waiting")
    time.sleep(60)


@dg.op
def pause(context: dg.OpExecutionContext) -> None:
    """Leave the connections to Dagster's storage idle for some seconds."""
    context.log.info("waiting")
    time.sleep(4)


@dg.op
def insert_and_wait(context: dg.OpExecutionContext) -> None:
    """Wait in the middle of a transaction."""
    with _transaction():
        context.log.info("waiting in a transaction")
        time.sleep(60)


@dg.op
def insert_and_block(context: dg.OpExecutionContext) -> None:
    """Wait in the middle of a transaction, inside the database driver: it hears no interrupt."""
    with _transaction() as open_cursor:
        context.log.info("waiting in a transaction")
        open_cursor.execute("SELECT pg_sleep(30)")


@contextlib.contextmanager
def _transaction() -> Iterator[cursor]:
    url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql")
    with (
        contextlib.closing(psycopg2.connect(url.render_as_string(False))) as connection,
        connection,
        connection.cursor() as open_cursor,
    ):
        open_cursor.execute("INSERT INTO work VALUES (1)")
        yield open_cursor


def _job(op: dg.OpDefinition) -> dg.JobDefinition:
    return dg.GraphDefinition(name=f"{op.name}_job", node_defs=[op]).to_job(
        executor_def=dg.in_process_executor
    )


defs = dg.Definitions(
    jobs=[_job(op) for op in (speak, fail, swell, wait, pause, insert_and_wait, insert_and_block)]
)
