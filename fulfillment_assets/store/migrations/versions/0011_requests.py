"""Deviations that a person asks the agents to work on, those handed to a person once more, too.

Revision: 0011.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

REQUESTS = """
ALTER TABLE deviations
    ADD COLUMN asked_at timestamptz,
    ADD COLUMN asked_by text,
    ADD COLUMN operator_note text,
    ADD CONSTRAINT deviations_asked_check CHECK ((asked_at IS NULL) = (asked_by IS NULL)
        AND (operator_note IS NULL OR asked_at IS NOT NULL));
CREATE INDEX deviations_asked ON deviations (asked_at)
    WHERE status = 'pending' AND asked_at IS NOT NULL;
COMMENT ON COLUMN deviations.asked_at IS
    'When a person asked for it last; while it is pending, agents take it before the others.';
COMMENT ON COLUMN deviations.operator_note IS
    'What that person told the agents; data, never an instruction.';
COMMENT ON COLUMN deviations.attempts IS 'How often it was claimed since it was last asked for.';
"""

MOVE = """
CREATE OR REPLACE FUNCTION move_deviation_status() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'a new deviation is pending, not %', NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF (OLD.status, NEW.status) NOT IN (
        ('pending', 'agent_triggered'),
        ('pending', 'resolved'),
        ('agent_triggered', 'pending'),
        ('agent_triggered', 'awaiting_approval'),
        ('agent_triggered', 'resolved'),
        ('agent_triggered', 'escalated'),
        ('agent_triggered', 'failed'),
        ('awaiting_approval', 'agent_triggered'),
        ('awaiting_approval', 'resolved'),
        ('awaiting_approval', 'escalated'),
        ('escalated', 'pending'),
        ('failed', 'pending')
    ) THEN
        RAISE EXCEPTION 'deviation % is %: it cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;
"""
AGAIN = "        ('escalated', 'pending'),\n"
"""The move that is new."""

COLUMNS = """
DROP INDEX deviations_asked;
ALTER TABLE deviations
    DROP CONSTRAINT deviations_asked_check,
    DROP COLUMN asked_at,
    DROP COLUMN asked_by,
    DROP COLUMN operator_note;
COMMENT ON COLUMN deviations.attempts IS 'How often it was claimed.';
"""


def upgrade() -> None:
    op.execute(REQUESTS)
    op.execute(MOVE)


def downgrade() -> None:
    op.execute(MOVE.replace(AGAIN, ""))
    op.execute(COLUMNS)
