"""Options that several commands have: each is declared here once, with its help."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from seke.files import TABLE_FORMATS

# What adds one option, or several, to a command.
Option = Callable[[Any], Any]

PATH = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
# A probability that is neither 0 nor 1.
INNER_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
# Requests that are open at once unless --concurrency says otherwise: to a server, and in batches.
AT_ONCE, IN_A_BATCH = 16, 2000


class _NewPath(click.Path):
    """A path of what is written, which is on this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; refuse an address of another file system, which would be taken for a folder."""
        if "://" in str(value):
            self.fail(
                f"{value}: results are written to this machine; name a path and copy it then", param, ctx
            )
        return super().convert(value, param, ctx)


class OneOf(click.Choice[str]):
    """A choice whose message about another word names the nearest of those that are allowed."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's
        """Return what is said about a word that is not among the choices."""
        from engine import did_you_mean

        return f"{value!r} is not one of these{did_you_mean(str(value), self.choices)}"


def group(*options: Option) -> Option:
    """Return a decorator that adds options to a command, in the order of its help."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def path(name: str, text: str, *, metavar: str = "FILE", **more: Any) -> Option:
    """Return an option that names a file or folder."""
    return click.option(name, metavar=metavar, type=PATH, help=text, **more)


def output(text: str, *, metavar: str = "FILE", required: bool = False) -> Option:
    """Return the option that names what is written."""
    return click.option(
        "-o", "--output", metavar=metavar, type=_NewPath(path_type=Path), required=required, help=text
    )


def knowledge(text: str = "A base or overlay") -> Option:
    """Return the option that names a base."""
    text = f"{text}: a folder or a YAML file.  [default: the shipped base]"
    return click.option("-k", "--knowledge", metavar="PATH", help=text)


def knowledge_inferred_with() -> Option:
    """Return the option that names the base that results were made with."""
    return knowledge("The base that was inferred with")


def population(default: str = "the base's usual one") -> Option:
    """Return the option that names a prior."""
    return click.option("--population", metavar="NAME", help=f"Which prior to use.  [default: {default}]")


def run_population() -> Option:
    """Return the option that names a prior, where a run may have one already."""
    return population("the run's, or the base's usual one")


def seed(of: str = "the random numbers") -> Option:
    """Return the option of a seed."""
    seeds = click.IntRange(min=0)
    return click.option("--seed", type=seeds, default=0, show_default=True, help=f"Seed of {of}.")


def processes(text: str, default: int | Callable[[], int] = 1, show_default: str | bool = True) -> Option:
    """Return the option that says how many processes work; show_default: what help says of the default."""
    names = "--processes", "--threads", "processes"
    return click.option(*names, type=COUNT, default=default, show_default=show_default, help=text)


def look_ahead_seed() -> Option:
    """Return the option of the seed that the look-ahead has."""
    return seed("the answers that the look-ahead simulates")


def json(text: str = "Print JSON.", name: str = "as_json") -> Option:
    """Return the option that asks for JSON."""
    return click.option("--json", name, is_flag=True, help=text)


def json_on_terminal() -> Option:
    """Return the option that asks for JSON where a terminal would get tables."""
    return json("Print JSON even on a terminal.")


def exact_csv() -> Option:
    """Return the option of what writes CSV with names from outside."""
    text = "In CSV, keep texts that spreadsheets execute (=, +, -, @) without an apostrophe before them."
    return click.option("--exact-csv", is_flag=True, help=text)


def labels_final() -> Option:
    """Return the option that keeps the labels of a data set."""
    text = "Keep the labels of a data set, whatever the observers answer; report where they disagree."
    return click.option("--labels-final", is_flag=True, help=text)


def compare_bases() -> Option:
    """Return the option that compares the bases of several kinds of faces."""
    text = "Say at the end how likely the answers are under the bases of posed, spontaneous and web faces."
    return click.option("--compare-bases", "compared", is_flag=True, help=text)


def redact_images() -> Option:
    """Return the option that leaves pictures out of a page."""
    return click.option("--redact-images", is_flag=True, help="Leave the items' pictures out of the page.")


def gold(*, required: bool = False) -> Option:
    """Return the option that names a label table."""
    text = f"Label table with the gold: {TABLE_FORMATS}. Cells may be empty."
    return click.option("--gold", metavar="TABLE", required=required, help=text)


def keep_gold_evidence() -> Option:
    """Return the option that keeps labels of data sets as evidence where gold tells the same value."""
    text = (
        "Keep labels of a data set (observers with `origin: label`) as evidence about values that the gold "
        "tells. Only sensible if the gold was made independently of these labels."
    )
    return click.option("--keep-gold-evidence", is_flag=True, help=text)


def predictions_and_gold() -> Option:
    """Return the arguments of predictions, one or more, and of gold behind them."""

    def two_at_least(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
        if not given:
            raise click.UsageError("PREDICTIONS and GOLD are wanted: one file or more, and the gold last.")
        return given

    predictions = click.argument(
        "predictions", nargs=-1, required=False, metavar="PREDICTIONS...", callback=two_at_least
    )
    return group(predictions, click.argument("gold", metavar="GOLD"))


def groups(
    text: str = "Column of the gold with each item's group, such as its subject; groups are resampled whole.",
) -> Option:
    """Return the option that names the column of an item's group."""
    return click.option("--groups", default="", metavar="COLUMN", help=text)


def intervals() -> Option:
    """Return the options of bootstrap intervals."""
    return group(
        click.option(
            "--bootstrap",
            type=click.IntRange(min=0),
            default=1000,
            show_default=True,
            help="Number of resamples for the intervals; 0 means no intervals.",
        ),
        click.option(
            "--level", type=INNER_SHARE, default=0.95, show_default=True, help="Level of the intervals."
        ),
    )


def bins() -> Option:
    """Return the option of the bins of a reliability diagram."""
    text = "Number of bins, each with as many items, for ECE and reliability diagrams."
    return click.option("--bins", type=COUNT, default=15, show_default=True, help=text)


def misfit() -> Option:
    """Return the options by which simulated observers differ from declared ones."""
    share = click.FloatRange(0, 1)
    return group(
        click.option("--independent", is_flag=True, help="Misfit: all answers are independent draws."),
        click.option(
            "--halo",
            type=share,
            metavar="P",
            help="Misfit: with this probability an answer follows its own label, not the picture.",
        ),
        click.option(
            "--drift",
            type=share,
            default=0.0,
            metavar="P",
            help="Misfit: answers get worse; by the last item this share is random.",
        ),
    )


def run(*, required: bool = True) -> Option:
    """Return the options that name the run, the model and the knowledge."""
    return group(
        click.option(
            "--run",
            "folder",
            required=required,
            metavar="DIR",
            type=PATH,
            help="Folder of the run. With the folder of an earlier run, that run continues.",
        ),
        click.option("--model", metavar="NAME", default="", help="The model, as its server calls it."),
        server(),
        knowledge(),
    )


def server() -> Option:
    """Return the options of a model's server."""
    return group(
        click.option(
            "--base-url",
            "base_urls",
            metavar="URL",
            multiple=True,
            envvar="OPENAI_BASE_URL",
            show_envvar=True,
            help="Address of an OpenAI-compatible server; give it again for further servers of the same "
            "model, which share the requests as fast as each answers.  [default: that of the client]",
        ),
        click.option(
            "--key-from",
            metavar="VARIABLE",
            default="OPENAI_API_KEY",
            show_default=True,
            help="Environment variable with the key. A server on this machine needs none.",
        ),
    )


def _usd(name: str, text: str) -> Option:
    return click.option(name, type=click.FloatRange(min=0), metavar="USD", help=text)


def _a_minute(name: str, what: str) -> Option:
    rates = click.FloatRange(min=0, min_open=True)
    return click.option(name, type=rates, metavar="N", help=f"{what} per minute at most, at each server.")


def observed_by(default: str, *, network: str = "--network") -> Option:
    """Return the options that name observers on this machine, and the files of their networks.

    default: who looks where none is named. network: the names of the option of files.
    """
    return group(
        click.option(
            "--with",
            "observed_by",
            multiple=True,
            metavar="NAME",
            callback=lambda _context, _option, texts: names_in(texts),
            help="Network on this machine that looks at each picture, at no cost: face-landmarker, fer; may "
            f"be given again, or several with commas.  [default: {default}]",
        ),
        click.option(
            *network.split(),
            "networks",
            multiple=True,
            metavar="PATH",
            type=PATH,
            help="File of a network in place of the one that a package ships: .task is face-landmarker's, "
            ".tflite fer's; may be given again.",
        ),
    )


def names_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names in texts that hold one or several, with commas between them, each once."""
    names = (name.strip() for text in texts for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def requests(*, batch: bool = True) -> Option:
    """Return the options of cost and rate; batch: whether requests can be sent in batches."""
    in_batches = click.option(
        "--batch", is_flag=True, help="Use OpenAI's Batch API: cheaper, but answers take up to a day."
    )
    at_once = f"{AT_ONCE}; with --batch {IN_A_BATCH:,}" if batch else str(AT_ONCE)
    return group(
        _usd("--max-cost", "Stop before the cost exceeds this; needs prices."),
        _usd("--price-in", "Price of a million prompt tokens."),
        _usd("--price-out", "Price of a million answer tokens."),
        _usd("--price-cached", "Price of a million cached prompt tokens."),
        click.option(
            "--prices",
            "price_list",
            metavar="FILE",
            type=PATH,
            help="YAML file with the prices of each model, instead of the options above.",
        ),
        click.option(
            "--concurrency",
            type=COUNT,
            help=f"Requests that are open at once, at each server.  [default: {at_once}]",
        ),
        *([in_batches] if batch else []),
        click.option(
            "--deadline",
            type=click.FloatRange(min=1),
            default=180.0,
            show_default=True,
            help="Seconds to wait for one answer"
            + ("; ten times as long for the files of a batch." if batch else "."),
        ),
        _a_minute("--rpm", "Requests"),
        _a_minute("--tpm", "Tokens"),
    )


def sampling(*, temperature: float) -> Option:
    """Return the options of the model's sampling."""
    return group(
        _temperature(temperature),
        _max_tokens(),
        click.option(
            "--detail",
            type=OneOf(["auto", "low", "high"]),
            default="auto",
            show_default=True,
            help="Resolution at which the server reads pictures.",
        ),
        click.option(
            "--picture",
            type=OneOf(["first", "last"]),
            default="first",
            show_default=True,
            help="Picture before the question, so that a server keeps it for further questions, or after.",
        ),
        seed("the model's sampling"),
        _extra(),
    )


def _temperature(usual: float) -> Option:
    return click.option(
        "--temperature",
        type=click.FloatRange(0, 2),
        default=usual,
        show_default=True,
        help="Temperature of the model's sampling.",
    )


def _max_tokens() -> Option:
    return click.option(
        "--max-tokens", type=COUNT, default=600, show_default=True, help="Most tokens of one answer."
    )


def _extra() -> Option:
    return click.option(
        "--extra",
        multiple=True,
        metavar="KEY=JSON",
        help="A further field of each request, as the server takes it, such as enable_thinking=false or "
        "reasoning_effort='\"low\"'; may be given again.",
    )


def rewriting() -> Option:
    """Return the options of a language model that rewords texts."""
    text = (
        "Let a language model, as its server calls it, put questions and answers into other words. A "
        "rewording that says anything else is dropped. It is sent texts, no pictures and no names; "
        "what is paid is kept in RUN/rewordings. The options below are about it."
    )
    return group(
        click.option("--rewrite", metavar="MODEL", default="", help=text),
        server(),
        requests(batch=False),
        _temperature(1.0),
        _max_tokens(),
        _extra(),
    )


def forget_unanswered() -> Option:
    """Return the option that releases what requests without an answer can have cost."""
    text = (
        "Count earlier requests that brought no answer as not paid, so that --max-cost has room again. Look "
        "at the server's bill first."
    )
    return click.option("--forget-unanswered", is_flag=True, help=text)


def without_model() -> Option:
    """Return the options of runs that send nothing, and of consent."""
    return group(
        path("--recorded", "Use the recorded answers of an earlier run (answers.jsonl) instead of a model."),
        click.option(
            "--scripted", is_flag=True, help="Use made-up answers instead of a model, to try things out."
        ),
        click.option("--dry-run", is_flag=True, help="Count questions, tokens and cost; send nothing."),
        click.option("--show-prompts", is_flag=True, help="Print the prompts; send nothing."),
        click.option("--yes", is_flag=True, help="Send the pictures without asking first."),
    )
