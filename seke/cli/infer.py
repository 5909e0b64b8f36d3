"""The command `seke infer`: parse, call, print."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.comparison import check_comparable, print_comparison
from seke.cli.errors import exit_on_errors, missing_packages_named
from seke.cli.infer_on_ray import RAY, ClusterOptions, cluster_options, file_digest, infer_on_ray
from seke.cli.output import (
    check_not_input,
    on_terminal,
    options_of,
    print_message,
    print_result,
    say_next,
    table_console,
    terminal_columns,
)
from seke.files import TABLE_FORMATS
from seke.progress import task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from engine import Answers, Knowledge
    from seke.console.infer_summary import InferSummary
    from seke.inference.processes import Workers
    from seke.inference.session import Session
    from seke.progress import Task
    from seke.sampling.blind import BlindAnswers


@click.command()
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@options.knowledge()
@options.population()
@options.output(f"Write the records to FILE: {TABLE_FORMATS}.")
@options.json_on_terminal()
@click.option(
    "--sorted",
    "in_order",
    is_flag=True,
    help="The samples of each item are adjacent: read and infer them as a stream.",
)
@options.look_ahead_seed()
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Device that weighs the answers and computes the network: cpu, or one of torch such as cuda.",
)
@options.processes("Processes that share the work; more than one pays for many thousands of items.")
@options.labels_final()
@click.option(
    "--blind-to",
    metavar="TABLE",
    help="Label table: leave out labels of a data set about values that it tells, to score against it.",
)
@options.compare_bases()
@click.option(
    "--knowledge-uncertainty",
    is_flag=True,
    help="Draw the base's numbers within their strengths (by --seed); limits apply to risk + its deviation.",
)
@options.exact_csv()
@cluster_options()
@click.option(
    "--explain",
    "explained",
    metavar="ITEM",
    help="Explain one item instead: why this label, and what would change it. With --json, as JSON.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Print the width of the compiled network and the speed of inference.",
)
def infer(
    samples: tuple[str, ...],
    output: Path | None,
    explained: str | None,
    verbose: bool,
    compared: bool,
    **given: Any,
) -> None:
    """Infer posteriors and decisions from SAMPLES.

    SAMPLES are files with one answer per line: .csv, .jsonl (both also .gz) or .parquet; `-` is JSON Lines on
    standard input. Prints a table on a terminal, and one JSON record per item elsewhere.

    \b
    Examples:
      seke infer seke-demo/samples.jsonl
      seke infer run1.jsonl run2.csv.gz -k my_overlay.yaml -o posteriors.parquet
      zcat samples.jsonl.gz | seke infer - --sorted > posteriors.jsonl
      seke infer seke-demo/samples.jsonl --explain startled
      seke infer seke-demo/samples.jsonl --knowledge-uncertainty
      seke infer samples.jsonl -o records.jsonl --compare-bases
      seke infer samples.jsonl --blind-to gold.csv -o blind.jsonl
      seke infer part-*.jsonl.gz s3://bucket/last.parquet -o records --engine ray --shards 64

    Records that are to be scored must not rest on their own gold: `--blind-to gold.csv` leaves out the labels
    of a data set among SAMPLES about values that gold.csv tells, and items about which nothing else was
    answered.

    If the base has certificates (from `seke calibrate`), they decide what is accepted, and the last lines
    state the guarantee. If something that they depend on has changed, the guarantee is refused with the
    reason.

    How faces look depends on how they came about. `-k posed`, `-k spontaneous` and `-k in-the-wild` are bases
    for faces of one kind; the shipped base is for sets of which that is not known. `--compare-bases` says,
    after the records, under which of them the answers are likeliest.

    `--knowledge-uncertainty` computes posteriors also under 24 draws of the base's numbers, each within its
    strength `n`. A value is accepted only if its risk plus the standard deviation of the risk over the draws
    is within the limit. Posteriors stay; the last lines say how much of the doubt comes from the base.

    `--engine ray` shares the work among the processors of this machine, or with `--address` of a cluster, and
    writes a folder with a file for each shard of the items. The records are the same. A shard is written
    whole; the same command goes on with those that are missing.

    Exit status: 0 done, 1 a guarantee is refused, 2 bad input.
    """
    with exit_on_errors():
        cluster, request = ClusterOptions.taken_from(given), _Request(**given)
        unmeant = {"--explain": explained, "--compare-bases": compared, **request.beside_a_cluster}
        cluster.check([name for name, value in unmeant.items() if value], output, samples)
        if cluster.engine == RAY and output is not None:
            incomplete = _infer_on_ray(samples, request, output, cluster, verbose=verbose)
        elif explained is None:
            incomplete = _infer(samples, request, output, verbose=verbose, compared=compared)
        else:
            incomplete = _explain(samples, request, explained, output)
        if incomplete:
            sys.exit(1)


@dataclass(frozen=True)
class _Request:
    """The options that inference and explanation share."""

    knowledge: str | None
    population: str | None
    as_json: bool
    in_order: bool
    seed: int
    device: str
    processes: int
    labels_final: bool
    blind_to: str | None
    knowledge_uncertainty: bool
    exact_csv: bool

    @property
    def beside_a_cluster(self) -> dict[str, bool]:
        """Whether options are given that have no meaning on a cluster."""
        return {
            "--json": self.as_json,
            "--sorted": self.in_order,
            "--device": self.device != "cpu",
            "--processes": self.processes > 1,
            "--exact-csv": self.exact_csv,
        }

    def session(self) -> Session:
        """Return the session of the compiled base."""
        from seke.files.shipped import knowledge
        from seke.inference.session import Session

        if self.device != "cpu" and self.processes > 1:
            raise click.UsageError("a device serves one process: leave out --processes or --device")
        if self.device != "cpu":
            with missing_packages_named("gpu"):
                import torch  # noqa: F401 (fits need it, too, by another extra)
        base = knowledge(self.knowledge)
        if self.labels_final:
            base = replace(base, policy=replace(base.policy, labels_final=True))
        return Session.open(
            base,
            self.population,
            self.seed,
            device=self.device,
            knowledge_uncertainty=self.knowledge_uncertainty,
        )


def _explain(samples: tuple[str, ...], request: _Request, item: str, output: Path | None) -> bool:
    """Explain an item; return whether a guarantee is refused or does not hold for it."""
    from engine import SekeError
    from seke.explanations.facts import explain_in_session
    from seke.explanations.text import render

    if output is not None:
        raise SekeError("--explain prints on the standard output; leave out -o")
    if request.blind_to is not None:
        raise SekeError("--explain explains a record with all its evidence; leave out --blind-to")
    if request.knowledge_uncertainty:
        raise SekeError(
            "--explain explains a decision by the numbers as declared; leave out --knowledge-uncertainty"
        )
    session = _with_thresholds(request.session(), samples, request, None)
    explanation = explain_in_session(session, samples, item, in_order=request.in_order, seed=request.seed)
    text = render(explanation.facts, terminal_columns()).rstrip()
    print_result(explanation.facts, text, as_json=request.as_json)
    _say_refused(session)
    promised = explanation.facts["decision"]["guarantee"]
    if promised and not promised["holds"]:
        print_message(f"the guarantee is refused: {promised['why']}")
    return bool(session.refused or (promised and not promised["holds"]))


def _infer(
    samples: tuple[str, ...], request: _Request, output: Path | None, *, verbose: bool, compared: bool
) -> bool:
    """Write the records; return whether a guarantee is refused or does not hold for all of them."""
    from engine import SekeError
    from seke.console.infer_summary import InferSummary
    from seke.console.summary_counts import add_part
    from seke.results.made_records import RecordMaker
    from seke.sampling.replay import mark_off_policy
    from seke.tables.record_writer import Writer

    if compared:
        check_comparable(samples)
    check_not_input(output, samples, "write the records to another file")
    if output is None and sys.stdout is None:
        raise SekeError("<stdout>: is closed; write the records to a file with -o")
    table = output is None and not request.as_json and on_terminal()
    with nullcontext() if table else Writer(output, exact=request.exact_csv) as writer:
        session, blind = _opened(request)
        session = _with_thresholds(mark_off_policy(session, samples), samples, request, blind)
        base = session.knowledge
        _warn(session)
        if verbose:
            _say_width(session)
        summary, first = InferSummary(base), ""
        make = RecordMaker(session, None if writer is None else writer.encoder)
        with (
            _reading("inferring", samples) as reading,
            _shared(make, base, samples, request, blind, reading) as (parts, shared),
        ):
            for answers, made in shared(make, parts):
                add_part(summary, made.noted)
                first = first or answers.items[0]
                if writer is not None:
                    writer.write_encoded(made.encoded)
                reading.note = f"{summary.items.total():,} items"
    _conclude(session, summary, blind, table=table)
    if compared:
        print_comparison(list(samples), request.knowledge, request.population)
    if output is not None and first and "-" not in samples:
        named = options_of(knowledge=request.knowledge, population=request.population)
        say_next(["seke", "explain", *samples, first, *named], f"{output} written; ")
    return bool(session.refused or summary.outside)


def _infer_on_ray(
    samples: tuple[str, ...], request: _Request, folder: Path, cluster: ClusterOptions, *, verbose: bool
) -> bool:
    """Make the records in shards; return whether a guarantee is refused or does not hold for all of them."""
    session, blind = _opened(request)
    _warn(session)
    if verbose:
        _say_width(session)
    settings = {
        "seed": request.seed,
        "labels_final": request.labels_final,
        "knowledge_uncertainty": request.knowledge_uncertainty,
        "blind_to": None if request.blind_to is None else file_digest(request.blind_to),
    }
    session, summary = infer_on_ray(session, samples, folder, cluster, settings, blind)
    _conclude(session, summary, blind, table=False)
    return bool(session.refused or summary.outside)


def _opened(request: _Request) -> tuple[Session, BlindAnswers | None]:
    """Return the session, and what leaves labels out, if anything."""
    session = request.session()
    if request.blind_to is None:
        return session, None
    from seke.sampling.infer import blind_answers
    from seke.tables.label_table import read_labels

    return session, blind_answers(session, read_labels(request.blind_to, session.knowledge))


def _say_width(session: Session) -> None:
    from engine import cost_of

    print_message(f"compiled {session.knowledge.name}: {cost_of(session.network)}")


def _left_out_text(blind: BlindAnswers) -> str:
    """Return which labels of a data set were left out."""
    from seke.console.gold_evidence_text import gold_evidence_text

    what = gold_evidence_text(blind.counts, blind.equal, tuple(blind.observers))
    items = "item" if blind.hollow == 1 else "items"
    hollow = f", with {blind.hollow:,} {items} that have no other answer" if blind.hollow else ""
    return f"{what}. It is left out{hollow}"


def _with_thresholds(
    session: Session, samples: tuple[str, ...], request: _Request, blind: BlindAnswers | None
) -> Session:
    """Return the session with thresholds found on these files, where limits of a mean have none."""
    from seke.sampling.infer import read_once

    if request.in_order or read_once(samples) or not session.has_mean_limits:
        return session
    with (
        _reading("looking for thresholds of the mean risk", samples) as reading,
        _shared(session.look, session.knowledge, samples, request, blind, reading) as (parts, shared),
    ):
        return session.with_thresholds(parts, shared)


@contextmanager
def _shared(
    work: Callable[[Answers], Any],
    base: Knowledge,
    samples: tuple[str, ...],
    request: _Request,
    blind: BlindAnswers | None,
    reading: Task,
) -> Iterator[tuple[Iterator[Answers], Workers]]:
    """Yield the answers in batches, and what lets processes do `work` about them; these read them, too."""
    from seke.inference.processes import workers
    from seke.samples import LineBinder, read_batches

    bind = LineBinder(base)
    with workers(request.processes, work, bind) as shared:
        batches = read_batches(
            samples,
            base,
            in_order=request.in_order,
            progress=reading.advance,
            binding=partial(shared, bind) if request.processes > 1 else None,
        )
        yield (batches if blind is None else blind.of(batches)), shared


def _reading(text: str, samples: tuple[str, ...]) -> AbstractContextManager[Task]:
    """Return a task whose steps are the bytes that are read, their share shown where files have sizes."""
    sizes = [Path(path).stat().st_size for path in samples if Path(path).is_file()]
    if len(sizes) < len(samples):
        return task(text, unit="bytes")
    return task(text, total=sum(sizes))


def _conclude(session: Session, summary: InferSummary, blind: BlindAnswers | None, *, table: bool) -> None:
    from seke.console.infer_summary import limits_in_words

    if table:
        summary.show(table_console())
    for line in summary.unseen():
        print_message(line)
    print_message(
        f"{summary.line()}; population {session.inference.population}, knowledge "
        f"{session.knowledge.name} {session.knowledge.digest}"
    )
    for line in (*summary.notes(), *limits_in_words(session, summary.outside)):
        print_message(line)
    if session.guarantee is not None:
        for line in summary.promises(session.guarantee):
            print_message(line)
        if session.draws is not None:
            print_message(
                "with --knowledge-uncertainty fewer values are accepted than the guarantee is about; "
                "it was not tested for these alone"
            )
    _say_refused(session)
    if blind is not None and blind.counts:
        print_message(_left_out_text(blind))


def _say_refused(session: Session) -> None:
    """Print why the guarantee of the base is refused."""
    for reason in session.refused:
        print_message(f"the guarantee is refused: {reason}")


def _warn(session: Session) -> None:
    """Print the rules whose confidence the compiled network does not reach, and what it could reach."""
    from engine import feasible_interval
    from seke.console.plain_text import near

    rules = {rule.name: rule for rule in session.knowledge.rules}
    for rule in session.network.rules:
        place = f"{near(rules[rule.name].place)}: rules.{rule.name}"
        if rule.status != "unmet":
            continue
        low, high = feasible_interval(session.network, session.knowledge, rule)
        print_message(
            f"warning: {place}: confidence {rule.confidence:g} is not met: {rule.reached:.3f} is reached; "
            f"with the declared tables alone {low:.3f} to {high:.3f} is possible"
        )
