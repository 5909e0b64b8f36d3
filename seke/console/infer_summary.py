"""Posterior records for people: a table on the terminal, and a line that sums up a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from engine import joined_looks, looks_at_labels, people_asked
from seke.console.decision_words import (
    LEGEND,
    MARK,
    MEASURING,
    OPEN_LEGEND,
    OPEN_MARK,
    SYMBOLS,
    UNCALIBRATED,
    basis_of,
    basis_of_item,
    is_fitted,
    required_of,
)
from seke.console.plain_text import first_names, unseen_text
from seke.console.summary_lines import alarm_lines, whole_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rich.console import Console

    from engine import Answers, Certificate, Guarantee, Inference, Knowledge, LabelLooks
    from seke.inference.session import Session

    Record = dict[str, Any]

# Counts of answers that report nothing.
UNREAD = ("refused", "unreadable", "not_judged")
COLOURS = {"accept": "green", "requery": "yellow", "reject": "red"}
# Items in the table.
MOST_ROWS = 200
# Characters of a list of certified values, and names in a list.
LONGEST_LIST = 110
MOST_NAMED = 6
# Variables named in a cell of the table, which has room for two lines of them.
MOST_IN_CELL = 4


class InferSummary:
    """Counts what was decided; keeps the first rows for the table.

    In the table a number stands with half the width of its 90 % interval.
    """

    def __init__(self, base: Knowledge) -> None:
        self.base = base
        self.required = required_of(base)
        self.items: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.samples = 0
        self.outside = 0
        self.why_outside = ""
        # Accepted values by their basis; accepted items by the basis of their required values.
        self.bases: Counter[str] = Counter()
        self.items_by_basis: Counter[str] = Counter()
        # Looks at the labels of the data set, by variable.
        self.looks: dict[str, LabelLooks] = {}
        self.inferred = 0
        # Required variables that somebody looked at, or a label tells, in any item; items with an answer.
        self.seen: set[str] = set()
        # Accepted values of required variables, and their risks added up.
        self.accepted: Counter[str] = Counter()
        self.accepted_risk: Counter[str] = Counter()
        self.read = 0
        self.lacking = 0
        self.overruled: Counter[str] = Counter()
        # Items that wait for people, by observer.
        self.people = people_asked(base)
        self.waiting: Counter[str] = Counter()
        # Variance of whether values are wrong, and the part of it that comes from the base's numbers, where
        # these were drawn; by column.
        self.doubt: Counter[str] = Counter()
        # Questions about one variable that a contradiction named, those that solved it, those that changed
        # the value.
        self.checks: Counter[str] = Counter()
        self.of_knowledge: Counter[str] = Counter()
        # Risks of required values that keep items unresolvable, by variable; None where nobody looked.
        self.unresolved: dict[str, list[float | None]] = {}
        self.rows: list[Record] = []

    def add(self, records: list[Record]) -> None:
        """Take note of these records."""
        for record in records:
            decision = record["decision"]
            self.items[decision["item"]] += 1
            following = decision["next"]
            if following and following["observer"] in self.people:
                self.waiting[following["observer"]] += 1
            if decision["item"] == "reject":
                self.reasons[decision["reasons"][0].partition(":")[0]] += 1
                if decision["reasons"][0] == "unresolvable":
                    self._note_unresolved(decision["levels"])
            self._count_levels(record)
            self._count_checks(record)
            self.samples += record["diagnostics"]["samples"]
            promised = decision.get("guarantee", {"holds": True})
            if not promised["holds"]:
                self.outside += 1
                self.why_outside = self.why_outside or f"{record['item']}: {promised['why']}"
        self.keep_rows(records)

    def keep_rows(self, records: list[Record]) -> None:
        """Keep the first records for the table."""
        self.rows += records[: MOST_ROWS - len(self.rows)]

    def add_looks(self, inference: Inference, answers: Answers) -> None:
        """Take note of how often those who looked contradict the labels of the data set."""
        self.join_looks(looks_at_labels(inference, answers))

    def join_looks(self, looks: dict[str, LabelLooks]) -> None:
        """Take note of further looks at the labels of the data set."""
        self.looks = joined_looks(iter((self.looks, looks)))

    def contradictions(self) -> dict[str, Record]:
        """Return variable -> looks that contradict its labels, and the number expected of declared labels.

        looks, contradict, expected; reliability: of the labels, as declared; p: the probability of so many
        contradictions or more; alarm: whether that says that labels or looks are worse than declared.
        """
        return {
            name: {
                "looks": len(looks.contradicts),
                "contradict": int(looks.contradicts.sum()),
                "expected": round(looks.expected, 1),
                "reliability": round(float(looks.reliability.mean()), 4),
                "p": looks.tail,
                "alarm": looks.alarms,
            }
            for name, looks in self.looks.items()
        }

    def _note_unresolved(self, levels: Record) -> None:
        for name in self.required:
            if levels[name]["decision"] not in ("accept", "inferred"):
                looked = levels[name]["origin"] != "inferred"
                self.unresolved.setdefault(name, []).append(levels[name]["risk"] if looked else None)

    def _unresolvable(self) -> Iterator[str]:
        """Yield a line that says why items are unresolvable, and what would help."""
        count, policy = self.reasons["unresolvable"], self.base.policy
        if not count:
            return
        asked = " and ".join(dict.fromkeys((policy.ask, *policy.others)))
        line = f"{count:,} unresolvable: nothing more that {asked} can be asked is worth its price"
        if self.unresolved:
            name = max(self.unresolved, key=lambda variable: len(self.unresolved[variable]))
            risks = sorted(risk for risk in self.unresolved[name] if risk is not None)
            if not risks:
                line += f"; of most nobody looked at {name}"
            elif name in policy.limits:
                middle, limit = risks[len(risks) // 2], policy.limits[name]
                line += f"; mostly {name} stays open (its risk is about {middle:.2f}, the limit {limit:g})"
        yield (
            f"{line}. What helps: {'' if is_fitted(self.base) else MEASURING}a better or a further model "
            "(policy.ask, policy.others), higher limits (policy.limits)"
        )

    def _count_checks(self, record: Record) -> None:
        for check in record["diagnostics"].get("checks") or ():
            without, with_it = check["without"], check["with"]
            if without["contradictions"]:
                solved = not set(without["contradictions"]) & set(with_it["contradictions"])
                self.checks.update(checked=1, solved=solved, changed=without["value"] != with_it["value"])

    def _count_levels(self, record: Record) -> None:
        levels = record["decision"]["levels"].values()
        self.read += is_read(record)
        self.seen.update(n for n in self.required if record["decision"]["levels"][n]["origin"] != "inferred")
        self.bases.update(basis for basis in map(basis_of, levels) if basis)
        for name in (n for n in self.required if record["decision"]["levels"][n]["decision"] == "accept"):
            self.accepted[name] += 1
            self.accepted_risk[name] += record["decision"]["levels"][name]["risk"]
        self.inferred += sum(level["decision"] == "inferred" for level in levels)
        self.lacking += len(record["diagnostics"]["lacking_evidence"])
        # Nothing is decided about an open value yet, so its label is not overruled.
        by_name = record["decision"]["levels"]
        overruled = record["diagnostics"]["overruled"]
        self.overruled.update(name for name in overruled if by_name[name]["decision"] == "accept")
        for column in self._columns() if "knowledge_sd" in record["diagnostics"] else ():
            for level in (by_name[name] for name in self.base.levels.get(column, (column,))):
                self.doubt[column] += level["risk_mean"] * (1 - level["risk_mean"])
                self.of_knowledge[column] += level["risk_sd"] ** 2
        if record["decision"]["item"] == "accept":
            basis = basis_of_item(record["decision"], self.required)
            self.items_by_basis[basis if basis in UNCALIBRATED else ""] += 1

    def unseen(self) -> list[str]:
        """Return a line on the required variables that nobody looked at in any item, if there are such."""
        names = [name for name in self.required if name not in self.seen]
        if not names or not self.read:
            return []
        seen, items = [n for n in self.required if n in self.seen], sum(self.items.values())
        return [unseen_text(names) + whole_text(self.base, seen, items, self.accepted, self.accepted_risk)]

    def notes(self) -> list[str]:
        """Return notes on the accepted values, a line each."""
        lines = []
        accepted = self.items["accept"]
        uncertain = sum(self.items_by_basis[basis] for basis in UNCALIBRATED)
        if uncertain:
            which = ", ".join(f"{self.items_by_basis[b]} {b}" for b in UNCALIBRATED if self.items_by_basis[b])
            lines.append(
                f"{uncertain} of {accepted} accepted items rest on numbers that were not calibrated for them "
                f"({which}); their stated risks are only as good as these numbers (see seke calibrate)"
            )
        elif not accepted and (values := sum(self.bases[basis] for basis in UNCALIBRATED)):
            which = ", ".join(f"{self.bases[b]:,} {b}" for b in UNCALIBRATED if self.bases[b])
            lines.append(
                f"{values:,} of {sum(self.bases.values()):,} accepted values rest on numbers that were not "
                f"calibrated for them ({which}), though no item is accepted; see seke calibrate"
            )
        lines += self._unresolvable()
        if self.inferred:
            lines.append(
                f"values only inferred, and so not accepted (no observer looked at them): {self.inferred:,}"
            )
        if self.lacking:
            lines.append(
                "yes/no values that look certain but stay open, because the answers about them alone are too "
                f"weak (policy.evidence {self.base.policy.evidence:g}): {self.lacking:,}"
            )
        if self.overruled:
            which = ", ".join(f"{count} {name}" for name, count in self.overruled.most_common(MOST_NAMED))
            final = self.base.policy.labels_final
            what = "kept although observers contradict them" if final else "overruled by observers"
            lines.append(f"labels of the data set that were {what}: {which}")
        if self.doubt:
            shares = (
                f"{column.replace('_', ' ')} {100 * self.of_knowledge[column] / max(doubt, 1e-12):.0f} %"
                for column, doubt in self.doubt.items()
            )
            lines.append(
                f"of the doubt about values, so much comes from the numbers of the base: {', '.join(shares)}"
            )
        if self.checks["checked"]:
            lines.append(
                f"further questions because answers contradicted one another: {self.checks['checked']:,}; "
                f"{self.checks['solved']:,} settled it, {self.checks['changed']:,} changed the value"
            )
        lines += alarm_lines(self.contradictions())
        for observer, count in self.waiting.most_common():
            lines.append(f"{count:,} item{'s' * (count > 1)} wait{'s' * (count == 1)} for {observer}")
        return lines

    def line(self) -> str:
        """Return one line: samples, items and their decisions."""
        total = sum(self.items.values())
        parts = [f"{self.items[name]:,} {name}" for name in COLOURS]
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common())
        return f"{self.samples:,} samples of {total:,} items: {', '.join(parts)}" + (
            f" ({reasons})" if reasons else ""
        )

    def promises(self, guarantee: Guarantee) -> list[str]:
        """Return what is guaranteed, what is not, and for how many items it is refused, a line each."""
        from seke.console.guarantee_text import worst_text

        alpha, sure = f"{100 * guarantee.alpha:g} %", f"{100 * (1 - guarantee.delta):g} %"
        certified, failed = guarantee.certified, guarantee.failed
        lines: list[str] = []
        total = sum(self.items.values())
        if self.outside == total:
            certified = failed = ()
        if certified:
            lines.append(
                f"guaranteed with {sure} confidence: at most {alpha} wrong among items accepted as "
                f"{_short_list(certified)}"
            )
        texts = (worst_text(certificate) for certificate in certified)
        lines += [f"single values are not promised; in the test {text}" for text in texts if text]
        if failed:
            lines.append(f"not certified, so not accepted: {_short_list(failed)}")
        if self.outside:
            lines.append(
                f"the guarantee is refused for {self.outside} of {total} items, which were not answered like "
                f"the gold ({self.why_outside}); they are decided without it"
            )
        return lines

    def show(self, console: Console) -> None:
        """Print the table."""
        from rich.text import Text

        from seke.console.stacked_table import print_rows

        names = self._columns()
        legends: dict[str, None] = {}
        rows: list[list[str | Text]] = []
        for record in self.rows:
            decision = record["decision"]
            posteriors = record.get("posteriors", record)
            read = is_read(record)
            likely = self._likely_but_open(record) if read else set()
            cells: list[str | Text] = [record["item"]]
            labels = self._open_labels(decision["levels"]) if read else set()
            cells += [self._cell(name, posteriors, likely | labels) if read else "-" for name in names]
            mark = MARK if basis_of_item(decision, self.required) in UNCALIBRATED else ""
            legends |= dict.fromkeys([OPEN_LEGEND] * bool(likely | labels) + [LEGEND] * bool(mark))
            word = f"{SYMBOLS[decision['item']]} {decision['item']}{mark}"
            cells.append(Text(word, style=COLOURS[decision["item"]]))
            rows.append([*cells, row_reason(record, marked=bool(mark), likely=likely)])
        several = self.base.levels.keys() - self.base.variables.keys()
        titles = {name: name.replace("_", " ") for name in ("item", *names, "decision", "why")}
        folded = [title for name, title in titles.items() if name == "why" or name in several]
        print_rows(console, [*titles.values()], rows, ("item", "decision", "why"), folded)
        for legend in sorted(legends):
            console.print(legend, markup=False)
        unlisted = sum(self.items.values()) - len(self.rows)
        if unlisted:
            console.print(f"... and {unlisted} more; write them to a file with -o, or use --json")

    def _columns(self) -> list[str]:
        return summary_names(self.base)

    def _likely_but_open(self, record: Record) -> set[str]:
        """Return the binary variables of a record that are likely true and not accepted."""
        cuts, variables = self.base.policy.cuts, self.base.variables
        posteriors = record.get("posteriors", record)
        return {
            name
            for level, names in self.base.levels.items()
            for name in names
            if variables[name].kind == "binary"
            and (posteriors.get(level) or posteriors)[name] >= cuts.get(name, 0.5)
            and record["decision"]["levels"].get(name, {}).get("decision") != "accept"
        }

    def _open_labels(self, levels: Record) -> set[str]:
        """Return the categorical variables that are not accepted, nor follow from others."""
        labels = (name for name, variable in self.base.variables.items() if variable.kind == "categorical")
        accepted = ("accept", "inferred")
        return {name for name in labels if name in levels and levels[name]["decision"] not in accepted}

    def _cell(self, name: str, posteriors: Record, likely: Collection[str]) -> str:
        """Return the posterior of a variable in a few letters; likely: variables that are not accepted."""
        names = self.base.levels.get(name, ())
        variables = self.base.variables
        if names and all(variables[n].kind == "binary" for n in names):
            p = posteriors.get(name) or {n: posteriors[n] for n in names}
            cuts = self.base.policy.cuts
            active = [n for n in names if p[n] >= cuts.get(n, 0.5)]
            stems = {name.rstrip("0123456789") for name in names}
            prefix = stems.pop() if len(stems) == 1 else ""
            marked = [n.removeprefix(prefix) + OPEN_MARK * (n in likely) for n in active]
            return prefix * bool(active) + " ".join(marked) or "-"
        value = posteriors[name]
        if variables[name].kind == "interval":
            return f"{value['mean']:+.2f} ±{(value['q95'] - value['q05']) / 2:.2f}"
        best = max(value, key=value.__getitem__)
        return f"{best}{OPEN_MARK * (name in likely)} {value[best]:.2f}"


def summary_names(base: Knowledge) -> list[str]:
    """Return what an item is summed up by: a level of binary variables is one, any other variable its own."""
    columns = []
    for level, names in base.levels.items():
        binary = all(base.variables[name].kind == "binary" for name in names)
        columns += [level] if binary else list(names)
    return columns


def limits_in_words(session: Session, outside: int) -> list[str]:
    """Return in plain words how limits of the mean are kept: by which thresholds, or each risk by itself.

    A guarantee takes the place of all limits; then they decide only about the items `outside` of it.
    """
    if session.guarantee and not outside:
        return []
    policy, variables = session.knowledge.policy, session.knowledge.variables
    names_by_risk: dict[str, list[str]] = {}
    for name in (name for name in policy.limits if name in policy.thresholds):
        texts = (f"{risk:.3g}" if risk else "none" for risk in policy.thresholds[name])
        risks = dict(zip(variables[name].values, texts, strict=True))
        if len(set(risks.values())) == 1:
            shown = next(iter(risks.values()))
        else:
            shown = ", ".join(f"{value} {risk}" for value, risk in risks.items())
        names_by_risk.setdefault(shown, []).append(name)
    by_risk = "; ".join(f"{first_names(names, MOST_NAMED)} {risk}" for risk, names in names_by_risk.items())
    uncovered = "where the guarantee does not decide: " if session.guarantee else ""
    kept = "values are accepted up to these risks, so that the limits hold on average"
    lines = [f"{uncovered}{kept}: {by_risk}"] if by_risk else []
    if session.without_threshold:
        names = first_names(session.without_threshold, MOST_NAMED)
        lines.append(
            f"{uncovered}each value of {names} is accepted only where its own risk is within the limit. With "
            "60 items whose answers are enough to accept the same value (policy.evidence), or "
            f"{policy.calibrated_from} such items with gold (seke calibrate), the mean risk of the accepted "
            "is held to it instead, and more are accepted"
        )
    return lines


def row_reason(record: Record, *, marked: bool, likely: Collection[str] = ()) -> str:
    """Return in a few words why an item is not wholly accepted, and which levels are not calibrated.

    marked: whether the item itself rests on numbers that were not calibrated. likely: open values that the
    row marks as such already.
    """
    decision = record["decision"]
    following = decision["next"]
    if following:
        about = f" about {following['about']}" if following["about"] else ""
        samples = following["samples"]
        because = f" ({following['check']})" if following.get("check") else ""
        return f"ask {following['question']}{about}" + (f" x{samples}" if samples > 1 else "") + because
    if decision["item"] == "reject":
        return ", ".join(reason for reason in decision["reasons"] if not reason.startswith("open"))
    levels = decision["levels"].items()
    groups = {
        "open": [
            name
            for name, level in levels
            if level["decision"] not in ("accept", "inferred") and name not in likely
        ],
        "inferred": [name for name, level in levels if level["decision"] == "inferred"],
    }
    for basis in () if marked else UNCALIBRATED:
        groups[basis] = [name for name, level in levels if basis_of(level) == basis]
    return "; ".join(f"{group}: {_cell_names(names)}" for group, names in groups.items() if names)


def _cell_names(names: Sequence[str]) -> str:
    return " ".join(names[:MOST_IN_CELL]) + (" ..." if len(names) > MOST_IN_CELL else "")


def _short_list(certificates: Sequence[Certificate]) -> str:
    """Return the values of certificates in words, cut where there are many."""
    from engine import listed

    shown = len(certificates)
    while shown > 1 and len(listed(certificates[:shown])) > LONGEST_LIST:
        shown -= 1
    more = len(certificates) - shown
    return listed(certificates[:shown]) + (f" and {more} more" if more else "")


def is_read(record: Record) -> bool:
    """Say whether an item has an answer that reports something."""
    return bool(record["diagnostics"]["samples"] > sum(record["diagnostics"][name] for name in UNREAD))
