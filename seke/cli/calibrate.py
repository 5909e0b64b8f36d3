"""The command `seke calibrate`: parses, calls, prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message, print_result, print_warnings
from seke.cli.progress import ProgressBar
from seke.files.atomic import write_file


@click.command()
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@options.gold()
@options.output("Where the overlay is written: a .yaml file.", metavar="OVERLAY")
@options.knowledge()
@options.population()
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
    type=options.INNER_SHARE,
    metavar="P",
    help="Certify: of what is accepted at most this share is wrong. Two thirds of the gold are kept for it.",
)
@click.option(
    "--delta",
    type=options.INNER_SHARE,
    default=0.1,
    show_default=True,
    metavar="P",
    help="Probability that any of these promises is broken.",
)
@options.groups("Column of the gold that names an item's subject, where items cluster.")
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
@click.option("--steps", type=options.COUNT, default=300, show_default=True, help="Steps of SVI.")
@click.option(
    "--draws", type=click.IntRange(min=10), default=500, show_default=True, help="Draws of NUTS, each chain."
)
@click.option("--chains", type=options.COUNT, default=2, show_default=True, help="Chains of NUTS.")
@options.path("--trace", "Draws for ArviZ: an .nc file.")
@click.option("--force", is_flag=True, help="Write over an overlay that exists.")
@options.json()
@options.seed()
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
    with ProgressBar() as bar:
        plan = plan_gold(list(samples), alpha=given["alpha"] or 0.1, progress=bar.show, **used)
    print_result(facts_of(plan), text_of(plan), as_json=given["as_json"])


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
    from seke.calibration.summary import facts_of, text_of
    from seke.calibration.trace import write_trace

    extends = relative(Path(knowledge), output) if knowledge and Path(knowledge).exists() else "shipped"
    with ProgressBar() as bar:
        calibration = learn(
            list(samples), extends=extends, output=output, models=models, progress=bar.show, **given
        )
    read_overlay(calibration.overlay, output)
    if trace is not None:
        write_trace(calibration, trace)
    write_file(calibration.overlay.encode(), output)
    print_result(facts_of(calibration), text_of(calibration), as_json=as_json)
    if as_json:
        print_warnings(calibration.warnings)
    print_message(f"{output} is written; use it with -k {output}")
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
