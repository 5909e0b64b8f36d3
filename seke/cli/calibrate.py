"""The command `seke calibrate`: parses, calls, prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message, print_result, print_warnings
from seke.files.atomic import write_file
from seke.files.shard_folder import sample_files
from seke.progress import task

# Thresholds are sought at five aims, the first of them alone.
MOST_PROCESSES = 4


def usable_processors() -> int:
    """Return how many processes a fit should take here; one where they are not forked safely."""
    if not hasattr(os, "fork") or sys.platform == "darwin":
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_PROCESSES)


@click.command(short_help="Learn from gold how reliable the observers are.")
@click.argument("samples", nargs=-1, required=True, metavar="SAMPLES...")
@options.gold()
@options.output("Where the overlay is written: a .yaml file.", metavar="OVERLAY")
@options.knowledge()
@options.population()
@click.option(
    "--learn-population",
    is_flag=True,
    help="Also learn the population, from all items. The items with gold must be a random sample of them.",
)
@click.option(
    "--learn-tables",
    is_flag=True,
    help="Also learn activations and affect, with their strengths `n` as priors.",
)
@click.option(
    "--types",
    is_flag=True,
    help="Try easy and hard kinds of reading where answers repeat; keep what held-out items support.",
)
@click.option(
    "--unlabelled",
    is_flag=True,
    help="Also learn from items without gold how answers scatter. Misleads where observers err together.",
)
@click.option(
    "--exponent",
    is_flag=True,
    help="Also fit an exponent of each observer's evidence, for comparison.  [default: as declared]",
)
@click.option(
    "--method",
    type=options.OneOf(["map", "svi", "nuts"]),
    default="map",
    show_default=True,
    help="map: mode and curvature; svi: a Gaussian; nuts: draws, for a hundred items or fewer.",
)
@click.option(
    "--alpha",
    type=options.INNER_SHARE,
    metavar="P",
    help="Certify that at most this share of what is accepted is wrong: of the expression, of valence and of "
    "arousal, each as a whole, and of each value of an action unit. Uses two thirds of the gold.",
)
@click.option(
    "--each-value",
    is_flag=True,
    help="Certify each value by itself (anger, fear, ...). That promises more, and needs more gold.",
)
@click.option(
    "--pool",
    is_flag=True,
    help="Certify the action units together: one accepted value of each item, drawn by chance. That promises "
    "less of each unit, and needs less gold.",
)
@click.option(
    "--delta",
    type=options.INNER_SHARE,
    default=0.1,
    show_default=True,
    metavar="P",
    help="Probability that any certificate is wrong.",
)
@options.groups("Column of the gold with the subject of each item, where subjects have several items.")
@options.path(
    "--clusters",
    "Table of near-duplicates (seke dupes -o): they fit or certify together, and count as one.",
    metavar="TABLE",
)
@options.keep_gold_evidence()
@click.option(
    "--plan",
    "only_plan",
    is_flag=True,
    help="Only say how much gold certificates (--alpha, else 0.1) and tables would need; write nothing.",
)
@click.option(
    "--adaptive",
    is_flag=True,
    help="Certify items that are asked as the policy asks: replays samples that reach its budget.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[OBSERVER=]NAME",
    help="Model behind an observer, where its name differs. Samples in a run's folder have it already.",
)
@options.processes(
    "Processes that share the search for thresholds.",
    usable_processors,
    f"all processors, {MOST_PROCESSES} at most",
)
@click.option("--steps", type=options.COUNT, default=300, show_default=True, help="Steps of SVI.")
@click.option(
    "--draws", type=click.IntRange(min=10), default=500, show_default=True, help="Draws of NUTS per chain."
)
@click.option("--chains", type=options.COUNT, default=2, show_default=True, help="Number of chains of NUTS.")
@options.path("--trace", "Write the draws to an .nc file, for ArviZ.")
@click.option("--force", is_flag=True, help="Overwrite an existing overlay.")
@options.json()
@options.seed()
def calibrate(samples: tuple[str, ...], output: Path | None, **given: Any) -> None:
    """Learn from SAMPLES how reliable the observers are, and write it as an overlay.

    The numbers of the knowledge base are the priors. Gold (known labels) may cover all, some or none of the
    items and levels. What the data do not determine stays as declared, and the summary says so. The overlay
    is YAML that you can read and edit; each number has its uncertainty, and the fit as its source. Use it
    with -k.

    The section `fits` of the overlay records which answers it was fitted to. Values that are answered the
    same way then count as calibrated. For limits of the mean risk, the overlay also holds the thresholds that
    keep them, as found on the gold.

    Labels of a data set that are among SAMPLES are left out where the gold tells the same value of the same
    item, and counted: a fit or a certificate on them would compare the gold with itself. Their other values
    stay.

    In the place of SAMPLES a folder of `seke infer --engine ray` stands for the files that it was made of.

    \b
    Examples:
      seke simulate --items 200 --question joint -o samples.jsonl --truth gold.csv
      seke calibrate samples.jsonl --gold gold.csv -o mine.yaml
      seke infer samples.jsonl -k mine.yaml
      seke calibrate samples.jsonl --gold gold.csv --model gpt-4o=gpt-4o-2024-08-06 -o mine.yaml
      seke calibrate samples.jsonl --gold gold.csv --alpha 0.1 -o sure.yaml
      seke calibrate samples.jsonl --gold gold.csv --alpha 0.1 --each-value -o surer.yaml
      seke calibrate samples.jsonl --plan --alpha 0.1

    Exit status: 0 done, 1 nothing could be certified, 2 bad input.
    """
    only_plan = given.pop("only_plan")
    given["breadth"] = _breadth(each_value=given.pop("each_value"), pool=given.pop("pool"))
    if only_plan and given["breadth"] != "levels":
        raise click.UsageError("--plan covers all promises: leave --each-value and --pool away")
    if output is None and not only_plan:
        raise click.UsageError("name the overlay to write with -o OVERLAY.yaml, or plan with --plan")
    with exit_on_errors(as_json=given["as_json"]):
        samples = tuple(sample_files(samples))
        if output is None or only_plan:
            _plan(samples, given)
        else:
            _calibrate(samples, output, given)


def _breadth(*, each_value: bool, pool: bool) -> str:
    """Return what each promise is about."""
    if each_value and pool:
        raise click.UsageError(
            "--each-value certifies each value by itself, --pool the action units together: choose one"
        )
    return "values" if each_value else "pooled" if pool else "levels"


def _plan(samples: tuple[str, ...], given: dict[str, Any]) -> None:
    from seke.calibration.gold_plan import plan_gold
    from seke.calibration.gold_plan_text import facts_of, text_of

    names = ("knowledge", "gold", "delta", "population", "seed", "keep_gold_evidence")
    used = {name: given[name] for name in names}
    with task("planning") as stages:
        plan = plan_gold(list(samples), alpha=given["alpha"] or 0.1, progress=stages.show, **used)
    print_result(facts_of(plan), text_of(plan), as_json=given["as_json"])


def _calibrate(samples: tuple[str, ...], output: Path, given: dict[str, Any]) -> None:
    from engine import SekeError

    force, as_json, trace = given.pop("force"), given.pop("as_json"), given.pop("trace")
    models = _models(given.pop("models"), given["knowledge"])
    clusters = given.pop("clusters")
    if clusters is not None:
        given["groups"] = given["groups"], clusters
    if output.suffix not in (".yaml", ".yml"):
        raise SekeError(f"{output}: an overlay is a .yaml file")
    if output.exists() and not force:
        raise SekeError(f"{output}: exists already; write to another file, or overwrite it with --force")
    if not output.resolve().parent.is_dir():
        raise SekeError(f"{output}: there is no folder {output.parent}")
    if trace is not None and trace.suffix != ".nc":
        raise SekeError(f"{trace}: a trace is an .nc file")
    knowledge = given["knowledge"]

    from seke.calibration.labelled_answers import gold_table
    from seke.files.shipped import knowledge as read_knowledge

    given["knowledge"] = read_knowledge(knowledge)
    if given["gold"] is not None:
        # A wrong column is told before the libraries of the fit are imported, which takes seconds.
        column = given["groups"] if clusters is None else given["groups"][0]
        given["gold"] = gold_table(given["gold"], given["knowledge"], column)

    from seke.calibration.calibrate import calibrate as learn
    from seke.calibration.fit_overlay import name_of_base, read_overlay, relative
    from seke.calibration.summary import facts_of, text_of
    from seke.calibration.trace import write_trace

    is_path = knowledge is not None and Path(knowledge).exists()
    extends = relative(Path(knowledge), output) if is_path else name_of_base(knowledge)
    with task("fitting") as stages:
        calibration = learn(
            list(samples), extends=extends, output=output, models=models, progress=stages.show, **given
        )
    read_overlay(calibration.overlay, output)
    if trace is not None:
        write_trace(calibration, trace)
    write_file(calibration.overlay.encode(), output)
    print_result(facts_of(calibration), text_of(calibration), as_json=as_json)
    if as_json:
        print_warnings(calibration.warnings)
    print_message(f"{output} written; use it with -k {output}")
    if calibration.guarantee is not None and not calibration.guarantee.certified:
        sys.exit(1)


def _models(named: tuple[str, ...], knowledge: str | None) -> dict[str, str]:
    """Return observer -> model; a name alone is for the observer that the policy asks."""
    from engine import SekeError
    from seke.files.shipped import knowledge as read_knowledge
    from seke.samples.columns_builder import cure_of_unknown_observer

    if not named:
        return {}
    base, models = read_knowledge(knowledge), {}
    for text in named:
        observer, _, model = text.rpartition("=")
        observer = observer or base.policy.ask
        if observer not in base.observers:
            raise SekeError(
                f"--model: no observer is called {observer!r}; {cure_of_unknown_observer(base.observers)}"
            )
        models[observer] = model
    return models
