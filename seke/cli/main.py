"""The command line: parses, calls, prints. Everything heavy is imported where it is used."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from seke._version import __version__
from seke.cli.annotate import annotate
from seke.cli.bench import bench
from seke.cli.calibrate import calibrate
from seke.cli.explain import explain, plot
from seke.cli.export import export
from seke.cli.import_ import import_
from seke.cli.independence import independence
from seke.cli.knowledge import knowledge
from seke.cli.plan import plan
from seke.cli.report import report
from seke.console.terminal import drop_output, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.console.infer_summary import InferSummary
    from seke.inference.session import Session

# Bytes of samples from which on progress is shown.
LONG_INPUT = 2_000_000


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="seke")
def main() -> None:
    """Facial-emotion samples of vision models -> posteriors and decisions.

    Emotion knowledge in YAML is compiled into a Bayesian network, samples are noisy
    observations, and posteriors decide what is accepted, rejected or asked again.

    \b
    Example:
      seke infer examples/faces/samples.jsonl
    """


main.add_command(annotate)
main.add_command(knowledge)
main.add_command(calibrate)
main.add_command(independence)
main.add_command(bench)
main.add_command(import_)
main.add_command(plan)
main.add_command(export)
main.add_command(plot)
main.add_command(explain)
main.add_command(report)


@main.command()
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@click.option(
    "-k",
    "--knowledge",
    metavar="PATH",
    help="A base or overlay: a folder or a YAML file.  [default: the shipped base]",
)
@click.option("--population", metavar="NAME", help="Which prior to use.  [default: the base's reference]")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the records to FILE: .jsonl, .csv (both also .gz) or .parquet.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines even on a terminal.")
@click.option(
    "--sorted", "in_order", is_flag=True, help="The samples of each item stand together: stream them."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the look-ahead's imagined answers.",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where the network is computed: cpu, or a device of torch such as cuda.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of the CPU; more than one pays for thousands of items.",
)
@click.option(
    "--labels-final",
    is_flag=True,
    help="Keep the labels of a data set whatever is seen; where that disagrees, it is said.",
)
@click.option(
    "--explain",
    "explained",
    metavar="ITEM",
    help="Explain one item instead: why this label, and what would change it. With --json as facts.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say what the compiled base costs: width and speed.")
def infer(
    samples: tuple[str, ...], output: Path | None, explained: str | None, verbose: bool, **given: Any
) -> None:
    """Infer posteriors and decisions from SAMPLES.

    SAMPLES are files of one answer a line: JSON Lines, or CSV (.csv, .csv.gz), plain or gzip; `-` is
    JSON Lines on standard input. On a terminal a table is printed, else one JSON record an item.

    \b
    Examples:
      seke infer examples/faces/samples.jsonl
      seke infer run1.jsonl run2.csv.gz -k my_overlay.yaml -o posteriors.parquet
      zcat samples.jsonl.gz | seke infer - --sorted > posteriors.jsonl
      seke infer examples/faces/samples.jsonl --explain fear-or-surprise

    Where the base holds certificates (of `seke calibrate`), they say what is accepted, and the last lines
    what is guaranteed. Where what they were made with has changed they are refused, with the reason.

    Exit status: 0 done, 1 a guarantee is refused, 2 bad input.
    """
    from engine import SekeError

    with _exit_on_faults():
        options = _Options(**given)
        if explained is None:
            _infer(samples, options, output, verbose)
        elif output is None:
            _explain(samples, options, explained)
        else:
            raise SekeError("--explain prints on the standard output; leave out -o")


@contextmanager
def _exit_on_faults() -> Iterator[None]:
    """End with one line and status 2 on bad input and where a place cannot be written."""
    from engine import SekeError

    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except SekeError as error:
        _fail(str(error))
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except OSError as error:
        drop_output()
        _fail(f"{error.filename or '<stdout>'}: {error.strerror}")


@main.command()
@click.option(
    "-k",
    "--knowledge",
    metavar="PATH",
    help="A base or overlay: a folder or a YAML file.  [default: the shipped base]",
)
@click.option("--items", type=click.IntRange(min=1), default=100, show_default=True, help="How many.")
@click.option(
    "--draws", type=click.IntRange(min=1), default=5, show_default=True, help="Answers of each reading."
)
@click.option(
    "--observer",
    "observers",
    multiple=True,
    metavar="NAME",
    help="Who answers; may be given again.  [default: whom the policy asks]",
)
@click.option(
    "--question",
    "questions",
    multiple=True,
    metavar="NAME",
    help="What is asked; may be given again.  [default: all about more than one variable at a time]",
)
@click.option(
    "--view",
    "views",
    multiple=True,
    metavar="NAME",
    help="Each is another reading; may be given again.  [default: face]",
)
@click.option("--population", metavar="NAME", help="The prior of the truth.  [default: the base's reference]")
@click.option("--independent", is_flag=True, help="Misfit: draws neither repeat nor carry anything over.")
@click.option(
    "--halo",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Misfit: answers follow their label with this probability.",
)
@click.option(
    "--drift",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="P",
    help="Misfit: by the last item this share of answers is anything.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all chance.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the samples to FILE: .jsonl or .jsonl.gz.",
)
@click.option(
    "--truth",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the truth to FILE, a label table: .csv, .jsonl (both also .gz), .parquet.",
)
def simulate(output: Path | None, truth: Path | None, **given: Any) -> None:
    """Make up items, their truth, and what observers answer about them.

    Truth is drawn from the compiled base, answers from its observers as they are declared, so that a
    policy or a fit can be tried before a cent is spent. To see what happens where the declared
    reliabilities are wrong, let the observers misfit; for a wrong prior, infer with another --population.
    The samples are printed as JSON Lines, or written with -o.

    \b
    Examples:
      seke simulate --items 500 --question joint -o samples.jsonl --truth truth.csv
      seke simulate --items 500 --halo 0.6 -o samples.jsonl && seke infer samples.jsonl

    Exit status: 0 done, 2 bad input.
    """
    with _exit_on_faults():
        _simulate(output, truth, given)


def _simulate(output: Path | None, truth: Path | None, given: dict[str, Any]) -> None:
    from engine import Misfit, SekeError
    from seke.sampling.simulate import simulate as made_up
    from seke.tables.record_writer import Writer

    if output is not None and not output.name.endswith((".jsonl", ".jsonl.gz")):
        raise SekeError(f"{output}: samples are written as .jsonl or .jsonl.gz")
    if output is not None and truth is not None and output.resolve() == truth.resolve():
        raise SekeError(f"{output}: is named for both samples and truth; name two files")
    misfit = Misfit(*(given.pop(name) for name in ("independent", "halo", "drift")))
    given["views"] = given["views"] or ("face",)
    items = samples = 0
    with Writer(output) as writer, Writer(truth) if truth else _NullWriter() as labels:
        for part in made_up(given.pop("knowledge"), given.pop("items"), misfit=misfit, **given):
            writer.write(part.samples)
            labels.write(part.truth)
            items, samples = items + len(part.truth), samples + len(part.samples)
    print(f"{samples:,} samples of {items:,} items", file=sys.stderr)


@dataclass(frozen=True)
class _Options:
    """The options that inference and explanation share."""

    knowledge: str | None
    population: str | None
    as_json: bool
    in_order: bool
    seed: int
    device: str
    threads: int
    labels_final: bool

    def session(self) -> Session:
        """Compile the base and make it ready."""
        from seke.files.shipped import knowledge
        from seke.inference.session import Session

        base = knowledge(self.knowledge)
        if self.labels_final:
            base = replace(base, policy=replace(base.policy, labels_final=True))
        return Session.open(base, self.population, self.seed, device=self.device, threads=self.threads)


def _explain(samples: tuple[str, ...], options: _Options, item: str) -> None:
    import json

    from seke.explanations.facts import explain_in_session

    session = _with_thresholds(options.session(), samples, options)
    explanation = explain_in_session(session, samples, item, in_order=options.in_order, seed=options.seed)
    print(json.dumps(explanation.facts, ensure_ascii=False) if options.as_json else str(explanation).rstrip())
    _say_refused(session)
    promised = explanation.facts["decision"]["guarantee"]
    if promised and not promised["holds"]:
        print(f"the guarantee is refused: {promised['why']}", file=sys.stderr)
    if session.refused or (promised and not promised["holds"]):
        sys.exit(1)


def _infer(samples: tuple[str, ...], options: _Options, output: Path | None, verbose: bool) -> None:
    from engine import SekeError, cost_of
    from seke.console.infer_summary import InferSummary
    from seke.samples import read_batches
    from seke.sampling.replay import mark_off_policy
    from seke.tables.record_writer import Writer

    if output is not None and any(Path(s).is_file() and _same_file(Path(s), output) for s in samples):
        raise SekeError(f"{output}: is one of the samples; write the records to another file")
    if output is None and sys.stdout is None:
        raise SekeError("<stdout>: is closed; write the records to a file with -o")
    table = output is None and not options.as_json and sys.stdout.isatty()
    with Writer(output) if not table else _NullWriter() as writer:
        session = _with_thresholds(mark_off_policy(options.session(), samples), samples, options)
        base = session.knowledge
        _warn(session)
        if verbose:
            print(f"compiled {base.name}: {cost_of(session.network)}", file=sys.stderr)
        summary = InferSummary(base)
        with _InferProgress(samples) as progress:
            for answers in read_batches(
                samples, base, in_order=options.in_order, progress=progress.note_read
            ):
                records = session.records(answers)
                summary.add(records)
                summary.add_looks(session.inference, answers)
                writer.write(records)
                progress.note_inferred(summary.items.total())
    _conclude(session, summary, table)
    if session.refused or summary.outside:
        sys.exit(1)


def _with_thresholds(session: Session, samples: tuple[str, ...], options: _Options) -> Session:
    """Return the session with thresholds found on these files, where limits of a mean have none."""
    from seke.samples import read_batches
    from seke.sampling.infer import read_once

    if options.in_order or read_once(samples) or not session.has_mean_limits:
        return session
    with _InferProgress(samples) as progress:
        return session.with_thresholds(read_batches(samples, session.knowledge, progress=progress.note_read))


def _same_file(first: Path, second: Path) -> bool:
    return second.exists() and first.samefile(second)


class _NullWriter:
    """A writer for the terminal's table, which is printed at the end."""

    def __enter__(self) -> _NullWriter:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, records: list[dict[str, Any]]) -> None:
        """Keep nothing."""


def _conclude(session: Session, summary: InferSummary, table: bool) -> None:
    from seke.console.infer_summary import limits_in_words

    if table:
        from rich.console import Console

        summary.show(Console(highlight=False))
    print(
        f"{summary.line()}; population {session.inference.population}, knowledge "
        f"{session.knowledge.name} {session.knowledge.digest}",
        file=sys.stderr,
    )
    for line in (*summary.notes(), *limits_in_words(session)):
        print(printable(line), file=sys.stderr)
    if session.guarantee is not None:
        for line in summary.promises(session.guarantee):
            print(printable(line), file=sys.stderr)
    _say_refused(session)


def _say_refused(session: Session) -> None:
    """Say why the guarantee of the base does not hold."""
    for reason in session.refused:
        print(f"the guarantee is refused: {reason}", file=sys.stderr)


def _warn(session: Session) -> None:
    """Say which rules the compiled network does not meet, and what they could be."""
    from engine import feasible_interval

    rules = {rule.name: rule for rule in session.knowledge.rules}
    for rule in session.network.rules:
        place = f"{rules[rule.name].place}: rules.{rule.name}"
        if rule.status != "unmet":
            continue
        low, high = feasible_interval(session.network, session.knowledge, rule)
        print(
            f"warning: {place}: confidence {rule.confidence:g} is not met: {rule.reached:.3f} is reached; "
            f"with the declared tables alone {low:.3f} to {high:.3f} is possible",
            file=sys.stderr,
        )


class _InferProgress:
    """Progress through long files on a terminal; silent elsewhere."""

    def __init__(self, samples: tuple[str, ...]) -> None:
        sizes = [Path(s).stat().st_size for s in samples if Path(s).is_file()]
        self.total = sum(sizes)
        self.shown = (
            sys.stderr is not None
            and sys.stderr.isatty()
            and self.total > LONG_INPUT
            and len(sizes) == len(samples)
        )
        self.bar: Any = None

    def __enter__(self) -> _InferProgress:
        if self.shown:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            counts = TextColumn("{task.percentage:.0f} % read, {task.fields[items]} items inferred")
            columns = (BarColumn(), counts)
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.add_task("", total=self.total, items=0)
            self.bar.start()
        return self

    def note_read(self, count: int) -> None:
        """Note that so many bytes more were read."""
        if self.bar is not None:
            self.bar.advance(self.bar.task_ids[0], count)

    def note_inferred(self, items: int) -> None:
        """Note how many items were inferred so far."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], items=items)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()


def _stop(number: int, _: object) -> NoReturn:
    """Exit by an exception, so that temporary files are removed."""
    sys.exit(128 + number)


def _fail(message: str) -> NoReturn:
    print(printable(message), file=sys.stderr)
    sys.exit(2)
