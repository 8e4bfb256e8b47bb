"""What happens, for the live stream: written by triggers, in the transaction of the change itself.

Revision: 0010.
"""

from __future__ import annotations

from typing import NamedTuple

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

EVENTS = """
CREATE TABLE live_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind text NOT NULL CHECK (kind IN ('deviation', 'agent', 'batch')),
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX live_events_xid ON live_events (xid);
COMMENT ON TABLE live_events IS
    'What happened in the last hour or two, as the live stream tells it.';
COMMENT ON COLUMN live_events.xid IS
    'The transaction; ids are given before they commit, so that a reader goes by snapshots.';

CREATE TABLE live_retention (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    pruned pg_snapshot,
    mark pg_snapshot NOT NULL DEFAULT pg_current_snapshot(),
    marked_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO live_retention DEFAULT VALUES;
COMMENT ON TABLE live_retention IS 'One row: how much of live_events is gone.';
COMMENT ON COLUMN live_retention.pruned IS
    'What this snapshot sees may be deleted: who has not had it all must start anew.';
COMMENT ON COLUMN live_retention.mark IS 'What will be `pruned` once it is old enough.';
"""

MOST_ROWS = 50
"""A statement that changes more rows makes one event, which counts them."""

REASON = 200
"""Longer texts are cut."""


class Announced(NamedTuple):
    """Changes of a table that are events.

    Attributes:
        operation: INSERT or UPDATE.
        fields: what is told of one row, as SQL over the row `n`, by name.
        groups: the columns by which many rows are counted.
        changed: of an update, the columns of which one must change.
    """

    table: str
    kind: str
    subject: str
    operation: str
    fields: dict[str, str]
    groups: tuple[str, ...]
    changed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the trigger and its function."""
        return f"live_{self.table}_{self.operation.lower()}"

    @property
    def rows(self) -> str:
        """The rows that changed."""
        if self.operation == "INSERT":
            return "new_rows AS n"
        new, old = (", ".join(f"{row}.{name}" for name in self.changed) for row in "no")
        return (
            f"new_rows AS n JOIN old_rows AS o ON o.id = n.id AND ({new}) IS DISTINCT FROM ({old})"
        )

    @property
    def tables(self) -> str:
        """The transition tables."""
        old = " OLD TABLE AS old_rows" if self.operation == "UPDATE" else ""
        return f"NEW TABLE AS new_rows{old}"


# Plans are kept, and the tables' sizes are only known when they are run: a nested loop that is
# planned for one row would join a whole batch with itself.
FUNCTION = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT SET enable_nestloop TO off AS $$
BEGIN
    PERFORM FROM {rows} OFFSET {most} LIMIT 1;
    IF FOUND THEN
        INSERT INTO live_events (kind, payload)
        SELECT '{kind}', jsonb_build_object('subject', '{subject}', 'action', '{action}',
            'count', sum(g.count), 'by', jsonb_agg(to_jsonb(g) ORDER BY g.count DESC))
        FROM (SELECT {groups}, count(*) FROM {rows} GROUP BY {groups}) AS g;
    ELSE
        INSERT INTO live_events (kind, payload)
        SELECT '{kind}', jsonb_build_object('subject', '{subject}', 'action', '{action}',
            'count', 1, {fields})
        FROM {rows} ORDER BY n.id;
    END IF;
    IF FOUND THEN
        PERFORM pg_notify('fulfillment_live', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER {name} AFTER {operation} ON {table}
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {name}();
"""

KPIS = """
CREATE FUNCTION live_kpis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('fulfillment_live', 'kpi');
    RETURN NULL;
END $$;
CREATE TRIGGER live_kpis AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kpi_rollups
    FOR EACH STATEMENT EXECUTE FUNCTION live_kpis();
CREATE TRIGGER live_kpis AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON kpi_outcomes
    FOR EACH STATEMENT EXECUTE FUNCTION live_kpis();
"""

ORDER = "(SELECT d.order_id FROM deviations AS d WHERE d.id = n.deviation_id)"

DEVIATION = {
    "id": "n.id",
    "order_id": "n.order_id",
    "segment": "n.segment_key",
    "kind": "n.kind",
    "severity": "n.severity",
    "status": "n.status",
    "reason": f"left(n.reason, {REASON})",
    "batch_job_id": "n.batch_job_id",
}
RESPONSE = {
    "id": "n.id",
    "deviation_id": "n.deviation_id",
    "order_id": ORDER,
    "agent_type": "n.agent_type",
    "step": f"left(n.action, {REASON})",
}
ACTION = {
    "id": "n.id",
    "deviation_id": "n.deviation_id",
    "order_id": "n.order_id",
    "agent_type": "n.agent_type",
    "step": "n.tool",
}
APPROVAL = {
    "id": "n.id",
    "deviation_id": "n.deviation_id",
    "order_id": ORDER,
    "agent_type": "n.agent_type",
    "step": "n.tool",
    "status": "n.status",
    "reason": f"left(n.reason, {REASON})",
}
BATCH = {
    "id": "n.id",
    "filename": f"left(n.filename, {REASON})",
    "status": "n.status",
    "progress": "CASE WHEN n.status = 'completed' THEN 1 "
    "ELSE least(1, round(n.bytes_done::numeric / nullif(n.size_bytes, 0), 4)) END",
    "rows_done": "n.rows_done",
    "row_count": "n.row_count",
    "accepted_count": "n.accepted_count",
    "rejected_count": "n.rejected_count",
    "reason": f"left(n.error_message, {REASON})",
}
GRADES = ("kind", "severity", "status")
AGENTS = ("agent_type",)
PROGRESS = ("status", "rows_done", "accepted_count", "rejected_count")

ANNOUNCED = (
    Announced("deviations", "deviation", "deviation", "INSERT", DEVIATION, GRADES),
    Announced(
        "deviations", "deviation", "deviation", "UPDATE", DEVIATION, GRADES, ("severity", "status")
    ),
    Announced("agent_responses", "agent", "response", "INSERT", RESPONSE, AGENTS),
    Announced("agent_responses", "agent", "response", "UPDATE", RESPONSE, AGENTS, ("action",)),
    Announced("tool_actions", "agent", "tool_action", "INSERT", ACTION, ("tool",)),
    Announced("agent_approvals", "agent", "approval", "INSERT", APPROVAL, ("tool", "status")),
    Announced(
        "agent_approvals",
        "agent",
        "approval",
        "UPDATE",
        APPROVAL,
        ("tool", "status"),
        ("status",),
    ),
    Announced("batch_jobs", "batch", "batch_job", "INSERT", BATCH, ("status",)),
    Announced("batch_jobs", "batch", "batch_job", "UPDATE", BATCH, ("status",), PROGRESS),
)


def _create(announced: Announced) -> str:
    return FUNCTION.format(
        name=announced.name,
        table=announced.table,
        operation=announced.operation,
        tables=announced.tables,
        rows=announced.rows,
        kind=announced.kind,
        subject=announced.subject,
        action="created" if announced.operation == "INSERT" else "updated",
        groups=", ".join(f"n.{name}" for name in announced.groups),
        fields=", ".join(f"'{name}', {value}" for name, value in announced.fields.items()),
        most=MOST_ROWS,
    )


def upgrade() -> None:
    op.execute(EVENTS)
    for announced in ANNOUNCED:
        op.execute(_create(announced))
    op.execute(KPIS)


def downgrade() -> None:
    op.execute("DROP TRIGGER live_kpis ON kpi_outcomes")
    op.execute("DROP TRIGGER live_kpis ON kpi_rollups")
    op.execute("DROP FUNCTION live_kpis()")
    for announced in ANNOUNCED:
        op.execute(f"DROP TRIGGER {announced.name} ON {announced.table}")
        op.execute(f"DROP FUNCTION {announced.name}()")
    op.execute("DROP TABLE live_retention")
    op.execute("DROP TABLE live_events")
