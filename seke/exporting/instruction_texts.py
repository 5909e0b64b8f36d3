"""Which texts the words of an export have, and which facts each may use."""

from __future__ import annotations

# Tasks whose answers give the accepted values alone, without a reason.
REASON_FREE = ("expression", "affect", "action_units", "joint")
TASKS = (
    *REASON_FREE,
    "reasoned",
    "reasoned_affect",
    "describe",
    "units_to_expression",
    "expression_to_units",
    "check",
    "compare",
    "conversation",
    "not_judged",
)
# Tasks that are phrased by other sections than `tasks`.
COMPOSED = ("compare", "conversation")
KINDS = ("plain", "soft")
SURE = ("p", "next", "p_next")
NUMBERS = frozenset(
    (
        "p",
        "p_next",
        "p_other",
        "p_now",
        "low",
        "high",
        "value",
        "other_value",
        "left",
        "top",
        "right",
        "bottom",
    )
)
STATE = ("expression", "phrase")
UNIT = ("name", "label", "unit")
SIGN = (*UNIT, "clause", "step")
# Texts that are taken as they stand.
FIXED: dict[str, tuple[str, ...]] = {
    "language": (),
    "lists.between": (),
    "lists.last": (),
    "lists.or": (),
    "lists.none": (),
    "unit": ("name", "label"),
    "clause": ("name", "label"),
    "likely": ("name", "label", "p"),
    "number": ("name", "value"),
    "interval": ("name", "value", "low", "high"),
    "number_open": ("name",),
    "units_asked": ("name", "units"),
    "box": ("left", "top", "right", "bottom"),
    "box_of": ("place", "left", "top", "right", "bottom"),
    "parts.between": (),
    "soft_parts.between": (),
    "compare.first": (),
    "compare.second": (),
}
# Texts with alternatives, of which one is drawn.
DRAWN: dict[str, tuple[str, ...]] = {
    "uncertain": ("phrase", "word", "next"),
    "unsure": ("phrase",),
    "parts.expression": (*STATE, "shown"),
    "parts.affect": ("numbers",),
    "parts.action_units": ("verdicts",),
    "parts.open": ("level",),
    "soft_parts.expression": (*STATE, *SURE),
    "soft_parts.affect": ("numbers",),
    "soft_parts.action_units": ("likely",),
    "verdicts.visible": ("units",),
    "verdicts.hidden": ("units",),
    "verdicts.open": (),
    "reasons.sign": (*SIGN, *STATE),
    "reasons.further": (*SIGN, *STATE),
    "reasons.against": (*SIGN, *STATE),
    "reasons.missing": (*UNIT, "step", *STATE),
    "reasons.beside": ("units", *STATE),
    "reasons.absent": ("units", "step", *STATE),
    "reasons.rule": ("statement",),
    "reasons.alone": (*STATE, "other", "p", "p_other"),
    "reasons.without": (*UNIT, *STATE, "other", "p"),
    "reasons.nearer": (*UNIT, *STATE, "other", "p", "p_now"),
    "reasons.turn": (*UNIT, *STATE, "other", "p"),
    "reasons.perhaps": (*STATE, "word", *SURE),
    "reasons.nothing": STATE,
    "reasons.order": ("signs", "beside", "rules", "absent", "against", "alone", "rival", "perhaps"),
    "affect_reasons.sign": (*SIGN, "number", "more"),
    "affect_reasons.further": (*SIGN, "number", "more"),
    "affect_reasons.against": (*SIGN, "number", "more"),
    "affect_reasons.label": (*STATE, "number", "value"),
    "affect_reasons.near": ("number", "anchor", "value"),
    "affect_reasons.between": ("number", "low_anchor", "low", "high_anchor", "high"),
    "affect_reasons.nothing": ("number",),
    "region.visible": ("region", "clauses"),
    "region.besides": ("region", "clauses", "units"),
    "region.clause": (*UNIT, "clause", "description"),
    "region.hidden": ("region", "units"),
    "check.expression": STATE,
    "check.visible": (*UNIT, "clause"),
    "check.hidden": UNIT,
    "check.above": ("number", "direction"),
    "check.below": ("number", "direction"),
    "check.right": ("statement", "truth"),
    "check.wrong": ("statement", "truth"),
    "compare.same": STATE,
    "compare.differ": (*STATE, "other"),
    "compare.both": UNIT,
    "compare.neither": UNIT,
    "compare.one": (*UNIT, "place", "other"),
}
# Fields that a task's question may use, and those that its answer may use, of which it needs at least one.
ASKS: dict[str, tuple[str, ...]] = {
    "expression": ("expressions",),
    "affect": ("asked", "scales", "low", "high"),
    "action_units": ("asked",),
    "joint": ("asked", "levels"),
    "reasoned": ("expressions",),
    "reasoned_affect": ("asked", "anchors", "low", "high"),
    "describe": (),
    "units_to_expression": ("units", "expressions"),
    "expression_to_units": STATE,
    "check": ("statement",),
    "not_judged": ("expressions", "scales", "low", "high"),
}
ANSWERS: dict[str, tuple[str, ...]] = {
    "expression": (*STATE, "shown", "json"),
    "affect": ("numbers", "numbers_told", "json"),
    "action_units": ("units", "verdicts", "likely", "json"),
    "joint": ("parts", "json"),
    "reasoned": ("reasons", *STATE, "shown"),
    "reasoned_affect": ("affect_reasons", "numbers"),
    "describe": ("regions",),
    "units_to_expression": (*STATE, "shown"),
    "expression_to_units": ("units", "verdicts"),
    "check": ("verdict",),
    "not_judged": (),
}
# Fields that a question cannot do without; an answer that needs the question to say what it is about.
NEEDED = {"units_to_expression": ("units",), "expression_to_units": STATE, "check": ("statement",)}
# Answers that are silent on what was not accepted, which reads as if it were absent: such an answer needs a
# question with {asked}, the list of what is asked about. One that says what is left open, as `verdicts` and
# `numbers_told` do, needs none, nor do the keys of JSON and a list of probabilities.
SILENT = {"affect": "numbers", "action_units": "units"}
# Kinds of turns of a conversation and of comparisons: the fields of a question and of its answer.
TURNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "describe": ((), ("regions",)),
    "action_units": ((), ("units", "verdicts")),
    "expression": (("expressions",), (*STATE, "shown")),
    "why": (STATE, ("reasons",)),
    "affect": (("scales", "low", "high"), ("numbers", "numbers_told", "affect_reasons")),
}
COMPARED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "number": (("more", "number"), ("place", "other", "number", "more", "value", "other_value")),
    "expression": ((), ("result",)),
    "unit": (UNIT, ("result",)),
}
STEPS = ("weight", "shift", "rival")
ANCHORS = ("least", "low", "middle", "high", "most")
SECTIONS = ("names", "phrases", "statements", "signs", "descriptions")
TOP = (
    *dict.fromkeys(path.partition(".")[0] for path in (*FIXED, *DRAWN)),
    *SECTIONS,
    "anchors",
    "directions",
    "regions",
    "steps",
    "rewording",
    "turns",
    "tasks",
)
