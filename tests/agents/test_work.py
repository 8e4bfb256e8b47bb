"""A worker: claimed deviations are worked side by side, each settled once, and learned from."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.agents import approvals, claims
from fulfillment_assets.agents.groups import claim_group, tidy
from fulfillment_assets.agents.requests import ask
from fulfillment_assets.agents.trail import latest_worked, read_trail
from fulfillment_assets.agents.work import Worked, work_group, work_groups, work_one
from fulfillment_assets.agents.workshop import Workshop, workshop
from fulfillment_assets.knowledge.retrieval import search
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.settings import Settings
from tests.agents.examples import AT_RISK, DAY, LATE, Office
from tests.knowledge.fixtures import chroma, indexed, settings

__all__ = ["chroma", "indexed", "settings"]

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def office(indexed: Engine, rulebook: Rulebook) -> Office:
    """A fresh database with an index of the knowledge base."""
    return Office(indexed, rulebook)


@pytest.fixture
def shop(indexed: Engine, settings: Settings) -> Iterator[Workshop]:
    with workshop(indexed, settings) as made:
        yield made


def worked(shop: Workshop, worker: str = "w") -> list[Worked]:
    with shop.engine.begin() as connection:
        claim_group(connection, worker)
    return work_group(shop, worker)


def statuses(office: Office) -> list[str]:
    return [row["status"] for row in office.rows("SELECT status FROM deviations ORDER BY id")]


def opened(office: Office, count: int) -> list[uuid.UUID]:
    """Deviations of orders of all kinds."""
    made = []
    for number in range(count):
        start = AT_RISK if number % 2 else LATE
        importance = ("low", "medium", "high")[number % 3]
        order = office.order(
            f"O-{number}", start, product_importance=importance, customer_id=f"C-{number}"
        )
        made.append(office.deviation(order))
    return made


def test_every_deviation_of_a_group_is_settled_with_its_trail(
    office: Office, shop: Workshop
) -> None:
    made = opened(office, 6)
    done = worked(shop)
    assert [one.deviation_id for one in done] == made
    assert [one.error for one in done] == [None] * 6
    assert set(statuses(office)) <= {"resolved", "escalated", "awaiting_approval"}
    for one in done:
        assert one.outcome is not None
        with shop.engine.connect() as connection:
            trail = read_trail(connection, one.deviation_id)
        assert trail.deviation.deviation.status == one.outcome.status
        if one.outcome.status == "awaiting_approval":
            continue
        assert trail.responses[-1].agent_type == "orchestrator"
        assert trail.summary
        specialists = [r for r in trail.responses if r.agent_type != "orchestrator"]
        assert specialists
        assert all(r.details_json["chunks"] for r in specialists)
        assert all(r.conversation_history for r in specialists)
    with shop.engine.connect() as connection:
        assert latest_worked(connection) in made


def test_what_is_done_can_be_found_as_a_resolution(office: Office, shop: Workshop) -> None:
    (made,) = opened(office, 1)
    worked(shop)
    with shop.engine.connect() as connection:
        hits = search(shop.settings, connection, "delay risk critical resolved shipped", k=5)
    assert f"resolution:{made}" in {hit.source.replace("//", "") for hit in hits} or any(
        str(made) in hit.source for hit in hits
    )


def test_a_second_run_of_the_same_group_does_nothing(office: Office, shop: Workshop) -> None:
    opened(office, 2)
    worked(shop)
    before = office.rows("SELECT count(*) AS n FROM tool_actions")
    assert work_group(shop, "w") == []
    assert office.rows("SELECT count(*) AS n FROM tool_actions") == before


def test_work_that_lost_its_lease_writes_no_response_and_its_effects_stay_single(
    office: Office, shop: Workshop
) -> None:
    opened(office, 1)
    with shop.engine.begin() as connection:
        claims.claim(connection, "slow")
    office.execute("UPDATE deviations SET claimed_by = 'other'")
    with shop.engine.connect() as connection:
        assert claims.held(connection, "slow") == []
    assert work_group(shop, "slow") == []
    (done,) = work_group(shop, "other")
    assert done.error is None
    keys = office.rows("SELECT idempotency_key AS key FROM tool_actions")
    assert len({row["key"] for row in keys}) == len(keys)


def test_a_deviation_that_is_never_finished_goes_to_a_person(
    office: Office, shop: Workshop
) -> None:
    (made,) = opened(office, 1)
    most = shop.rulebook.escalation.max_attempts
    office.execute(f"UPDATE deviations SET attempts = {most}")
    worked(shop)
    assert statuses(office) == ["escalated"]
    with shop.engine.connect() as connection:
        trail = read_trail(connection, made)
    assert "never finished" in str(trail.summary)
    assert [effect.tool for effect in trail.effects] == ["create_ticket"]


def test_a_person_may_have_a_warning_worked_with_a_note(office: Office, shop: Workshop) -> None:
    made = office.deviation(office.order("O-1"), severity="warning")
    done = work_one(shop, made, "me", by="erin", note="The customer called twice today.")
    assert done.outcome is not None
    assert statuses(office) == [done.outcome.status]
    [row] = office.rows("SELECT asked_by, operator_note FROM deviations")
    assert row == {"asked_by": "erin", "operator_note": "The customer called twice today."}


def test_what_was_handed_to_a_person_is_tried_again_when_one_asks_for_it(
    office: Office, shop: Workshop
) -> None:
    made = office.deviation(office.order("O-1", customer_id="C-1"))
    office.execute("UPDATE deviations SET attempts = 99")
    assert [one.outcome.status for one in worked(shop) if one.outcome] == ["escalated"]
    with shop.engine.begin() as connection:
        ask(connection, made, by="erin", note="The model was down.")
    [again] = worked(shop)
    assert again.outcome is not None
    assert again.outcome.status in ("resolved", "escalated", "awaiting_approval")
    with shop.engine.connect() as connection:
        assert "never finished" not in str(read_trail(connection, made).summary)


@pytest.mark.parametrize(("decision", "paid"), [("approved", True), ("rejected", False)])
def test_a_case_goes_on_once_a_person_has_decided(
    office: Office, shop: Workshop, decision: str, paid: bool
) -> None:
    """The refund of a dear order is above what agents may pay by themselves."""
    late = {
        "order_date": NOW - 18 * DAY,
        "promised_delivery_date": NOW - 8 * DAY,
        "ship_date": NOW - 16 * DAY,
        "cost_of_product": 190.0,
        "prior_purchases": 10,
        "product_importance": "high",
    }
    made = office.deviation(office.order("O-1", LATE, **late))
    worked(shop)
    with shop.engine.connect() as connection:
        asked = approvals.list_approvals(connection, deviation_id=made)
    if not asked:
        pytest.fail(f"nothing waits for a person: {statuses(office)}")
    assert statuses(office) == ["awaiting_approval"]
    assert worked(shop, "early") == [], "nobody goes on before the decision"

    with shop.engine.begin() as connection:
        approvals.decide(connection, asked[0].id, decision, by="Ada")  # type: ignore[arg-type]
    (done,) = worked(shop, "later")
    assert done.error is None
    assert statuses(office)[0] in ("resolved", "escalated")
    money = office.rows("SELECT approved_by FROM tool_actions WHERE amount_usd IS NOT NULL")
    assert [row["approved_by"] for row in money if row["approved_by"]] == (["Ada"] if paid else [])


def test_a_worker_goes_on_with_the_groups_that_wait(
    office: Office, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fulfillment_assets.agents.claims.GROUP", 2)
    made = opened(office, 5)
    with shop.engine.begin() as connection:
        assert claims.claim(connection, "w", limit=2) == made[:2]
    assert [one.deviation_id for one in work_groups(shop, "w")] == made


def test_a_worker_whose_time_is_up_leaves_the_rest(office: Office, shop: Workshop) -> None:
    made = opened(office, 2)
    with shop.engine.begin() as connection:
        claims.claim(connection, "w", limit=1)
    assert [one.deviation_id for one in work_groups(shop, "w", seconds=0)] == made[:1]


def test_what_a_dead_worker_had_is_done_by_the_next(office: Office, shop: Workshop) -> None:
    opened(office, 2)
    with shop.engine.begin() as connection:
        claim_group(connection, "dead")
    office.execute("UPDATE deviations SET claimed_until = now() - interval '1 second'")
    with shop.engine.begin() as connection:
        tidy(connection)
    assert len(worked(shop, "alive")) == 2
    assert "pending" not in statuses(office)
