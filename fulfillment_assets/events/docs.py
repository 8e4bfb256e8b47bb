"""The contract on the wire as a document: the JSON Schema of an event."""

from __future__ import annotations

import json
from typing import Any, Final

from fulfillment_assets.events.messages import (
    CORRELATION_ID,
    EVENT_TIME,
    MAX_CORRELATION_ID,
    MAX_MESSAGE_BYTES,
    SCHEMA_VERSION,
    VERSION,
)
from fulfillment_assets.orders.model import order_json_schema

_KAFKA: Final = {
    "key": {
        "type": ["string", "null"],
        "description": "The order_id: it keeps the events of an order in their order. A message "
        "whose key is that of another order is rejected.",
    },
    "value": {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": "#"},
        "description": "One JSON object in UTF-8 that has each key once. A message without a value "
        "(a tombstone) is rejected; to cancel an order, send it with order_status cancelled.",
    },
    "headers": {
        SCHEMA_VERSION: {
            "const": str(VERSION),
            "description": f"Version of this contract; {VERSION} where it is absent. A message of "
            "another version is rejected.",
        },
        EVENT_TIME: {
            "type": "string",
            "format": "date-time",
            "description": "When the order came to be as it is told; where it is absent, the last "
            "of its dates that is not in the future. Of the events of an order that with the "
            "latest time wins. A time that is not past counts as the time of receipt; one that "
            "is more than 24 hours ahead is rejected.",
        },
        CORRELATION_ID: {
            "type": "string",
            "maxLength": MAX_CORRELATION_ID,
            "description": "Kept with the prediction; a longer one is cut.",
        },
    },
    "maxBytes": MAX_MESSAGE_BYTES,
    "compression": ["none", "gzip", "lz4", "zstd"],
}


def event_json_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of an event's value, with its key and headers beside it."""
    return {
        **order_json_schema(),
        "title": "FulfillmentEvent",
        "description": "The value of a message: an order with all that is known of it at the "
        "moment. The readers are more tolerant: numbers may come as text, categories in any case, "
        "and fields under their other names. What key and headers are stands under x-kafka.",
        "x-kafka": _KAFKA,
    }


def event_schema_text() -> str:
    """Give the JSON Schema of an event as the text of `docs/event.schema.json`."""
    return json.dumps(event_json_schema(), indent=2, ensure_ascii=False) + "\n"
