"""What all tests share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep compiled networks apart from the user's; programs that tests start inherit it."""
    os.environ["SEKE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
