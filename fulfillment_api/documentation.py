"""`python -m fulfillment_api.documentation` writes docs/openapi.json anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from fulfillment_api.app import create_app
from fulfillment_assets.settings import PROJECT_ROOT, Settings

DOCUMENT: Final = Path("docs", "openapi.json")
_NOWHERE: Final = SecretStr("postgresql://nobody@127.0.0.1:1/nowhere")
"""No database is asked for the description."""


def document_text() -> str:
    """The OpenAPI document of the application, as it is committed."""
    app = create_app(Settings(database_url=_NOWHERE, api_host="127.0.0.1"))
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def main(root: Path = PROJECT_ROOT) -> None:
    """Write the document."""
    (root / DOCUMENT).write_text(document_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
