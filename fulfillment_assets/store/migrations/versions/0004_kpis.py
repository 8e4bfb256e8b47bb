"""KPIs by day, with their variance, with what came true of them, and with their history.

Revision: 0004.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MEASURES = """
    orders bigint NOT NULL,
    probability_sum numeric(20, 6) NOT NULL,
    probability_square_sum numeric(20, 6) NOT NULL,
    critical bigint NOT NULL,
    warning bigint NOT NULL,
    info bigint NOT NULL,
    gap bigint NOT NULL,
    on_time bigint GENERATED ALWAYS AS (orders - critical - warning) VIRTUAL,
    high_risk bigint GENERATED ALWAYS AS (critical) VIRTUAL
"""

OUTCOMES = """
    known bigint NOT NULL,
    late bigint NOT NULL,
    expected_late bigint NOT NULL
"""

ROLLUPS = f"""
LOCK TABLE orders, kpi_rollups IN SHARE ROW EXCLUSIVE MODE;

ALTER TABLE kpi_rollups ADD COLUMN probability_square_sum numeric(20, 6) NOT NULL DEFAULT 0;
ALTER TABLE kpi_rollups ALTER COLUMN probability_square_sum DROP DEFAULT;
COMMENT ON COLUMN kpi_rollups.probability_square_sum IS
    'Sum of squared delay probabilities, each rounded to six digits: for their variance.';

CREATE TABLE kpi_daily_rollups (
    day date NOT NULL,
    warehouse_block text NOT NULL,
    mode_of_shipment text NOT NULL,
    product_importance text NOT NULL,
    {MEASURES},
    PRIMARY KEY (day, warehouse_block, mode_of_shipment, product_importance)
) WITH (fillfactor = 70);
COMMENT ON TABLE kpi_daily_rollups IS
    'The rows of kpi_rollups by UTC day, so that a long window is read day by day.';
"""

FILL = """
TRUNCATE kpi_rollups;
INSERT INTO kpi_rollups (bucket, warehouse_block, mode_of_shipment, product_importance, orders,
    probability_sum, probability_square_sum, critical, warning, info, gap)
SELECT date_trunc('hour', event_time, 'UTC'), warehouse_block, mode_of_shipment,
       product_importance, count(*),
       sum(round(delay_probability * 1e6)::bigint)::numeric / 1000000,
       sum(round(delay_probability * delay_probability * 1e6)::bigint)::numeric / 1000000,
       count(*) FILTER (WHERE severity = 'critical'),
       count(*) FILTER (WHERE severity = 'warning'),
       count(*) FILTER (WHERE severity = 'info'),
       count(*) FILTER (WHERE order_status = 'shipped' AND severity IN ('warning', 'critical'))
FROM orders
WHERE order_status IS DISTINCT FROM 'cancelled' AND date_trunc('hour', event_time, 'UTC')
    >= (SELECT (value #>> '{}')::timestamptz FROM settings WHERE key = 'history_starts_at')
GROUP BY 1, 2, 3, 4;

INSERT INTO kpi_daily_rollups (day, warehouse_block, mode_of_shipment, product_importance,
    orders, probability_sum, probability_square_sum, critical, warning, info, gap)
SELECT (bucket AT TIME ZONE 'UTC')::date, warehouse_block, mode_of_shipment, product_importance,
       sum(orders), sum(probability_sum), sum(probability_square_sum), sum(critical),
       sum(warning), sum(info), sum(gap)
FROM kpi_rollups GROUP BY 1, 2, 3, 4;
"""

ACTUALS = f"""
LOCK TABLE outcomes IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE kpi_outcomes (
    day date NOT NULL,
    warehouse_block text NOT NULL,
    mode_of_shipment text NOT NULL,
    product_importance text NOT NULL,
    {OUTCOMES},
    probability_sum numeric(20, 6) NOT NULL,
    PRIMARY KEY (day, warehouse_block, mode_of_shipment, product_importance)
) WITH (fillfactor = 70);
COMMENT ON TABLE kpi_outcomes IS
    'The rows of outcomes by segment and by the UTC day on which they became known.';
COMMENT ON COLUMN kpi_outcomes.expected_late IS
    'Orders that were predicted not to be on time: of severity warning or critical.';
COMMENT ON COLUMN kpi_outcomes.probability_sum IS
    'Of the predicted probabilities: how many late orders they promised in all.';

INSERT INTO kpi_outcomes
SELECT (known_at AT TIME ZONE 'UTC')::date, warehouse_block, mode_of_shipment,
       product_importance, count(*), count(*) FILTER (WHERE is_late),
       count(*) FILTER (WHERE severity IN ('warning', 'critical')),
       sum(round(delay_probability * 1e6)::bigint)::numeric / 1000000
FROM outcomes GROUP BY 1, 2, 3, 4;
"""

HISTORY = f"""
CREATE TABLE kpi_snapshots (
    day date NOT NULL,
    window_start timestamptz NOT NULL,
    as_of timestamptz NOT NULL,
    warehouse_block text,
    mode_of_shipment text,
    product_importance text,
    {MEASURES},
    {OUTCOMES},
    known_probability_sum numeric(20, 6) NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    CHECK (window_start < as_of),
    UNIQUE NULLS NOT DISTINCT (day, warehouse_block, mode_of_shipment, product_importance)
);
COMMENT ON TABLE kpi_snapshots IS
    'The KPIs of the window that ended with each UTC day; a dimension that is null is summed over.';
COMMENT ON COLUMN kpi_snapshots.as_of IS 'The end of the window, exclusive.';
COMMENT ON COLUMN kpi_snapshots.known IS
    'This and what follows tell of orders whose outcome became known within the window.';
"""

DOWN = """
DROP TABLE kpi_snapshots;
DROP TABLE kpi_outcomes;
DROP TABLE kpi_daily_rollups;
ALTER TABLE kpi_rollups DROP COLUMN probability_square_sum;
"""


def upgrade() -> None:
    for statements in (ROLLUPS, FILL, ACTUALS, HISTORY):
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
