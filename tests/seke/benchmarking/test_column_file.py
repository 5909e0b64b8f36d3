"""Columns that come in parts: whole again, whether they stay in memory or go to the disk."""

import re

import numpy as np
import pytest

from engine import SekeError
from seke.benchmarking import column_file
from seke.benchmarking.column_file import ColumnFile


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_a_column_is_its_parts_one_after_another(monkeypatch, in_memory):
    monkeypatch.setattr(column_file, "_IN_MEMORY", in_memory)
    rng, file = np.random.default_rng(0), ColumnFile()
    parts = {"p": [], "risk": [], "accepted": []}
    for rows in (3, 0, 5, 1):
        for name, part in (
            ("p", rng.random((3, rows)).T),  # not in the order of memory
            ("risk", rng.random(rows)),
            ("accepted", rng.random(rows) < 0.5),
        ):
            parts[name].append(part)
            file.add(name, part)
    for name, expected in parts.items():
        for _ in range(2):
            column = file.column(name)
            assert column.dtype == expected[0].dtype
            assert np.array_equal(column, np.concatenate(expected))
    assert file.column("other") is None


def test_a_disk_without_room_is_said(monkeypatch):
    monkeypatch.setattr(column_file, "_IN_MEMORY", 1)
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    message = "temporary file for the predictions: [Errno 2] No such file or directory: '/proc/none"
    with pytest.raises(SekeError, match=re.escape(message)):
        ColumnFile().add("risk", np.zeros(3))
