"""The command `seke annotate`: parse, call, print."""

from __future__ import annotations

import itertools
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from seke.cli import model_options as asking
from seke.cli import options
from seke.cli.comparison import print_comparison
from seke.cli.errors import exit_on_errors, missing_packages_named
from seke.cli.output import options_of, print_json, print_message, print_text
from seke.cli.progress import RunProgress
from seke.cli.run_conclusion import print_conclusion
from seke.cli.run_status import print_status
from seke.cli.shown_prompts import print_prompts
from seke.cli.study_options import place_of_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from seke.annotation.cost_forecast import Forecast
    from seke.annotation.job import Job
    from seke.annotation.run_summary import RunSummary
    from seke.vision.messages import Settings
    from seke.vision.prices import Prices

# Exit status of a run that is not finished, in which items had no answer, or whose guarantee is refused.
UNSETTLED = 1
# Where the command's own words are kept, to name another command like it.
GIVEN = "seke.annotation.given"


class _RecordingCommand(click.Command):
    """A command that keeps its arguments as they were typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command; see `click.Command`."""
        ctx.meta[GIVEN] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=_RecordingCommand, short_help="Ask a vision model about pictures, as the policy asks.")
@click.argument("images", nargs=-1, metavar="IMAGES...")
@options.run()
@click.option(
    "--labels",
    metavar="TABLE",
    help="Label table with the labels that the set already has; they count as evidence.",
)
@click.option(
    "--answers",
    multiple=True,
    metavar="FILE",
    help="Samples from outside the run, such as answers of people for whom items wait; may be given again.",
)
@options.labels_final()
@options.observed_by("none")
@options.population()
@click.option(
    "--observer",
    metavar="NAME",
    help="Observer of the base that the model stands for.  [default: by its name, else generic-vlm]",
)
@click.option(
    "--also",
    multiple=True,
    metavar="OBSERVER=MODEL[@URL]",
    help="Another model that the policy may ask, as this observer of the base; may be given again. Without "
    "URL it is at the server of --model. The key for another server is in SEKE_KEY_OBSERVER.",
)
@click.option(
    "--strategy",
    metavar="NAME",
    default="policy",
    show_default=True,
    help="policy, or a baseline: fixed:N, agree:K/N (until K of at most N answers agree), "
    "adaptive-consistency, esc. A baseline asks only --model.",
)
@click.option(
    "--max-samples",
    type=options.COUNT,
    metavar="N",
    help="Most answers about one item.  [default: the policy's budget]",
)
@options.requests()
@click.option(
    "--shard",
    metavar="I/N",
    help="Ask about part I of N of the items only, by a hash of their names, within its share of --max-cost; "
    "each part has a folder of its own. Join them with seke runs merge.",
)
@options.sampling(temperature=1.0)
@click.option(
    "--system/--no-system",
    default=True,
    show_default=True,
    help="Tell what all questions share as the system message, or at the start of each question. Servers "
    "that refuse one are asked without.",
)
@options.without_model()
@click.option(
    "--declared-prices",
    is_flag=True,
    help="Keep the declared prices of questions. By default, where prices of tokens are known, they are "
    "estimated from the lengths of requests, measured on the first 40 items, and used for the others.",
)
@options.path(
    "--branch",
    "Start a new run in NEWDIR, for changed knowledge or settings, with the answers of this run that still "
    "count. The same command continues it.",
    metavar="NEWDIR",
)
@options.compare_bases()
@click.option("--retry-refused", is_flag=True, help="Ask again what was refused or not judged.")
@options.forget_unanswered()
@click.option("--status", is_flag=True, help="Show the state of the run; send nothing.")
@options.json()
def annotate(images: tuple[str, ...], folder: Path, **given: Any) -> None:
    """Annotate IMAGES (files, folders, patterns, manifests) with a vision model, as the policy asks.

    Every answer is written to disk before it is used. You may stop the command at any time and give it again:
    no answer is lost or paid for twice. The run's folder has the posteriors and decisions (posteriors.jsonl),
    the samples (samples.jsonl, for seke infer and seke calibrate), the raw answers (answers.jsonl), a summary
    and the ledger. A manifest is a table with the column path, and any of item, group, source, left, top,
    width, height (the face's box) and labels that the set already has.

    Networks on this machine (--with face-landmarker,fer; see seke observe) look at each picture once, before
    the model is asked anything, and cost nothing.

    The policy may ask people, too (`others`). An item waits where their answer is worth most; its record
    names the question (decision.next). Give their answers with --answers, and the run continues.

    \b
    Examples:
      seke annotate seke-demo/faces --run run --recorded seke-demo/answers.jsonl --observer gpt-4o
      seke annotate faces/ --run run --model gpt-4o --max-cost 20 --price-in 2 --price-out 8
      seke annotate faces.csv --run run --model qwen2.5-vl --base-url http://localhost:8000/v1
      seke annotate faces/ --run run --model gpt-4o --also generic-vlm=llava@http://localhost:8000/v1
      seke annotate faces/ --run run --model gpt-4o --with face-landmarker,fer
      seke annotate faces/ --run run --model gpt-5 --extra reasoning_effort='"low"' --max-tokens 4000
      seke annotate faces/ --run run --model gpt-4o --dry-run
      seke annotate faces/ --run run --model gpt-4o -k with_coder.yaml --answers coder.jsonl
      seke annotate faces/ --run plain --model gpt-4o --strategy agree:4/5
      seke annotate faces/ --run shards/3 --shard 3/16 --model gpt-4o
      seke annotate --run run --status

    Exit status: 0 done, 1 stopped early, items wait or had no answer, or a
    guarantee is refused, 2 bad input.
    """
    with exit_on_errors(as_json=given["as_json"]):
        if given["status"]:
            print_status(folder, as_json=given["as_json"])
        elif not images:
            raise click.UsageError("name pictures, folders or a manifest")
        else:
            from seke.annotation.observing import free_observers
            from seke.annotation.run_shard import EmptyShardError

            observed = given["knowledge"], given["observed_by"], given["networks"]
            try:
                with free_observers(*observed) as free:
                    _annotate(images, folder, given, free)
            except EmptyShardError as empty:
                # One of many commands that has nothing to do has not failed.
                print_message(empty)
                if given["as_json"]:
                    print_json({"items": {}, "shard": given["shard"]})


def _annotate(images: tuple[str, ...], folder: Path, given: dict[str, Any], free: Mapping[str, Any]) -> None:
    """Annotate; free: what the job takes of observers that cost nothing, and their base."""
    from engine import SekeError
    from seke.annotation.job import Job
    from seke.annotation.several import IN_BATCHES, further_models
    from seke.runs.run_folder import SAMPLES

    settings, prices = asking.settings(given), asking.prices(given)
    further = further_models(given["also"])
    if further and given["batch"]:
        raise SekeError(IN_BATCHES)
    prices_of = asking.prices_of_further(further, given)
    first = asking.model(settings, prices, given)
    model = asking.combined_model(first, further, prices_of, settings, given)
    labels = _labels(given) if given["labels"] else None
    branch = given["branch"]
    begun = branch is not None and branch.exists() and any(branch.iterdir())
    if begun and not _is_branch(branch, folder):
        raise SekeError(f"{branch}: is there already; --branch begins a new run")
    names = ("population", "observer", "strategy", "max_samples", "max_cost")
    more = ("labels_final", "declared_prices", "shard")
    progress = RunProgress()
    job = Job.of(
        images,
        branch or folder,
        model,
        settings,
        labels=labels,
        answers=given["answers"] or None,
        also={further_model.observer: further_model.model for further_model in further},
        prices=asking.applicable_prices(prices, given),
        concurrency=asking.concurrency(given),
        problems=progress.problem,
        progress=progress.add,
        reading=progress.reading,
        **free,
        **{name: given[name] for name in (*names, *more)},
    )
    observer = job.facts["observer"]
    if given["observer"] is None and observer not in settings.model:
        print_message(f"{settings.model} counts as observer {observer}; --observer names another")
    if given["show_prompts"]:
        print_prompts(job, settings)
    elif given["dry_run"]:
        paid = {observer: asking.applicable_prices(prices, given), **prices_of}
        places = _places_of_prices(job, given)
        _forecast(job, settings, paid, places, as_json=given["as_json"])
    else:
        asking.confirm(len(job.items), model, yes=given["yes"])
        with progress.over(len(job.items)):
            summary = _run(job, folder, given)
        base = options_of(knowledge=given["knowledge"], population=given["population"])
        unsettled = print_conclusion(summary, job.folder, base, as_json=given["as_json"])
        if given["compared"]:
            print_comparison([(branch or folder) / SAMPLES], given["knowledge"], given["population"])
        if unsettled:
            sys.exit(UNSETTLED)


def _run(job: Job, folder: Path, given: Mapping[str, Any]) -> RunSummary:
    """Run; of a run that was begun otherwise name the command that continues it as a branch."""
    from engine import SekeError
    from seke.annotation.branches import OtherSettingsError

    names = ("retry_refused", "forget_unanswered")
    options: dict[str, Any] = {name: given[name] for name in names}
    try:
        return job.run(branch_of=folder if given["branch"] else None, **options)
    except OtherSettingsError as error:
        if given["branch"] is not None or not error.counts:
            raise
        raise SekeError(f"{error.what}; {_branch_command(folder)}") from None


def _is_branch(branch: Path, folder: Path) -> bool:
    from seke.annotation.branches import origin_of

    origin = origin_of(branch)
    return origin is not None and origin.resolve() == folder.resolve()


def _branch_command(folder: Path) -> str:
    """Return the command that continues in a new folder with the answers of a run."""
    free = next(
        name
        for number in itertools.count(2)
        if not (name := folder.with_name(f"{folder.name}-{number}")).exists()
    )
    words = click.get_current_context().meta[GIVEN]
    command = shlex.join(["seke", "annotate", "--branch", str(free), *words])
    return f"to decide anew with its answers, without paying again:\n  {command}"


def _labels(given: dict[str, Any]) -> Any:
    from seke.files.shipped import knowledge
    from seke.tables.label_table import read_labels

    return read_labels(given["labels"], knowledge(given["knowledge"]))


def _places_of_prices(job: Job, given: Mapping[str, Any]) -> dict[str, str | None]:
    """Return where the prices of tokens and of questions come from, in words; None where none are known."""
    tokens = place_of_option("price_list", "price_in", "price_out")
    if given["price_list"]:
        tokens = f"the list {given['price_list']} ({tokens})"
    elif tokens:
        tokens = f"{given['price_in']:g} and {given['price_out']:g} USD a million, in and out ({tokens})"
    questions = "estimated from these" if job.estimated else "as the base declares"
    return {"tokens": tokens or None, "questions": questions}


def _forecast(
    job: Job,
    settings: Settings,
    prices: Mapping[str, Prices | None],
    places: Mapping[str, str | None],
    *,
    as_json: bool,
) -> None:
    from seke.annotation.cost_forecast import forecast

    estimate: Forecast = forecast(job, settings, prices)
    gold = _gold(job)
    if as_json:
        print_json({**estimate.as_facts(), "gold": gold, "prices_from": places})
        return
    known = f", {estimate.labelled:,} of them with known labels" if estimate.labelled else ""
    print_text(f"{estimate.items:,} items{known}; forecast from made-up items of the base:")
    for name, count in estimate.answers.items():
        print_text(f"  {name:16} {count:12,.0f} answers")
    for name, count in estimate.observers.items() if len(estimate.observers) > 1 else ():
        print_text(f"    of {name:13} {count:9,.0f} answers")
    if job.facts["observed_by"]:
        print_text(
            f"  without what {' and '.join(job.facts['observed_by'])} see before, which may save answers"
        )
    for name, count in estimate.people.items():
        print_text(f"  about {count:,.0f} of the items would wait for {name}")
    print_text(
        f"  about {estimate.requests:,.0f} requests, if the server gives several answers to one request"
    )
    print_text(
        f"  about {estimate.prompt_tokens:,.0f} prompt tokens and {estimate.answer_tokens:,.0f} answer tokens"
    )
    for line in (*_ceiling(estimate, job), *_gold_lines(gold)):
        print_text(f"  {line}")
    most = (
        f"{estimate.most_prompt_tokens:,.0f} prompt tokens and "
        f"{estimate.most_answer_tokens:,.0f} answer tokens"
    )
    if estimate.price is None:
        print_text(f"  at most {most}")
        print_text(
            f"  no prices of tokens are known (--price-in, --price-out); of questions {places['questions']}"
        )
        return
    if estimate.unpriced:
        names = " and ".join(estimate.unpriced)
        print_text(
            f"  no prices are known of {names} (--prices); tokens are of all models, USD without these:"
        )
    print_text(f"  prices of tokens: {places['tokens']}; of questions: {places['questions']}")
    print_text(f"  about {estimate.price:,.2f} USD ({estimate.price_low:,.2f} to {estimate.price_high:,.2f})")
    print_text(f"  at most {estimate.price_most:,.2f} USD: {most}, if every answer is a request of its own")


def _ceiling(estimate: Forecast, job: Job) -> Iterator[str]:
    """Yield a line with the share of each level that endless answers would get accepted."""
    shares = ", ".join(f"{level.replace('_', ' ')} {part:.0%}" for level, part in estimate.ceiling.items())
    policy = job.annotator.base.policy
    names = " and ".join((policy.ask, *policy.others))
    yield f"accepted with endless answers of {names}, if they are as declared: {shares}"


def _gold(job: Job) -> dict[str, Any] | None:
    """Return what gold would change, by simulation; None where the base has a fit, or for a baseline.

    Where that cannot be computed: `why`.
    """
    from engine import SekeError

    if job.annotator.base.fits or job.annotator.rule is not None:
        return None
    try:
        with missing_packages_named():
            from seke.planning.kept_worth import kept_worth_of_gold

            return kept_worth_of_gold(job.annotator.base, job.facts["population"])
    except SekeError as error:
        return {"why": str(error)}


def _gold_lines(gold: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield lines on what calibration with gold would change."""
    if gold is None:
        return
    if "why" in gold:
        yield f"what gold labels would buy is not known: {gold['why']}"
        return
    shares = (
        f"{f'{count} labels' if int(count) else 'none'} {share['share']:.0%} "
        f"({share['low']:.0%} to {share['high']:.0%})"
        for count, share in gold["accepted"].items()
    )
    yield (
        f"share of {gold['variable']} accepted after calibration on gold labels, answered by "
        f"{gold['observer']}: {', '.join(shares)}"
    )
    yield (
        f"  ({gold['items']} made-up items, asked as the policy asks, with 95 % intervals, for observers as "
        "declared; seke plan --gold 30,100 shows more, for all levels)"
    )
