"""Fixtures of the tests of uploads."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import Start
from tests.api.examples import url_of
from tests.scoring.workplace import Workplace


@pytest.fixture
def desk(workplace: Workplace, start: Start) -> TestClient:
    """The API over the workplace's database and folders."""
    return start(url_of(workplace.engine), data_dir=workplace.settings.data_dir)
