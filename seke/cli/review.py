"""The commands `seke review`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_json, print_message, print_text, print_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from seke.review.import_answers import ImportedReview
    from seke.review.outlook import Outlook

FORMATS = ("labelstudio", "csv", "page")
# Items that a message names.
MOST_NAMED = 5

_RUN = click.argument("run", metavar="RUN", type=options.PATH)
_MINUTES = click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="N",
    help=(
        "How long a person takes to answer a question of cost 1 (everything about a face), in minutes. Other "
        "questions take as much less as they cost less."
    ),
)
_BUDGET = click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Ask no more than fits into so many minutes of one person.  [default: all that helps]",
)
_BLIND = click.option(
    "--blind",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    metavar="SHARE",
    help=(
        "Share of the tasks without what the run believes, drawn by chance. They show how far people follow "
        "what they are shown."
    ),
)
_LIKE = click.option(
    "--like",
    metavar="OBSERVER",
    help="The observer of people whose numbers annotators begin with.  [default: the broadest]",
)
_SEED = options.seed("which tasks are blind")


def _part_of(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, int]:
    number, slash, parts = text.partition("/")
    if not (slash and number.isdecimal() and parts.isdecimal()):
        raise click.BadParameter(f"met {text!r}; allowed is the part and how many there are, such as 1/2")
    return int(number), int(parts)


_PART = click.option(
    "--part",
    metavar="K/N",
    default="1/1",
    callback=_part_of,
    help="Only the K-th of N parts of the tasks, dealt out in turn, so that N people share them.",
)


@click.group(short_help="Ask people about what a run could not settle.")
def review() -> None:
    """Ask people about what a run could not settle, and decide anew with their answers.

    \b
    Examples:
      seke review export run --to page -o faces.html --budget 60
      seke review import answers-anna.jsonl answers-ben.jsonl --run run
      seke review status run
    """


@review.command("export", short_help="Write the questions that people should answer.")
@_RUN
@click.option("--to", required=True, type=options.OneOf(FORMATS), help="What is written.")
@options.output("The file to write: .json, .csv or .html.", required=True)
@_BUDGET
@_MINUTES
@_BLIND
@_PART
@_LIKE
@options.knowledge_inferred_with()
@_SEED
@options.json()
def export_command(run: Path, output: Path, as_json: bool, **given: Any) -> None:
    """Write the questions about the run in RUN that people should answer.

    For each item the question is chosen whose answer gains most per minute, as the policy weighs every
    question; those that gain most come first. Pictures are part of the file.

    labelstudio: tasks for Label Studio's import (.json), with predictions, and beside them the labelling
    config (.xml). csv: a table to fill in (1, 0 or ? for action units; status refused or not_judged). page:
    one page that opens offline in a browser; its answers are saved as a file.

    \b
    Examples:
      seke review export run --to page -o faces.html --budget 60
      seke review export run --to labelstudio -o tasks.json --blind 0.5
      seke review export run --to csv -o tasks.csv --minutes 1.5
      seke review export run --to page -o anna.html --part 1/2

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        from seke.review.export import review_export

        exported = review_export(run, output, **given)
        if as_json:
            print_json(exported.as_facts())
            return
        questions = ", ".join(f"{name} {count:,}" for name, count in exported.questions.items())
        print_text(
            f"{exported.tasks:,} tasks ({questions}), about {exported.minutes:g} minutes of one person"
        )
        print_text(f"{exported.blind:,} of them without what the run believes")
        for item, reason in list(exported.left_out.items())[:MOST_NAMED]:
            print_message(f"left out: {item}: {reason}")
        for path in exported.files:
            print(path)


@review.command("import")
@click.argument("files", metavar="FILE...", type=options.PATH, nargs=-1, required=True)
@options.path("--run", "The run that the tasks were exported from.", metavar="RUN", required=True)
@options.gold()
@click.option("--annotator", default="", metavar="NAME", help="Who answered, in files that do not say.")
@_LIKE
@options.knowledge_inferred_with()
@options.json()
def import_command(files: tuple[Path, ...], run: Path, as_json: bool, **given: Any) -> None:
    """Bring people's answers into a run, and decide all its items anew.

    FILE is an export of Label Studio (JSON; JSON_MIN and CSV lack skips and predictions), what the page
    saved or the server kept (.jsonl), or a filled-in table. The same file twice changes nothing; a changed
    answer takes the place of the earlier one.

    Each annotator is an observer of people, with numbers of her own (RUN/review/annotators.yaml): they
    begin at those of her kind and move as far as her answers say, beside all others and the gold, if there
    is any. How often she merely repeats what she was shown is learned from the tasks with and without it.

    RUN stays as it is. RUN/review is a run, too, decided with people.

    \b
    Examples:
      seke review import project-1.json --run run
      seke review import run/review/served.jsonl --run run
      seke review import answers.csv --run run --annotator anna --gold gold.csv
      seke report run/review -k run/review/annotators.yaml -o report.html

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        from seke.review.import_answers import review_import

        imported = review_import(files, run, **given)
        print_warnings(imported.warnings)
        if as_json:
            print_json(imported.as_facts())
        else:
            _show_import(imported)


def _show_import(imported: ImportedReview) -> None:
    parts = [f"{imported.new:,} new", f"{imported.changed:,} changed", f"{imported.same:,} as before"]
    words = {"ok": "answered", "refused": "skipped", "not_judged": "cannot be judged"}
    statuses = ", ".join(f"{count:,} {words[name]}" for name, count in imported.statuses.items())
    print_text(f"answers: {', '.join(parts)}" + (f" ({statuses})" if statuses else ""))
    if imported.unknown_items:
        named = ", ".join(imported.unknown_items[:MOST_NAMED])
        more = len(imported.unknown_items) - MOST_NAMED
        print_message(
            f"left out: answers about {len(imported.unknown_items):,} items that the run lacks: {named}"
            + (f" and {more:,} more" if more > 0 else "")
        )
    for name, person in imported.people.items():
        learned = ""
        if "skill" in person:
            side = "better" if person["skill"] > 0 else "worse"
            learned = f"; repeats {person['repeats']:.2f} of what is shown; "
            learned += (
                f"{side} than her kind by {abs(person['skill']):.2f}" if person["skill"] else "as her kind"
            )
        print_text(f"  {name}: {person['answers']:,} answers{learned}")
    for agreement in imported.agreements:
        shares = [
            f"{agree / total:.2f} of {total:,} {how}"
            for agree, total, how in (
                (agreement.agree_shown, agreement.shown, "shown"),
                (agreement.agree_blind, agreement.blind, "blind"),
            )
            if total
        ]
        level = agreement.level.replace("_", " ")
        print_text(f"  {agreement.annotator} agrees with the run about {level}: {', '.join(shares)}")
    if imported.items:
        now = ", ".join(f"{count:,} {name}" for name, count in imported.items.items())
        before = ", ".join(f"{count:,} {name}" for name, count in imported.before.items())
        print_text(f"items: {now} (before: {before})")
        for note in imported.notes:
            print_text(note)
        print(imported.folder)


@review.command("status", short_help="Say what people have answered, and what more would do.")
@_RUN
@click.option(
    "--ahead",
    "minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="MINUTES",
    help="The further minutes of people to look ahead.",
)
@click.option(
    "--minutes",
    "minutes_each",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="How long an answer to a question of cost 1 takes.  [default: as measured, else 1]",
)
@_LIKE
@options.knowledge_inferred_with()
@options.json()
def status_command(
    run: Path, minutes: float, minutes_each: float | None, as_json: bool, **given: Any
) -> None:
    """Say what people have answered, and what a further hour of them would bring.

    The tasks that gain most per minute are taken until the time is used up; their answers are drawn from
    what the run believes, and each item is decided with each of these.

    \b
    Examples:
      seke review status run
      seke review status run --ahead 240 --json

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors(as_json=as_json):
        from seke.review.outlook import review_outlook

        ahead = review_outlook(run, minutes, minutes_each=minutes_each, **given)
        if as_json:
            print_json(ahead.as_facts())
        else:
            _show_outlook(ahead)


def _show_outlook(ahead: Outlook) -> None:
    people = ", ".join(f"{name} {count:,}" for name, count in ahead.answers.items()) or "nobody yet"
    print_text(f"answered: {people}; {ahead.unanswered:,} of {ahead.exported:,} exported tasks are open")
    how = "as measured" if ahead.measured else "assumed"
    print_text(f"accepted: {ahead.accepted:,} of {ahead.items:,} items")
    if not ahead.tasks:
        print_text(f"a further {ahead.minutes:g} minutes of people would change nothing")
        return
    questions = ", ".join(f"{name} {count:,}" for name, count in ahead.questions.items())
    print_text(
        f"a further {ahead.minutes:g} minutes of one person: {ahead.tasks:,} tasks ({questions}; "
        f"{ahead.minutes_each:g} minutes for a whole face, {how})"
    )
    print_text(f"  would bring about {ahead.after - ahead.accepted:+.1f} accepted items")
    print_text(
        f"  mean risk of the required values of these items: {ahead.risk:.2f}, "
        f"then about {ahead.risk_after:.2f}"
    )


@review.command("serve", short_help="Serve the page on this machine, and keep each answer.")
@_RUN
@_BUDGET
@_MINUTES
@_BLIND
@_LIKE
@options.knowledge_inferred_with()
@_SEED
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free port.")
def serve_command(run: Path, **given: Any) -> None:
    """Serve the page on this machine alone, and keep each answer as it is made.

    The address, which has a secret in it, is printed. Answers are added to RUN/review/served.jsonl and are
    on the disk before the next face is shown; start it again after any end, and it goes on. Ctrl-C ends it.

    \b
    Examples:
      seke review serve run --budget 60
      seke review import run/review/served.jsonl --run run

    Exit status: 0 done, 2 bad input.
    """
    with exit_on_errors():
        from seke.review.serve import review_server

        server = review_server(run, **given)
        with server:
            print(f"{len(server.kept.tasks):,} tasks; answers go to {server.kept.path}", flush=True)
            print(server.address, flush=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print_message(f"to bring the answers in: seke review import {server.kept.path} --run {run}")
