"""Runs that are stopped, lose their log or run out of room: what was kept is not bought twice."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from PIL import Image
from small_study import pictures
from test_annotate import asked, checked, made, on_disk, rows, run, served, started

from seke.runs.disk_reserve import RESERVED_BYTES, DiskReserve
from seke.runs.run_folder import status_of

PICTURES = 400


@pytest.fixture
def server(tmp_path):
    with served(tmp_path) as url_and_seen:
        yield url_and_seen


def until_seen(seen, process, count):
    while len(seen.read_text().splitlines()) < count and process.poll() is None:
        time.sleep(0.02)


def finished(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_a_process_that_sleeps_goes_on_where_it_was(tmp_path, server):
    """As when a laptop is closed: what the server answered meanwhile is read afterwards."""
    url, seen = server
    process = started(pictures(tmp_path / "faces", PICTURES), tmp_path / "r", url)
    for count in (10, 60, 120):
        until_seen(seen, process, count)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
    assert finished(process)["finished"]
    checked(tmp_path / "r", seen, 0, 8)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [("-wal",), ("-wal", "-shm"), ("-shm",)])
def test_a_run_whose_log_is_lost_asks_for_what_was_in_it_and_ends(tmp_path, server, lost):
    """Answers of a lost log are gone, and they alone are bought again."""
    url, seen = server
    folder = pictures(tmp_path / "faces", PICTURES)
    process = started(folder, tmp_path / "r", url)
    until_seen(seen, process, 100)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for ending in lost:
        (tmp_path / "r" / f"ledger.sqlite{ending}").unlink(missing_ok=True)
    result = run(folder, *asked(tmp_path / "r", url))
    assert json.loads(result.stdout)["finished"]
    assert len(rows(tmp_path / "r" / "posteriors.jsonl")) == PICTURES
    keys = "item, observer, question, about, view, draw"
    twice = f"SELECT {keys} FROM choices GROUP BY {keys} HAVING count(*) > 1"
    assert on_disk(tmp_path / "r", twice) == []
    if "-wal" not in lost:
        checked(tmp_path / "r", seen, 1, 8)


def test_a_clock_that_goes_back_changes_no_answer(tmp_path, monkeypatch):
    folder = pictures(tmp_path / "faces", 6)
    made(folder, tmp_path / "r").run()
    ticks = itertools.count()
    now = time.time()
    monkeypatch.setattr("seke.runs.ledger.time.time", lambda: now - 3_600.0 * next(ticks))
    summary = made(folder, tmp_path / "s").run()
    assert summary.finished
    for name in ("posteriors.jsonl", "samples.jsonl"):
        assert (tmp_path / "r" / name).read_bytes() == (tmp_path / "s" / name).read_bytes()
    assert status_of(tmp_path / "s")[1] == 6


@contextmanager
def small_disk(folder, size):
    """A file system of so many bytes in a folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs a file system of its own, which only root can make")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_on_a_full_disk_what_was_answered_is_kept_and_what_to_do_is_told(tmp_path, server):
    url, seen = server
    folder = pictures(tmp_path / "faces", PICTURES)
    with small_disk(tmp_path / "disk", RESERVED_BYTES + (700 << 10)) as disk:
        process = started(folder, disk / "r", url)
        out, err = process.communicate(timeout=120)
        assert process.returncode in (1, 2), err
        assert "the disk is full. Stored answers are safe" in err + out
        assert "Make room and start again" in err + out
        assert "Traceback" not in err
        # Nothing that the server answered is bought again.
        states = dict(on_disk(disk / "r", "SELECT state, count(*) FROM requests GROUP BY state"))
        assert states.keys() <= {"answered", "failed"}
        assert states["answered"] == len(seen.read_text().splitlines())
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert json.loads(run(folder, *asked(disk / "r", url)).stdout)["finished"]
        checked(disk / "r", seen, 0, 8)
        assert not (disk / "r" / "ledger.reserve").exists()


def test_room_is_taken_once_and_given_up_once(tmp_path):
    reserve = DiskReserve(tmp_path / "reserve")
    assert not reserve.give_up()
    reserve = DiskReserve(tmp_path / "reserve")
    for _ in range(2):
        reserve.take()
        assert reserve.path.stat().st_blocks * 512 >= RESERVED_BYTES
    assert reserve.give_up()
    assert not reserve.path.exists()
    assert not reserve.give_up()
    reserve.take()
    assert not reserve.path.exists()


def test_names_with_signs_of_any_kind_stay_apart(tmp_path):

    (tmp_path / "faces").mkdir()
    for name in ("a", "a ", "A", "ä", "=a", "a'b", 'a"b', "a\nb", "😀"):
        Image.new("RGB", (32, 32)).save(tmp_path / "faces" / f"{name}.png")
    made(tmp_path / "faces", tmp_path / "r").run()
    assert len({row["item"] for row in rows(tmp_path / "r" / "posteriors.jsonl")}) == 9
