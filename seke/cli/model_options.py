"""Shared parts of the commands that ask a model: options, the model, consent, progress, costs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seke.console.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seke.annotation.several import FurtherModel
    from seke.runs.ledger import Totals
    from seke.vision.client import Endpoint
    from seke.vision.messages import Model, Settings
    from seke.vision.prices import Prices

F = TypeVar("F", bound="Callable[..., Any]")
# Open requests by default: to a server, and in batches.
AT_ONCE, IN_A_BATCH = 16, 2000
_USD: Any = {"type": click.FloatRange(min=0), "metavar": "USD"}
_RATE: Any = {"type": click.FloatRange(min=0, min_open=True), "metavar": "N"}
_FILE: Any = {"type": click.Path(path_type=Path), "metavar": "FILE"}


def _option_group(*options: Callable[..., Any]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def run_options() -> Callable[[F], F]:
    """Return the options that name the run, the model and the knowledge."""
    return _option_group(
        click.option(
            "--run",
            "folder",
            required=True,
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="Folder of the run; the same one goes on.",
        ),
        click.option("--model", metavar="NAME", default="", help="The model, as its server calls it."),
        click.option(
            "--base-url", metavar="URL", help="Any OpenAI-compatible server.  [default: that of the client]"
        ),
        click.option(
            "--key-from",
            metavar="VARIABLE",
            default="OPENAI_API_KEY",
            show_default=True,
            help="Environment variable with the key; none is needed for this machine.",
        ),
        click.option(
            "-k", "--knowledge", metavar="PATH", help="A base or overlay.  [default: the shipped base]"
        ),
    )


def model_options(*, temperature: float) -> Callable[[F], F]:
    """Return the options of cost, rate and sampling, and of runs without a model."""
    return _option_group(
        click.option("--max-cost", help="Stop before this is passed; needs prices.", **_USD),
        click.option("--price-in", help="Price of a million prompt tokens.", **_USD),
        click.option("--price-out", help="Price of a million answer tokens.", **_USD),
        click.option("--price-cached", help="Price of a million cached prompt tokens.", **_USD),
        click.option(
            "--prices",
            "price_list",
            help="Prices by model, YAML, in place of the options above.",
            **_FILE,
        ),
        click.option(
            "--concurrency",
            type=click.IntRange(min=1),
            help=f"Requests on their way at once.  [default: {AT_ONCE}; with --batch {IN_A_BATCH:,}]",
        ),
        click.option("--batch", is_flag=True, help="Ask by the Batch API of OpenAI: cheaper, within a day."),
        click.option(
            "--deadline",
            type=click.FloatRange(min=1),
            default=180.0,
            show_default=True,
            help="Seconds that one answer may take; files of a batch ten times as long.",
        ),
        click.option("--rpm", help="Requests a minute.", **_RATE),
        click.option("--tpm", help="Tokens a minute.", **_RATE),
        click.option(
            "--temperature",
            type=click.FloatRange(0, 2),
            default=temperature,
            show_default=True,
            help="Of the model's sampling.",
        ),
        click.option(
            "--max-tokens",
            type=click.IntRange(min=1),
            default=600,
            show_default=True,
            help="Of one answer.",
        ),
        click.option(
            "--detail",
            type=click.Choice(["auto", "low", "high"]),
            default="auto",
            show_default=True,
            help="How finely the server looks.",
        ),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Of the model's sampling.",
        ),
        click.option(
            "--recorded",
            help="Answers of an earlier run (answers.jsonl) in place of a model.",
            **_FILE,
        ),
        click.option(
            "--scripted", is_flag=True, help="Made-up answers in place of a model, to try things out."
        ),
        click.option("--dry-run", is_flag=True, help="Count questions, tokens and cost; send nothing."),
        click.option("--show-prompts", is_flag=True, help="Print the prompts; send nothing."),
        click.option("--yes", is_flag=True, help="Send the pictures without being asked."),
    )


def concurrency(given: dict[str, Any]) -> int:
    """Return the number of requests that may be open at once."""
    requests: int = given["concurrency"] or (IN_A_BATCH if given["batch"] else AT_ONCE)
    return requests


def settings(given: dict[str, Any]) -> Settings:
    """Return the sampling settings of the model."""
    from engine import SekeError
    from seke.vision.messages import Settings

    stand_in = "recorded" if given["recorded"] else "scripted" if given["scripted"] else ""
    if not given["model"] and not stand_in:
        raise SekeError("name the model with --model (or try things out with --scripted)")
    names = ("temperature", "max_tokens", "detail", "seed")
    return Settings(given["model"] or stand_in, **{name: given[name] for name in names})


def prices(given: dict[str, Any]) -> Prices | None:
    """Return the prices that were given, or None."""
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


def applicable_prices(prices: Prices | None, given: dict[str, Any]) -> Prices | None:
    """Return the prices that apply: those of a batch are lower."""
    return prices.in_batch() if prices is not None and given["batch"] else prices


def model(settings: Settings, prices: Prices | None, given: dict[str, Any]) -> Model:
    """Return the model to ask: a server, a recording, or scripted answers."""
    if given["recorded"] or given["scripted"]:
        from seke.vision.fake import RecordedModel, ScriptedModel

        if given["scripted"] and not given["recorded"]:
            return ScriptedModel(given["seed"])
        return RecordedModel.read(given["recorded"], by_observer=bool(given.get("also")))
    if given["show_prompts"] or given["dry_run"]:
        return _Nobody()
    from seke.runs.batch_client import Batches
    from seke.vision.client import Endpoint

    names = ("base_url", "key_from", "rpm", "tpm", "deadline")
    options = {"prices": prices, "concurrency": concurrency(given), **{name: given[name] for name in names}}
    if given["batch"]:
        return Batches(settings, tell=lambda text: print(text, file=sys.stderr), **options)
    return Endpoint(settings, **options)


def combined_model(
    first: Model,
    further: Sequence[FurtherModel],
    prices_of: Mapping[str, Prices | None],
    settings: Settings,
    given: dict[str, Any],
) -> Model:
    """Return one model that routes requests to several, each with its own server and rate.

    prices_of: further observer -> the prices of its model's tokens.
    """
    from seke.annotation.several import SeveralModels

    if not further:
        return first
    if given["scripted"] or given["recorded"] or given["show_prompts"] or given["dry_run"]:
        return SeveralModels(first, {model.observer: first for model in further})
    options = {name: given[name] for name in ("base_url", "key_from", "rpm", "tpm", "deadline")}
    options["concurrency"] = concurrency(given)
    models: dict[str, Model] = {}
    for model in further:
        models[model.observer] = model.endpoint(settings, prices=prices_of[model.observer], **options)
    return SeveralModels(first, models)


def prices_of_further(further: Sequence[FurtherModel], given: dict[str, Any]) -> dict[str, Prices | None]:
    """Return further observer -> the prices of its model in the list; None where there is no list."""
    from seke.vision.prices import read_prices

    path = given["price_list"]
    return {
        further_model.observer: None if path is None else read_prices(path, further_model.model)
        for further_model in further
    }


class _Nobody:
    """A model for runs that send nothing."""

    async def ask(self, *_: Any) -> Any:
        """Answer nothing."""
        raise AssertionError


def confirm(pictures: int, model: Model, *, yes: bool) -> None:
    """Tell the user where pictures are sent, and require consent."""
    from engine import SekeError
    from seke.annotation.several import endpoints_of

    places = dict.fromkeys(place for client in endpoints_of(model) if (place := _far_place(client)))
    if not places:
        return
    print(
        f"{pictures:,} pictures will be sent to {' and to '.join(places)}. "
        "Many face sets forbid passing their pictures on, also to a model's server: read their terms first.",
        file=sys.stderr,
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise SekeError("nobody is there to allow it; --yes does")
    if not click.confirm("Send them?", err=True):
        raise SekeError("nothing was sent")


def _far_place(endpoint: Endpoint) -> str:
    """Return the address of a remote server with its key, an empty text for a local one."""
    from urllib.parse import urlsplit

    from seke.vision.client import LOCAL

    where = urlsplit(endpoint.where)
    if where.hostname in LOCAL:
        return ""
    way = " (unencrypted)" if where.scheme == "http" else ""
    return f"{endpoint.where}{way}, with the key in {endpoint.key_from}"


def account_line(totals: Totals) -> str:
    """Return a line with requests, answers, tokens and cost."""
    counts = [f"{totals.answers:,} answers in {totals.requests:,} requests"]
    for count, what in (
        (totals.failed, "failed"),
        (totals.unknown, "unknown"),
        (totals.refused, "refused"),
        (totals.unreadable, "unreadable"),
    ):
        if count:
            counts.append(f"{count:,} {what}")
    tokens = f"{totals.prompt_tokens:,} + {totals.answer_tokens:,} tokens"
    cost = f"{totals.spent:.4f} USD" + (f", perhaps {totals.perhaps:.4f} more" if totals.perhaps else "")
    if totals.unpriced:
        cost = "no prices known" if not totals.spent else f"{cost}, {totals.unpriced:,} requests unpriced"
    return f"{', '.join(counts)}; {tokens}; {cost}"


class Progress:
    """Progress of a run on a terminal; problems are printed everywhere, up to a limit."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.settled = self.answers = self.problems_shown = 0

    def over(self, items: int) -> Progress:
        """Show so many items."""
        self.items = items
        return self

    def __enter__(self) -> Progress:
        if sys.stderr is not None and sys.stderr.isatty():
            from rich import progress as bars
            from rich.console import Console

            parts = (
                bars.BarColumn(),
                bars.MofNCompleteColumn(),
                bars.TextColumn("{task.fields[status]}"),
                bars.TimeRemainingColumn(),
            )
            self.bar = bars.Progress(*parts, console=Console(stderr=True), transient=True)
            self.bar.add_task("", total=self.items, status="")
            self.bar.start()
        return self

    def add(self, settled: int, answers: int, spent: float) -> None:
        """Note items that were settled, answers that came, and what was spent in all."""
        self.settled, self.answers = self.settled + settled, self.answers + answers
        if self.bar is not None:
            status = f"{self.answers:,} answers" + (f", at most {spent:,.2f} USD" if spent else "")
            self.bar.update(self.bar.task_ids[0], completed=self.settled, status=status)

    def problem(self, message: str) -> None:
        """Print a problem, at most 20 of them."""
        self.problems_shown += 1
        if self.problems_shown <= 20:
            print(printable(message), file=sys.stderr)
        elif self.problems_shown == 21:
            print("... and more of this kind; the ledger has all", file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
