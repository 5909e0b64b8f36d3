"""The command line with all its commands. Slow imports are made where they are used."""

from __future__ import annotations

import atexit
import gc
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from seke._version import __version__
from seke.cli.completion import complete_files
from seke.cli.study_options import StudyGroup, say_what_is_used

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# Products here are small: a second thread of numpy's library takes a third more of the CPU and saves no time.
# It is read when numpy is imported, by no command before now.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# What is there at the end goes with the process: to look through it for garbage would take a fifth of the CPU
# of a short run of `seke annotate`.
atexit.register(gc.freeze)


# Where each command is, and its line in --help: so nothing is imported but the command that is called.
COMMANDS = {
    "demo": ("seke.cli.demo:demo", "Write samples, faces and a notebook to try things out."),
    "init": ("seke.cli.demo:init", "Make a folder for a study, with a file of its options."),
    "annotate": ("seke.cli.annotate:annotate", "Ask a vision model about pictures, as the policy asks."),
    "knowledge": ("seke.cli.knowledge:knowledge", "Check, show, compare and write knowledge bases."),
    "calibrate": ("seke.cli.calibrate:calibrate", "Learn from gold how reliable the observers are."),
    "independence": (
        "seke.cli.independence:independence",
        "Measure on items with gold how far observers err together.",
    ),
    "bench": ("seke.cli.bench:bench", "Score predictions, run the benchmark, compare prompts."),
    "import": ("seke.cli.import_:import_", "Make a manifest of a data set's labels and pictures."),
    "dupes": ("seke.cli.dupes:dupes", "List pictures that are copies or look alike."),
    "convert": ("seke.cli.convert:convert", "Make samples of other tools' tables."),
    "plan": ("seke.cli.plan:plan", "Simulate what a policy would ask, cost and get wrong."),
    "export": ("seke.cli.export:export", "Make training data of what a run accepted."),
    "forget": ("seke.cli.forget:forget", "Take items or a person out of a run and its exports."),
    "plot": ("seke.cli.explain:plot", "Draw an item, scores, a base or a fit into a file."),
    "explain": ("seke.cli.explain:explain", "Tell one item's story: why this label, and how it came."),
    "report": ("seke.cli.report:report", "Write one page about a run, to view offline."),
    "runs": ("seke.cli.runs:runs", "Join the runs of shards; show how far runs are."),
    "review": ("seke.cli.review:review", "Ask people about what a run could not settle."),
    "infer": ("seke.cli.infer:infer", "Infer posteriors and decisions from SAMPLES."),
    "observe": ("seke.cli.observe:observe", "Let networks on this machine look at pictures."),
    "simulate": (
        "seke.cli.simulate:simulate",
        "Simulate items, their truth, and the answers of observers.",
    ),
}


class CommandTable(StudyGroup):
    """The commands of COMMANDS, each imported when it is called or looked at."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._imported: dict[str, click.Command] = {}
        super().__init__(*args, **options)

    @property
    def commands(self) -> MutableMapping[str, click.Command]:
        """All commands by name, all of them imported."""
        return {name: self._command(name) for name in COMMANDS}

    @commands.setter
    def commands(self, given: MutableMapping[str, click.Command]) -> None:
        """Take the empty mapping that every group begins with."""
        self._imported.update(given)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None where there is none of this name."""
        return self._command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the line of every command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def _command(self, name: str) -> click.Command:
        if name not in self._imported:
            module, _, attribute = COMMANDS[name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            complete_files(command)
            say_what_is_used(command, (name,))
            self._imported[name] = command
        return self._imported[name]


@click.group(
    cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="seke")
def main() -> None:
    """Turn answers of vision models about faces into posteriors and decisions.

    Emotion knowledge in YAML is compiled into a Bayesian network. Samples are its noisy observations. The
    posteriors decide what is accepted, rejected or asked again.

    Options need not be typed again if they stand in a file seke.toml in the working directory or above it
    (seke init makes one). What is typed comes first, then environment variables, then the nearest seke.toml,
    then the defaults.

    \b
    Examples:
      seke demo
      seke infer seke-demo/samples.jsonl
    """
