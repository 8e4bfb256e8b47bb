"""`fulfillment keys`: made, listed and revoked."""

from __future__ import annotations

import json
import uuid

import pytest

from fulfillment_api.security.keys import prefix_of
from tests.cli.commands import Fulfillment

pytestmark = pytest.mark.usefixtures("on_workplace")


def test_a_key_is_printed_once_and_what_it_is_for_beside_it(fulfillment: Fulfillment) -> None:
    outcome = fulfillment("keys", "create", "--role", "viewer", "--name", "the [shop]")
    assert outcome.status == 0, outcome.err
    key = outcome.out.strip()
    assert prefix_of(key) is not None
    assert "the [shop], role viewer" in outcome.err
    assert "From now on the API asks for a key." in outcome.err
    again = fulfillment("keys", "create", "--role", "admin", "--name", "ada")
    assert "From now on" not in again.err
    listed = fulfillment("keys", "list")
    assert key not in listed.out
    assert "the [shop]" in listed.out


def test_keys_are_told_as_json(fulfillment: Fulfillment) -> None:
    made = json.loads(
        fulfillment("keys", "create", "--role", "operator", "--name", "x", "--json").out
    )
    secret = made.pop("key")
    assert secret.startswith(made["prefix"])
    assert json.loads(fulfillment("keys", "list", "--json").out) == {"keys": [made]}
    revoked = json.loads(fulfillment("keys", "revoke", made["id"], "--json").out)
    assert revoked["revoked_at"] is not None
    again = json.loads(fulfillment("keys", "revoke", made["id"], "--json").out)
    assert again == revoked


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["create", "--role", "boss", "--name", "x"], 2, "'boss' is not one of"),
        (["create", "--role", "admin", "--name", " "], 1, "1 to 100 printable characters"),
        (["revoke", "x"], 2, "'x' is no id of a key"),
        (["revoke", str(uuid.UUID(int=1))], 1, "there is no key 00000000"),
    ],
)
def test_what_cannot_be_done_is_explained(
    fulfillment: Fulfillment, arguments: list[str], status: int, told: str
) -> None:
    outcome = fulfillment("keys", *arguments)
    assert (outcome.status, outcome.out) == (status, "")
    assert told in " ".join(outcome.err.split())
