"""Keys of the REST API, the audit of what was changed through it, and indexes for its lists.

Revision: 0008.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEYS = """
CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL CHECK (name <> ''),
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    prefix text NOT NULL UNIQUE,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE api_keys IS 'Who may use the REST API; of a key only its hash is kept.';
COMMENT ON COLUMN api_keys.prefix IS 'The start of the key, by which it is found; no secret.';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the whole key, which holds 256 random bits.';
COMMENT ON COLUMN api_keys.last_used_at IS 'To the minute or so.';
"""

AUDIT = """
CREATE TABLE api_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    api_key_id uuid REFERENCES api_keys (id),
    actor text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX api_audit_target ON api_audit (target, id);
COMMENT ON TABLE api_audit IS
    'Every change through the REST API, written in the transaction that made it.';
COMMENT ON COLUMN api_audit.api_key_id IS
    'By which key; null on loopback before the first key was made.';
"""

LISTS = """
CREATE INDEX deviations_order ON deviations (order_id, id) WHERE order_id IS NOT NULL;
CREATE INDEX orders_customer ON orders (customer_id, order_id) WHERE customer_id IS NOT NULL;
"""

DOWN = """
DROP INDEX orders_customer;
DROP INDEX deviations_order;
DROP TABLE api_audit;
DROP TABLE api_keys;
"""


def upgrade() -> None:
    for statements in (KEYS, AUDIT, LISTS):
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
