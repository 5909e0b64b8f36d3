"""What holds for every command: options, help, progress, and the end on faults."""

from __future__ import annotations

import ast
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from seke.cli.errors import exit_on_errors
from seke.cli.main import COMMANDS as COMMAND_TABLE
from seke.cli.main import main
from seke.cli.model_options import account_line
from seke.cli.progress import RunProgress, reported
from seke.console.terminal import printable_output
from seke.files.networks import network_of
from seke.files.shipped import knowledge
from seke.progress import Task, duration, listening, still, task
from seke.runs.ledger import Totals

ROOT = Path(__file__).parents[3]

# Options that mean something else from command to command.
DIFFERENT = {
    "--budget",  # answers of an item, or minutes of people
    "--draws",  # answers of a reading, or draws of NUTS
    "--format",  # of pictures, or of exported data
    "--labels",  # a table, or names of classes
    "--gold",  # a label table, or counts of made-up items
    "--model",  # whom to ask, or who answered
    "--network",  # where no model is asked it has the name --model, too
    "--observer",  # one or several
    "--pictures",  # where they are written, or read
    "--question",  # one or several
    "--sources",  # a column, or a table of licences
    "--threshold",  # of intensities from 0 to 5, or of any
}


def commands(group: click.Group = main, name: str = "seke") -> dict[str, click.Command]:
    """All commands, by the words that call them."""
    named: dict[str, click.Command] = {}
    for word, command in group.commands.items():
        named[f"{name} {word}"] = command
        if isinstance(command, click.Group):
            named.update(commands(command, f"{name} {word}"))
    return named


COMMANDS = commands()


def forms() -> dict[str, dict[str, list[str]]]:
    """Option -> its form (all names, type, one value or several) -> the commands that have it so."""
    seen: dict[str, dict[str, list[str]]] = {}
    for name, command in COMMANDS.items():
        for option in command.params:
            if isinstance(option, click.Option):
                form = (sorted(option.opts), option.type.to_info_dict(), option.multiple, option.is_flag)
                seen.setdefault(max(option.opts, key=len), {}).setdefault(str(form), []).append(name)
    return seen


def test_an_option_has_one_form_in_all_commands() -> None:
    assert {option for option, commands_by_form in forms().items() if len(commands_by_form) > 1} == DIFFERENT


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help(name: str) -> None:
    for option in COMMANDS[name].params:
        assert not isinstance(option, click.Option) or option.help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_of_its_command(name: str) -> None:
    text = COMMANDS[name].help or ""
    examples = re.findall(r"^ +(.*seke .*)$", text.partition("Example")[2], re.MULTILINE)
    assert any(name in example for example in examples)


@pytest.mark.parametrize(
    "name", ["", *(name for name in COMMANDS if isinstance(COMMANDS[name], click.Group))]
)
def test_the_help_of_a_group_cuts_no_summary(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(main, [*name.split()[1:], "--help"])
    summaries = result.stdout.partition("\nCommands:\n")[2]
    assert summaries
    assert "..." not in summaries
    # Each on one line: what goes on is indented further than names are.
    assert not [line for line in summaries.splitlines() if line.startswith("   ")]


def completions(*words: str) -> set[tuple[str, str]]:
    """What the last of these words can be, as a shell asks for it: how it is completed, and the word."""
    complete = BashComplete(main, {}, "seke", "_SEKE_COMPLETE")
    return {(item.type, item.value) for item in complete.get_completions(list(words[:-1]), words[-1])}


def test_a_shell_completes_commands_options_values_bases_and_files() -> None:
    assert completions("know") == {("plain", "knowledge")}
    assert completions("knowledge", "sh") == {("plain", "show")}
    assert completions("annotate", "--declared") == {("plain", "--declared-prices")}
    assert completions("annotate", "--detail", "l") == {("plain", "low")}
    assert completions("infer", "-k", "po") == {("plain", "posed"), ("file", "po")}
    assert completions("infer", "sam") == {("file", "sam")}
    assert completions("knowledge", "check", "in-") == {("plain", "in-the-wild"), ("file", "in-")}
    assert completions("convert", "openface", "t") == {("file", "t")}


def test_the_package_is_a_program() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "seke", "infer", "-h"], capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("Usage: python -m seke infer [OPTIONS] SAMPLES...\n")


def test_every_command_ends_on_faults_in_the_same_way() -> None:
    """No command catches faults, or leaves with status 2, by itself."""
    for path in (ROOT / "seke" / "cli").glob("*.py"):
        if path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit":
                assert ast.unparse(node.args[0]) != "2", path.name
        assert "BrokenPipeError" not in path.read_text()


def test_bad_input_ends_alike(tmp_path: Path) -> None:
    """As a program and in this process, whichever command it is."""
    samples = tmp_path / "none.jsonl"
    ended = subprocess.run(
        [sys.executable, "-c", "from seke.cli.main import main; main()", "infer", str(samples)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"{samples}: no such file\n")
    other = CliRunner().invoke(main, ["independence", str(samples), "--gold", str(samples)])
    assert (other.exit_code, other.stdout, other.stderr) == (2, "", ended.stderr)


def test_a_word_that_is_not_among_the_choices_gets_the_nearest() -> None:
    result = CliRunner().invoke(main, ["export", "run", "-o", "set", "--task", "reasond"])
    assert result.exit_code == 2
    assert "'reasond' is not one of these; did you mean reasoned?" in result.stderr


def test_a_command_that_is_terminated_leaves_by_an_exception() -> None:
    """So that temporary files are removed."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, exit_on_errors():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


class Terminal(io.StringIO):
    """A standard error that is a terminal, or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("kind", ["terminal", "dumb", "file"])
def test_what_takes_long_is_shown_on_the_standard_error(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a bar on a terminal, as lines elsewhere; the standard output stays as it is."""
    stream = Terminal(terminal=kind != "file")
    monkeypatch.delenv("SEKE_PROGRESS")
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "dumb" if kind == "dumb" else "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    threads = threading.active_count()
    with reported("seke plan", patience=0.0, longest_silence=0.0):
        wait_for("seke plan: 0 s", stream)
        with task("counting", total=4) as counting:
            counting.advance(3)
            wait_for("counting: 75%, ", stream)
            counting.show("chain [1]", 3, 0)
            wait_for("chain [1]: 3, ", stream)
            with still():
                assert threading.active_count() == threads
            print("result")
        run = RunProgress()
        with run.over(8):
            run.add(2, 5, 0.0)
            run.add(1, 1, 0.25)
            wait_for("asking: 3 of 8 settled, 6 answers, at most 0.25 USD, ", stream)
    assert threading.active_count() == threads
    assert ("\x1b[?25l" in stream.getvalue()) == (kind == "terminal")
    assert capsys.readouterr().out == "result\n"


def wait_for(text: str, stream: Terminal) -> None:
    """Wait until a text is there; a bar and lines come by a clock."""
    for _ in range(400):
        if text in stream.getvalue():
            return
        time.sleep(0.01)
    pytest.fail(f"{text!r} not in {stream.getvalue()!r}")


def test_only_what_asks_for_it_is_shown_in_the_first_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("SEKE_PROGRESS")
    for terminal in (True, False):
        stream = Terminal(terminal=terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        with reported("seke infer"), task("inferring"):
            time.sleep(0.3)
            assert stream.getvalue() == ""
            with task("compiling a base", soon=True):
                wait_for("compiling a base ...\n", stream)
                if terminal:
                    wait_for("compiling a base: 1 s", stream)
                    # Nobody knows how far that is.
                    assert "━" not in stream.getvalue()
        assert stream.getvalue().startswith("compiling a base ...\n")
        assert ("compiling a base: " in stream.getvalue()) == terminal
        assert "inferring" not in stream.getvalue()


def test_a_bar_makes_room_for_results_on_the_same_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("SEKE_PROGRESS")
    # A command within another shows nothing beside it.
    outer, inner = reported("seke demo", patience=0.0), reported("seke demo", patience=0.0)
    with outer, inner, printable_output(), task("counting"):
        wait_for("counting", stream)
        print("result")
        shown = stream.getvalue()
        time.sleep(0.5)
        assert stream.getvalue() == shown
    assert shown.endswith("result\n")


def test_what_may_be_next_is_a_command_that_works_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After what wrote a file or a run; each on a line of its own that is not broken."""
    monkeypatch.chdir(tmp_path)
    folder = "a folder whose name is so long that no terminal has room for the command on a line of its own"
    Path(folder).mkdir()
    base = str(ROOT / "tests" / "few_plants.yaml")
    next_words = ["simulate", "--items", "2", "-k", base, "-o", f"{folder}/samples.jsonl"]
    said = []
    while next_words:
        stream = Terminal(terminal=True)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", stream)
            main.main(next_words, standalone_mode=False)
        *_, said_before, command = stream.getvalue().splitlines() if stream.getvalue() else ["", ""]
        next_words = shlex.split(command)[1:] if said_before.endswith("try next:") else []
        if next_words[:1] == ["infer"]:
            next_words += ["-o", f"{folder}/posteriors.jsonl"]
        said.append(next_words[:1])
    assert said == [["infer"], ["explain"], []]
    assert "item-000000: the disease is " in capsys.readouterr().out


class Recorder:
    """A listener that keeps the texts of all tasks."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def begin(self, task: Task) -> None:
        self.texts.append(task.text)

    def end(self, task: Task) -> None:
        pass

    def still(self) -> AbstractContextManager[None]:
        return nullcontext()

    def printed(self, *, result: bool) -> None:
        pass


def test_a_base_that_is_compiled_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless its network is at hand, as it is the second time, and as that of the shipped base is."""
    monkeypatch.setenv("SEKE_CACHE", str(tmp_path / "cache"))
    plants, recorder = knowledge(ROOT / "examples" / "plants" / "knowledge"), Recorder()
    with listening(recorder):
        network_of(knowledge())
        assert recorder.texts == []
        for _ in range(2):
            network_of(plants)
    assert recorder.texts == [f"compiling {plants.name} (up to a minute)"]


def test_times_are_in_words() -> None:
    words = [duration(seconds) for seconds in (0, 59.4, 59.6, 125, 7320)]
    assert words == ["0 s", "59 s", "1:00 min", "2:05 min", "2:02 h"]


def test_the_time_left_is_that_of_the_steps_that_are_over_of_this_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("seke.progress.monotonic", lambda: now)
    fitting = Task("fitting", began=0.0)
    now = 100.0
    fitting.show("curvature", 0, 4)
    assert fitting.state(110.0) == "0%, 1:50 min"
    now = 120.0
    fitting.show("curvature", 2, 4)
    # Ten seconds a step; they go on while the third one is under way, and are not told when it takes longer.
    assert fitting.state(121.0) == "50%, 2:01 min, about 19 s left"
    assert fitting.state(135.0) == "50%, 2:15 min, about 5 s left"
    assert fitting.state(141.0) == "50%, 2:21 min"
    now = 150.0
    fitting.show("curvature", 3, 4)
    assert fitting.state(150.0) == "75%, 2:30 min, about 17 s left"
    fitting.show("thresholds", 0, 0)
    assert fitting.state(160.0) == "2:40 min"


def test_twenty_problems_of_a_run_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    progress = RunProgress()
    for number in range(30):
        progress.problem(f"problem {number}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == ["problem 19", "... and more of this kind; the ledger has all"]
    assert len(lines) == 21


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({"spent": 0.5}, "; 0.5000 USD"),
        ({"perhaps": 0.25}, "; 0.0000 USD, perhaps 0.2500 more"),
        ({"spent": 0.5, "unpriced": 2}, "; 0.5000 USD, 2 requests unpriced"),
        ({"unpriced": 4}, "; no prices known"),
        # Prices of nothing are prices.
        ({}, "; 0.0000 USD"),
        ({"answers": 0, "failed": 4}, ""),
        ({"refused": 4}, ""),
    ],
)
def test_a_cost_is_told_where_one_is_known(changes: dict[str, float], cost: str) -> None:
    names = [field.name for field in fields(Totals)]
    totals = Totals(**{**dict.fromkeys(names, 0), "requests": 4, "answers": 4, **changes})
    assert account_line(totals).partition(" + 0 tokens")[2] == cost


def test_help_imports_no_command_and_has_the_line_of_each():
    """Names and lines of all commands are at hand before any of them is; that keeps `seke --help` instant."""
    for name, (_, line) in COMMAND_TABLE.items():
        assert main.commands[name].get_short_help_str(limit=100) == line, name
        assert main.commands[name].name == name
    code = "import sys; from seke.cli.main import main; main(['--help'], standalone_mode=False); "
    code += "print(*(m for m in sys.modules if m in ('numpy', 'torch') or m[:5] == 'seke.'))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "\n  infer " in shown
    imported = set(shown.splitlines()[-1].split())
    assert not {"numpy", "torch"} & imported
    assert not imported & {place.partition(":")[0] for place, _ in COMMAND_TABLE.values()}
