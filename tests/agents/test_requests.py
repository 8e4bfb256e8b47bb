"""What a person asks for: any deviation that agents can still do something about."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.agents import claims
from fulfillment_assets.agents.errors import AskError, UnknownDeviationError
from fulfillment_assets.agents.requests import MAX_NOTE, Request, ask, find_request
from tests.agents.examples import Office


def asked(
    engine: Engine, deviation: uuid.UUID, note: str | None = None, by: str = "erin"
) -> Request:
    with engine.begin() as connection:
        return ask(connection, deviation, by=by, note=note)


def move(office: Office, deviation: uuid.UUID, *statuses: str) -> None:
    for status in statuses:
        office.execute(
            "UPDATE deviations SET status = :status WHERE id = :id", status=status, id=deviation
        )


@pytest.fixture
def deviation(office: Office) -> uuid.UUID:
    return office.deviation(office.order(), severity="warning")


def test_who_asks_and_the_note_are_kept(office: Office, deviation: uuid.UUID) -> None:
    made = asked(office.engine, deviation, "They called.")
    assert (made.status, made.asked_by, made.note) == ("pending", "erin", "They called.")
    with office.engine.connect() as connection:
        assert find_request(connection, deviation) == made
    assert office.case(deviation).operator_note == "They called."


def test_asking_again_while_it_waits_changes_nothing(office: Office, deviation: uuid.UUID) -> None:
    made = asked(office.engine, deviation, "They called.")
    assert asked(office.engine, deviation, "They called.", by="frank") == made
    assert asked(office.engine, deviation, by="frank") == made


def test_another_note_takes_the_place_of_the_first_and_the_turn_is_kept(
    office: Office, deviation: uuid.UUID
) -> None:
    made = asked(office.engine, deviation, "They called.")
    other = asked(office.engine, deviation, "They wrote.", by="frank")
    assert (other.asked_at, other.asked_by, other.note) == (made.asked_at, "frank", "They wrote.")


@pytest.mark.parametrize("end", ["failed", "escalated"])
def test_what_ended_without_success_is_tried_again_with_new_attempts(
    office: Office, deviation: uuid.UUID, end: str
) -> None:
    first = asked(office.engine, deviation, "They called.")
    move(office, deviation, "agent_triggered", end)
    office.execute("UPDATE deviations SET attempts = 3")
    again = asked(office.engine, deviation)
    assert (again.status, again.note) == ("pending", None)
    assert again.asked_at is not None
    assert first.asked_at is not None
    assert again.asked_at > first.asked_at
    with office.engine.begin() as connection:
        assert claims.claim(connection, "w") == [deviation]
        assert claims.attempts(connection, [deviation]) == {deviation: 1}


@pytest.mark.parametrize(
    ("statuses", "why"),
    [
        (["resolved"], "nothing left to do"),
        (["agent_triggered"], "wait until they are done"),
        (["agent_triggered", "awaiting_approval"], "decide about it"),
    ],
)
def test_where_it_makes_no_sense_it_is_told_why(
    office: Office, deviation: uuid.UUID, statuses: list[str], why: str
) -> None:
    move(office, deviation, *statuses)
    with pytest.raises(AskError, match=why):
        asked(office.engine, deviation)


def test_an_old_one_is_left_while_a_newer_one_of_the_order_is_open(
    office: Office, deviation: uuid.UUID
) -> None:
    move(office, deviation, "agent_triggered", "escalated")
    newer = office.deviation()
    with pytest.raises(AskError, match="a newer one of the same order or segment is open"):
        asked(office.engine, deviation)
    assert asked(office.engine, newer).status == "pending"


def test_what_there_is_not_cannot_be_asked_for(office: Office) -> None:
    unknown = uuid.uuid4()
    with pytest.raises(UnknownDeviationError, match=str(unknown)):
        asked(office.engine, unknown)


def test_a_note_is_cut_and_a_blank_one_is_none(office: Office, deviation: uuid.UUID) -> None:
    assert asked(office.engine, deviation, "x" * 9_999).note == "x" * MAX_NOTE
    move(office, deviation, "agent_triggered", "failed")
    assert asked(office.engine, deviation, " \n").note is None
