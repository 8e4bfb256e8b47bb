from __future__ import annotations

from pathlib import Path

import pytest

from fulfillment_assets.delay_model.artifacts import write_files
from tests.delay_model.registry.examples import weak


@pytest.fixture(scope="session")
def weak_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model of few orders, as it would ship."""
    folder = tmp_path_factory.mktemp("weak")
    write_files(folder, weak())
    return folder
