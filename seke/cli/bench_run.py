"""The command `seke bench run`: parse, call, print."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from seke.cli import model_options as asking
from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message, print_text
from seke.cli.progress import RunProgress

if TYPE_CHECKING:
    from seke.benchmarking.run import Benchmark, BenchmarkSummary
    from seke.vision.prices import Prices

# Exit status where some questions have no answer.
UNFINISHED = 1


@click.command(short_help="Ask a model the benchmark's questions, one answer to each.")
@click.option(
    "--images",
    required=True,
    multiple=True,
    metavar="MANIFEST",
    help="Manifest, folder or pattern; may be given again.",
)
@options.run()
@options.requests()
@options.sampling(temperature=0.0)
@options.without_model()
@options.forget_unanswered()
@options.exact_csv()
@options.json()
def run(images: tuple[str, ...], folder: Path, **given: Any) -> None:
    """Ask a model the benchmark's questions, one answer to each, for seke bench score.

    There is one question for each level (expression, valence and arousal, action units). It uses only names
    from the knowledge; answers are neither repeated nor checked. Where a manifest has labels, a picture is
    asked only about the levels that have them; the model never sees the labels. Predictions go to
    predictions.csv in the run's folder. Refused and unreadable answers are written there as such, and are
    scored as wrong. Questions without an answer stay open; give the same command again to continue.

    \b
    Examples:
      seke bench run --images faces.csv --run feab --scripted
      seke bench run --images feab.csv --run gpt-4o --model gpt-4o --price-in 2 --price-out 8 --max-cost 5
      seke bench score gpt-4o/predictions.csv feab.csv --sources source --html scores.html

    Exit status: 0 done, 1 some questions have no answer, 2 bad input.
    """
    from seke.benchmarking.run import benchmark

    with exit_on_errors(as_json=given["as_json"]):
        settings, prices = asking.settings(given), asking.prices(given)
        progress = RunProgress()
        job = benchmark(
            images,
            folder,
            asking.model(settings, prices, given, free=_free_settings()),
            settings=settings,
            knowledge=given["knowledge"],
            max_cost=given["max_cost"],
            exact_csv=given["exact_csv"],
            concurrency=asking.concurrency(given),
            problems=progress.problem,
            progress=progress.add,
        )
        if given["show_prompts"]:
            _show_prompts(job)
        elif given["dry_run"]:
            _forecast(job, asking.applicable_prices(prices, given), as_json=given["as_json"])
        else:
            asking.confirm(len(job.items), job.model, yes=given["yes"])
            with progress.over(sum(len(job.questions_for(item)) for item in job.items)):
                summary = job.run(forget_unanswered=given["forget_unanswered"])
            _conclude(summary, images, as_json=given["as_json"])


def _free_settings() -> tuple[str, ...]:
    """Return the settings that nobody asked for, so that a server need not take them."""
    source = click.get_current_context().get_parameter_source("temperature")
    return () if source is ParameterSource.COMMANDLINE else ("temperature",)


def _show_prompts(job: Benchmark) -> None:
    for level, question in job.questions.items():
        print(f"--- {level} ({question.prompt.digest[:16]})\n{question.prompt.text}\n")


def _forecast(job: Benchmark, prices: Prices | None, *, as_json: bool) -> None:
    from seke.vision.prices import Estimate

    estimate, first = Estimate(prices, job.settings), job.items[0]
    tokens_by_level = {
        level: estimate.tokens(job.call(first, question), 1) for level, question in job.questions.items()
    }
    asked = [question.level for item in job.items for question in job.questions_for(item)]
    prompt, answer = (sum(tokens_by_level[level][side] for level in asked) for side in (0, 1))
    price = None if prices is None else prices.of(prompt, 0, answer)
    questions = {level: asked.count(level) for level in tokens_by_level}
    if as_json:
        print_json(
            {
                "items": len(job.items),
                "questions": questions,
                "prompt_tokens": prompt,
                "answer_tokens": answer,
                "price": price,
            }
        )
        return
    print(f"{len(job.items):,} items, {len(asked):,} questions:")
    for level, count in questions.items():
        print(f"  {level:16} {count:9,}")
    print(f"  at most {prompt:,} prompt tokens and {answer:,} answer tokens")
    print(
        "  no prices are known (--price-in, --price-out)" if price is None else f"  at most {price:,.2f} USD"
    )


def _conclude(summary: BenchmarkSummary, images: tuple[str, ...], *, as_json: bool) -> None:
    from seke.runs.failures import failure_lines

    if as_json:
        print_json(asdict(summary))
    else:
        print_text(f"{summary.items:,} items")
        for level, counts in summary.answers.items():
            counted = ", ".join(
                f"{count:,} {name}" for name, count in counts.items() if count or name == "ok"
            )
            print_text(f"  {level}: {counted}")
        print_text(f"  {asking.account_line(summary.totals)}")
        for line in failure_lines(summary.failures):
            print_text(f"  {line}")
        print(summary.predictions)
    for note in summary.notes:
        print_message(note)
    if len(images) == 1 and Path(images[0]).is_file():
        command = shlex.join(["seke", "bench", "score", summary.predictions, images[0]])
        print_message(f"score it: {command}")
    if summary.stopped:
        print_message(f"stopped before the end: {summary.stopped}; the same command goes on")
    if summary.stopped or not summary.finished:
        sys.exit(UNFINISHED)
