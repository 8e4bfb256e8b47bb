"""Positions in the stream."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from fulfillment_api.live.positions import LONGEST, Position, Snapshot


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    running = sorted(draw(st.sets(st.integers(3, 40), max_size=6)))
    xmin = running[0] if running else draw(st.integers(3, 41))
    return Snapshot(
        xmin, draw(st.integers(max([xmin, *(x + 1 for x in running)]), 42)), (*running,)
    )


@given(snapshots())
def test_a_snapshot_is_read_as_it_is_written(snapshot: Snapshot) -> None:
    assert Snapshot.parse(str(snapshot)) == snapshot
    assert str(Position.parse(str(snapshot))) == str(snapshot)


@given(snapshots(), snapshots())
def test_one_covers_another_if_it_sees_whatever_that_sees(one: Snapshot, other: Snapshot) -> None:
    seen = all(one.sees(xid) for xid in range(1, 50) if other.sees(xid))
    assert one.covers(other) == (seen and one.xmax >= other.xmax)


def test_postgresql_agrees_on_the_form_and_on_what_is_seen(engine: Engine) -> None:
    snapshot = Snapshot.parse("10:20:10,14,15")
    query = sa.text(
        "SELECT CAST(:text AS pg_snapshot)::text, array_agg(x) FILTER (WHERE "
        "pg_visible_in_snapshot(x::text::xid8, CAST(:text AS pg_snapshot))) "
        "FROM generate_series(1, 30) x"
    )
    with engine.connect() as connection:
        text, visible = connection.execute(query, {"text": str(snapshot)}).one()
    assert text == str(snapshot)
    assert visible == [xid for xid in range(1, 31) if snapshot.sees(xid)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1:2",
        "2:1:",
        "0:1:",
        "1:9:7,6",
        "1:9:7,7",
        "1:9:9",
        "5:9:4",
        "1:2:,",
        "1:2:~3:4:",
        "1:2:~3:4:~",
        "3:4:~1:2:~5",
        "1:2:~3:4:~-5",
        "٣:٤:",
        "1:2:\n",
        f"1:{2**63}:",
        "1:2:~3:4:~9999999999999999999",
        f"1:99999:{','.join(map(str, range(1, LONGEST)))}",
    ],
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be the id of an event, as the stream gave it"):
        Position.parse(text)
