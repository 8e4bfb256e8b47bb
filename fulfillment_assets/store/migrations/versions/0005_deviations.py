"""How a deviation's status may move, deviations of segments, and what segments usually are like.

Revision: 0005.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATUS = """
ALTER TABLE deviations
    DROP CONSTRAINT deviations_status_check,
    ADD CONSTRAINT deviations_status_check CHECK (status IN (
        'pending', 'agent_triggered', 'awaiting_approval', 'resolved', 'escalated', 'failed'));
DROP INDEX deviations_open_order;
CREATE UNIQUE INDEX deviations_open_order ON deviations (order_id, kind)
    WHERE status IN ('pending', 'agent_triggered', 'awaiting_approval');

CREATE FUNCTION move_deviation_status() RETURNS trigger LANGUAGE plpgsql
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
        ('failed', 'pending')
    ) THEN
        RAISE EXCEPTION 'deviation % is %: it cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER deviation_starts BEFORE INSERT ON deviations
    FOR EACH ROW WHEN (NEW.status <> 'pending') EXECUTE FUNCTION move_deviation_status();
CREATE TRIGGER deviation_moves BEFORE UPDATE OF status ON deviations
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION move_deviation_status();
"""

SEGMENTS = """
ALTER TABLE deviations
    ADD COLUMN segment_key text COLLATE "C",
    ADD COLUMN ended_at timestamptz;
UPDATE deviations SET
    segment_key = coalesce(context #>> '{segment,warehouse_block}', '*')
        || '/' || coalesce(context #>> '{segment,mode_of_shipment}', '*')
        || '/' || coalesce(context #>> '{segment,product_importance}', '*'),
    ended_at = CASE WHEN status IN ('resolved', 'escalated', 'failed') THEN updated_at END
WHERE kind IN ('segment_risk', 'on_time_rate');
ALTER TABLE deviations
    ADD CONSTRAINT deviations_segment_check
        CHECK ((kind IN ('segment_risk', 'on_time_rate')) = (segment_key IS NOT NULL));
COMMENT ON COLUMN deviations.segment_key IS
    'warehouse_block/mode_of_shipment/product_importance, with * for any; null for an order.';
COMMENT ON COLUMN deviations.ended_at IS
    'When the breach of a segment was over, whoever settled the deviation before; null before.';
CREATE UNIQUE INDEX deviations_live_segment ON deviations (segment_key, kind)
    WHERE segment_key IS NOT NULL
      AND (ended_at IS NULL OR status IN ('pending', 'agent_triggered', 'awaiting_approval'));
CREATE INDEX deviations_segment ON deviations (kind, segment_key) WHERE segment_key IS NOT NULL;

CREATE TABLE segment_baselines (
    hour timestamptz NOT NULL,
    segment_key text COLLATE "C" NOT NULL,
    hours integer NOT NULL,
    orders bigint NOT NULL,
    mean double precision NOT NULL,
    variance double precision NOT NULL,
    dispersion double precision NOT NULL CHECK (dispersion >= 1),
    late_share double precision NOT NULL,
    late_dispersion double precision NOT NULL CHECK (late_dispersion >= 1),
    PRIMARY KEY (hour, segment_key)
);
COMMENT ON TABLE segment_baselines IS
    'What each segment was like over the hours before `hour`, which is judged by it.';
COMMENT ON COLUMN segment_baselines.hours IS 'Hours before it in which there were orders.';
COMMENT ON COLUMN segment_baselines.dispersion IS
    'Variance of the hourly means over that of independent orders; 1 at least.';
COMMENT ON COLUMN segment_baselines.late_share IS
    'Share of orders that were not expected on time; late_dispersion is that of its hours.';
"""

SETTINGS = """
INSERT INTO settings (key, value, description) VALUES
    ('segment_baseline_hours', '168',
     'Hours before an hour that tell what a segment is usually like.'),
    ('segment_min_orders', '30', 'Fewest orders by which a segment is judged.'),
    ('segment_false_alarms_per_day', '0.05',
     'Largest share of days on which chance alone may raise a risk alarm for any segment.'),
    ('segment_min_excess', '0.05',
     'Least rise of a segment''s mean delay probability that is worth an alarm.'),
    ('segment_critical_excess', '0.1',
     'Rise of a segment''s mean delay probability, or shortfall of its on-time rate, from which '
     'on it is critical.'),
    ('on_time_window_hours', '24', 'Hours over which the on-time rate is held against its target.'),
    ('on_time_rate_target', '0.6', 'Share of orders that should be expected on time.');
"""

DOWN = """
DELETE FROM settings WHERE key IN (
    'segment_baseline_hours', 'segment_min_orders', 'segment_false_alarms_per_day',
    'segment_min_excess', 'segment_critical_excess', 'on_time_window_hours',
    'on_time_rate_target');
DROP TABLE segment_baselines;
DROP INDEX deviations_segment;
DROP INDEX deviations_live_segment;
ALTER TABLE deviations
    DROP CONSTRAINT deviations_segment_check,
    DROP COLUMN segment_key,
    DROP COLUMN ended_at;

UPDATE deviations SET status = 'agent_triggered' WHERE status = 'awaiting_approval';
DROP TRIGGER deviation_moves ON deviations;
DROP TRIGGER deviation_starts ON deviations;
DROP FUNCTION move_deviation_status();
DROP INDEX deviations_open_order;
CREATE UNIQUE INDEX deviations_open_order ON deviations (order_id, kind)
    WHERE status IN ('pending', 'agent_triggered');
ALTER TABLE deviations
    DROP CONSTRAINT deviations_status_check,
    ADD CONSTRAINT deviations_status_check CHECK (status IN (
        'pending', 'agent_triggered', 'resolved', 'escalated', 'failed'));
"""


def upgrade() -> None:
    for statements in (STATUS, SEGMENTS, SETTINGS):
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
