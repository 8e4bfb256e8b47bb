"""The migration of the knowledge base keeps documents that are there already."""

from __future__ import annotations

import sqlalchemy as sa

from fulfillment_assets.knowledge.documents import list_documents
from fulfillment_assets.store import migrate
from fulfillment_assets.store.connection import create_engine

INSERT = """
INSERT INTO knowledge_documents (source, category, agent_type, content, sha256)
VALUES (:source, 'policy', :agent_type, :content, :content)
"""


def test_documents_of_before_stay_and_the_newest_of_a_source_is_in_force(
    empty_database_url: str,
) -> None:
    migrate.upgrade(empty_database_url, "0005")
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        for source, agent_type, content in (
            ("refund.md", "payment", "old"),
            ("refund.md", "payment", "new"),
            ("shipping.md", None, "only"),
        ):
            values = {"source": source, "agent_type": agent_type, "content": content}
            connection.execute(sa.text(INSERT), values)
    migrate.upgrade(empty_database_url, "0006")
    with engine.connect() as connection:
        live = list_documents(connection)
        retired = list_documents(connection, retired=True)
    found = [(one.source, one.audience.agent_type, one.content, one.origin) for one in live]
    assert found == [
        ("refund.md", ("payment",), "new", "entered"),
        ("shipping.md", None, "only", "entered"),
    ]
    assert [one.content for one in retired] == ["old"]
    migrate.downgrade(empty_database_url, "0005")
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT source, agent_type, content FROM knowledge_documents ORDER BY id")
        ).all()
    assert [tuple(row) for row in rows] == [
        ("refund.md", "payment", "old"),
        ("refund.md", "payment", "new"),
        ("shipping.md", None, "only"),
    ]
    engine.dispose()
