"""The command `seke plan`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import check_picture, format_of, on_terminal, print_json, print_message, table_console
from seke.files.atomic import write_file
from seke.progress import task

if TYPE_CHECKING:
    from pathlib import Path

    from seke.planning.plan import Plan


class _Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them."""

    name = "N,..."

    def __init__(self, kind: type[int] | type[float], low: float, high: float) -> None:
        self.kind, self.low, self.high = kind, low, high

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers of a text."""
        if not isinstance(value, str):
            return tuple(value)
        numbers = []
        for part in filter(None, (part.strip() for part in value.split(","))):
            try:
                number = self.kind(part)
            except ValueError:
                expected = "a whole number" if self.kind is int else "a number"
                self.fail(
                    f"{part!r} is not {expected}; give one, or several with commas between them", param, ctx
                )
            if not self.low <= number <= self.high:
                self.fail(f"{part} is out of range; allowed is {self.low:g} to {self.high:g}", param, ctx)
            numbers.append(number)
        return tuple(numbers)


@click.command(short_help="Simulate what a policy would ask, cost and get wrong.")
@options.knowledge()
@click.option(
    "--items", type=options.COUNT, default=500, show_default=True, help="Number of simulated items."
)
@click.option(
    "--limits",
    type=_Numbers(float, 1e-3, 1000),
    default="0.2,0.5,1,2,3",
    show_default=True,
    help="Factors on the policy's limits, from strict to loose; one setting each.",
)
@click.option(
    "--budget",
    "budgets",
    type=_Numbers(int, 1, 1000),
    default="",
    help="Most answers about an item; every budget is combined with every factor.  [default: the policy's]",
)
@click.option(
    "--fixed",
    type=_Numbers(int, 1, 1000),
    default="1,2,5,10",
    show_default=True,
    help="For comparison: ask every item this many times. Empty: no such settings.",
)
@click.option(
    "--question", metavar="NAME", help="Question of --fixed.  [default: the policy's first question]"
)
@click.option(
    "--observer",
    "observers",
    multiple=True,
    metavar="NAME",
    help="Observer that is asked first; given again, others that may be asked.  [default: the policy's]",
)
@options.population()
@click.option(
    "--truth-population",
    metavar="NAME",
    help="Misfit: draw the truth from this population.  [default: the same]",
)
@options.misfit()
@click.option(
    "--for",
    "total",
    type=options.COUNT,
    metavar="ITEMS",
    help="Also print the totals for a data set of this many items.",
)
@click.option(
    "--price",
    type=click.FloatRange(min=0),
    metavar="PRICE",
    help="Price of one unit of the questions' cost; needs --for.",
)
@click.option(
    "--gold",
    type=_Numbers(int, 1, 100_000),
    default="",
    help="For comparison: first calibrate on this many simulated items with gold, then follow the policy.",
)
@options.seed()
@options.json_on_terminal()
@options.path("--plot", "Draw calls against coverage and error: .png, .svg or .pdf.")
def plan(as_json: bool, plot: Path | None, **given: Any) -> None:
    """Simulate what a policy would ask, cost, accept and get wrong, before you pay.

    Items and their truth are simulated from the base, and answers from its observers. The policy asks until
    each item is accepted or rejected. One setting for each factor scales its limits from strict to loose;
    other settings ask every item the same number of times. All settings see the same items and the same
    answers.

    For each setting the table shows calls and cost per item, the share of items accepted, and the share of
    these with a wrong required value. For each level it shows the share of values accepted, the share of
    these that is wrong, and the risk that was stated. Which values are wrong is known, since the truth is
    simulated; this holds as far as the observers are as declared. --halo, --drift, --independent and
    --truth-population show what happens if they are not.

    The line below is the ceiling: about the share that would be accepted of the same items, by the limits as
    declared, with endless answers of the observers that the policy asks. Looser limits accept more; so does,
    by a little, a policy that stops where answers look good. Otherwise only better numbers or another
    observer get beyond it. --gold shows what calibration on gold would change.

    \b
    Examples:
      seke plan --for 26238 --price 0.002
      seke plan --items 200 --limits 0.5,1,2 --halo 0.6 --plot plan.png
      seke plan --items 200 --limits 1 --fixed "" --gold 30,100
      seke plan -k mine.yaml --budget 2,4,8 --fixed ""

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        _plan(as_json, plot, given)


def _plan(as_json: bool, plot: Path | None, given: dict[str, Any]) -> None:
    from engine import Misfit, SekeError

    if given["price"] is not None and given["total"] is None:
        raise SekeError("--price needs the number of items: give it with --for")
    check_picture(plot)
    from seke.planning.plan import plan as simulate_plan

    misfit = Misfit(*(given.pop(name) for name in ("independent", "halo", "drift")))
    with task("simulating all settings") as simulating:

        def note(settled: int, total: int) -> None:
            simulating.reach(simulating.done + settled, total)

        simulated_plan = simulate_plan(**given, misfit=misfit, progress=note)
    if plot is not None:
        from seke.planning.plot import draw_plan

        write_file(draw_plan(simulated_plan, format_of(plot)), plot)
    if as_json or not on_terminal():
        for row in simulated_plan.rows:
            print_json({**row, "about": simulated_plan.about})
    else:
        from seke.planning.table import show

        show(simulated_plan, table_console())
    print_message(_assumptions(simulated_plan))


def _assumptions(plan: Plan) -> str:
    """Return a line on the assumptions and on the precision of the figures."""
    about = plan.about
    shares = [row["accepted"] for row in plan.rows]
    most = max(abs(share[end] - share["share"]) for share in shares for end in ("low", "high"))
    wrong = [f"{name} {value:g}" for name, value in about["misfit"].items() if value]
    parts = [
        f"{about['items']} items made up (seed {about['seed']}): the share accepted is known within "
        f"{100 * most:.1f} points (95 %)",
        f"asked: {', '.join(about['observers'])}, "
        + ("misfit: " + ", ".join(wrong) if wrong else "as declared"),
        f"population {about['population']}",
        f"knowledge {about['knowledge']} {about['digest']}",
    ]
    if about["truth_population"] != about["population"]:
        parts.insert(3, f"truth of population {about['truth_population']}")
    return "; ".join(parts)
