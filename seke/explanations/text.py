"""Facts about an item -> text for a terminal, with the templates of `explanation.yaml`."""

from __future__ import annotations

import textwrap
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from seke.console.rich_table import table_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Facts = Mapping[str, Any]

# Columns of a line, where no terminal has fewer.
WIDTH = 90
_width = ContextVar("width", default=WIDTH)
# Bits, or a probability, from which on something is worth a line.
SMALL = 0.05
# Lines at most: pairs of readings in conflict, outcomes of a question, variables.
MOST_PAIRS = 4
MOST_OUTCOMES = 8
MOST_SHOWN = 8
# Gain per unit of cost from which on a question is listed.
LEAST_RATE = 0.05
# Numbers that change the decision; where there are fewer, a line says so.
WANTED = 3
# Different answers in a cell, and its characters; a longer cell becomes a note.
MOST_TOLD = 4
LONGEST_CELL = 18


@cache
def _words() -> Mapping[str, Any]:
    text = Path(__file__).with_name("explanation.yaml").read_text(encoding="utf-8")
    words: Mapping[str, Any] = yaml.safe_load(text)
    return words


def render(facts: Facts, width: int = WIDTH) -> str:
    """Return the facts as text, in lines of at most `width` columns, and WIDTH, where no path is longer."""
    token = _width.set(min(width, WIDTH))
    try:
        return "\n\n".join("\n".join(part(facts)) for part in PARTS.values()) + "\n"
    finally:
        _width.reset(token)


def render_part(name: str, facts: Facts) -> tuple[str, str]:
    """Return the title and the text of one of PARTS other than the head."""
    title, *lines = PARTS[name](facts)
    return title, textwrap.dedent("\n".join(lines))


def _wrap(text: str, indent: str = "", hang: str | None = None) -> list[str]:
    after = indent if hang is None else hang
    return textwrap.wrap(
        text,
        _width.get(),
        initial_indent=indent,
        subsequent_indent=after,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose last column is wrapped."""
    return table_lines(head, rows, width=_width.get(), folded=head[-1:])


def _answer_counts(counts: Mapping[str, float]) -> str:
    """Return answers with their counts; for a binary variable the share of true ones."""
    if set(counts) <= {"true", "false"} and sum(counts.values()) > 1:
        return f"true {counts.get('true', 0):g}/{sum(counts.values()):g}"
    shown = [answer if count == 1 else f"{answer} ×{round(count, 2):g}" for answer, count in counts.items()]
    more = len(shown) - MOST_TOLD
    return ", ".join(shown if more <= 0 else [*shown[:MOST_TOLD], _words()["more"].format(count=more)])


def head_sentences(facts: Facts) -> tuple[str, str]:
    """Return what is inferred about the root variable, and what is decided about it and about the item."""
    words, decision, label = _words(), facts["decision"], facts["label"]
    inferred = words["label"].format(**{**label, "label": label["value"], "item": facts["item"]})
    reasons = reasons_in_words(decision["reasons"])
    promised = decision["guarantee"]
    held = promised is not None and promised["holds"]
    given = {
        **decision,
        "variable": label["variable"],
        "value": label["value"],
        "decided": decision["value"],
        "limit": 0.0 if decision["limit"] is None else decision["limit"],
        "conflict": facts["conflict"]["probability"],
        "least": facts["conflict"]["least"],
        "at_odds": facts["conflict"]["at_odds"],
        "alpha": promised["alpha"] if held else 0.0,
        "on": words["basis"].get(decision["basis"], ""),
        "looked": words["origin"].get(decision["origin"], ""),
    }
    given["item_decision"] = words["item_decision"].format(
        decision=decision["item"], reasons=words["reasons"].format(reasons=reasons) if reasons else ""
    )
    given["within"] = words["within"][_limit_kind(decision)].format(**given)
    decided = " ".join(words[_verdict(facts, held)].format(**given).split())
    if facts.get("made_up"):
        decided += words["made_up"].format(caution=facts["made_up"][:1].upper() + facts["made_up"][1:])
    return inferred, decided


def _label(facts: Facts) -> list[str]:
    return [line for sentence in head_sentences(facts) for line in _wrap(sentence)]


def _limit_kind(decision: Facts) -> str:
    """Return the kind of the limit: of each risk, a threshold that keeps a mean, or a cap in its place."""
    if decision["limit_of"] == "each":
        return "each"
    return "mean" if decision["threshold_found"] else "capped"


def _verdict(facts: Facts, held: bool) -> str:
    """Return the key of the sentence on the decision about the label; held: whether it is guaranteed."""
    decision = facts["decision"]
    if not facts["readings"]:
        return "unread"
    if decision["accepted"] and held:
        return "certified"
    if decision["accepted"]:
        kept = decision["origin"] == "label" or decision["value"] != facts["label"]["value"]
        return "kept" if kept else "accepted"
    if held and decision["limit"] is None:
        return "uncertified"
    return "open" if decision["risk"] > (decision["limit"] or 0.0) else _obstacle(facts)


def _obstacle(facts: Facts) -> str:
    """Return the key of the sentence that says why a label of low risk is not accepted."""
    decision, conflict = facts["decision"], facts["conflict"]
    if conflict["probability"] < conflict["least"]:
        return "conflicting"
    if decision["origin"] in ("label", "inferred"):
        return "unseen"
    return "lacking" if decision["lacking_evidence"] else "unfinished"


def reasons_in_words(reasons: Sequence[str]) -> str:
    """Return the reasons of a decision as text, grouped by kind."""
    kinds: dict[str, list[str]] = {}
    for kind, _, subject in (reason.partition(": ") for reason in reasons):
        kinds.setdefault(kind, []).append(subject)
    return "; ".join(
        f"{kind}: {', '.join(subjects)}" if all(subjects) else kind for kind, subjects in kinds.items()
    )


def _prior(facts: Facts) -> list[str]:
    words, label, prior = _words()["prior"], facts["label"], facts["prior"]
    given = {
        "label": label["value"],
        "runner_up": label["runner_up"],
        "population": prior["population"],
        "p": prior["p"][label["value"]],
        "p_runner_up": prior["p"][label["runner_up"]],
        "bits": prior["bits"],
    }
    lines = [words["title"], *_wrap(words["population"].format(**given), "  ")]
    given = {"place": prior["place"], "source": prior["source"], "cite": prior["cite"].rstrip(".")}
    lines += _wrap(words["source"].format(**given), "  ")
    weight = label["bits"] - prior["bits"]
    after = {"weight": weight, "label": label["value"], "bits": label["bits"]}
    return lines + _wrap(words["after" if weight >= 0 else "against"].format(**after), "  ")


def _readings(facts: Facts) -> list[str]:
    words = _words()["readings"]
    rows = []
    for reading in sorted(facts["readings"], key=lambda reading: -abs(reading["bits"])):
        text = words["reading"].format(**reading) + ": " + "; ".join(reading_phrases(reading["said"]))
        rows.append((f"{reading['bits']:+.2f}", f"{reading['alone']:+.2f}", text))
    lines = [words["title"].format(label=facts["label"]["value"])]
    if not rows:
        return [*lines, *_wrap(words["unread"], "  ")]
    return [*lines, *_table(words["head"], rows), *_wrap(words["note"], "  ")]


def reading_phrases(answers_by_variable: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the answers of a reading as text; binary variables by name, where they were ever true."""
    for name, answers in answers_by_variable.items():
        if not set(answers) <= {"true", "false"}:
            yield f"{name} {_answer_counts(answers)}"
    true = {name: answers["true"] for name, answers in answers_by_variable.items() if "true" in answers}
    for count in sorted(set(true.values()), reverse=True):
        names = " ".join(name for name, times in true.items() if times == count)
        yield names if count == 1 else f"{names} ×{round(count, 2):g}"


def _variables(facts: Facts) -> list[str]:
    words, label = _words()["variables"], facts["label"]
    named = {"label": label["value"], "runner_up": label["runner_up"], "root": label["variable"]}
    large = [variable for variable in facts["variables"][:MOST_SHOWN] if abs(variable["bits"]) >= SMALL]
    head = [title.format(**named) for title in words["head"]]
    titles, *table = table_lines(head, _variable_rows(large, LONGEST_CELL))
    longest = LONGEST_CELL if max(map(len, [titles, *table])) <= _width.get() else 0
    rows, notes = _variable_rows(large, longest), _variable_notes(large, longest)
    lines = [words["title"].format(**named)]
    if rows:
        titles, *table = table_lines(head, rows)
        # A note stands under the name of its variable.
        indent = " " * titles.index(head[2])
        lines.append(titles)
        for line, note in zip(table, notes, strict=True):
            lines += [line, *_wrap(note, indent)]
    few = len(facts["variables"]) - len(large)
    if not rows:
        return [*lines, *_wrap(words["none"], "  ")]
    return lines + (_wrap(words["few"].format(count=few), "  ") if few else [])


def _variable_rows(variables: Sequence[Facts], longest: int) -> list[tuple[str, ...]]:
    """Return the rows of a table of variables; answers longer than `longest` are left to the notes."""
    rows = []
    for variable in variables:
        given = [f"{state} {value:.2f}" for state, value in variable["given"].items()] or ["", ""]
        answers = _answer_counts(variable["said"])
        bits = (f"{variable['bits']:+.2f}", f"{variable['alone']:+.2f}")
        rows.append((*bits, variable["variable"], answers if len(answers) <= longest else "", *given))
    return rows


def _variable_notes(variables: Sequence[Facts], longest: int) -> list[str]:
    """Return what stands below each row of these: long answers, and where its numbers are declared."""
    notes = []
    for variable in variables:
        answers, declared = _answer_counts(variable["said"]), _citations(variable["declared"])
        notes.append("; ".join(filter(None, [answers if len(answers) > longest else "", declared])))
    return notes


def _citations(declared: Mapping[str, Facts]) -> str:
    """Return file, lines and sources of the numbers declared for both states."""
    places = list(dict.fromkeys(Path(number["place"]).name for number in declared.values()))
    sources = list(dict.fromkeys(number["source"] for number in declared.values()))
    if not places:
        return ""
    files = [place.rsplit(":", 2) for place in places]
    lines = ", ".join(f":{parts[1]}" for parts in files) if len({parts[0] for parts in files}) == 1 else ""
    shown = files[0][0] + lines.replace(", :", ",") if lines else " ".join(places)
    return f"{shown} {', '.join(sources)}"


def _rules(facts: Facts) -> list[str]:
    words, lines = _words()["rules"], [_words()["rules"]["title"]]
    for rule in facts["rules"]:
        if abs(rule["bits"]) < facts["least_pull"]:
            continue
        lines += _wrap(words["pull"].format(**rule), "  ", " " * 9)
        moved = {**rule["moved"], "place": rule["place"], "source": rule["source"]}
        lines += _wrap(words["moved"].format(**moved), " " * 9)
        if rule["violated"] and rule["violated"] >= SMALL:
            lines += _wrap(words["violated"].format(**rule), " " * 9)
    if len(lines) == 1:
        none = words["none"].format(label=facts["label"]["value"], bits=facts["least_pull"])
        lines += _wrap(none, "  ")
    return lines


def _conflict(facts: Facts) -> list[str]:
    words, conflict = _words()["conflict"], facts["conflict"]
    lines = [words["whole"].format(**conflict)] if len(facts["readings"]) > 1 else []
    lines += [words["tail"].format(**conflict)] if conflict["probability"] < 1 else []
    pairs = [pair for pair in conflict["pairs"][:MOST_PAIRS] if pair["bits"] >= SMALL]
    lines += [words["pair"].format(**pair) for pair in pairs]
    variables = sorted(facts["variables"], key=lambda variable: -variable["conflict"])[:MOST_PAIRS]
    lines += [
        words["variable"].format(variable=variable["variable"], bits=variable["conflict"])
        for variable in variables
        if variable["conflict"] >= SMALL
    ]
    lines += [
        words["violated"].format(**{**violation, "place": violation["place"]})
        for violation in conflict["violations"]
    ]
    lines += [
        words["standing"].format(contradiction=c["contradiction"], about=", ".join(c["about"]))
        for c in conflict["contradictions"]
    ]
    wrapped = [line for text in lines or [words["none"]] for line in _wrap(text, "  ", " " * 9)]
    return [words["title"], *wrapped, *_checks(facts)]


def _checks(facts: Facts) -> list[str]:
    """Return what questions about one variable alone changed; nothing where none was answered."""
    words, rows = _words()["checks"], []
    for check in facts["conflict"]["checks"]:
        without, with_it = check["without"], check["with"]
        phrases = [
            words["stands" if text in with_it["contradictions"] else "solved"].format(contradictions=text)
            for text in without["contradictions"]
        ]
        sides = [
            words["side"].format(**{**side, "value": _value(side["value"])}) for side in (without, with_it)
        ]
        rows.append((*sides, check["about"], "; ".join(phrases) or words["without"]))
    return [*_wrap(words["title"], "  "), *_table(words["head"], rows)] if rows else []


def _value(value: Any) -> str:
    """Return a decided value as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:+.2f}" if isinstance(value, float) else str(value)


def _next(facts: Facts) -> list[str]:
    words, following = _words()["next"], facts["next"]
    lines = [words["title"]]
    asked = following.get("asked")
    given: dict[str, Any] = {"budget": following.get("budget"), "quick": following.get("quick_gain")}
    if asked:
        given |= {**asked, "question": _question(asked), "gain": _gain(asked)}
    lines += _wrap(words[following["why"]].format(**given), "  ")
    if not asked or following["why"] in ("settled", "budget", "first"):
        return lines
    lines += [*_wrap(words["outcomes"], "  "), *_outcomes(facts)]
    rows = [
        (_gain(option), f"{option['cost']:g}", f"{option['rate']:.1f}", _question(option))
        for option in following["options"]
        if option["rate"] >= LEAST_RATE
    ]
    return lines + ([*_wrap(words["options"], "  "), *_table(words["head_options"], rows)] if rows else [])


def _outcomes(facts: Facts) -> Iterator[str]:
    """Yield a table of possible answers and their effects; those with the least effect are only counted."""
    words, outcomes = _words()["next"], facts["next"]["outcomes"]
    label, p = facts["label"]["value"], facts["label"]["p"]
    change = [
        outcome["probability"] * (abs(outcome["p"] - p) if outcome["label"] == label else 1.0)
        for outcome in outcomes
    ]
    order = sorted(range(len(outcomes)), key=lambda i: -change[i])[:MOST_OUTCOMES]
    rows = [
        (
            f"{outcome['probability']:.2f}",
            f"{outcome['label']} {outcome['p']:.2f}",
            f"{outcome['variable']} {_answer_counts(outcome['said'])}",
        )
        for outcome in (outcomes[i] for i in sorted(order))
    ]
    head = [title.format(root=facts["label"]["variable"]) for title in words["head_outcomes"]]
    yield from _table(head, rows)
    if len(outcomes) > len(rows):
        yield from _wrap(words["same"].format(count=len(outcomes) - len(rows)), "  ")


def _gain(option: Facts) -> str:
    words = _words()["next"]
    return str(words["simulated" if option["error"] else "exact"].format(**option))


def _question(option: Facts) -> str:
    words = _words()["next"]
    about = words["about"].format(**option) if option["about"] else ""
    answers = words["answers"][option["samples"] > 1]
    return str(words["question"].format(**{**option, "about": about, "answers": answers}))


def _numbers(facts: Facts) -> list[str]:
    words = _words()["numbers"]
    lines = [words["title"]]
    for number in facts["numbers"]:
        lines += _wrap(words["flip"].format(**number) + (words["shared"] if number["shared"] else ""), "  ")
        then = words["then_accepted" if number["accepted"] else "then_open"]
        given = {**number, "variable": facts["label"]["variable"]}
        lines += _wrap(then.format(**given), "    ")
    if len(facts["numbers"]) < WANTED:
        none = words["few" if facts["numbers"] else "none"].format(bits=facts["farthest"])
        lines += _wrap(none, "  ")
    if facts["decision"]["guarantee"]:
        lines += _wrap(words["promised"], "  ")
    return lines


PARTS: Mapping[str, Callable[[Facts], list[str]]] = {
    "label": _label,
    "prior": _prior,
    "readings": _readings,
    "variables": _variables,
    "rules": _rules,
    "conflict": _conflict,
    "next": _next,
    "numbers": _numbers,
}
