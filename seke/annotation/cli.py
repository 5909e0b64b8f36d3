"""The command `seke annotate`: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.reporting import print_json, reporting
from seke.terminal import printable

if TYPE_CHECKING:
    from seke.annotation.forecast import Forecast
    from seke.annotation.job import Job, Summary
    from seke.ledger import Totals
    from seke.vision.prices import Prices
    from seke.vision.values import Model, Settings

UNSETTLED = 1
AT_ONCE, IN_A_BATCH = 16, 2000


@click.command()
@click.argument("images", nargs=-1, metavar="IMAGES...")
@click.option(
    "--run",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the run; the same one goes on.",
)
@click.option("--model", metavar="NAME", default="", help="The model, as its server calls it.")
@click.option(
    "--base-url", metavar="URL", help="Any OpenAI-compatible server.  [default: that of the client]"
)
@click.option(
    "--key-from",
    metavar="VARIABLE",
    default="OPENAI_API_KEY",
    show_default=True,
    help="Environment variable with the key; none is needed for this machine.",
)
@click.option(
    "--labels", metavar="TABLE", help="Label table of what the set says already; it counts as evidence."
)
@click.option("-k", "--knowledge", metavar="PATH", help="A base or overlay.  [default: the shipped base]")
@click.option("--population", metavar="NAME", help="Prior of the truth.  [default: the base's reference]")
@click.option(
    "--observer",
    metavar="NAME",
    help="Who of the base the model is.  [default: by its name, else generic-vlm]",
)
@click.option(
    "--strategy",
    metavar="NAME",
    default="policy",
    show_default=True,
    help="policy, or a baseline: fixed:N, adaptive-consistency, esc.",
)
@click.option(
    "--max-cost",
    type=click.FloatRange(min=0),
    metavar="USD",
    help="Stop before this is passed; needs prices.",
)
@click.option(
    "--price-in", type=click.FloatRange(min=0), metavar="USD", help="Price of a million prompt tokens."
)
@click.option(
    "--price-out", type=click.FloatRange(min=0), metavar="USD", help="Price of a million answer tokens."
)
@click.option(
    "--price-cached",
    type=click.FloatRange(min=0),
    metavar="USD",
    help="Price of a million cached prompt tokens.",
)
@click.option(
    "--prices",
    "price_list",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Prices by model, YAML, in place of the options above.",
)
@click.option(
    "--max-samples",
    type=click.IntRange(min=1),
    metavar="N",
    help="Answers about an item at most.  [default: the policy's budget]",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    help="Requests on their way at once.  [default: 16; with --batch 2,000]",
)
@click.option("--batch", is_flag=True, help="Ask by the Batch API of OpenAI: cheaper, within a day.")
@click.option("--rpm", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Requests a minute.")
@click.option("--tpm", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Tokens a minute.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, 2),
    default=1.0,
    show_default=True,
    help="Of the model's sampling.",
)
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=600, show_default=True, help="Of one answer."
)
@click.option(
    "--detail",
    type=click.Choice(["auto", "low", "high"]),
    default="auto",
    show_default=True,
    help="How finely the server looks.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the model's sampling."
)
@click.option(
    "--recorded",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Answers of an earlier run (answers.jsonl) in place of a model.",
)
@click.option("--scripted", is_flag=True, help="Made-up answers in place of a model, to try things out.")
@click.option(
    "--branch",
    metavar="NEWDIR",
    type=click.Path(path_type=Path),
    help="Begin another run there with the answers of this one that still count.",
)
@click.option("--retry-refused", is_flag=True, help="Ask again what was refused.")
@click.option("--dry-run", is_flag=True, help="Forecast calls, tokens and cost; send nothing.")
@click.option("--show-prompts", is_flag=True, help="Print the prompts; send nothing.")
@click.option("--status", is_flag=True, help="Show the run; send nothing.")
@click.option("--yes", is_flag=True, help="Send the pictures without being asked.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def annotate(images: tuple[str, ...], folder: Path, **given: Any) -> None:
    """Annotate IMAGES (files, folders, patterns, manifests) with a vision model, as the policy asks.

    Every answer is on disk before it is used: stop it at any moment and give the same command again, nothing
    received is lost or bought twice. The run's folder has the posteriors and decisions (posteriors.jsonl),
    the samples (samples.jsonl, for seke infer and seke calibrate), the answers as they came (answers.jsonl),
    a summary and the ledger. A manifest is a table with a column path, and any of item, group, left, top,
    width, height (the face's box) and labels that the set has already.

    \b
    Examples:
      seke annotate examples/annotate --run run --scripted
      seke annotate faces/ --run run --model gpt-4o --max-cost 20 --price-in 2 --price-out 8
      seke annotate faces.csv --run run --model qwen2.5-vl --base-url http://localhost:8000/v1
      seke annotate faces/ --run run --model gpt-4o --dry-run
      seke annotate --run run --status

    Exit status: 0 done, 1 stopped before the end or a guarantee is refused, 2 bad input.
    """
    with reporting(as_json=given["as_json"]):
        if given["status"]:
            _status(folder, as_json=given["as_json"])
        elif not images:
            raise click.UsageError("name pictures, folders or a manifest")
        else:
            _annotate(images, folder, given)


def _annotate(images: tuple[str, ...], folder: Path, given: dict[str, Any]) -> None:
    from engine import SekeError
    from seke.annotation.job import Job

    given["concurrency"] = given["concurrency"] or (IN_A_BATCH if given["batch"] else AT_ONCE)
    settings, prices = _settings(given), _prices(given)
    model = _model(settings, prices, given)
    labels = _labels(given) if given["labels"] else None
    branch = given["branch"]
    if branch is not None and branch.exists() and any(branch.iterdir()):
        raise SekeError(f"{branch}: is there already; --branch begins a new run")
    names = ("knowledge", "population", "observer", "strategy", "max_samples", "max_cost", "concurrency")
    progress = _Progress()
    job = Job.of(
        images,
        branch or folder,
        model,
        settings,
        labels=labels,
        problems=progress.problem,
        progress=progress.add,
        **{name: given[name] for name in names},
    )
    who = job.facts["observer"]
    if given["observer"] is None and who not in settings.model:
        print(f"{settings.model} counts as observer {who}; --observer names another", file=sys.stderr)
    if given["show_prompts"]:
        _show_prompts(job)
    elif given["dry_run"]:
        batched = prices.in_batch() if prices is not None and given["batch"] else prices
        _forecast(job, settings, batched, as_json=given["as_json"])
    else:
        _confirm(job, model, given)
        with progress.over(len(job.items), job):
            found = job.run(retry_refused=given["retry_refused"], branch_of=folder if branch else None)
        _conclude(found, job, as_json=given["as_json"])


def _settings(given: dict[str, Any]) -> Settings:
    from engine import SekeError
    from seke.vision.values import Settings

    stand_in = "recorded" if given["recorded"] else "scripted" if given["scripted"] else ""
    if not given["model"] and not stand_in:
        raise SekeError("name the model with --model (or try things out with --scripted)")
    names = ("temperature", "max_tokens", "detail", "seed")
    return Settings(given["model"] or stand_in, **{name: given[name] for name in names})


def _prices(given: dict[str, Any]) -> Prices | None:
    from engine import SekeError
    from seke.vision.prices import Prices, read_prices

    if given["price_list"] is not None:
        if any(given[name] is not None for name in ("price_in", "price_out", "price_cached")):
            raise SekeError("give --prices, or the prices themselves, not both")
        return read_prices(given["price_list"], given["model"])
    prompt, answer = given["price_in"], given["price_out"]
    if prompt is None and answer is None:
        if given["max_cost"] is not None and not (given["recorded"] or given["scripted"]):
            raise SekeError(
                "--max-cost needs the prices of a million tokens: --price-in and --price-out, or --prices"
            )
        return None
    if prompt is None or answer is None:
        raise SekeError("give both --price-in and --price-out")
    return Prices(prompt, answer, given["price_cached"])


def _model(settings: Settings, prices: Prices | None, given: dict[str, Any]) -> Model:
    if given["recorded"] or given["scripted"]:
        from seke.vision.recorded import RecordedModel, ScriptedModel

        return RecordedModel.read(given["recorded"]) if given["recorded"] else ScriptedModel(given["seed"])
    if given["show_prompts"] or given["dry_run"]:
        return _Nobody()
    from seke.vision.batches import Batches
    from seke.vision.client import Endpoint

    names = ("base_url", "key_from", "concurrency", "rpm", "tpm")
    options = {"prices": prices, **{name: given[name] for name in names}}
    if given["batch"]:
        return Batches(settings, tell=lambda text: print(text, file=sys.stderr), **options)
    return Endpoint(settings, **options)


class _Nobody:
    """Is not asked."""

    async def ask(self, *_: Any) -> Any:
        """Answer nothing."""
        raise AssertionError


def _labels(given: dict[str, Any]) -> Any:
    from seke.labels import read_labels
    from seke.shipped import knowledge

    return read_labels(given["labels"], knowledge(given["knowledge"]))


def _confirm(job: Job, model: Model, given: dict[str, Any]) -> None:
    """Say where pictures go, and have it allowed."""
    from urllib.parse import urlsplit

    from engine import SekeError
    from seke.vision.client import LOCAL, Endpoint

    if not isinstance(model, Endpoint):
        return
    where = urlsplit(model.where)
    if where.hostname in LOCAL:
        return
    way = " (unencrypted)" if where.scheme == "http" else ""
    print(
        f"{len(job.items):,} pictures will be sent to {model.where}{way}, with the key in {model.key_from}. "
        "Many face sets forbid passing their pictures on, also to a model's server: read their terms first.",
        file=sys.stderr,
    )
    if given["yes"]:
        return
    if not sys.stdin.isatty():
        raise SekeError("nobody is there to allow it; --yes does")
    if not click.confirm("Send them?", err=True):
        raise SekeError("nothing was sent")


def _show_prompts(job: Job) -> None:
    from seke.questions import Questions

    questions = Questions(job.annotator.base)
    for request in questions.every(job.items[0].name):
        prompt = questions.prompt(request)
        about = f", here about {request.about}" if request.about else ""
        print(f"--- {request.question} to {request.observer}{about} ({prompt.digest[:16]})\n{prompt.text}\n")


def _forecast(job: Job, settings: Settings, prices: Prices | None, *, as_json: bool) -> None:
    from dataclasses import asdict

    from seke.annotation.forecast import forecast

    found: Forecast = forecast(job, settings, prices)
    if as_json:
        print_json(asdict(found))
        return
    print(f"{found.items:,} items, were they like made-up ones of the base:")
    for name, count in found.answers.items():
        print(f"  {name:16} {count:12,.0f} answers")
    print(f"  at most {found.prompt_tokens:,.0f} prompt tokens and {found.answer_tokens:,.0f} answer tokens")
    print(
        "  no prices are known (--price-in, --price-out)"
        if found.price is None
        else f"  at most {found.price:,.2f} USD"
    )


def _status(folder: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from seke.ledger import status_of

    facts, settled, totals = status_of(folder)
    if as_json:
        print_json({**facts, "settled": settled, "totals": asdict(totals)})
        return
    told = (str(facts.get(name)) for name in ("observer", "knowledge", "strategy"))
    print(f"{folder}: {facts.get('model')} as {', '.join(told)}")
    print(f"  {settled:,} of {facts.get('items', 0):,} items are settled")
    print(f"  {_account(totals)}")


def _account(totals: Totals) -> str:
    told = [f"{totals.answers:,} answers in {totals.requests:,} requests"]
    for count, what in (
        (totals.failed, "failed"),
        (totals.unknown, "unknown"),
        (totals.refused, "refused"),
        (totals.unreadable, "unreadable"),
    ):
        if count:
            told.append(f"{count:,} {what}")
    tokens = f"{totals.prompt_tokens:,} + {totals.answer_tokens:,} tokens"
    cost = f"{totals.spent:.4f} USD" + (f", perhaps {totals.perhaps:.4f} more" if totals.perhaps else "")
    if totals.unpriced:
        cost = "no prices known" if not totals.spent else f"{cost}, {totals.unpriced:,} requests unpriced"
    return f"{', '.join(told)}; {tokens}; {cost}"


def _conclude(found: Summary, job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_facts())
    else:
        total = sum(found.items.values())
        print(
            f"{total:,} items: "
            + ", ".join(f"{count:,} {name}" for name, count in sorted(found.items.items()))
        )
        for reason, count in found.reasons.items():
            print(f"  rejected {count:,}: {reason}")
        each = found.per_item
        print(
            f"  {each['mean']:.2f} samples an item ({each['q05']} to {each['q95']}), {found.seconds:,.1f} s"
        )
        shares = (f"{name.replace('_', ' ')} {share:.0%}" for name, share in found.levels.items())
        print(f"  values accepted: {', '.join(shares)}")
        print(f"  {_account(found.totals)}")
        print(f"{job.folder / 'posteriors.jsonl'}")
    # Promises name the items that they are refused for.
    refused = [f"the guarantee is refused: {reason}" for reason in found.refused if not found.promises]
    for line in (*found.promises, *refused):
        print(printable(line), file=sys.stderr)
    if found.stopped:
        print(f"stopped before the end: {found.stopped}; the same command goes on", file=sys.stderr)
    if found.stopped or found.refused or not found.finished:
        sys.exit(UNSETTLED)


class _Progress:
    """How far a run is, on a terminal; problems are said anywhere, each kind of line once in a while."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.settled = self.answers = self.told = 0

    def over(self, items: int, job: Job) -> _Progress:
        """Show so many items."""
        self.items, self.job = items, job
        return self

    def __enter__(self) -> _Progress:
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            parts = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*parts, console=Console(stderr=True), transient=True)
            self.bar.add_task("", total=self.items, told="")
            self.bar.start()
        return self

    def add(self, settled: int, answers: int, spent: float) -> None:
        """Note items that were settled, answers that came, and what was spent in all."""
        self.settled, self.answers = self.settled + settled, self.answers + answers
        if self.bar is not None:
            told = f"{self.answers:,} answers" + (f", at most {spent:,.2f} USD" if spent else "")
            self.bar.update(self.bar.task_ids[0], completed=self.settled, told=told)

    def problem(self, message: str) -> None:
        """Say what went wrong; not more than a page of it."""
        self.told += 1
        if self.told <= 20:
            print(printable(message), file=sys.stderr)
        elif self.told == 21:
            print("... and more of this kind; the ledger has all", file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
