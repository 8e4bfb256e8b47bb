"""The hub within one event loop: what it holds, whom it drops, when it listens."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_api.database import Database
from fulfillment_api.live import events, hub, subscription
from fulfillment_api.live.events import KINDS, MOST_MISSED
from fulfillment_api.live.hub import Hub
from fulfillment_api.live.positions import Position
from fulfillment_api.live.retention import prune
from fulfillment_api.live.subscription import Subscription, as_json_texts
from tests.api.examples import url_of
from tests.api.live.listening import PATIENCE, Event, commit_deviations, deviate, of_json

Next = Callable[[], Awaitable[Event]]


def run(engine: Engine, act: Callable[[Hub], Coroutine[Any, Any, None]]) -> None:
    """Act on a hub over the engine's database, which is closed in the end."""

    async def acting() -> None:
        database = Database(url_of(engine))
        found = Hub(database)
        try:
            async with asyncio.timeout(PATIENCE):
                await act(found)
        finally:
            await found.close()
            database.close()

    asyncio.run(acting())


def client_of(*kinds: str) -> Subscription[list[str]]:
    return Subscription(as_json_texts, frozenset(kinds or KINDS), None)


@asynccontextmanager
async def joined(
    found: Hub, client: Subscription[list[str]], since: str = ""
) -> AsyncIterator[Next]:
    """Gives a function that gives the next event."""
    async with found.joined(client, Position.parse(since) if since else None) as pieces:
        waiting: list[Event] = []

        async def following() -> Event:
            while not waiting:
                waiting.extend(map(of_json, await anext(pieces)))
            return waiting.pop(0)

        yield following


async def in_thread(act: Callable[..., None], *arguments: Any, **options: Any) -> None:
    await asyncio.to_thread(act, *arguments, **options)


def test_a_client_that_takes_nothing_is_dropped_and_holds_up_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MOST_WAITING", 20)

    async def act(found: Hub) -> None:
        slow, quick = client_of("deviation"), client_of("deviation")
        async with joined(found, slow) as of_slow, joined(found, quick) as of_quick:
            last = (await of_slow()).id
            await of_quick()
            assert found.clients == 2
            for number in range(30):
                await in_thread(commit_deviations, engine, f"O{number}")
                assert (await of_quick()).order_id == f"O{number}"
            assert slow.scope.cancel_called
            assert found.clients == 1
        async with joined(found, client_of("deviation"), str(last)) as of_slow:
            assert [(await of_slow()).order_id for _ in range(30)] == [f"O{n}" for n in range(30)]

    run(engine, act)


def test_many_missed_events_come_in_pages_whose_ids_can_be_gone_on_from(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PAGE", events._PAGE.replace(f"LIMIT {events.PAGE}", "LIMIT 3"))
    monkeypatch.setattr(events, "PAGE", 3)
    names = [f"O{number:02}" for number in range(11)]

    async def act(found: Hub) -> None:
        async with joined(found, client_of("deviation")) as following:
            begin = str((await following()).id)
        with engine.connect() as late:
            deviate(late, "late")
            await in_thread(commit_deviations, engine, *names[:5])
            await in_thread(commit_deviations, engine, *names[5:])
            async with joined(found, client_of("deviation"), begin) as following:
                told = [await following() for _ in names]
            assert [event.order_id for event in told] == names
            late.commit()
        for number, event in enumerate(told):
            async with joined(found, client_of("deviation"), str(event.id)) as following:
                rest = [(await following()).order_id for _ in names[number:]]
            assert sorted(rest) == sorted(["late", *names[number + 1 :]])

    run(engine, act)


def test_who_missed_too_much_starts_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    few = events._MISSED.replace(str(MOST_MISSED + 1), "3")
    monkeypatch.setattr(events, "_MISSED", few)
    monkeypatch.setattr(events, "MOST_MISSED", 2)

    async def act(found: Hub) -> None:
        async with joined(found, client_of()) as following:
            begin = str((await following()).id)
        for number in range(3):
            await in_thread(commit_deviations, engine, f"O{number}")
        async with joined(found, client_of(), begin) as following:
            reset = await following()
        assert (reset.event, reset.data) == ("reset", {"reason": "More than 2 events were missed."})

    run(engine, act)


def test_a_heartbeat_moves_the_position_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT_SECONDS", 0.05)

    async def act(found: Hub) -> None:
        async with joined(found, client_of("batch")) as following:
            begin = (await following()).id
            await in_thread(commit_deviations, engine, "O1")
            while True:
                event = await following()
                assert event.event == "heartbeat"
                if event.id != begin:
                    break
        async with joined(found, client_of("deviation"), str(event.id)) as following:
            assert (await following()).event == "status"

    run(engine, act)


def test_what_is_old_is_forgotten_in_pieces_and_what_is_younger_stays(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fulfillment_api.live.retention.AT_ONCE", 2)
    database = Database(url_of(engine))

    def kept() -> list[str]:
        with engine.connect() as connection:
            query = sa.text("SELECT payload ->> 'order_id' FROM live_events ORDER BY id")
            return list(connection.scalars(query))

    with engine.connect() as late:
        deviate(late, "late")
        commit_deviations(engine, *"ABCDE")
        assert prune(database, dt.timedelta(0)) == 0  # from now on they are marked
        commit_deviations(engine, "F")
        late.commit()
        assert prune(database, dt.timedelta(hours=1)) == 0
        assert prune(database, dt.timedelta(0)) == 5
    assert kept() == ["late", "F"]
    assert prune(database, dt.timedelta(0)) == 2
    assert kept() == []
    database.close()


def test_two_that_forget_do_not_wait_for_each_other(engine: Engine) -> None:
    database = Database(url_of(engine))
    commit_deviations(engine, "A")
    prune(database, dt.timedelta(0))
    with engine.begin() as other:
        other.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtextextended('fulfillment.live_events', 0))")
        )
        assert prune(database, dt.timedelta(0)) == 0
    assert prune(database, dt.timedelta(0)) == 1
    database.close()


def test_events_of_a_server_that_this_one_was_restored_from_are_forgotten(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO live_events (xid, kind, payload) "
                "VALUES ('9000000000000000000', 'agent', '{}')"
            )
        )
    database = Database(url_of(engine))
    assert prune(database) == 1
    database.close()
