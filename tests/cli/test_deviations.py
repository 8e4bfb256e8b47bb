"""`fulfillment deviations`: listed by filters, and shown with all that is known."""

from __future__ import annotations

import datetime as dt
import json
import uuid

import pytest

from tests.cli.commands import Fulfillment
from tests.kpis.examples import HOUR, Event, commit
from tests.scoring.workplace import Workplace

pytestmark = pytest.mark.usefixtures("on_workplace")


@pytest.fixture
def deviating(workplace: Workplace) -> Workplace:
    """Orders of a day ago: one critical and shipped, one warning."""
    then = dt.datetime.now(dt.UTC) - 30 * HOUR
    commit(
        workplace.engine,
        Event("O1", 0.9, at=then, order_status="shipped"),
        Event("O2", 0.6, at=then),
    )
    return workplace


def listed(fulfillment: Fulfillment, *options: str) -> list[tuple[str, str, str]]:
    outcome = fulfillment("deviations", "list", *options, "--json")
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)["deviations"]
    return sorted((d["order_id"], d["kind"], d["severity"]) for d in found)


O1 = [("O1", "delay_risk", "critical"), ("O1", "fulfillment_gap", "critical")]
O2 = [("O2", "delay_risk", "warning")]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], O1 + O2),
        (["--severity", "warning"], O2),
        (["--severity", "warning,critical"], O1 + O2),
        (["--severity", "warning", "--severity", "critical"], O1 + O2),
        (["--kind", "fulfillment_gap"], O1[1:]),
        (["--status", "pending"], O1 + O2),
        (["--status", "resolved"], []),
        (["--order", "O2"], O2),
        (["--since", "1h"], O1 + O2),
        (["--since", "2000-01-01"], O1 + O2),
        (["--since", "2999-01-01T00:00:00+01:00"], []),
    ],
)
@pytest.mark.usefixtures("deviating")
def test_a_list_has_what_was_asked_for(
    fulfillment: Fulfillment, options: list[str], found: list[tuple[str, str, str]]
) -> None:
    assert listed(fulfillment, *options) == found


@pytest.mark.usefixtures("deviating")
def test_a_list_goes_on_after_its_last(fulfillment: Fulfillment) -> None:
    first = json.loads(fulfillment("deviations", "list", "--limit", 2, "--json").out)
    options = ("--limit", 2, "--after", first["after"], "--json")
    second = json.loads(fulfillment("deviations", "list", *options).out)
    assert second["after"] is None
    ids = [d["id"] for d in first["deviations"] + second["deviations"]]
    assert len(ids) == len(set(ids)) == 3
    assert ids == sorted(ids, reverse=True)
    assert f"--after {first['after']}" in fulfillment("deviations", "list", "--limit", 2).out


@pytest.mark.usefixtures("deviating")
def test_a_list_is_a_table_for_people(fulfillment: Fulfillment) -> None:
    out = fulfillment("deviations", "list").out
    assert "critical" in out
    assert "O2: The order" in out


@pytest.mark.usefixtures("deviating")
def test_a_deviation_is_shown_with_its_context(fulfillment: Fulfillment) -> None:
    [gap] = json.loads(
        fulfillment("deviations", "list", "--kind", "fulfillment_gap", "--json").out
    )["deviations"]
    shown = json.loads(fulfillment("deviations", "show", gap["id"], "--json").out)
    assert gap.items() <= shown.items()
    assert shown["context"]["order"]["order_id"] == "O1"
    assert dt.datetime.fromisoformat(shown["created_at"]).tzinfo is not None
    text = fulfillment("deviations", "show", gap["id"]).out
    assert gap["id"] in text
    assert '"order_id": "O1"' in text


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("list", "--severity", "grave"), 1, "unknown severity 'grave': choose from info"),
        (("list", "--kind", "gap"), 1, "unknown kind 'gap'"),
        (("list", "--since", "monday"), 2, "is no moment"),
        (("list", "--since", "99999999999d"), 2, "is no moment"),
        (("list", "--limit", "0"), 2, "--limit"),
        (("list", "--after", "7"), 2, "is no id of a deviation"),
        (("show", "7"), 2, "is no id of a deviation"),
        (("show", str(uuid.UUID(int=7))), 1, "there is no deviation"),
    ],
)
def test_a_mistake_is_explained(
    fulfillment: Fulfillment, arguments: tuple[str, ...], status: int, message: str
) -> None:
    outcome = fulfillment("deviations", *arguments)
    assert (outcome.status, outcome.out) == (status, "")
    flat = " ".join(outcome.err.replace("│", " ").split())
    assert message in flat
