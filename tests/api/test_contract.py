"""What is served is what is described, whatever is sent to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import CHECKS
from sqlalchemy.engine import Engine

from fulfillment_api.app import create_app
from fulfillment_api.roles import PREFIX, ROLES
from tests.api.examples import new_key, settings_for, url_of, with_knowledge

CASES: Final = 15
NAMES: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


ENDLESS: Final = ("GET", "/live")
"""Its answer goes on for ever; tests of its own read it, from a real server."""


@pytest.mark.parametrize(("method", "path"), [route for route in ROLES if route != ENDLESS])
def test_every_answer_is_described(
    engine: Engine, request: pytest.FixtureRequest, tmp_path: Path, method: str, path: str
) -> None:
    settings_of_api = settings_for(url_of(engine), data_dir=tmp_path)
    if path == "/knowledge/search":
        settings_of_api = with_knowledge(engine, request.getfixturevalue("chroma"))
    app = create_app(settings_of_api)
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    headers = {"X-API-Key": new_key(engine)}
    checks: list[Any] = CHECKS.get_by_names(NAMES)

    @given(case=described[PREFIX + path][method].as_strategy())
    @settings(
        max_examples=CASES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=checks)

    holds()
