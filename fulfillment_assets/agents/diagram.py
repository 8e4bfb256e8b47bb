"""The picture of the graph that the docs show, drawn from the graph itself."""

from __future__ import annotations

from typing import Final

from fulfillment_assets.agents.graph import build_graph
from fulfillment_assets.agents.models import Models, NamedModel
from fulfillment_assets.agents.policy_model import NAME, PolicyModel
from fulfillment_assets.knowledge.rulebook import load_rules
from fulfillment_assets.settings import PROJECT_ROOT

_TEXT: Final = """\
# How the agents work a case

Drawn from the graph itself; dashed lines are choices. `route` sends the case to specialists, who
work in parallel: shipment and payment first, then customer and escalation, who tell what came of
it. Each specialist retrieves the rules, then thinks and acts in turns; what needs a person stops in
`ask_person` until it is decided. Who cannot go on hands over.

```mermaid
{diagram}
```
"""


def graph_document() -> str:
    """Give the text of `docs/agent_graph.md`."""
    policy = PolicyModel(rulebook=load_rules(PROJECT_ROOT / "knowledge_base"))
    graph = build_graph(Models(NamedModel(NAME, policy, (0.0, 0.0))))
    drawn = graph.get_graph(xray=1).draw_mermaid()
    return _TEXT.format(diagram=drawn.strip())
