"""What the stream tells of the KPIs: the overall ones, and what waits for somebody."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.reads import Kpis, read_kpis

_KPIS: Final = TypeAdapter(Kpis)

# Both are counted in partial indexes, which hold nothing else.
_WAITING: Final = """
SELECT (SELECT count(*) FROM deviations WHERE status = 'pending' AND severity = 'critical'),
       (SELECT count(*) FROM agent_approvals WHERE status = 'pending')
"""


def read_overall(connection: Connection) -> dict[str, Any]:
    """The overall KPIs of the usual window, critical deviations and approvals that wait."""
    [overall] = read_kpis(connection)
    deviations, approvals = connection.execute(sa.text(_WAITING)).one()
    return {
        "overall": _KPIS.dump_python(overall, mode="json"),
        "critical_deviations_waiting": deviations,
        "approvals_waiting": approvals,
    }
