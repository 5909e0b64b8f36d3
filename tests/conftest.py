"""What all tests share."""

from __future__ import annotations

import gc
import os
import shutil
import sys

# Two workers on two cores: more threads each only wait for one another. Before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import thorough  # noqa: F401 - examples are counted by its profiles
from hypothesis import settings
from whole_programs import WHOLE_FILES

# Without, each run would compile all tests anew, with what they assert: a third of the time before the first.
sys.dont_write_bytecode = False


def pytest_configure(config):
    """Be thorough where long runs are asked for."""
    asked_for = {word.strip("() ") for word in config.option.markexpr.replace("not slow", "").split()}
    if "slow" in asked_for and not config.getoption("--hypothesis-profile"):
        settings.load_profile("thorough")


BENCHMARKS = Path(__file__).parent / "benchmarks"


def pytest_ignore_collect(collection_path, config):
    """Pass over measurements, which import much, where nothing slow is asked for; else let others decide."""
    return True if collection_path == BENCHMARKS and "not slow" in config.option.markexpr else None


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep compiled networks apart from the user's: workers share them, and programs that tests start."""
    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "cache"
    folder.mkdir(exist_ok=True)
    os.environ["SEKE_CACHE"] = str(folder)
    # Else each process that a test starts would compile all that it imports anew, for a second and more.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # What takes long here depends on what else the machine does.
    os.environ["SEKE_PROGRESS"] = "no"


@pytest.fixture(scope="session")
def chromium():
    """The program of the system's Chromium; tests that want it are passed over where it is not."""
    names = "chromium", "chromium-browser", "google-chrome"
    path = next(filter(None, map(shutil.which, names)), None)
    return path or pytest.skip("no Chromium here")


# Not of the session: while it is there an event loop runs, and a test could begin none.
@pytest.fixture(scope="module")
def browser(chromium):
    """A Chromium that the package playwright steers."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tools:
        started = tools.chromium.launch(executable_path=chromium)
        yield started
        started.close()


def pytest_collection_finish():
    """Set aside what was loaded: it stays to the end, and each look for garbage would go through it."""
    gc.collect()
    gc.freeze()
    # Objects made between two such looks; with Python's 700 they took a fifth of the time of all tests.
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(items):
    """Mark what the inner loop leaves out."""
    tests = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(tests) and item.path.relative_to(tests).as_posix() in WHOLE_FILES:
            item.add_marker(pytest.mark.whole)
        if item.path.is_relative_to(BENCHMARKS):
            item.add_marker(pytest.mark.slow)
