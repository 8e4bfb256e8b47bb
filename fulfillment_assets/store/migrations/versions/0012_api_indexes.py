"""Indexes by which the API's lists find their pages, whatever is filtered by.

Revision: 0012.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = """
CREATE INDEX deviations_list ON deviations (kind, severity, status, id);
CREATE INDEX deviations_cell ON deviations (
    (coalesce(segment_key, (context #>> '{order,warehouse_block}') || '/'
        || (context #>> '{order,mode_of_shipment}') || '/'
        || (context #>> '{order,product_importance}'))),
    id, kind, severity, status);
DROP INDEX deviations_batch_job_id;
CREATE INDEX deviations_batch_job ON deviations (batch_job_id, id) WHERE batch_job_id IS NOT NULL;

CREATE INDEX orders_list ON orders
    (warehouse_block, mode_of_shipment, severity, coalesce(order_status, ''), order_id);
CREATE INDEX orders_date ON orders
    (order_date, order_id, severity, coalesce(order_status, ''), warehouse_block, mode_of_shipment)
    WHERE order_date IS NOT NULL;
"""

DOWN = """
DROP INDEX orders_date;
DROP INDEX orders_list;
DROP INDEX deviations_batch_job;
CREATE INDEX deviations_batch_job_id ON deviations (batch_job_id);
DROP INDEX deviations_cell;
DROP INDEX deviations_list;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
