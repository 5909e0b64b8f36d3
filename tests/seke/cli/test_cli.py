"""The command `seke infer` as a user meets it: what it prints, where, and with which exit status."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from seke import infer
from seke.cli.main import main

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "faces" / "samples.jsonl"
SAMPLE = {"item": "a", "observer": "gpt-4o", "question": "joint", "draw": 0, "expression": "fear"}
REFUSED = {"item": "b", "observer": "gpt-4o", "question": "joint", "draw": 0, "status": "refused"}


@dataclass(frozen=True)
class CommandOutput:
    returncode: int
    stdout: bytes
    stderr: bytes


def seke(*args: str, stdin: bytes = b"") -> CommandOutput:
    """Run the command in this process, which is faster; an exception other than SystemExit is a fault."""
    result = CliRunner(catch_exceptions=False).invoke(main, args, input=stdin)
    return CommandOutput(result.exit_code, result.stdout_bytes, result.stderr_bytes)


def seke_apart(folder: Path, stdout: int, **settings: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, with warnings as errors."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "from seke.cli.main import main; main()", "infer", "s.jsonl"],
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**environment, "PYTHONPATH": str(ROOT), **settings},
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "s.jsonl", SAMPLE, REFUSED)
    lines(tmp_path / "bad.jsonl", SAMPLE, {**SAMPLE, "draw": 1, "observer": "gpt4o"})
    return tmp_path


def lines(path: Path, *records: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def test_records_go_to_standard_output_and_messages_to_standard_error(folder: Path) -> None:
    result = seke("infer", "s.jsonl")
    assert result.returncode == 0
    assert [json.loads(line)["item"] for line in result.stdout.splitlines()] == ["a", "b"]
    # Nobody was asked about affect, which the policy requires.
    first, second, *_ = result.stderr.splitlines()
    assert first.startswith(b"nothing of valence and arousal is accepted: no observer looked at them")
    assert second.startswith(b"2 samples of 2 items: ")
    assert b"\x1b" not in result.stdout + result.stderr


def test_bad_input_leaves_status_2_one_message_and_the_old_file(folder: Path) -> None:
    (folder / "out.jsonl").write_text("kept", encoding="utf-8")
    before = sorted(path.name for path in folder.iterdir())
    result = seke("infer", "s.jsonl", "bad.jsonl", "-o", "out.jsonl")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"bad.jsonl:2: observer: no such observer: 'gpt4o'; declare it under ")
    assert result.stderr.count(b"\n") == 1
    assert (folder / "out.jsonl").read_text(encoding="utf-8") == "kept"
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.jsonl"], "none.jsonl: no such file\n"),
        (["."], ".: is a directory; name the files in it\n"),
        (
            ["s.jsonl", "--population", "wild"],
            "no population is called 'wild'; allowed are in-the-wild, uniform\n",
        ),
        (
            ["s.jsonl", "-k", "none.yaml"],
            "none.yaml: there is no such file or folder; "
            "the shipped bases are in-the-wild, posed, shipped, spontaneous\n",
        ),
        (
            ["s.jsonl", "-o", "out.json"],
            "out.json: unknown ending; allowed are .jsonl, .jsonl.gz, .csv, .csv.gz, .parquet\n",
        ),
        (["s.jsonl", "-o", "none/out.jsonl"], "none/out.jsonl: no such directory: none\n"),
    ],
)
def test_a_wrong_argument_is_named(folder: Path, args: list[str], message: str) -> None:
    result = seke("infer", *args)
    assert (result.returncode, result.stdout, result.stderr.decode()) == (2, b"", message)


def test_usage_errors_leave_status_2(folder: Path) -> None:
    assert seke("infer").returncode == 2
    result = seke("infre")
    assert result.returncode == 2
    assert b"infer" in result.stderr
    assert seke("--version").stdout.startswith(b"seke")


def test_standard_input_plain_and_gzip_equals_the_file(folder: Path) -> None:
    content = (folder / "s.jsonl").read_bytes()
    plain = seke("infer", "-", stdin=content)
    assert plain.returncode == 0
    zipped = seke("infer", "-", stdin=gzip.compress(content))
    named = seke("infer", "s.jsonl")
    assert plain.stdout == zipped.stdout == named.stdout


def test_every_format_holds_every_item(folder: Path) -> None:
    from pyarrow import parquet

    for name in ("o.jsonl.gz", "o.csv", "o.parquet"):
        result = seke("infer", "s.jsonl", "-o", name)
        assert (result.returncode, result.stdout) == (0, b"")
    with gzip.open(folder / "o.jsonl.gz", "rt", encoding="utf-8") as file:
        assert [json.loads(line)["item"] for line in file] == ["a", "b"]
    with (folder / "o.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == ["a", "b"]
    assert float(rows[0]["expression.fear"]) > 0.5
    assert parquet.read_table(folder / "o.parquet")["item"].to_pylist() == ["a", "b"]


def test_sorted_refuses_an_item_that_comes_back(folder: Path) -> None:
    lines(folder / "mixed.jsonl", SAMPLE, REFUSED, {**SAMPLE, "draw": 1})
    result = seke("infer", "mixed.jsonl", "--sorted", "-o", "out.jsonl")
    assert result.returncode == 2
    assert result.stderr.startswith(b"mixed.jsonl:3: item: 'a' appears again after other items")
    assert not (folder / "out.jsonl").exists()
    gathered = seke("infer", "mixed.jsonl")
    assert [json.loads(line)["item"] for line in gathered.stdout.splitlines()] == ["a", "b"]


def test_a_reader_that_goes_away_leaves_no_traceback(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    result = seke_apart(folder, writing)
    os.close(writing)
    # The status of a process that SIGPIPE ended, as of other programs before `head`.
    assert (result.returncode, result.stderr) == (141, b"")


def test_a_place_that_cannot_be_written_is_a_message(folder: Path) -> None:
    (folder / "dir.jsonl").mkdir()
    result = seke("infer", "s.jsonl", "-o", "dir.jsonl")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr == b"dir.jsonl: is a directory; name a file\n"


def test_a_terminal_gets_a_table_that_fits(folder: Path) -> None:
    """Of any width: tests/seke/console."""
    width = 80
    pty = pytest.importorskip("pty")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    result = seke_apart(folder, theirs, NO_COLOR="1", TERM="xterm")
    os.close(theirs)
    printed = os.read(ours, 100_000).decode()
    os.close(ours)
    assert result.returncode == 0
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|4[0-7])m", printed)
    table = re.sub(r"\x1b\[[0-9;]*m", "", printed)
    assert all(word in table for word in ("item", "expression", "decision", "refused"))
    assert max(len(line) for line in table.splitlines()) <= width
    assert '{"item"' not in table


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Samples of six items of the example."""
    items: dict[str, list[str]] = {}
    for line in EXAMPLE.read_text("utf-8").splitlines(keepends=True):
        items.setdefault(json.loads(line)["item"], []).append(line)
    path = tmp_path_factory.mktemp("few") / "few.jsonl"
    path.write_text("".join(line for lines in list(items.values())[::5] for line in lines), "utf-8")
    assert len(list(items)[::5]) >= 5
    return str(path)


def test_output_depends_on_neither_the_hash_seed_nor_processes(few):
    """Here alone, and in two processes with another seed."""
    ended = subprocess.run(
        [sys.executable, "-c", "from seke.cli.main import main; main()", "infer", few, "--processes", "2"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"},
    )
    assert ended.stdout == seke("infer", few).stdout != b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_in_one_line(folder):
    with Path("/dev/full").open("w") as full:
        ended = seke_apart(folder, full.fileno())
    assert ended.returncode == 2
    assert ended.stderr.decode().splitlines()[-1] == "<stdout>: No space left on device"


def test_samples_are_never_overwritten(tmp_path):
    samples = tmp_path / "samples.jsonl"
    samples.write_bytes(EXAMPLE.read_bytes())
    ended = CliRunner().invoke(main, ["infer", str(samples), "-o", str(samples)])
    assert ended.exit_code == 2
    assert ended.stderr == f"{samples}: is one of the samples; write the records to another file\n"
    assert samples.read_bytes() == EXAMPLE.read_bytes()


def test_nothing_is_accepted_of_an_item_without_a_readable_answer():
    record = next(r for r in infer(EXAMPLE) if r["item"] == "all-refused")
    assert record["decision"]["reasons"] == ["refused"]
    assert {level["decision"] for level in record["decision"]["levels"].values()} == {"reject"}


def test_equal_joint_answers_do_not_pile_up():
    """A model that repeats itself, units and all, has said it once."""
    units = {
        "anger": ["AU4", "AU7", "AU24"],
        "happiness": ["AU6", "AU12", "AU25"],
        "fear": ["AU1", "AU4", "AU20"],
    }
    key = {"observer": "gpt-4o", "question": "joint"}
    records = infer(
        [
            {"item": f"{label} {n}", **key, "draw": draw, "expression": label, "action_units": names}
            for label, names in units.items()
            for n in (1, 4, 50)
            for draw in range(n)
        ]
    )
    p = {label: [] for label in units}
    for record in records:
        label = record["item"].split()[0]
        p[label].append(record["expression"][label])
    for label, repeated in p.items():
        assert len(repeated) == 3
        assert max(repeated) - min(repeated) < 0.03, label


def test_a_device_serves_one_process() -> None:
    result = seke("infer", str(EXAMPLE), "--device", "cpu:0", "--processes", "2")
    assert result.returncode == 2
    assert "a device serves one process: leave out --processes or --device" in result.stderr.decode()


@pytest.mark.parametrize(
    ("device", "reason"),
    [("foo", "Expected one of cpu, cuda"), ("cuda:99", "")],
)
def test_a_device_that_is_not_there_is_refused(device: str, reason: str) -> None:
    result = seke("infer", str(EXAMPLE), "--device", device)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.decode().startswith(f"torch cannot compute on device '{device}' here ({reason}")
    assert result.stderr.count(b"\n") == 1
