"""The id that ties an upload to all that follows from it.

Revision: 0013.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE batch_jobs ADD COLUMN correlation_id text NOT NULL
    DEFAULT replace(CAST(gen_random_uuid() AS text), '-', '') CHECK (correlation_id <> '');
COMMENT ON COLUMN batch_jobs.correlation_id IS
    'By which the log lines of all that followed from the file are found: the id of the request '
    'that brought it, or one that was made when it was claimed.';
COMMENT ON COLUMN predictions.correlation_id IS
    'Of a message what came in its header correlation-id, of a request its id. Null without the '
    'header, where topic:partition:offset stands for it, and for rows of files, whose job has it.';
"""

DOWN = """
COMMENT ON COLUMN predictions.correlation_id IS
    'By which its producer follows the message, as it came in the header correlation-id.';
ALTER TABLE batch_jobs DROP COLUMN correlation_id;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
