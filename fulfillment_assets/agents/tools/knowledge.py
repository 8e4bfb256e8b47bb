"""The tool that every specialist has: a search in the knowledge base."""

from __future__ import annotations

from typing import Final

from fulfillment_assets.agents.tools.desk import Desk, Result, answer
from fulfillment_assets.agents.tools.text import checked
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError

MAX_QUERY: Final = 500


def search_knowledge_base(desk: Desk, query: str) -> Result:
    """The sections of the knowledge base nearest to a question, for this specialist."""
    query = checked(query, "query", MAX_QUERY)
    try:
        hits = desk.search(query, desk.agent_type)
    except KnowledgeUnavailableError as error:
        return answer("info", f"The knowledge base cannot be searched now: {error}", hits=[])
    return answer(
        "info",
        f"{len(hits)} sections found.",
        hits=[
            {
                "source": hit.source,
                "section": hit.section,
                "rule_ids": list(hit.rule_ids),
                "score": hit.score,
                "text": hit.text,
            }
            for hit in hits
        ],
    )
