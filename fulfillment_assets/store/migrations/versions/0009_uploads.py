"""How far a file is while it is scored, and keys that make a repeated upload harmless.

Revision: 0009.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PROGRESS = """
ALTER TABLE batch_jobs
    ADD COLUMN rows_done bigint NOT NULL DEFAULT 0 CHECK (rows_done >= 0),
    ADD COLUMN bytes_done bigint NOT NULL DEFAULT 0 CHECK (bytes_done >= 0);
UPDATE batch_jobs SET rows_done = row_count, bytes_done = size_bytes WHERE status = 'completed';
COMMENT ON COLUMN batch_jobs.rows_done IS
    'Rows that its run has scored so far; they are to be seen when the job is completed.';
COMMENT ON COLUMN batch_jobs.bytes_done IS
    'Bytes of the file that had been read for these rows.';
"""

KEYS = """
CREATE TABLE idempotency_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    api_key_id uuid REFERENCES api_keys (id),
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    batch_job_id uuid NOT NULL REFERENCES batch_jobs (id),
    known boolean NOT NULL,
    to_score boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (api_key_id, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
COMMENT ON TABLE idempotency_keys IS
    'What was answered to an upload with the header Idempotency-Key, for 24 hours.';
COMMENT ON COLUMN idempotency_keys.api_key_id IS
    'Whose key it is; null on loopback before the first API key was made.';
"""

DOWN = """
DROP TABLE idempotency_keys;
ALTER TABLE batch_jobs DROP COLUMN bytes_done, DROP COLUMN rows_done;
"""


def upgrade() -> None:
    for statements in (PROGRESS, KEYS):
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
