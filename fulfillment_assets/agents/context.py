"""What the nodes of the graph work with for one case; none of it is part of the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from langchain_core.tools import BaseTool

from fulfillment_assets.agents import prompts
from fulfillment_assets.agents.case import Case
from fulfillment_assets.agents.findings import tried_text
from fulfillment_assets.agents.state import Asked, Chunk, Finding
from fulfillment_assets.agents.toolbox import execute_approved, tools_for
from fulfillment_assets.agents.tools.desk import Desk
from fulfillment_assets.knowledge.errors import KnowledgeUnavailableError
from fulfillment_assets.knowledge.retrieval import Hit
from fulfillment_assets.knowledge.rules import Specialist

DeskFor: TypeAlias = Callable[[Case, Specialist], Desk]
"""Makes the desk of a specialist; called for each case anew."""


_LONGEST_QUESTION: Final = 900
_PLAIN_QUESTION: Final = "The agents could not finish this case. What is to be done?"
"""Asked where the reason cannot be written into a ticket."""


@dataclass(frozen=True)
class CaseContext:
    """One case, with desks and tools that are made at their first use."""

    case: Case
    desk_for: DeskFor
    _desks: dict[Specialist, Desk] = field(default_factory=dict, init=False)
    _tools: dict[Specialist, Mapping[str, BaseTool]] = field(default_factory=dict, init=False)

    def desk(self, agent_type: Specialist) -> Desk:
        """The desk of a specialist."""
        if agent_type not in self._desks:
            self._desks[agent_type] = self.desk_for(self.case, agent_type)
        return self._desks[agent_type]

    def tools(self, agent_type: Specialist) -> Mapping[str, BaseTool]:
        """The tools of a specialist, by name."""
        if agent_type not in self._tools:
            made = tools_for(agent_type, self.desk(agent_type))
            self._tools[agent_type] = {tool.name: tool for tool in made}
        return self._tools[agent_type]

    def retrieve(self, agent_type: Specialist) -> tuple[list[Chunk], str | None]:
        """The chunks nearest to the case that are meant for a specialist.

        The query is made of words of the contract alone, so that no text from outside steers it.

        Returns:
            The chunks, and why there are none where the knowledge base cannot be asked: the tools
            hold the rules all the same.
        """
        query = prompts.retrieval_query(agent_type, self.case)
        try:
            hits = self.desk(agent_type).search(query, agent_type)
        except KnowledgeUnavailableError as error:
            return [], str(error)
        return [_chunk(hit) for hit in hits], None

    def execute_approved(self, asked: Asked, by: str) -> dict[str, Any]:
        """Carry out what a person approved."""
        desk = self.desk(asked["agent_type"])
        return execute_approved(desk, asked["tool"], asked["arguments"], by)

    def open_ticket(
        self, question: str, findings: Sequence[Finding]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Open a ticket without asking a model; returns its arguments and the tool's answer."""
        tool = self.tools("escalation")["create_ticket"]
        for asked in (question[:_LONGEST_QUESTION], _PLAIN_QUESTION):
            arguments = {"question": asked, "tried": tried_text(findings)}
            result: dict[str, Any] = tool.invoke(arguments)
            if result["status"] != "refused":
                break
        return arguments, result


def _chunk(hit: Hit) -> Chunk:
    return Chunk(
        chunk_id=hit.chunk_id,
        score=hit.score,
        source=hit.source,
        title=hit.title,
        section=hit.section,
        rule_ids=list(hit.rule_ids),
        version=hit.version,
        text=hit.text,
    )
