"""A log line is one JSON object with fields, from whoever logs, and holds no data of an error."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.observability.correlation import bound, current_correlation_id, here
from fulfillment_assets.observability.logs import configure_logging, get_logger
from fulfillment_assets.settings import PROJECT_ROOT
from tests.observability.captured import Lines

NAME = "fulfillment_assets.some.module"
LOG = get_logger(NAME)
SECRET = "alice@example.com"


def test_an_event_has_its_fields_its_level_its_logger_and_an_aware_time(lines: Lines) -> None:
    before = dt.datetime.now(dt.UTC)
    LOG.info("orders.scored", orders=3, model_version="m")
    (line,) = lines.all()
    moment = dt.datetime.fromisoformat(line.pop("timestamp"))
    assert before <= moment <= dt.datetime.now(dt.UTC)
    assert line == {
        "event": "orders.scored",
        "orders": 3,
        "model_version": "m",
        "level": "info",
        "logger": NAME,
    }


def test_text_of_the_standard_library_goes_the_same_way(lines: Lines) -> None:
    with bound(correlation_id="c-1"):
        logging.getLogger(NAME).warning("%s files wait", 3)
    (line,) = lines.all()
    assert (line["event"], line["level"], line["logger"]) == ("3 files wait", "warning", NAME)
    assert line["correlation_id"] == "c-1"
    assert line["timestamp"].endswith("Z")


def test_what_is_bound_stands_in_every_line_of_the_block_alone(lines: Lines) -> None:
    with bound(run_id="r-1", correlation_id="c-1"):
        LOG.info("a")
        with bound(correlation_id="c-2"):
            LOG.info("b")
        LOG.info("c")
    LOG.info("d")
    found = [(line.get("run_id"), line.get("correlation_id")) for line in lines.all()]
    assert found == [("r-1", "c-1"), ("r-1", "c-2"), ("r-1", "c-1"), (None, None)]


def test_a_thread_has_what_was_bound_where_it_was_asked_for(lines: Lines) -> None:
    with ThreadPoolExecutor(1) as threads:
        with bound(correlation_id="c-1"):
            told = threads.submit(here(LOG.info, "told"))
        told.result()
        assert threads.submit(current_correlation_id).result() is None
    assert lines.one("told")["correlation_id"] == "c-1"


def test_a_text_with_line_breaks_stays_one_line(lines: Lines) -> None:
    hostile = 'x"}\n{"event": "forged"}\r\u2028'
    with bound(correlation_id=hostile):
        LOG.info("a", text=hostile)
    (line,) = lines.all()
    assert (line["text"], line["correlation_id"]) == (hostile, hostile)
    assert lines.text.count("\n") == 1


def test_what_json_does_not_know_is_told_as_text(lines: Lines) -> None:
    LOG.info("a", at=dt.date(2026, 3, 1))
    assert lines.one("a")["at"] == "2026-03-01"


def test_details_for_developers_are_not_written(lines: Lines) -> None:
    LOG.debug("a")
    assert lines.all() == []


def test_lines_of_libraries_are_left_to_the_program(lines: Lines) -> None:
    logging.getLogger("some.library").propagate = False
    logging.getLogger("some.library").addHandler(logging.NullHandler())
    logging.getLogger("some.library").error("theirs")
    assert lines.all() == []


def test_a_second_configuration_does_not_double_the_lines(lines: Lines) -> None:
    configure_logging("json")
    LOG.info("a")
    assert len(lines.all()) == 1


def fail(secret: str) -> None:
    """Raise an error as libraries do: the value is in a variable, and in the text's second line."""
    text = f"It is wrong\nDETAIL: {secret}"
    raise ValueError(text)


def test_of_an_error_kind_place_and_first_line_are_told_and_no_values(lines: Lines) -> None:
    try:
        try:
            fail(SECRET)
        except ValueError as error:
            raise RuntimeError(f"it failed for '{SECRET}'\nbecause of {SECRET}") from error
    except RuntimeError:
        LOG.exception("a")
        logging.getLogger(NAME).exception("b")
    first, second = lines.all()
    assert first["exception"] == second["exception"]
    told = first["exception"]
    assert told.index("ValueError: It is wrong") < told.index("RuntimeError: it failed")
    assert "in fail" in told
    assert "test_logs.py" in told
    assert "alice" not in lines.text


def test_an_error_of_the_database_does_not_tell_the_row(lines: Lines, engine: Engine) -> None:
    row = {"id": f"not a uuid, but {SECRET}"}
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT FROM batch_jobs WHERE id = :id"), row)
    except sa.exc.SQLAlchemyError:
        LOG.exception("a")
    assert "psycopg2.errors" in lines.one("a")["exception"]
    assert "alice" not in lines.text


def test_an_error_within_a_text_is_told_in_short(lines: Lines) -> None:
    error = ValueError(f"no such order '{SECRET}'\nparameters: {SECRET}")
    logging.getLogger(NAME).warning("%s waits: %s", "O-1", error)
    assert lines.all()[0]["event"] == "O-1 waits: no such order '…'"


class Terminal(io.StringIO):
    """What a terminal is to a program."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("asked", "terminal", "as_json"),
    [
        (None, True, False),
        (None, False, True),
        ("json", True, True),
        ("console", False, False),
    ],
)
def test_a_person_at_a_terminal_gets_text_unless_asked_otherwise(
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    terminal: bool,
    as_json: bool,
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(asked)  # type: ignore[arg-type]
    try:
        fail(SECRET)
    except ValueError:
        LOG.exception("a.b", orders=3)
    written = stream.getvalue()
    assert "ValueError: It is wrong" in written
    assert "alice" not in written
    if as_json:
        assert json.loads(written)["orders"] == 3
    else:
        assert "a.b" in written
        assert not written.startswith("{")
    assert lines.all() == []


def program(text: str, **environment: str) -> str:
    """What a program writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=PROJECT_ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stderr


def test_a_program_that_says_nothing_about_logging_hears_no_events() -> None:
    text = (
        "from fulfillment_assets.observability.logs import get_logger\n"
        "get_logger('fulfillment_assets.x').info('orders.scored')"
    )
    assert program(text) == ""


DEFINITIONS = (
    "import logging\n"
    "{before}\n"
    "import fulfillment_assets.definitions\n"
    "from fulfillment_assets.observability.logs import get_logger\n"
    "get_logger('fulfillment_assets.x').info('orders.scored', orders=3)\n"
    "logging.getLogger('fulfillment_assets.x').warning('careful')"
)


@pytest.mark.parametrize(("log_format", "as_json"), [("json", True), ("console", False)])
def test_what_loads_the_definitions_writes_lines_as_the_setting_says(
    log_format: str, as_json: bool
) -> None:
    written = program(DEFINITIONS.format(before=""), FULFILLMENT_LOG_FORMAT=log_format)
    told = [line for line in written.splitlines() if "orders.scored" in line or "careful" in line]
    assert len(told) == 2
    assert [line.startswith("{") for line in told] == [as_json, as_json]


def test_a_command_that_loads_the_definitions_keeps_its_own_output() -> None:
    before = "logging.basicConfig(level=logging.WARNING, format='%(message)s')"
    assert program(DEFINITIONS.format(before=before)) == "careful\n"
