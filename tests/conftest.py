"""What all tests share."""

from __future__ import annotations

import os

# Two workers on two cores: more threads each only wait for one another. Before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
from whole_programs import WHOLE_FILES


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep compiled networks apart from the user's; programs that tests start inherit it."""
    os.environ["SEKE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def pytest_collection_modifyitems(items):
    """Mark what the inner loop leaves out."""
    tests = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(tests) and item.path.relative_to(tests).as_posix() in WHOLE_FILES:
            item.add_marker(pytest.mark.whole)
