"""The command `seke calibrate`: parses, calls, prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli.errors import exit_on_errors, print_json

if TYPE_CHECKING:
    from seke.calibration.calibrate import Calibration


@click.command()
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@click.option(
    "--gold",
    metavar="TABLE",
    help="Label table of what is known: .csv, .jsonl (both also .gz) or .parquet; it may have gaps.",
)
@click.option(
    "-o",
    "--output",
    metavar="OVERLAY",
    type=click.Path(path_type=Path),
    help="Where the overlay is written: a .yaml file.",
)
@click.option(
    "-k",
    "--knowledge",
    metavar="PATH",
    help="The base whose numbers are the priors.  [default: the shipped base]",
)
@click.option("--population", metavar="NAME", help="Prior of the truth.  [default: the base's reference]")
@click.option(
    "--learn-population",
    is_flag=True,
    help="Learn the population, too, from all items. Gold has to be drawn from them at random.",
)
@click.option(
    "--learn-tables",
    is_flag=True,
    help="Learn activations and affect, too, within their strengths `n`.",
)
@click.option(
    "--types",
    is_flag=True,
    help="Try easy and hard kinds of reading where answers repeat; keep those that held-out items support.",
)
@click.option(
    "--unlabelled",
    is_flag=True,
    help="Let items without gold say how answers scatter, too. Where observers err together that misleads.",
)
@click.option(
    "--exponent",
    is_flag=True,
    help="Fit an exponent of each observer's evidence, too, for comparison; as declared otherwise.",
)
@click.option(
    "--method",
    type=click.Choice(["map", "svi", "nuts"]),
    default="map",
    show_default=True,
    help="Mode and curvature; a Gaussian by SVI; or draws by NUTS, for a hundred items or fewer.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="P",
    help="Certify: of what is accepted at most this share is wrong. Two thirds of the gold are kept for it.",
)
@click.option(
    "--delta",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    metavar="P",
    help="Probability that any of these promises is broken.",
)
@click.option(
    "--groups",
    default="",
    metavar="COLUMN",
    help="Column of the gold that names an item's subject, where items cluster.",
)
@click.option(
    "--plan",
    "only_plan",
    is_flag=True,
    help="Fit and write nothing: say how much gold certificates (--alpha, else 0.1) and tables would need.",
)
@click.option(
    "--adaptive",
    is_flag=True,
    help="Certify items that are asked as the policy asks: samples, drawn to its budget, are replayed.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[OBSERVER=]NAME",
    help="The model that answered, where it has another name; of samples in a run's folder it is known.",
)
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True, help="Steps of SVI.")
@click.option(
    "--draws", type=click.IntRange(min=10), default=500, show_default=True, help="Draws of NUTS, each chain."
)
@click.option("--chains", type=click.IntRange(min=1), default=2, show_default=True, help="Chains of NUTS.")
@click.option(
    "--trace", metavar="FILE", type=click.Path(path_type=Path), help="Draws for ArviZ: an .nc file."
)
@click.option("--force", is_flag=True, help="Write over an overlay that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all chance.")
def calibrate(samples: tuple[str, ...], output: Path | None, **given: Any) -> None:
    """Learn from SAMPLES how reliable the observers are, and write it as an overlay.

    The numbers of the knowledge base are the priors. Gold (labels that are known) may be there for all, some
    or none of the items and levels; what the data cannot tell stays as declared, and the summary says so.
    The overlay is YAML that can be read and edited: every number with how sure it is, and with the fit as
    its source. Use it with -k.

    The overlay also records what it was fitted to (fits): values that are answered likewise are then called
    calibrated. Where limits of the policy are means, it holds the risks that keep them, found on the gold.

    \b
    Examples:
      seke simulate --items 200 --question joint -o samples.jsonl --truth gold.csv
      seke calibrate samples.jsonl --gold gold.csv -o mine.yaml
      seke infer samples.jsonl -k mine.yaml
      seke calibrate samples.jsonl --gold gold.csv --model gpt-4o=gpt-4o-2024-08-06 -o mine.yaml
      seke calibrate samples.jsonl --gold gold.csv --alpha 0.1 -o sure.yaml
      seke calibrate samples.jsonl --plan --alpha 0.1

    Exit status: 0 done, 1 nothing could be certified, 2 bad input.
    """
    only_plan = given.pop("only_plan")
    if output is None and not only_plan:
        raise click.UsageError("name the overlay to be written with -o OVERLAY.yaml, or plan with --plan")
    with exit_on_errors(as_json=given["as_json"]):
        if output is None or only_plan:
            _plan(samples, given)
        else:
            _calibrate(samples, output, given)


def _plan(samples: tuple[str, ...], given: dict[str, Any]) -> None:
    from seke.calibration.gold_plan import plan_gold
    from seke.calibration.gold_plan_text import facts_of, text_of

    used = {name: given[name] for name in ("knowledge", "gold", "delta", "population", "seed")}
    with _FitProgress() as progress:
        plan = plan_gold(list(samples), alpha=given["alpha"] or 0.1, progress=progress.tell, **used)
    if given["as_json"]:
        print_json(facts_of(plan))
    else:
        print(text_of(plan), end="")


def _calibrate(samples: tuple[str, ...], output: Path, given: dict[str, Any]) -> None:
    from engine import SekeError

    force, as_json, trace = given.pop("force"), given.pop("as_json"), given.pop("trace")
    models = _models(given.pop("models"), given["knowledge"])
    if output.suffix not in (".yaml", ".yml"):
        raise SekeError(f"{output}: an overlay is a .yaml file")
    if output.exists() and not force:
        raise SekeError(f"{output}: exists already; write to another file, or over it with --force")
    if not output.resolve().parent.is_dir():
        raise SekeError(f"{output}: there is no folder {output.parent}")
    if trace is not None and trace.suffix != ".nc":
        raise SekeError(f"{trace}: a trace is an .nc file")
    knowledge = given["knowledge"]

    from seke.calibration.calibrate import calibrate as learn
    from seke.calibration.fit_overlay import read_overlay, relative
    from seke.calibration.trace import write_trace

    extends = relative(Path(knowledge), output) if knowledge and Path(knowledge).exists() else "shipped"
    with _FitProgress() as progress:
        calibration = learn(
            list(samples), extends=extends, output=output, models=models, progress=progress.tell, **given
        )
    read_overlay(calibration.overlay, output)
    if trace is not None:
        write_trace(calibration, trace)
    _write(output, calibration.overlay)
    _show(calibration, as_json)
    print(f"{output} is written; use it with -k {output}", file=sys.stderr)
    if calibration.guarantee is not None and not calibration.guarantee.certified:
        sys.exit(1)


def _models(named: tuple[str, ...], knowledge: str | None) -> dict[str, str]:
    """Return observer -> model; a name alone is that of whom the policy asks."""
    from engine import SekeError, did_you_mean
    from seke.files.shipped import knowledge as read_knowledge

    if not named:
        return {}
    base, models = read_knowledge(knowledge), {}
    for text in named:
        observer, _, model = text.rpartition("=")
        observer = observer or base.policy.ask
        if observer not in base.observers:
            raise SekeError(
                f"--model: no observer is called {observer!r}{did_you_mean(observer, base.observers)}"
            )
        models[observer] = model
    return models


def _write(output: Path, text: str) -> None:
    part = output.with_name(f".{output.name}.part")
    try:
        part.write_text(text, "utf-8")
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _show(calibration: Calibration, as_json: bool) -> None:
    from seke.calibration.summary import facts_of, text_of

    if as_json:
        print_json(facts_of(calibration))
        for warning in calibration.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    else:
        print(text_of(calibration), end="")


class _FitProgress:
    """How far the fit is, on a terminal; silent elsewhere."""

    def __init__(self) -> None:
        self.shown = sys.stderr is not None and sys.stderr.isatty()
        self.bar: Any = None
        self.stage = ""

    def __enter__(self) -> _FitProgress:
        if self.shown:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[steps]}"),
                TimeElapsedColumn(),
            )
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.add_task("", total=None, steps="")
            self.bar.start()
        return self

    def tell(self, stage: str, done: int, total: int) -> None:
        """Show the stage and how many of its steps are done."""
        if self.bar is not None:
            steps = f"{done} of {total}" if total else (str(done) if done else "")
            task = self.bar.task_ids[0]
            self.bar.update(task, description=stage, completed=done, total=total or None, steps=steps)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
