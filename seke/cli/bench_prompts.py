"""The command `seke bench prompts`: parse, call, print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli import model_options as asking
from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message, print_result
from seke.cli.progress import RunProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from seke.benchmarking.prompt_trial import PromptTrial
    from seke.vision.messages import Model, Settings
    from seke.vision.prices import Prices

# Exit status where some questions have no answer.
UNFINISHED = 1
SAMPLE_ENDINGS = (".jsonl", ".jsonl.gz")


@click.command(short_help="Compare wordings of prompts on the same pictures.")
@click.argument("variants", nargs=-1, required=True, metavar="VARIANT...")
@click.option(
    "--images", multiple=True, metavar="MANIFEST", help="Manifest, folder or pattern; may be given again."
)
@options.run(required=False)
@click.option(
    "--question",
    "questions",
    multiple=True,
    metavar="NAME",
    help="Question to ask; may be given again.  [default: all that are not about one variable]",
)
@click.option("--draws", type=options.COUNT, default=1, show_default=True, help="Answers to each question.")
@options.gold()
@options.groups()
@options.intervals()
@options.requests()
@options.sampling(temperature=1.0)
@options.without_model()
@options.forget_unanswered()
@click.option(
    "--bias",
    "biases",
    multiple=True,
    metavar="KIND=SHARE",
    help="With --scripted: all variants but the first have this bias (yes, first, coupling, refusal), to see "
    "whether so many faces find it; may be given again.",
)
@options.json()
def prompts(variants: tuple[str, ...], folder: Path | None, **given: Any) -> None:
    """Compare wordings: ask the same pictures in several VARIANTs, and say what differs, with intervals.

    A VARIANT is an overlay that changes questions (or a shipped base by its name). All are asked the same
    questions about the same pictures, the same number of times; the first is what the others are compared
    with. Labels of the manifest, or --gold, are gold. Without gold, refusals, how often units are called
    present, and what is sent can be compared, but not which variant is right. VARIANTs may also be samples
    that are there already (.jsonl); then nothing is asked.

    \b
    right, log loss   against gold; log loss once answers are calibrated on others
    yes               how often units are called present; if absent, if present
    first option      named more often than it should be, by the order alone
    coupling          how well units predict the label in one answer, in bits;
                      excess: less the same in gold
    same prefix       share of letters that a cache of prefixes can reuse

    Intervals are of resampled items, whole persons or clips where the manifest has `group` (or --groups
    names the column of --gold). After a change of wording, the digest of the prompt is another one, and
    what was calibrated for the old one no longer counts: calibrate again.

    \b
    Examples:
      seke bench prompts shipped mine.yaml --images faces.csv --run ablation --scripted
      seke bench prompts shipped mine.yaml --images faces.csv --run trial \\
        --model gpt-4o --question joint --question verify --max-cost 5 \\
        --price-in 2 --price-out 8
      seke bench prompts shipped mine.yaml --images faces.csv --run trial \\
        --model gpt-4o --batch
      seke bench prompts plain.jsonl mine.jsonl --gold gold.csv --groups person

    A server that fails again and again ends the trial with its words, as in seke annotate; so do forty
    answers of which none can be read. The same command goes on.

    Exit status: 0 done, 1 some questions have no answer, 2 bad input.
    """
    with exit_on_errors(as_json=given["as_json"]):
        if all(variant.endswith(SAMPLE_ENDINGS) for variant in variants):
            _compare(variants, given)
        elif folder is None or not given["images"]:
            raise click.UsageError("name the pictures with --images and the folder of the run with --run")
        else:
            _ask(variants, folder, given)


def _intervals(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("bootstrap", "level", "seed")}


def _compare(variants: tuple[str, ...], given: dict[str, Any]) -> None:
    """Compare samples that are there already."""
    from engine import SekeError
    from seke.benchmarking.prompt_comparison import compare_prompts

    by_name = {Path(variant).name.split(".")[0]: variant for variant in variants}
    if len(by_name) < len(variants):
        raise SekeError("samples of two variants have the same name; rename one file")
    options_given = {"groups": given["groups"], **_intervals(given)}
    report = compare_prompts(by_name, given["knowledge"], given["gold"], **options_given)
    print_result(report.facts, report, as_json=given["as_json"])


def _ask(variants: tuple[str, ...], folder: Path, given: dict[str, Any]) -> None:
    """Ask the variants, and compare their answers."""
    from engine import SekeError
    from seke.benchmarking.prompt_trial import TrialStoppedError, prompt_trial
    from seke.tables.label_table import read_labels

    if given["knowledge"]:
        raise SekeError("variants are bases themselves: no -k")
    if given["biases"] and not given["scripted"]:
        raise SekeError("--bias goes with --scripted")
    settings, prices = asking.settings(given), asking.prices(given)
    progress = RunProgress()
    trial = prompt_trial(
        variants,
        given["images"],
        folder,
        settings,
        given["questions"],
        draws=given["draws"],
        max_cost=given["max_cost"],
        concurrency=asking.concurrency(given),
        problems=progress.problem,
        progress=progress.add,
    )
    model_of = _models(trial, settings, prices, given)
    base = next(iter(trial.variants.values()))
    requests = sum(len(trial.requests(name, item.name)) for name in trial.variants for item in trial.items)
    if given["show_prompts"]:
        _show_prompts(trial)
    elif given["dry_run"]:
        _forecast(trial, requests, asking.applicable_prices(prices, given), as_json=given["as_json"])
    else:
        gold = None if given["gold"] is None else read_labels(given["gold"], base, given["groups"])
        asking.confirm(len(trial.items), model_of(next(iter(trial.variants))), yes=given["yes"])
        try:
            with progress.over(requests):
                report = trial.run(
                    model_of, gold, forget_unanswered=given["forget_unanswered"], **_intervals(given)
                )
        except TrialStoppedError as error:
            print_message(f"stopped before the end: {error}")
            sys.exit(UNFINISHED)
        print_result(report.facts, report, as_json=given["as_json"])
        print_message(f"samples of each variant: {folder}/VARIANT/samples.jsonl, for seke calibrate")
        if report.facts["stopped"]:
            print_message(f"stopped before the end: {report.facts['stopped']}; the same command goes on")
        expected = trial.draws * requests // len(trial.variants)
        if any(variant["given"] < expected for variant in report.facts["variants"].values()):
            sys.exit(UNFINISHED)


def _models(
    trial: PromptTrial, settings: Settings, prices: Prices | None, given: dict[str, Any]
) -> Callable[[str], Model]:
    """Return who answers each variant."""
    from seke.benchmarking.scripted_biases import Bias, BiasedModel
    from seke.vision.fake import RecordedModel

    bias, first = Bias.of(given["biases"]), next(iter(trial.variants))
    truths = {item.name: item.labels for item in trial.items}

    def model_of(name: str) -> Model:
        if given["recorded"]:
            return RecordedModel.read(given["recorded"], variant=name)
        if given["scripted"]:
            own_bias = Bias() if name == first else bias
            return BiasedModel(trial.variants[name], own_bias, given["seed"], truths)
        return asking.model(settings, prices, given)

    return model_of


def _show_prompts(trial: PromptTrial) -> None:
    item = trial.items[0]
    for name in trial.variants:
        system = ""
        for request in trial.requests(name, item.name):
            prompt = trial.prompt(name, request, item)
            if prompt.system != system:
                system = prompt.system
                print(f"--- {name}: told first, in all questions that follow\n{system}\n")
            about = f" about {request.about}" if request.about else ""
            print(f"--- {name}: {request.question}{about} ({prompt.digest[:16]})")
            print(f"{prompt.text}\n--- its form: {json.dumps(prompt.schema)}\n")


def _forecast(trial: PromptTrial, requests: int, prices: Prices | None, *, as_json: bool) -> None:
    """Print how much would be sent at most."""
    from seke.vision.prices import Estimate

    estimate, item = Estimate(prices, trial.settings), trial.items[0]
    prompt = answer = 0
    for name in trial.variants:
        for request in trial.requests(name, item.name):
            most = estimate.tokens(trial.call(name, request, item), trial.draws)
            prompt, answer = prompt + most[0] * len(trial.items), answer + most[1] * len(trial.items)
    price = None if prices is None else prices.of(prompt, 0, answer)
    facts = {
        "items": len(trial.items),
        "variants": list(trial.variants),
        "requests": requests,
        "prompt_tokens": prompt,
        "answer_tokens": answer,
        "price": price,
    }
    if as_json:
        print_json(facts)
        return
    print(f"{len(trial.items):,} items, {len(trial.variants)} variants, {requests:,} requests:")
    print(f"  at most {prompt:,} prompt tokens and {answer:,} answer tokens")
    print(
        "  no prices are known (--price-in, --price-out)" if price is None else f"  at most {price:,.2f} USD"
    )
