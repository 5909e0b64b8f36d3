"""Models that need no server: one that repeats what was recorded, and one that makes answers up."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import SekeError
from seke.files.lines import read_lines
from seke.files.shipped import USUAL_VIEW
from seke.vision.errors import UnansweredError
from seke.vision.http_bodies import decoded_json
from seke.vision.messages import SCRIPTED, Choice, Reply, answering_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from seke.vision.messages import Call, Journal

    Record = dict[str, Any]

# Probability of a binary variable without a truth.
PRESENT = 0.5


class RecordedModel:
    """Gives out recorded answers, draw by draw.

    A record has item, question, draw and text, and may have observer, about, view, finish, refusal and
    scripted, which says that the answer is made up. Of a draw that was not recorded there is no answer.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]], *, by_observer: bool = False) -> None:
        """by_observer: each record answers for the observer that it names alone. By default that is so where
        several are named; records of one observer answer for anybody, as do those that name none.
        """
        record_list = list(records)
        self.by_observer = by_observer or len({record.get("observer") for record in record_list} - {None}) > 1
        self._choices: dict[tuple[Any, ...], dict[int, Choice]] = defaultdict(dict)
        for record in record_list:
            key = (
                record.get("observer") if self.by_observer else None,
                *(record["item"], record["question"], record.get("about"), record.get("view", USUAL_VIEW)),
            )
            draw = int(record.get("draw", 0))
            answer = str(record.get("text", "")), str(record.get("finish", "stop")), record.get("refusal")
            self._choices[key][draw] = Choice(draw, *answer, scripted=record.get("scripted") is True)

    @classmethod
    def read(cls, path: Path, *, by_observer: bool = False, variant: str = "") -> RecordedModel:
        """Read a file of records, JSON Lines.

        by_observer: each record answers for the observer that it names alone, and has to name one. variant:
        of the prompts that are asked; records that name another one are left out.

        Raises:
            engine.SekeError: a line that is none.
        """
        records: list[Record] = []
        if path.is_file() and not path.stat().st_size:
            return cls(records, by_observer=by_observer)
        for first, lines in read_lines(path):
            for number, line in enumerate(lines, first):
                if not line.strip():
                    continue
                try:
                    record = decoded_json(line)
                    if record.get("variant", variant) == variant:
                        records.append({**record, "item": record["item"], "question": record["question"]})
                    int(record.get("draw", 0))
                    if by_observer and not isinstance(record.get("observer"), str):
                        raise ValueError("it names no observer, and several are asked")
                except (ValueError, TypeError, KeyError) as error:
                    raise SekeError(f"{path}:{number}: no recorded answer ({error})") from None
        return cls(records, by_observer=by_observer)

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the recorded answers; see `messages.Model`."""
        request = call.request
        key = request.item, request.question, request.about, request.view
        by_draw = self._choices.get((None, *key), {})
        if self.by_observer:
            by_draw = {**by_draw, **self._choices.get((request.observer, *key), {})}
        draws = tuple(range(request.first, request.first + request.samples))
        choices = tuple(by_draw[draw] for draw in draws if draw in by_draw)
        if choices:
            number = await journal.sent(call, tuple(choice.draw for choice in choices), 0.0)
            await journal.answered(number, Reply(choices, answering_model(choices, "recorded"), price=0.0))
        if len(choices) < len(draws):
            raise UnansweredError("no further answer was recorded", choices)
        return choices


class ScriptedModel:
    """Makes answers up in the form that is asked for; the same draw is always answered alike.

    truths: item -> what the answers are about (variable -> value); of an item without, a truth is made up.
    error: how often an answer is anything instead. refusal: how often there is none. not_judged: how often it
    says that nothing can be judged, where the form has a word for that. seconds: how long one takes. caches:
    whether it had what all questions share cached, as a server with a prefix cache reports.
    """

    def __init__(
        self,
        seed: int = 0,
        truths: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        error: float = 0.2,
        refusal: float = 0.0,
        not_judged: float = 0.0,
        seconds: float = 0.0,
        caches: bool = False,
    ) -> None:
        self.seed, self.truths = seed, truths or {}
        self.error, self.refusal, self.not_judged = error, refusal, not_judged
        self.seconds, self.caches = seconds, caches

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return made-up answers; see `messages.Model`."""
        request = call.request
        draws = tuple(range(request.first, request.first + request.samples))
        number = await journal.sent(call, draws, 0.0)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        choices = tuple(self.answer(call, draw) for draw in draws)
        letters = sum(len(choice.text) for choice in choices)
        reply = Reply(
            choices,
            SCRIPTED,
            None,
            None,
            (len(call.prompt.system) + len(call.prompt.text)) // 4,
            letters // 4,
            len(call.prompt.system) // 4 if self.caches else 0,
            0.0,
            self.seconds,
        )
        await journal.answered(number, reply)
        return choices

    def answer(self, call: Call, draw: int) -> Choice:
        """Return the made-up answer of a draw."""
        rng = self._chance(*call.request.line, draw)
        if rng.random() < self.refusal:
            return Choice(draw, "", "stop", "I cannot judge this picture.", scripted=True)
        truth = self.truths.get(call.request.item, {})
        first, sight = next(iter(call.prompt.schema["properties"].items()))
        if _is_sight(sight) and self._chance("sight", *call.request.line, draw).random() < self.not_judged:
            return Choice(draw, json.dumps({first: sight["enum"][-1]}), "stop", scripted=True)
        levels = self._object(call.prompt.schema, truth, call.request.item, rng)
        return Choice(draw, json.dumps(levels), "stop", scripted=True)

    def _chance(self, *words: object) -> np.random.Generator:
        digest = hashlib.sha256("\n".join(map(str, (self.seed, *words))).encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big"))

    def _object(
        self, schema: Mapping[str, Any], truth: Mapping[str, Any], item: str, rng: np.random.Generator
    ) -> Record:
        return {
            name: self._value(name, property_schema, truth, item, rng)
            for name, property_schema in schema["properties"].items()
        }

    def _value(
        self,
        name: str,
        schema: Mapping[str, Any],
        truth: Mapping[str, Any],
        item: str,
        rng: np.random.Generator,
    ) -> Any:
        if _is_sight(schema):
            return schema["enum"][0]
        if _is_hidden(schema):
            return []
        wrong = rng.random() < self.error
        if schema["type"] == "object":
            return self._object(schema, truth, item, rng)
        item_rng = self._chance(item, name)
        kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
        if kind == "number":
            true_value = float(truth.get(name, item_rng.uniform(-1, 1)))
            number = np.clip((rng.uniform(-1, 1) if wrong else true_value) + rng.normal(0, 0.1), -1, 1)
            low, high = schema.get("minimum", -1), schema.get("maximum", 1)
            return round(float(low + (number + 1) * (high - low) / 2), 1)
        if kind in ("string", "array"):
            return self._names(kind, schema, truth.get(name), truth, item_rng, rng, wrong=wrong)
        true_value = bool(truth.get(name, item_rng.random() < PRESENT))
        return true_value != wrong

    def _names(
        self,
        kind: str,
        schema: Mapping[str, Any],
        true_name: Any,
        truth: Mapping[str, Any],
        item_rng: np.random.Generator,
        rng: np.random.Generator,
        *,
        wrong: bool,
    ) -> Any:
        enum = (schema if kind == "string" else schema["items"])["enum"]
        names = [name for name in enum if name is not None]
        if "description" not in schema and kind == "array":
            # A list of what is there.
            present = {name: bool(truth.get(name, item_rng.random() < PRESENT)) for name in names}
            return [name for name in names if present[name] != (rng.random() < self.error / 2)]
        first = true_name if true_name in names else names[int(item_rng.integers(len(names)))]
        if wrong:
            first = names[int(rng.integers(len(names)))]
        if kind == "string":
            return first
        further_names = [str(name) for name in rng.permutation([name for name in names if name != first])]
        return [first, *further_names[:2]]


def _is_sight(schema: Mapping[str, Any]) -> bool:
    """Say whether a property of a form says how well its answer sees."""
    return schema["type"] == "string" and "description" in schema


def _is_hidden(schema: Mapping[str, Any]) -> bool:
    """Say whether a property of a form lists what cannot be seen; a ranking has a least length."""
    return schema["type"] == "array" and "description" in schema and "minItems" not in schema
