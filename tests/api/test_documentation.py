"""The committed OpenAPI document is that of the application, and tells what a client needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fulfillment_api.documentation import DOCUMENT, document_text, main
from fulfillment_api.openapi import TAGS
from fulfillment_assets.settings import PROJECT_ROOT

JSON = "application/json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document_text())
    return found


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from item.values()


def without_example(content: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """The JSON bodies that have no example, their own or their schema's."""
    return [
        kind
        for kind, body in content.items()
        if kind == JSON and not any("example" in str(key) for key in keys_of(body, document))
    ]


def keys_of(body: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    yield from body
    schema = body.get("schema", {})
    for part in (schema, *schema.get("anyOf", ())):
        yield from part
        if (reference := part.get("$ref")) is not None:
            yield from document["components"]["schemas"][reference.rpartition("/")[2]]


def test_the_committed_document_is_the_generated_one() -> None:
    committed = (PROJECT_ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert committed == document_text(), "run: python -m fulfillment_api.documentation"


def test_the_command_writes_it(tmp_path: Any) -> None:
    (tmp_path / "docs").mkdir()
    main(tmp_path)
    assert (tmp_path / DOCUMENT).read_text(encoding="utf-8") == document_text()


def test_operations_have_short_names_of_their_own(document: dict[str, Any]) -> None:
    names = [one["operationId"] for one in operations(document)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z_]{1,30}", name)] == []


def test_operations_have_a_summary_a_description_and_examples(document: dict[str, Any]) -> None:
    for one in operations(document):
        name = one["operationId"]
        assert one["summary"], name
        assert len(one["description"]) > 10, name
        body = one.get("requestBody", {}).get("content", {})
        answers = [
            answer.get("content", {})
            for status, answer in one["responses"].items()
            if status.startswith("2")
        ]
        assert [without_example(content, document) for content in (body, *answers)] == [
            [] for _ in (body, *answers)
        ], name


def test_every_tag_is_described_and_used(document: dict[str, Any]) -> None:
    assert [one["name"] for one in document["tags"]] == list(TAGS)
    assert {tag for one in operations(document) for tag in one["tags"]} == set(TAGS)
