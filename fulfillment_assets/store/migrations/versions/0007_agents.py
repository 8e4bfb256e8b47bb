"""What agents decided about orders, whom they wrote to, what people approve, and who works on what.

Revision: 0007.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LEASES = """
ALTER TABLE deviations
    ADD COLUMN claimed_by text,
    ADD COLUMN claimed_until timestamptz,
    ADD COLUMN attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    ADD CHECK ((claimed_by IS NULL) = (claimed_until IS NULL));
CREATE INDEX deviations_claimed ON deviations (claimed_until) WHERE status = 'agent_triggered';
COMMENT ON COLUMN deviations.claimed_by IS 'Who works on it; null: nobody.';
COMMENT ON COLUMN deviations.claimed_until IS
    'When the lease ends; whoever has not finished by then is taken for dead.';
COMMENT ON COLUMN deviations.attempts IS 'How often it was claimed.';
"""

LEDGER = """
ALTER TABLE tool_actions
    ADD COLUMN agent_type text
        CHECK (agent_type IN ('shipment', 'customer', 'payment', 'escalation')),
    ADD COLUMN amount_usd numeric(9, 2) CHECK (amount_usd > 0),
    ADD COLUMN approved_by text,
    ADD COLUMN acted_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX tool_actions_order ON tool_actions (order_id, tool);
CREATE INDEX tool_actions_deviation ON tool_actions (deviation_id);
CREATE INDEX tool_actions_transfers ON tool_actions ((result ->> 'to_block'), acted_at)
    WHERE tool = 'transfer_warehouse';
COMMENT ON TABLE tool_actions IS
    'The ledger: one row for every effect of a tool, written in the same transaction.';
COMMENT ON COLUMN tool_actions.amount_usd IS 'Money or credit given; null where none was.';
COMMENT ON COLUMN tool_actions.approved_by IS 'Who approved it; null: no approval was needed.';
COMMENT ON COLUMN tool_actions.acted_at IS 'The moment as of which the rules were applied.';
"""

INTERVENTIONS = """
CREATE TABLE order_interventions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tool_action_id uuid NOT NULL REFERENCES tool_actions (id),
    order_id text COLLATE "C" NOT NULL,
    field text NOT NULL CHECK (field IN ('delivery_date_planned', 'warehouse_block',
        'mode_of_shipment', 'carrier_name', 'payment_status')),
    feed_value text,
    new_value text NOT NULL,
    decided_at timestamptz NOT NULL,
    UNIQUE (tool_action_id, field)
);
CREATE INDEX order_interventions_order ON order_interventions (order_id, field, id DESC);
COMMENT ON TABLE order_interventions IS
    'What was decided about an order, beside what the feed says of it in `orders`.';
COMMENT ON COLUMN order_interventions.feed_value IS
    'What the feed said when it was decided; once the feed says something else, the feed counts.';
"""

CUSTOMERS = """
CREATE TABLE customer_opt_outs (
    customer_id text COLLATE "C" PRIMARY KEY,
    opted_out_at timestamptz NOT NULL DEFAULT now(),
    source text NOT NULL
);
COMMENT ON TABLE customer_opt_outs IS 'Customers who are written to on no channel.';

CREATE TABLE customer_contacts (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    tool_action_id uuid NOT NULL UNIQUE REFERENCES tool_actions (id),
    order_id text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C",
    kind text NOT NULL CHECK (kind IN ('message', 'note')),
    direction text NOT NULL CHECK (direction IN ('outbound', 'inbound')),
    channel text NOT NULL,
    template text,
    subject text,
    body text NOT NULL,
    send_at timestamptz NOT NULL
);
CREATE INDEX customer_contacts_order ON customer_contacts (order_id, send_at);
COMMENT ON TABLE customer_contacts IS 'The contact history; bodies are data and never executed.';
COMMENT ON COLUMN customer_contacts.send_at IS
    'When a message goes out: at once, or at the end of the quiet hours; of a note, its time.';
"""

TICKETS = """
CREATE TABLE escalation_tickets (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    deviation_id uuid NOT NULL UNIQUE REFERENCES deviations (id),
    order_id text COLLATE "C",
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    priority text NOT NULL,
    queue text NOT NULL,
    question text NOT NULL,
    findings jsonb NOT NULL DEFAULT '[]',
    opened_at timestamptz NOT NULL,
    work_starts_at timestamptz NOT NULL,
    respond_by timestamptz NOT NULL,
    resolve_by timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE UNIQUE INDEX escalation_tickets_open ON escalation_tickets (order_id)
    WHERE status = 'open';
CREATE INDEX escalation_tickets_queue ON escalation_tickets (queue, respond_by)
    WHERE status = 'open';
COMMENT ON TABLE escalation_tickets IS 'What waits for a person; an order has one open ticket.';
COMMENT ON COLUMN escalation_tickets.findings IS
    'What later deviations of the same order added: [{deviation_id, question, added_at}].';
"""

APPROVALS = """
CREATE TABLE agent_approvals (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    deviation_id uuid NOT NULL REFERENCES deviations (id),
    agent_type text NOT NULL
        CHECK (agent_type IN ('shipment', 'customer', 'payment', 'escalation')),
    tool text NOT NULL,
    arguments jsonb NOT NULL,
    amount_usd numeric(9, 2) CHECK (amount_usd > 0),
    reason text NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'approved', 'rejected')),
    decided_by text,
    decided_at timestamptz,
    note text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK ((status = 'pending') = (decided_by IS NULL)),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL))
);
CREATE UNIQUE INDEX agent_approvals_pending ON agent_approvals (deviation_id, agent_type, tool)
    WHERE status = 'pending';
CREATE INDEX agent_approvals_status ON agent_approvals (status, id);
COMMENT ON TABLE agent_approvals IS 'Actions that wait for a person, and what was decided.';
"""

DOWN = """
DROP TABLE agent_approvals;
DROP TABLE escalation_tickets;
DROP TABLE customer_contacts;
DROP TABLE customer_opt_outs;
DROP TABLE order_interventions;
DROP INDEX tool_actions_transfers;
DROP INDEX tool_actions_deviation;
DROP INDEX tool_actions_order;
ALTER TABLE tool_actions
    DROP COLUMN agent_type,
    DROP COLUMN amount_usd,
    DROP COLUMN approved_by,
    DROP COLUMN acted_at;
COMMENT ON TABLE tool_actions IS NULL;
DROP INDEX deviations_claimed;
ALTER TABLE deviations
    DROP COLUMN claimed_by,
    DROP COLUMN claimed_until,
    DROP COLUMN attempts;
"""


def upgrade() -> None:
    for statements in (LEASES, LEDGER, INTERVENTIONS, CUSTOMERS, TICKETS, APPROVALS):
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
