"""What is written in place of a file or folder is whole or not there."""

from __future__ import annotations

import pytest

from seke.files.atomic import replacing, write_file


def write_half(target, inner=""):
    with replacing(target) as place:
        if inner:
            place.mkdir()
        (place / inner).write_text("half")
        raise ZeroDivisionError


def test_a_file_is_replaced_at_the_end_or_stays_as_it_was(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half(target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"
    with replacing(target) as place:
        place.write_text("new")
        assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "new"


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    target = tmp_path / "data"
    with pytest.raises(ZeroDivisionError):
        write_half(target, "x")
    assert not list(tmp_path.iterdir())
    with replacing(target) as place:
        place.mkdir()
        (place / "x").write_text("whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "x"]


def test_a_link_stays_a_link_and_an_error_names_the_output(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_file(b"new", tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    for wrong in (tmp_path / "none" / "a.txt", tmp_path):
        with pytest.raises(OSError, match=f"'{wrong}'"), replacing(wrong) as place:
            place.write_bytes(b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.txt", "real.txt"]
