"""The command `seke plan`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import format_of, on_terminal, print_json, print_message, table_console
from seke.cli.progress import ProgressBar
from seke.files.atomic import PICTURE, check_target, write_file

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


@click.command()
@options.knowledge()
@click.option("--items", type=options.COUNT, default=500, show_default=True, help="How many to make up.")
@click.option(
    "--limits",
    type=_Numbers(float, 1e-3, 1000),
    default="0.2,0.5,1,2,3",
    show_default=True,
    help="Factors by which the policy's limits are scaled: strict to loose.",
)
@click.option(
    "--budget",
    "budgets",
    type=_Numbers(int, 1, 1000),
    default="",
    help="The most answers of an item, each with each factor.  [default: the policy's]",
)
@click.option(
    "--fixed",
    type=_Numbers(int, 1, 1000),
    default="1,2,5,10",
    show_default=True,
    help="Beside the policy: ask all items the same, so often. Empty: leave these out.",
)
@click.option("--question", metavar="NAME", help="What --fixed asks.  [default: what the policy asks first]")
@click.option(
    "--observer",
    "observers",
    multiple=True,
    metavar="NAME",
    help="Who is asked first; given again, who may be asked besides.  [default: as the policy has it]",
)
@options.population()
@click.option(
    "--truth-population",
    metavar="NAME",
    help="Misfit: the truth is drawn from another population.  [default: the same]",
)
@options.misfit()
@click.option(
    "--for",
    "total",
    type=options.COUNT,
    metavar="ITEMS",
    help="Say what a data set of so many items would need in all.",
)
@click.option(
    "--price",
    type=click.FloatRange(min=0),
    metavar="PRICE",
    help="What one unit of the questions' cost is paid with; needs --for.",
)
@click.option(
    "--gold",
    type=_Numbers(int, 1, 100_000),
    default="",
    help="Beside the policy: calibrate on so many made-up items with gold first, and follow it then.",
)
@options.seed()
@options.json_on_terminal()
@options.path("--plot", "Draw calls against coverage and error: .png, .svg or .pdf.")
def plan(as_json: bool, plot: Path | None, **given: Any) -> None:
    """Say what a policy would ask, cost, accept and get wrong, before anything is paid.

    Items are made up, with their truth, from the base, and answers from its observers. The policy is
    followed on them until each is accepted or rejected: with its limits scaled from strict to loose, and
    beside it with all items asked the same. Every setting sees the same items and the same answers.

    Of each setting: calls and cost of an item; the share of items that are accepted, and of those the share
    in which a required value is wrong; for each level the share of its values accepted, of those the share
    that is wrong, and the risk that was stated. What is wrong is known here, for the truth is made up; it
    is what the base believes of its observers. See with --halo, --drift, --independent and
    --truth-population what happens where they are otherwise.

    Below is the ceiling: about what endless answers of whom the policy asks would get accepted. Beyond it
    only better numbers help, or another observer. --gold says what so many gold items would buy.

    \b
    Examples:
      seke plan --for 26238 --price 0.002
      seke plan --items 200 --limits 0.5,1,2 --halo 0.6 --plot plan.png
      seke plan --items 200 --limits 1 --fixed "" --gold 30,100
      seke plan -k examples/plants/knowledge --budget 2,4,8 --fixed ""

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        _plan(as_json, plot, given)


def _plan(as_json: bool, plot: Path | None, given: dict[str, Any]) -> None:
    from engine import Misfit, SekeError

    if given["price"] is not None and given["total"] is None:
        raise SekeError("--price says what all would cost: say with --for how many items there are")
    check_target(plot, PICTURE)
    from seke.planning.plan import plan as simulate_plan

    misfit = Misfit(*(given.pop(name) for name in ("independent", "halo", "drift")))
    with ProgressBar("{task.percentage:.0f} % of the items settled, all settings") as bar:
        simulated_plan = simulate_plan(
            **given, misfit=misfit, progress=lambda settled, total: bar.update(advance=settled, total=total)
        )
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
    """Return a line on what was assumed, and how sure the figures are."""
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
