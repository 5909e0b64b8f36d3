"""Good answers, other spellings of them, and readings of mutated texts by a second, simpler way.

A meaning is what an answer says: `marks` (unit -> true, false or null), `valence`, `arousal`, `expression`.
"""

from __future__ import annotations

import json
import re

import seke

BASE = seke.knowledge()
UNITS = list(BASE.levels["action_units"])
STATES = list(BASE.variables["expression"].states)
QUESTIONS = ("joint", "action_units", "affect", "expression", "verify")
SIGHT = "clear"


def good_answer(rng, question):
    """An answer as the form wants it."""
    numbers = {name: rng.randint(-20, 20) / 20 for name in ("valence", "arousal")}
    parts = {
        "action_units": rng.sample(UNITS, rng.randint(0, 6)),
        **numbers,
        "expression": rng.sample(STATES, 3),
    }
    if question == "action_units":
        return {"face": SIGHT, "action_units": {unit: rng.choice([True, False, None]) for unit in UNITS}}
    if question == "verify":
        return {"action_units": {"AU4": rng.choice([True, False])}}
    wanted = {"joint": list(parts), "affect": list(numbers), "expression": ["expression"]}[question]
    hidden = {"not_visible": []} if question == "joint" else {}
    return {"face": SIGHT, **hidden, **{name: parts[name] for name in wanted}}


def meaning(answer):
    """What an answer in the wanted form says."""
    said = {name: answer[name] for name in ("valence", "arousal") if name in answer}
    if "expression" in answer:
        said["expression"] = answer["expression"]
    units = answer.get("action_units")
    if isinstance(units, list):
        said["marks"] = {unit: unit in units for unit in UNITS}
    elif units is not None:
        said["marks"] = units
    return said


def meaning_of_record(record):
    """What a sample record says, in the same terms."""
    said = {name: record[name] for name in ("valence", "arousal") if name in record}
    if "expression" in record:
        ranking = record["expression"]
        said["expression"] = [ranking] if isinstance(ranking, str) else ranking
    if "action_units" in record:
        said["marks"] = meaning({"action_units": record["action_units"]})["marks"]
    return said


# Other spellings -----------------------------------------------------------------------------------------


def spelled_unit(rng, unit):
    """Another spelling of a unit."""
    number, variable = unit[2:], BASE.variables[unit]
    label = variable.label
    return rng.choice(
        [
            unit.lower(),
            f"AU{int(number):02d}",
            f"AU {number}",
            f"au_{number}",
            f"AU-{number}",
            number,
            f" {unit} ",
            f"{unit}.",
            f"Action Unit {number}",
            f"unit {number}",
            label,
            label.title(),
            f"{unit} ({label})",
            f"{unit} - {label}",
            f"{number}: {label}",
            f"{label} ({unit})",
            f"{unit}{rng.choice(['L', 'R', 'C', 'l/r'])}",
            "".join(chr(ord(sign) + 0xFEE0) for sign in unit),
            *variable.other_names,
        ]
    )


def spelled_state(rng, state):
    """Another spelling of a state."""
    also = BASE.variables["expression"].also.get(state, ())
    return rng.choice([state.upper(), f" {state}", f"{state}.", state.title(), *also])


def spelled_number(rng, number):
    """A number as a text in another spelling."""
    sign, digits = ("-" if number < 0 else ""), f"{abs(number):.2f}"
    options = [f"{sign}{digits}", f"{sign}{digits}0", f"{sign}{digits.replace('.', ',')}"]
    options.append(sign.replace("-", "\N{MINUS SIGN}") + digits)
    options.append("".join(chr(ord(s) + 0xFEE0) for s in f"{sign}{digits}"))
    if abs(number) < 1:
        options += [sign + digits[1:], (sign or "+") + digits[1:]]
    return rng.choice(options)


def spelled_mark(rng, mark):
    """A mark in words, or as a number."""
    words = {True: [True, 1, "1", "yes", "Present", "true."], False: [False, 0, "0", "no", "absent", "FALSE"]}
    return rng.choice(words.get(mark, [None, "null", "unknown"]))


def spelled_values(rng, answer, question):
    """The same answer with its values in other spellings."""
    spelled = dict(answer)
    for name in ("valence", "arousal"):
        if name in answer and rng.random() < 0.5:
            spelled[name] = spelled_number(rng, answer[name])
    if "expression" in answer:
        names = [spelled_state(rng, state) if rng.random() < 0.5 else state for state in answer["expression"]]
        weights = sorted(rng.sample(range(1, 60), 3), reverse=True)
        shares = [weight / sum(weights) for weight in weights]
        by_share = list(zip(names, shares, strict=True))
        rng.shuffle(by_share)
        commas, arrows = ", ".join(names), " > ".join(names)
        spelled["expression"] = rng.choice([names, names, commas, arrows, dict(by_share)])
    units = answer.get("action_units")
    if isinstance(units, list):
        listed = [spelled_unit(rng, unit) if rng.random() < 0.6 else unit for unit in units]
        spelled["action_units"] = listed + listed[: rng.randint(0, 1)]
        if rng.random() < 0.1:
            spelled["action_units"] = {unit: spelled_mark(rng, unit in units) for unit in UNITS}
        elif not units and rng.random() < 0.5:
            spelled["action_units"] = [rng.choice(["none", "None"])]
    elif units is not None:
        marks = {spelled_unit(rng, unit): spelled_mark(rng, mark) for unit, mark in units.items()}
        rest_of_answer = {name: value for name, value in answer.items() if name != "action_units"}
        pairs = [{"au": unit, "present": mark} for unit, mark in marks.items()]
        spelled = rng.choice(
            [{**rest_of_answer, "action_units": marks}] * 3
            + [{**rest_of_answer, **marks}, {**rest_of_answer, "action_units": pairs}]
        )
    case = rng.choice([str, str, str.upper, str.title])
    return {case(name) if name in answer else name: value for name, value in spelled.items()}


def curly(text):
    """A JSON text with typographic quotation marks."""
    marks = iter("\u201c\u201d" * text.count('"'))
    return "".join(next(marks) if sign == '"' else sign for sign in text)


def written(rng, answer):
    """An object as a text that has one reading."""
    plain = json.dumps(answer, ensure_ascii=rng.random() < 0.5)
    indented = json.dumps(answer, indent=2)
    return rng.choice(
        [
            plain,
            indented,
            repr(answer),
            plain[:-1] + ",}",
            plain.replace("]", ", ]") if "[]" not in plain else plain,
            plain.replace("{", "{ // as asked\n", 1),
            plain.replace(":", " :\n\t"),
            re.sub(r": (0\.\d)", r": +\1", plain),
            json.dumps({"answer": answer}),
            json.dumps({"name": "answer", "arguments": plain}),
            json.dumps(plain),
            json.dumps([answer]),
            f"{plain}\n\n{indented}",
            curly(plain) if "\\" not in plain else plain,
        ]
    )


def framed(rng, text, draft):
    """A text with what models write around an answer."""
    # An object that is encoded twice is read where no prose stands beside it.
    prose = ["Here is what I see:\n\n", "\n\nI hope that this helps!"] if text[0] == "{" else ["", ""]
    return rng.choice(
        [
            text,
            f"```json\n{text}\n```",
            f"```\n{text}\n```\n",
            text.join(prose),
            f'Sure. The form is {{"face": ..., "valence": ...}}.\n```json\n{text}\n```\nDone :-)',
            f"<think>It could be {draft}, no.</think>\n{text}",
            f"<think>a<think>{draft}</think>b {draft}</think>{text}",
            f"Perhaps {draft}?\n</thinking>\n\n{text}",
            f"[THINK]{draft}[/THINK]{text}",
            f"<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{text}",
            f"\ufeff{text}",
        ]
    )


# A second, simpler reader of plain JSON that may be damaged: what could be said at all ---------------------

NUMBER = re.compile(r"[+-]?[\d_]*\.?[\d_]*\d\.?(e[+-]?\d+)?")
CODES = {code.name for code in BASE.codes.values()}
CALLED = {unit: {unit.casefold(), unit[2:]} for unit in (*UNITS, *CODES)}
for unit in UNITS:
    CALLED[unit] |= {BASE.variables[unit].label, *BASE.variables[unit].other_names}
WORDS = {state: {state, *BASE.variables["expression"].also.get(state, ())} for state in STATES}
TRUE, FALSE = {"true", "1", "yes", "y", "present"}, {"false", "0", "no", "n", "absent"}


def same_unit(text, unit):
    """Whether a text may mean a unit: its name with other signs between and zeros before the number."""
    plain = re.sub(r"[\s_.!:,=-]", "", text.casefold())
    numbered = re.fullmatch(r"(au)?0*(\d+)([lrbcde]|l/r)?", plain)
    words = {re.sub(r"[\s_.!-]", "", word.casefold()) for word in CALLED[unit]}
    return plain in words or bool(numbered and numbered[2] == unit[2:])


def listed_tokens(text, name):
    """The tokens of the list after a key, and whether each stands between quotation marks or is a number."""
    token = r""" "[^"]*" | '[^']*' | [^\[\],\s"']+ """
    region = re.search(rf"{name}\s*[\"']?\s*:\s*\[((?: {token} | [,\s] )*)\]", text, re.VERBOSE)
    return None if region is None else [t.strip(" \n\"'+") for t in re.findall(token, region[1], re.VERBOSE)]


def may_say(text, record):
    """Return what a record of a plain joint answer says that its text does not; nothing where all is said."""
    faults = []
    for name in ("valence", "arousal"):
        if name in record:
            pattern = rf"{name}\s*[\"']?\s*:\s*[\"']?\s*([+-]?\s*[^,}}\"'\s]+)"
            tokens = ["".join(token.split()) for token in re.findall(pattern, text, re.IGNORECASE)]
            numbers = [token.replace("_", "") for token in tokens if NUMBER.fullmatch(token)]
            values = [float(number) for number in numbers]
            if values != [record[name]]:
                faults.append((name, record[name], tokens))
    if "expression" in record:
        tokens = listed_tokens(text, "expression") or []
        ranking = record["expression"]
        ranking = [ranking] if isinstance(ranking, str) else ranking
        for state, token in zip(ranking, tokens, strict=False):
            if token.strip(".! ").casefold() not in WORDS[state]:
                faults.append(("expression", state, token))
        if len(ranking) > len(tokens):
            faults.append(("expression", ranking, tokens))
    units = record.get("action_units")
    if units is not None:
        tokens = [token for token in listed_tokens(text, "action_units") or [] if token]
        present = units if isinstance(units, list) else [unit for unit, mark in units.items() if mark]
        faults += [
            ("present", unit, tokens) for unit in present if not any(same_unit(t, unit) for t in tokens)
        ]
        closed = isinstance(units, list) or False in units.values()
        known = [any(same_unit(token, unit) for unit in CALLED) or token == "none" for token in tokens]
        if closed and not all(known):
            faults.append(("closed", units, tokens))
    return faults


def may_mark(text, record):
    """Return the marks of a record of plain marks that its text does not say; nothing where all is said."""
    pattern = r"""["']?([\w\s.:,=/-]+)["']?\s*:\s*["']?([\w.]+)["']?\s*(?=[,}])"""
    pairs = [(name, mark.strip(".").casefold()) for name, mark in re.findall(pattern, text)]
    words = {True: TRUE, False: FALSE, None: {"null", "none", "unknown"}}
    return [
        (unit, mark)
        for unit, mark in record.get("action_units", {}).items()
        if not any(same_unit(name, unit) and word in words[mark] for name, word in pairs)
    ]
