"""Sentences about the evidence of one item: what its seen units say, and how each region looks.

A sentence is written only where the evidence has its facts. The words for sizes are those of the declared
steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from seke.exporting.accepted_labels import AcceptedLabels
    from seke.exporting.instruction_reader import Directions
    from seke.exporting.unit_evidence import ItemEvidence, UnitWeight
    from seke.exporting.wording import Wording

# Units that are named as not visible, or as moving a number, at most: the weightiest.
MOST_ABSENT = 5
MOST_SHIFTS = 4
# A number this close to an anchor is near it: half a bin of the shipped scales.
NEAR_ANCHOR = 0.05


def second_likeliest(accepted: AcceptedLabels) -> str:
    """Return the likeliest state other than the accepted one, by the whole posterior."""
    p: dict[str, float] = accepted.record["expression"]
    return max((state for state in p if state != accepted.expression), key=lambda state: p[state])


def rival_facts(accepted: AcceptedLabels, wording: Wording) -> dict[str, Any]:
    """Return the facts about the second likeliest state; `word` is empty where the posterior is not split."""
    p, rival = accepted.record["expression"], second_likeliest(accepted)
    facts = {"p": p[accepted.expression], "p_next": p[rival], "next": wording.phrase(rival)}
    return {**facts, "word": wording.step("rival", p[rival])}


def has_support(wording: Wording, evidence: ItemEvidence) -> bool:
    """Whether what was seen speaks for the expression: a visible unit, a rule, or what is not there.

    The last alone is a reason only where no other expression is likelier by all that was seen, as of a face
    at rest.
    """
    signs = any(weight.visible and wording.step("weight", weight.bits) for weight in evidence.weights)
    rules = any(name in wording.statements for name in evidence.rules)
    if signs or rules:
        return True
    top = max(evidence.p, key=lambda name: (evidence.p[name], name == evidence.label))
    return top == evidence.label and bool(wording.step("weight", evidence.absent_bits))


def reasons_text(wording: Wording, accepted: AcceptedLabels, evidence: ItemEvidence, rng: Random) -> str:
    """Return the sentences about the evidence for an accepted expression."""
    label = evidence.label or ""
    state = wording.state_facts(label)
    visible = [weight for weight in evidence.weights if weight.visible]

    def unit_sentence(path: str, weight: UnitWeight) -> str:
        facts = {**wording.unit_facts(weight.unit, rng), **state}
        return wording.draw(path, rng, {**facts, "step": wording.step("weight", abs(weight.bits))})

    mentioned = [weight for weight in evidence.weights if wording.step("weight", abs(weight.bits))]
    speaking = [weight for weight in mentioned if weight.visible and weight.bits > 0]
    signs = [
        unit_sentence("reasons.further" if place else "reasons.sign", weight)
        for place, weight in enumerate(speaking)
    ]
    against = [
        unit_sentence("reasons.against" if weight.visible else "reasons.missing", weight)
        for weight in mentioned
        if weight.bits < 0
    ]
    light = [weight.unit for weight in visible if weight not in mentioned]
    sentences = {
        "signs": " ".join(signs),
        "beside": wording.draw("reasons.beside", rng, {**state, "units": wording.units_text(light)})
        if light and any(weight.visible for weight in mentioned)
        else "",
        "rules": " ".join(_rule(wording, name, rng) for name in evidence.rules if name in wording.statements),
        "absent": _absent(wording, evidence, rng),
        "against": " ".join(against),
        "alone": "",
        "rival": "",
        "perhaps": "",
    }
    if not any(sentences.values()):
        sentences["signs"] = wording.draw("reasons.nothing", rng, state)
    top = max(evidence.p, key=lambda name: (evidence.p[name], name == label))
    if evidence.weights and top != label:
        odds: dict[str, Any] = {"p": evidence.p[label], "p_other": evidence.p[top]}
        facts: dict[str, Any] = {**state, **odds, "other": wording.phrase(top)}
        sentences["alone"] = wording.draw("reasons.alone", rng, facts)
    elif visible:
        sentences["rival"] = _rival(wording, evidence, visible, rng)
    rival = rival_facts(accepted, wording)
    if rival["word"]:
        sentences["perhaps"] = wording.draw("reasons.perhaps", rng, {**state, **rival})
    return " ".join(wording.filled("reasons.order", rng, sentences).split())


def _rule(wording: Wording, name: str, rng: Random) -> str:
    return wording.draw("reasons.rule", rng, {"statement": wording.statements[name]})


def _absent(wording: Wording, evidence: ItemEvidence, rng: Random) -> str:
    """Return the sentence about units that are not visible and together speak for the label."""
    supporting = [weight.unit for weight in evidence.weights if not weight.visible and weight.bits > 0]
    step = wording.step("weight", evidence.absent_bits)
    if not step or not supporting or evidence.label is None:
        return ""
    facts = {"units": wording.units_text(supporting[:MOST_ABSENT]), "step": step}
    return wording.draw("reasons.absent", rng, {**facts, **wording.state_facts(evidence.label)})


def _rival(wording: Wording, evidence: ItemEvidence, visible: list[UnitWeight], rng: Random) -> str:
    """Return what would decide otherwise: a unit without which, or with which, another state is likeliest."""
    label = evidence.label or ""
    state = wording.state_facts(label)
    turning = [weight for weight in evidence.weights if weight.top != label]
    by_loss = sorted((weight for weight in turning if weight.visible), key=lambda weight: -weight.p_top)
    by_gain = sorted((weight for weight in turning if not weight.visible), key=lambda weight: -weight.p_top)
    sentences = []
    if by_loss:
        weight = by_loss[0]
        facts = {**wording.unit_facts(weight.unit, rng), **state, "other": wording.phrase(weight.top)}
        sentences.append(wording.draw("reasons.without", rng, {**facts, "p": weight.p_top}))
    else:
        weight = max(visible, key=lambda part: part.rival_bits)
        if wording.step("weight", weight.rival_bits):
            facts = {**wording.unit_facts(weight.unit, rng), **state, "other": wording.phrase(evidence.rival)}
            chances = {"p": weight.p_rival, "p_now": evidence.p[evidence.rival]}
            sentences.append(wording.draw("reasons.nearer", rng, {**facts, **chances}))
    if by_gain:
        weight = by_gain[0]
        facts = {**wording.unit_facts(weight.unit, rng), **state, "other": wording.phrase(weight.top)}
        sentences.append(wording.draw("reasons.turn", rng, {**facts, "p": weight.p_top}))
    return " ".join(sentences)


def affect_text(wording: Wording, accepted: AcceptedLabels, evidence: ItemEvidence, rng: Random) -> str:
    """Return the sentences about accepted numbers: what moves them, and where they lie on their scales."""
    parts: list[str] = []
    for name, value in accepted.numbers.items():
        parts += [*_number_signs(wording, name, value, evidence, rng), _anchored(wording, name, value, rng)]
    return " ".join(part for part in parts if part)


def _number_signs(
    wording: Wording, name: str, value: float, evidence: ItemEvidence, rng: Random
) -> Iterator[str]:
    """Yield what moves a number: visible units that move it to where it is, else its label, and others."""
    directions = wording.instructions.directions.get(name)
    number = wording.numbers[name]
    shifts = [shift for shift in evidence.shifts[name] if wording.step("shift", abs(shift[1]))]
    up = value > evidence.usual[name]

    def sign(path: str, unit: str, shift: float, directions: Directions) -> str:
        facts = {**wording.unit_facts(unit, rng), "step": wording.step("shift", abs(shift)), "number": number}
        return wording.draw(path, rng, facts | {"more": directions.more if shift > 0 else directions.less})

    if directions is None:
        yield wording.draw("affect_reasons.nothing", rng, {"number": number})
        return
    supporting = [(unit, shift) for unit, shift in shifts if (shift > 0) == up]
    for place, (unit, shift) in enumerate(supporting[:MOST_SHIFTS]):
        yield sign(f"affect_reasons.{'further' if place else 'sign'}", unit, shift, directions)
    if not supporting:
        if not shifts:
            yield wording.draw("affect_reasons.nothing", rng, {"number": number})
        if evidence.label is not None:
            facts = {**wording.state_facts(evidence.label), "number": number}
            yield wording.draw("affect_reasons.label", rng, facts | {"value": evidence.by_label[name] + 0.0})
    for unit, shift in shifts:
        if (shift > 0) != up:
            yield sign("affect_reasons.against", unit, shift, directions)


def _anchored(wording: Wording, name: str, value: float, rng: Random) -> str:
    """Return where a value lies between the anchors of its scale; no text where the words have none."""
    anchors = wording.instructions.anchors.get(name, ())
    number = wording.numbers[name]
    if not anchors:
        return ""
    nearest = min(anchors, key=lambda anchor: abs(anchor.value - value))
    low = max((a for a in anchors if a.value <= value), key=lambda a: a.value, default=None)
    high = min((a for a in anchors if a.value > value), key=lambda a: a.value, default=None)
    if abs(nearest.value - value) <= NEAR_ANCHOR:
        facts: dict[str, Any] = {"number": number, "anchor": nearest.word, "value": nearest.value}
        return wording.draw("affect_reasons.near", rng, facts)
    if low is None or high is None:
        return ""
    facts = {"number": number, "low_anchor": low.word, "low": low.value}
    return wording.draw(
        "affect_reasons.between", rng, {**facts, "high_anchor": high.word, "high": high.value}
    )


def regions_text(wording: Wording, seen: dict[str, bool], rng: Random) -> str:
    """Return a line for each region that was looked at: its visible units, and those that are not there.

    seen: units that an observer looked for; of no other is it said that it is not there.
    """
    variables, lines = wording.base.variables, []
    for region, members in wording.instructions.regions.items():
        units = [name for name in seen if variables[name].about.get("region") in members]
        if not units:
            continue
        visible = [name for name in units if seen[name]]
        clauses = [wording.filled("region.clause", rng, wording.unit_facts(name, rng)) for name in visible]
        hidden = [name for name in units if not seen[name]]
        path = "region.hidden" if not clauses else "region.besides" if hidden else "region.visible"
        facts = {"region": region, "clauses": wording.join(clauses), "units": wording.any_unit_text(hidden)}
        line = wording.draw(path, rng, facts)
        lines.append(f"{line.removesuffix('.')}.")
    return "\n".join(lines)


def verdicts_text(wording: Wording, units: dict[str, bool], rng: Random) -> str:
    """Return which units are visible, which are not, and that the others are left open."""
    sentences = []
    for path, wanted in (("verdicts.visible", True), ("verdicts.hidden", False)):
        names = [name for name, visible in units.items() if visible is wanted]
        if names or wanted:
            sentences.append(wording.draw(path, rng, {"units": wording.units_text(names)}))
    if len(units) < len(wording.base.cells):
        sentences.append(wording.draw("verdicts.open", rng, {}))
    return " ".join(sentences)
