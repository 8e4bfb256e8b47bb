"""Versions, audiences and places of knowledge documents, and the collections that index them.

Revision: 0006.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DOCUMENTS = """
ALTER TABLE knowledge_documents
    DROP CONSTRAINT knowledge_documents_source_sha256_key,
    DROP COLUMN updated_at,
    ALTER COLUMN agent_type TYPE text[]
        USING CASE WHEN agent_type IS NOT NULL THEN ARRAY[agent_type] END,
    ADD COLUMN origin text NOT NULL DEFAULT 'entered'
        CHECK (origin IN ('file', 'entered', 'resolution')),
    ADD COLUMN title text NOT NULL DEFAULT '',
    ADD COLUMN severity text,
    ADD COLUMN warehouse text,
    ADD COLUMN mode text,
    ADD COLUMN version text NOT NULL DEFAULT '1',
    ADD COLUMN effective_from date,
    ADD COLUMN deviation_id uuid,
    ADD COLUMN retired_at timestamptz,
    ADD COLUMN indexed_in text,
    ADD CHECK ((origin = 'resolution') = (deviation_id IS NOT NULL));
UPDATE knowledge_documents SET title = source;
ALTER TABLE knowledge_documents
    ALTER COLUMN origin DROP DEFAULT,
    ALTER COLUMN title DROP DEFAULT,
    ALTER COLUMN version DROP DEFAULT;
UPDATE knowledge_documents AS d SET retired_at = now()
WHERE EXISTS (SELECT FROM knowledge_documents newer
              WHERE newer.source = d.source AND newer.id > d.id);
CREATE UNIQUE INDEX knowledge_documents_live ON knowledge_documents (source)
    WHERE retired_at IS NULL;
CREATE INDEX knowledge_documents_indexed ON knowledge_documents (indexed_in)
    WHERE indexed_in IS NOT NULL;
COMMENT ON TABLE knowledge_documents IS
    'What the agents may look up: the only truth; the vector store is made from it.';
COMMENT ON COLUMN knowledge_documents.agent_type IS 'Who works by it; null: every agent.';
COMMENT ON COLUMN knowledge_documents.retired_at IS
    'When it was replaced or withdrawn; a changed document is a new row.';
COMMENT ON COLUMN knowledge_documents.indexed_in IS
    'The latest collection of the vector store that got its chunks.';
COMMENT ON COLUMN knowledge_documents.deviation_id IS
    'The deviation that a resolution was learned from; it may be gone by now.';
"""

INDEX = """
CREATE TABLE knowledge_index (
    collection text PRIMARY KEY,
    embedder text NOT NULL,
    splitter text NOT NULL,
    documents_hash text NOT NULL,
    serving boolean NOT NULL DEFAULT false,
    dimension integer NOT NULL DEFAULT 0,
    documents integer NOT NULL DEFAULT 0,
    chunks integer NOT NULL DEFAULT 0,
    built_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX knowledge_index_serving ON knowledge_index (serving) WHERE serving;
COMMENT ON TABLE knowledge_index IS
    'Collections in the vector store: the one that serves, and those still to be dropped.';
COMMENT ON COLUMN knowledge_index.embedder IS
    'Fingerprint of what made the vectors; vectors of another are never mixed in.';
COMMENT ON COLUMN knowledge_index.documents_hash IS
    'Hash over the documents that the collection was built from.';
"""

DOWN = """
DROP TABLE knowledge_index;
DROP INDEX knowledge_documents_indexed;
DROP INDEX knowledge_documents_live;
DELETE FROM knowledge_documents older USING knowledge_documents newer
WHERE (older.source, older.sha256) = (newer.source, newer.sha256) AND older.id < newer.id;
ALTER TABLE knowledge_documents
    DROP COLUMN origin,
    DROP COLUMN title,
    DROP COLUMN severity,
    DROP COLUMN warehouse,
    DROP COLUMN mode,
    DROP COLUMN version,
    DROP COLUMN effective_from,
    DROP COLUMN deviation_id,
    DROP COLUMN retired_at,
    DROP COLUMN indexed_in,
    ALTER COLUMN agent_type TYPE text USING agent_type[1],
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT knowledge_documents_source_sha256_key UNIQUE (source, sha256);
COMMENT ON COLUMN knowledge_documents.agent_type IS NULL;
COMMENT ON TABLE knowledge_documents IS NULL;
"""


def upgrade() -> None:
    for statements in (DOCUMENTS, INDEX):
        op.execute(statements)


def downgrade() -> None:
    op.execute(DOWN)
