"""What a process needs to work cases: the graph, the rules, the models and the knowledge base.

Imports LangGraph: import this module only where the agents work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Engine

from fulfillment_assets.agents.case import Case
from fulfillment_assets.agents.checkpoints import checkpointer
from fulfillment_assets.agents.graph import CaseGraph, build_graph
from fulfillment_assets.agents.models import models_of
from fulfillment_assets.agents.tools.desk import Desk
from fulfillment_assets.knowledge.retrieval import Hit, search
from fulfillment_assets.knowledge.rulebook import Rulebook, load_rules
from fulfillment_assets.knowledge.rules import Block, Mode, Severity, Specialist
from fulfillment_assets.settings import Settings

_Asked = tuple[str, Specialist, Severity, Block | None, Mode | None]


@dataclass(frozen=True)
class Workshop:
    """Made once for a process, and shared by its threads."""

    engine: Engine
    settings: Settings
    rulebook: Rulebook
    graph: CaseGraph
    _found: dict[_Asked, Sequence[Hit]] = field(default_factory=dict)

    def desk(self, case: Case, agent_type: Specialist) -> Desk:
        """The desk of a specialist for a case."""

        def look_up(text: str, asking: Specialist) -> Sequence[Hit]:
            return self._look_up(case, text, asking)

        return Desk(self.engine, self.settings, self.rulebook, case, agent_type, look_up)

    def _look_up(self, case: Case, text: str, asking: Specialist) -> Sequence[Hit]:
        """Cases alike ask alike: each question is put to the index once in a stretch of work."""
        order = case.order
        block, mode = (order.warehouse_block, order.mode_of_shipment) if order else (None, None)
        asked = text, asking, case.severity, block, mode
        if asked not in self._found:
            with self.engine.connect() as connection:
                self._found[asked] = search(
                    self.settings,
                    connection,
                    text,
                    agent_type=asking,
                    severity=case.severity,
                    warehouse=block,
                    mode=mode,
                )
        return self._found[asked]


@contextlib.contextmanager
def workshop(engine: Engine, settings: Settings) -> Iterator[Workshop]:
    """A workshop, for as long as a group of cases is worked.

    Raises:
        KnowledgeError: the rules of the knowledge base contradict themselves.
    """
    rulebook = load_rules(settings.knowledge_dir)
    with checkpointer(engine.url) as kept:
        graph = build_graph(models_of(settings, rulebook), kept)
        yield Workshop(engine, settings, rulebook, graph)
