"""Whether the index still says what the files of the knowledge base and its documents say."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.knowledge.documents import file_hashes, render_files
from fulfillment_assets.knowledge.embedders import embedder_of
from fulfillment_assets.knowledge.index import serving
from fulfillment_assets.settings import Settings

# Resolutions are added by those who learn them, many a minute.
_DIFFERING: Final = """
SELECT source FROM knowledge_documents
WHERE (retired_at IS NULL) <> (indexed_in IS NOT DISTINCT FROM :collection)
  AND (origin = 'entered' OR retired_at IS NOT NULL)
ORDER BY source LIMIT 1
"""


def why_outdated(settings: Settings, connection: Connection) -> str | None:
    """Why documents and index should be brought up to date; None if they need not.

    Raises:
        KnowledgeError: a file or a rule is wrong.
        KnowledgeUnavailableError: the embedder that is asked for has no key.
    """
    state = serving(connection)
    if state is None:
        return "there is no index yet"
    if state.embedder != embedder_of(settings).fingerprint:
        return f"it was made by {state.embedder}"
    known = file_hashes(connection)
    files = {document.source: document.sha256 for document in render_files(settings.knowledge_dir)}
    differing = sorted(name for name, _ in known.items() ^ files.items())
    if differing:
        return f"{differing[0]} changed"
    entered = connection.scalar(sa.text(_DIFFERING), {"collection": state.collection})
    return None if entered is None else f"{entered} was entered or withdrawn"
