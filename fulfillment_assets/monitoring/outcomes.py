"""The table `outcomes`: what became of each order, beside what was predicted of it.

**What happened.** An order that was delivered is late if its `delivery_date` is after its
`promised_delivery_date`. A promise of midnight UTC sharp is a date without a time, and lasts
until the end of that day. Where the dates do not tell, because one is missing or the delivery is
dated after the record was received, an `order_status` of `delayed` tells that the order is late.
A cancelled order has no outcome, nor has one that was delivered without a promise.

**What was predicted.** The last prediction made from an earlier record that did not tell the
outcome yet is a forecast: the outcome was *foreseen*. A record did not tell it if its status is
open or, without a status, if its event time is before the delivery. Such records are looked for
`LOOK_BACK_DAYS` back, and not before the order was placed. Where there is none, as in a load of
past orders, the record that told the outcome lends its own prediction. The model sees neither
dates nor status, so that one is no hindsight; but a feature that grows with the delay, such as
care calls, may give it away.

**What is kept.** The row is a copy, features included: scoring the prediction again changes
nothing here. (Scored again before its outcome is learnt, it counts as the new model's.) Only a
later record that tells another truth changes the row, and one that tells none takes it back.

`orders`, where the dates are, holds the latest record of each order alone. So a day's run learns
the orders whose latest record was received on that day; one that was heard of again belongs to
the later day's run. A run costs as much as the orders of its day, whatever the history.

The KPIs count outcomes by segment (`kpis.outcomes`): they are moved there in the same statement.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis.outcomes import STATE, moved
from fulfillment_assets.monitoring.days import day_bounds
from fulfillment_assets.orders.contract import BY_NAME, CLOSED_STATUSES, FEATURES, Kind

LOOK_BACK_DAYS: Final = 60
"""How long before its outcome an order's forecast may have been made."""

LATE_STATUS: Final = "delayed"
"""The value of `order_status` that tells a late order."""

_TELLING: Final = (*CLOSED_STATUSES, LATE_STATUS)
_SQL_TYPES: Final = {Kind.INTEGER: "integer", Kind.NUMBER: "double precision"}
_FORECAST: Final = ("delay_probability", "severity", "model_version")


def _copied(prediction: str) -> str:
    return ", ".join(f"{prediction}.{name}" for name in (*_FORECAST, "features_json"))


def _feature(name: str) -> str:
    kind = _SQL_TYPES.get(BY_NAME[name].kind, "text")
    return f"(coalesce(f.features_json, r.features_json) ->> '{name}')::{kind}"


_BY_DATES: Final = "o.delivery_date <= p.created_at AND o.promised_delivery_date IS NOT NULL"
_AFTER_THE_PROMISE: Final = """
CASE WHEN o.promised_delivery_date = date_trunc('day', o.promised_delivery_date, 'UTC')
     THEN o.delivery_date >= o.promised_delivery_date + interval '24 hours'
     ELSE o.delivery_date > o.promised_delivery_date
END
"""

_RECEIVED: Final = f"""
SELECT o.order_id, p.created_at AS known_at, p.id AS prediction_id, {_copied("p")},
       o.order_date - interval '24 hours' AS surely_before,
       CASE WHEN {_BY_DATES} THEN o.delivery_date ELSE 'infinity' END AS delivered_at,
       CASE WHEN o.order_status = 'cancelled' THEN NULL
            WHEN {_BY_DATES} THEN 'delivery_date'
            WHEN o.order_status = '{LATE_STATUS}' THEN 'order_status'
       END AS decided_by,
       CASE WHEN o.order_status = 'cancelled' THEN NULL
            WHEN {_BY_DATES} THEN {_AFTER_THE_PROMISE}
            WHEN o.order_status = '{LATE_STATUS}' THEN true
       END AS is_late,
       k.is_late AS was_late
FROM predictions p
JOIN orders o ON o.order_id = p.order_id AND o.prediction_id = p.id
LEFT JOIN outcomes k ON k.order_id = p.order_id
WHERE p.created_at >= :day AND p.created_at < :next_day
"""

_FORESEEN: Final = f"""
SELECT e.id, e.created_at, {_copied("e")}
FROM predictions e
WHERE e.order_id = r.order_id
  AND e.created_at >= :look_back AND e.created_at < :next_day
  AND e.created_at >= coalesce(r.surely_before, '-infinity') AND e.created_at < r.known_at
  AND coalesce(e.order_status NOT IN {_TELLING}, e.event_time < r.delivered_at)
ORDER BY e.event_time DESC, e.created_at DESC, e.id DESC
LIMIT 1
"""


def _counted(row: str, prefix: str = "") -> str:
    """The columns of an outcome by which the KPIs count it."""
    return ", ".join(f"{row}.{name} AS {prefix}{name}" for name in STATE)


_MOVED: Final = f"""
SELECT 1 AS weight, {", ".join(STATE)} FROM learnt
UNION ALL SELECT -1, {", ".join(f"was_{name}" for name in STATE)} FROM learnt WHERE NOT is_new
UNION ALL SELECT -1, {", ".join(STATE)} FROM withdrawn
"""

_LEARN: Final = f"""
WITH received AS MATERIALIZED ({_RECEIVED}),
withdrawn AS (
    DELETE FROM outcomes k USING received r
    WHERE k.order_id = r.order_id AND r.is_late IS NULL AND r.was_late IS NOT NULL
    RETURNING {_counted("k")}
),
learnt AS (
    INSERT INTO outcomes AS k (order_id, is_late, decided_by, known_at, foreseen, prediction_id,
                               prediction_created_at, {", ".join((*_FORECAST, *FEATURES))})
    SELECT r.order_id, r.is_late, r.decided_by, r.known_at, f.id IS NOT NULL,
           coalesce(f.id, r.prediction_id), coalesce(f.created_at, r.known_at),
           {", ".join(f"coalesce(f.{name}, r.{name})" for name in _FORECAST)},
           {", ".join(map(_feature, FEATURES))}
    FROM received r LEFT JOIN LATERAL ({_FORESEEN}) f ON true
    WHERE r.is_late <> coalesce(r.was_late, NOT r.is_late)
    ON CONFLICT (order_id) DO UPDATE SET is_late = excluded.is_late,
        decided_by = excluded.decided_by, known_at = excluded.known_at, updated_at = now()
    RETURNING old.order_id IS NULL AS is_new, new.foreseen, {_counted("old", "was_")},
        {_counted("new")}
),
counted AS ({moved(_MOVED)})
SELECT count(*) AS orders, count(is_late) AS known, count(*) FILTER (WHERE is_late) AS late,
       (SELECT count(*) FROM learnt WHERE is_new) AS new,
       (SELECT count(*) FROM learnt WHERE is_new AND foreseen) AS foreseen,
       (SELECT count(*) FROM learnt WHERE NOT is_new) AS changed,
       (SELECT count(*) FROM withdrawn) AS withdrawn
FROM received
"""


@dataclass(frozen=True, slots=True)
class LearnedOutcomes:
    """What a day's orders told.

    Attributes:
        day: the UTC day on which their records were received.
        orders: orders whose latest record was received on that day.
        known: those of them that have an outcome.
        late: those of them that are late.
        new: outcomes that were not known before this call.
        foreseen: those of the new ones whose prediction was a forecast.
        changed: outcomes that were known, and are the other one now.
        withdrawn: outcomes that were known, and are not any more.
    """

    day: dt.date
    orders: int
    known: int
    late: int
    new: int
    foreseen: int
    changed: int
    withdrawn: int


def learn_outcomes(engine: Engine, day: dt.date) -> LearnedOutcomes:
    """Give every order that was last heard of on the UTC day `day` its outcome, if it has one.

    One transaction; a second call changes nothing. Calls at the same time follow one another.
    """
    bounds = day_bounds(day)
    bounds["look_back"] = bounds["day"] - dt.timedelta(days=LOOK_BACK_DAYS)
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE outcomes IN SHARE ROW EXCLUSIVE MODE"))
        row = connection.execute(sa.text(_LEARN), bounds).one()
    return LearnedOutcomes(day, **row._mapping)
