"""One id leads from what brought an order to what the agents did about it."""

from __future__ import annotations

import uuid
from typing import Any

import dagster as dg
import sqlalchemy as sa

from fulfillment_api.resources.predictions.schemas import ORDER_EXAMPLE
from fulfillment_assets.agents.groups import claim_group
from fulfillment_assets.agents.trail import Trail, read_trail
from fulfillment_assets.agents.work import work_groups
from fulfillment_assets.agents.workshop import workshop
from fulfillment_assets.defs.constants import CORRELATION_TAG
from fulfillment_assets.deviations.event import EVENT
from fulfillment_assets.observability.correlation import bound
from fulfillment_assets.scoring import drop_folder
from fulfillment_assets.scoring.inbox import take_in
from fulfillment_assets.scoring.rescore import rescore_day
from tests.api.conftest import Start, start
from tests.api.examples import url_of
from tests.defs.runs import score
from tests.observability.captured import Lines
from tests.scoring.streams import Stream, order_event
from tests.scoring.workplace import LATE, OPEN, Workplace

__all__ = ["start"]

UPLOAD = "upload-7.b"
OF_GROUPS = {"agent.group_claimed", "knowledge.indexed"}
"""Events about several cases at once."""


def settle(place: Workplace) -> dict[str, Trail]:
    """Have the agents work all that waits; the trail of each order."""
    with place.engine.begin() as connection:
        claim_group(connection, "w")
    with workshop(place.engine, place.settings) as shop:
        worked = work_groups(shop, "w", seconds=0)
    assert [one.error for one in worked] == [None] * len(worked)
    with place.engine.connect() as connection:
        trails = [read_trail(connection, one.deviation_id) for one in worked]
    return {str(trail.deviation.deviation.order_id): trail for trail in trails}


def about(found: list[dict[str, Any]], deviation: uuid.UUID) -> list[dict[str, Any]]:
    """The lines of one case."""
    return [line for line in found if line.get("deviation_id") == str(deviation)]


def assert_told(trail: Trail, correlation_id: str) -> None:
    """Everything that is kept of a case has the id."""
    assert trail.correlation_id == correlation_id
    assert trail.deviation.context["correlation_id"] == correlation_id
    assert trail.responses
    assert {one.details_json["correlation_id"] for one in trail.responses} == {correlation_id}


def test_an_upload_is_followed_to_what_the_agents_did(
    place: Workplace, instance: dg.DagsterInstance, lines: Lines, start: Start
) -> None:
    file = place.orders({"order_id": "O1", **LATE, **OPEN}, {"order_id": "O2"})
    with bound(request_id=UPLOAD, correlation_id=UPLOAD):
        job = drop_folder.claim(place.engine, place.settings, file).job
    run = score(instance, job)
    assert run.success
    assert run.dagster_run.tags[CORRELATION_TAG] == UPLOAD
    (announced,) = place.rows("SELECT payload FROM outbox")
    assert announced["payload"]["context"]["correlation_id"] == UPLOAD
    EVENT.validate_python(announced["payload"])

    trail = settle(place)["O1"]
    assert_told(trail, UPLOAD)

    told = lines.all()
    assert [line for line in told if line.get("correlation_id") != UPLOAD] == [
        line for line in told if line["event"] in OF_GROUPS
    ]
    scored = lines.one("orders.scored")
    assert (scored["orders"], scored["critical"], scored["batch_job_id"]) == (2, 1, str(job.id))
    assert scored["run_id"] == run.dagster_run.run_id
    assert scored["model_version"] == place.scorer.version
    assert lines.one("deviations.detected")["delay_risk"] == {"critical": 1}

    api, deviation = start(url_of(place.engine)), trail.deviation.deviation.id
    assert api.get(f"/batch/{job.id}/status").json()["correlation_id"] == UPLOAD
    assert api.get(f"/agent-response/{deviation}").json()["correlation_id"] == UPLOAD
    shown = api.get(f"/deviations/{deviation}").json()
    assert shown["context"]["correlation_id"] == UPLOAD


def test_a_case_tells_each_step_in_the_log(place: Workplace, lines: Lines) -> None:
    place.score(place.orders({"order_id": "O1", **LATE, **OPEN}))
    trail = settle(place)["O1"]
    told = about(lines.all(), trail.deviation.deviation.id)
    assert [told[0]["event"], told[-1]["event"]] == ["agent.case_started", "agent.case_settled"]
    assert told[-1]["outcome"] == trail.deviation.deviation.status
    assert told[-1]["milliseconds"] > 0
    by_event = {event: [one for one in told if one["event"] == event] for event in EVENTS}
    (routed,) = by_event["agent.routed"]
    worked = {one.agent_type: one for one in trail.responses if one.agent_type != "orchestrator"}
    assert set(worked) >= set(routed["specialists"])
    for event in ("agent.specialist_started", "agent.specialist_ended"):
        assert sorted(one["agent_type"] for one in by_event[event]) == sorted(worked)
    for agent_type, response in worked.items():
        called = [one for one in by_event["agent.tool_called"] if one["agent_type"] == agent_type]
        assert [(one["tool"], one["status"]) for one in called] == [
            (step["tool"], step["result"]["status"]) for step in response.details_json["steps"]
        ]
        (started,) = (
            one for one in by_event["agent.specialist_started"] if one["agent_type"] == agent_type
        )
        assert started["scores"] == [one["score"] for one in response.details_json["chunks"]]
        assert any(one["agent_type"] == agent_type for one in by_event["agent.turn"])
    assert by_event["knowledge.retrieved"]


EVENTS = (
    "agent.routed",
    "agent.specialist_started",
    "agent.turn",
    "agent.tool_called",
    "agent.specialist_ended",
    "knowledge.retrieved",
)


def test_messages_are_followed_by_their_header_or_their_place(flow: Stream, lines: Lines) -> None:
    flow.send(
        order_event("O1", ("correlation-id", b'tr"a\\ce'), **LATE, **OPEN),
        order_event("O2"),
        order_event("O3", **LATE, **OPEN),
    )
    with bound(run_id="run-1"):
        flow.score(0, 3)
    scored = lines.one("orders.scored")
    expected = {"orders": 3, "critical": 2, "rejected": 0, "start": 0, "end": 3, "run_id": "run-1"}
    assert {name: scored[name] for name in expected} == expected
    assert (scored["topic"], scored["partition"]) == (flow.topic, 0)
    assert lines.one("kpis.rolled_up")["orders"] == 3

    trails = settle(flow.workplace)
    ids = {"O1": 'tr"a\\ce', "O3": f"{flow.topic}:0:2"}
    assert set(trails) == set(ids)
    for order_id, correlation_id in ids.items():
        assert_told(trails[order_id], correlation_id)
        told = about(lines.all(), trails[order_id].deviation.deviation.id)
        assert {line["correlation_id"] for line in told} == {correlation_id}
        assert {line["event"] for line in told} >= set(EVENTS[:-1])
    known = flow.workplace.rows("SELECT correlation_id FROM predictions ORDER BY order_id")
    assert [row["correlation_id"] for row in known] == ['tr"a\\ce', None, None]


def test_a_request_is_followed_to_the_deviation_that_it_opens(
    place: Workplace, start: Start, lines: Lines
) -> None:
    late = {"discount_offered": 60, "weight_in_gms": 1_500, "order_status": "processing"}
    order = ORDER_EXAMPLE | late | {"delivery_date": None}
    answer = start(url_of(place.engine)).post(
        "/predict", json=order, headers={"X-Request-ID": UPLOAD}
    )
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, UPLOAD)
    told = lines.one("request")
    assert (told["request_id"], told["correlation_id"]) == (UPLOAD, UPLOAD)
    (trail,) = settle(place).values()
    assert_told(trail, UPLOAD)
    assert place.value("SELECT correlation_id FROM predictions") == UPLOAD


def test_a_message_that_was_committed_before_is_not_told_again(flow: Stream, lines: Lines) -> None:
    flow.send(order_event("O1"))
    flow.score(0, 1)
    flow.score(0, 1, attempt=2)
    assert len(lines.of("orders.scored")) == 1


def test_a_file_that_nobody_uploaded_gets_an_id_of_its_own(place: Workplace) -> None:
    first = place.claim(place.orders({"order_id": "O1"}, name="a.csv"))
    second = place.claim(place.orders({"order_id": "O2"}, name="b.csv"))
    assert len({first.correlation_id, second.correlation_id}) == 2
    assert len(first.correlation_id) == 32
    assert place.job(first).correlation_id == first.correlation_id


def test_a_claimed_file_is_told_by_its_job(place: Workplace, lines: Lines) -> None:
    place.drop(place.orders({"order_id": "O1"}))
    take_in(place.engine, place.settings)
    told = lines.one("file.claimed")
    (job,) = place.rows("SELECT id, correlation_id FROM batch_jobs")
    assert (told["batch_job_id"], told["to_score"]) == (str(job["id"]), True)
    assert told["correlation_id"] == job["correlation_id"]


def test_a_file_that_failed_and_comes_again_belongs_to_the_second_upload(place: Workplace) -> None:
    path = place.orders({"order_id": "O1"})
    with bound(correlation_id="first"):
        job = place.claim(path)
    place.execute("UPDATE batch_jobs SET status = 'failed'")
    with bound(correlation_id="second"):
        again = place.claim(path)
    assert (again.id, job.correlation_id, again.correlation_id) == (job.id, "first", "second")


def test_known_content_keeps_the_id_of_who_brought_it(place: Workplace) -> None:
    path = place.orders({"order_id": "O1"})
    with bound(correlation_id="first"):
        place.score(path)
    with bound(correlation_id="second"):
        assert place.claim(path).correlation_id == "first"


def test_scoring_again_keeps_the_ids(place: Workplace) -> None:
    with bound(correlation_id=UPLOAD):
        result = place.score(place.orders({"order_id": "O1", **LATE, **OPEN}))
    place.execute("UPDATE deviations SET context = context - 'correlation_id'")
    rescore_day(place.engine, place.scorer, result.job.day)
    with place.engine.connect() as connection:
        context = connection.scalar(sa.text("SELECT context FROM deviations"))
    assert context["correlation_id"] == UPLOAD
