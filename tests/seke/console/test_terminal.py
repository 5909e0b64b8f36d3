"""What a terminal would obey is shown as text, in every command."""

from __future__ import annotations

import io
import json
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seke.cli.errors import exit_on_errors
from seke.cli.main import main
from seke.cli.output import print_file, print_message, print_text
from seke.console.printable_console import PrintableConsole
from seke.console.rich_table import text_table
from seke.console.terminal import UNSAFE, PrintableOutput, drop_output, printable

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202egnp\u2066\x85"
SHOWN = r"a\u001b[31mred\u001b]0;title\u0007\u009b2J\u202egnp\u2066\u0085"


@given(st.text())
def test_nothing_that_is_obeyed_is_left_and_all_else_stays(text):
    shown = printable(text)
    assert not UNSAFE.search(shown)
    assert printable(shown) == shown
    assert printable("\t Grüße 顔 \u3000\N{SOFT HYPHEN}\n") == "\t Grüße 顔 \u3000\N{SOFT HYPHEN}\n"


@given(st.text())
def test_json_stays_the_same_text(text):
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


def test_a_console_shows_colours_of_its_own_alone(monkeypatch):
    sink = io.StringIO()
    monkeypatch.setattr(sys, "stdout", PrintableOutput(sink))
    console = PrintableConsole()
    monkeypatch.setattr(console, "_force_terminal", True)
    monkeypatch.setattr(console, "width", 200)
    console.print(text_table(["item"], [[HOSTILE]]))
    console.print(HOSTILE, markup=False)
    # A bell is left out by rich itself.
    assert (sink.getvalue().count(SHOWN), sink.getvalue().count(SHOWN.replace(r"\u0007", ""))) == (1, 1)
    assert "\u202e" not in sink.getvalue()


def test_a_file_that_is_printed_stays_the_file(monkeypatch, capsys):
    with exit_on_errors():
        print_file("note: \u200f\n")
        print("\u200f")
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding
    assert capsys.readouterr().out == "note: \u200f\n\\u200f\n"


class Terminal(io.StringIO):
    """A terminal of as many columns as COLUMNS says."""

    def isatty(self):
        return True


def test_texts_fit_a_terminal_and_commands_stay_whole(monkeypatch):
    command = "    seke annotate faces --run run --recorded answers.jsonl --observer gpt-4o"
    text = f"  82% of the texts began as earlier ones; 0.0000 USD\nTry next:\n{command}"
    wrapped = f"  82% of the texts began as\n  earlier ones; 0.0000 USD\nTry next:\n{command}\n"
    monkeypatch.setenv("COLUMNS", "30")
    for name, show in (("stdout", print_text), ("stderr", print_message)):
        for stream, shown in ((Terminal(), wrapped), (io.StringIO(), f"{text}\n")):
            monkeypatch.setattr(sys, name, stream)
            show(text)
            assert stream.getvalue() == shown


def run(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    for stream in (result.stdout, result.stderr):
        assert not UNSAFE.search(stream), stream
    return result


SAMPLE = {"observer": "gpt-4o", "question": "expression", "draw": 0, "expression": "fear"}


@pytest.fixture
def samples(tmp_path):
    (tmp_path / "s.jsonl").write_text(json.dumps({"item": HOSTILE, **SAMPLE}), "utf-8")
    return tmp_path / "s.jsonl"


def test_items_are_shown_as_text_by_every_command_that_shows_them(samples, tmp_path):
    streamed = run("infer", samples, "--json")
    assert json.loads(streamed.stdout)["item"] == HOSTILE
    assert SHOWN in run("explain", samples, HOSTILE, "--text").stdout.replace("\n", "")
    assert SHOWN in run("explain", samples, "another", "--text").stderr
    bad = {"item": HOSTILE, **SAMPLE, "expression": HOSTILE}
    samples.write_text(json.dumps(bad), "utf-8")
    assert r"\u001b[31m" in run("infer", samples).stderr or r"\x1b[31m" in run("infer", samples).stderr


def test_names_of_pictures_and_words_of_bases_are_shown_as_text(tmp_path):
    name = HOSTILE
    (tmp_path / "faces").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "faces" / f"{name}.png")
    run("annotate", tmp_path / "faces", "--run", tmp_path / "r", "--scripted")
    run("annotate", "--status", tmp_path / "r")
    run("export", tmp_path / "r", "-o", tmp_path / name)
    (tmp_path / "k.yaml").write_text("extends: shipped\nname: \u202egnp\nquestions: {\u202ex: 3}\n", "utf-8")
    run("knowledge", "check", tmp_path / "k.yaml")
    run("knowledge", "check", tmp_path / "k.yaml", "--json")


def test_no_output_is_no_fault(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with exit_on_errors():
        drop_output()
