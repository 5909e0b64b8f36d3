"""Imports without looks for garbage."""

from __future__ import annotations

import gc
import importlib

import pytest

from seke.files.imports import quick_imports


def test_garbage_is_looked_for_as_before_also_after_a_failure():
    with quick_imports():
        assert not gc.isenabled()
    with pytest.raises(ModuleNotFoundError), quick_imports():
        importlib.import_module("no_such_package")
    assert gc.isenabled()
    gc.disable()
    try:
        with quick_imports(), quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
