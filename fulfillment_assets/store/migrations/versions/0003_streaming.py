"""What the stream needs: positions with counters, gaps, committed ranges, dead letters in full.

Revision: 0003.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

POSITIONS = """
ALTER TABLE stream_offsets
    ADD COLUMN topic_id uuid,
    ADD COLUMN messages bigint NOT NULL DEFAULT 0,
    ADD COLUMN predicted bigint NOT NULL DEFAULT 0,
    ADD COLUMN dead_lettered bigint NOT NULL DEFAULT 0,
    ADD CHECK (messages = predicted + dead_lettered);
COMMENT ON TABLE stream_offsets IS
    'What was committed of each partition: the only truth about where the stream stands.';
COMMENT ON COLUMN stream_offsets.next_offset IS
    'The first offset that is not accounted for: scored, dead-lettered, or part of a gap.';
COMMENT ON COLUMN stream_offsets.topic_id IS
    'The topic that the offset counts in: one that is deleted and made again has another id.';
COMMENT ON COLUMN stream_offsets.updated_at IS
    'When the latest messages were received; it ascends with the offset.';

CREATE TABLE stream_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL CHECK (first_offset >= 0),
    last_offset bigint CHECK (last_offset >= first_offset),
    reason text NOT NULL
        CHECK (reason IN ('expired', 'unreadable', 'skipped', 'truncated', 'recreated')),
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX stream_gaps_noticed_at ON stream_gaps (noticed_at);
COMMENT ON TABLE stream_gaps IS 'Offsets that were passed over: their messages were not scored.';
COMMENT ON COLUMN stream_gaps.last_offset IS
    'Null where nobody can tell how much was lost: the log had ended before, or was deleted.';

CREATE TABLE stream_batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    start_offset bigint NOT NULL,
    end_offset bigint NOT NULL CHECK (end_offset > start_offset),
    messages integer NOT NULL,
    predicted integer NOT NULL,
    dead_lettered integer NOT NULL,
    oldest_message_at timestamptz,
    newest_message_at timestamptz,
    model_version text NOT NULL,
    run_id text NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    seconds double precision NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (messages = predicted + dead_lettered)
);
CREATE INDEX stream_batches_position ON stream_batches (topic, partition, end_offset);
CREATE INDEX stream_batches_committed_at ON stream_batches (committed_at);
COMMENT ON TABLE stream_batches IS 'One row for each transaction that moved a position on.';
COMMENT ON COLUMN stream_batches.seconds IS 'From the first look at Kafka to the commit.';
"""

MESSAGES = """
ALTER TABLE predictions ADD COLUMN produced_at timestamptz, ADD COLUMN correlation_id text;
COMMENT ON COLUMN predictions.created_at IS
    'When the order was received. For a file it is the same on every retry, so that the unique '
    'index holds; a message is received when it is committed, which happens once.';
COMMENT ON COLUMN predictions.produced_at IS 'The timestamp that the message has in Kafka.';
COMMENT ON COLUMN predictions.correlation_id IS
    'By which its producer follows the message, as it came in the header correlation-id.';

ALTER TABLE rejected_records
    ADD COLUMN message_key bytea,
    ADD COLUMN message_value bytea,
    ADD COLUMN message_headers jsonb,
    ADD COLUMN message_time timestamptz,
    DROP CONSTRAINT rejected_records_topic_partition_offset_key;
CREATE UNIQUE INDEX rejected_records_message
    ON rejected_records (topic, partition, "offset", message_time) NULLS NOT DISTINCT
    WHERE topic IS NOT NULL;
COMMENT ON COLUMN rejected_records.message_time IS
    'The timestamp in Kafka: with it, an offset of a topic that was made again is another message.';

ALTER TABLE outbox ADD COLUMN refused text;
COMMENT ON COLUMN outbox.refused IS
    'Why the broker will never take this event; the relay passes it over.';
DROP INDEX outbox_unpublished;
CREATE INDEX outbox_unpublished ON outbox (topic, id)
    WHERE published_at IS NULL AND refused IS NULL;
"""

DOWN = """
DROP INDEX outbox_unpublished;
CREATE INDEX outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
ALTER TABLE outbox DROP COLUMN refused;

DROP INDEX rejected_records_message;
DELETE FROM rejected_records older USING rejected_records newer
WHERE (older.topic, older.partition, older."offset")
      = (newer.topic, newer.partition, newer."offset") AND older.id < newer.id;
ALTER TABLE rejected_records
    DROP COLUMN message_key,
    DROP COLUMN message_value,
    DROP COLUMN message_headers,
    DROP COLUMN message_time,
    ADD CONSTRAINT rejected_records_topic_partition_offset_key
        UNIQUE (topic, partition, "offset");
ALTER TABLE predictions DROP COLUMN produced_at, DROP COLUMN correlation_id;
COMMENT ON COLUMN predictions.created_at IS
    'When the order was received; the same on every retry, so that the unique indexes hold.';

DROP TABLE stream_batches;
DROP TABLE stream_gaps;
ALTER TABLE stream_offsets
    DROP COLUMN topic_id,
    DROP COLUMN messages,
    DROP COLUMN predicted,
    DROP COLUMN dead_lettered;
COMMENT ON COLUMN stream_offsets.next_offset IS NULL;
COMMENT ON COLUMN stream_offsets.updated_at IS NULL;
COMMENT ON TABLE stream_offsets IS NULL;
"""


def upgrade() -> None:
    for statements in (POSITIONS, MESSAGES):
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
