"""A made-up observer with a known bias, to see whether so many faces would find it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine import SekeError, did_you_mean
from seke.benchmarking.variant_answers import options_of
from seke.vision.fake import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Knowledge
    from seke.vision.messages import Call, Choice

    Record = dict[str, Any]


@dataclass(frozen=True)
class Bias:
    """Shares of answers, each 0 to 1.

    yes: of absent units, those that are called present all the same. first: that name the first option.
    coupling: whose units are those that the base expects of their own label. refusal: that are refused.
    """

    yes: float = 0.0
    first: float = 0.0
    coupling: float = 0.0
    refusal: float = 0.0

    @classmethod
    def of(cls, texts: Sequence[str]) -> Bias:
        """Return the biases that are given as KIND=SHARE.

        Raises:
            engine.SekeError: another kind, or no share from 0 to 1.
        """
        kinds = cls.__dataclass_fields__
        shares = {}
        for text in texts:
            kind, _, share = text.partition("=")
            if kind not in kinds:
                raise SekeError(f"--bias: no bias is called {kind!r}{did_you_mean(kind, kinds)}")
            try:
                shares[kind] = float(share)
            except ValueError:
                shares[kind] = -1.0
            if not 0 <= shares[kind] <= 1:
                raise SekeError(f"--bias: met {text!r}; allowed is {kind}=SHARE, from 0 to 1, as {kind}=0.2")
        return cls(**shares)


class BiasedModel(ScriptedModel):
    """Answers made up as `ScriptedModel` does, of which some have a bias."""

    def __init__(
        self,
        base: Knowledge,
        bias: Bias,
        seed: int = 0,
        truths: Mapping[str, Mapping[str, Any]] | None = None,
        **given: Any,
    ) -> None:
        """given: as `ScriptedModel` takes them."""
        super().__init__(seed, truths, refusal=bias.refusal, **given)
        self.base, self.bias = base, bias
        states = base.variables[base.root].states
        self._expected = {
            state: [name for name, row in base.cells.items() if row[place].p > 0.5]
            for place, state in enumerate(states)
        }

    def answer(self, call: Call, draw: int) -> Choice:
        """Return the made-up answer of a draw."""
        choice = super().answer(call, draw)
        if choice.refusal:
            return choice
        rng = self._chance("bias", *call.request.line, draw)
        follows, names_first = rng.random() < self.bias.coupling, rng.random() < self.bias.first
        levels = json.loads(choice.text)
        fields = call.prompt.schema["properties"]
        label = None
        for name, schema in fields.items():
            listed = options_of(schema)
            if listed and levels[name] and set(listed) <= set(self._expected):
                if names_first:
                    levels[name] = _first(levels[name], listed)
                label = levels[name] if isinstance(levels[name], str) else levels[name][0]
        for name, schema in fields.items():
            options = options_of(schema) or list(schema.get("properties") or [])
            if levels[name] is None or not set(options) & set(self.base.cells):
                continue
            present = _present(levels[name])
            if follows and label is not None:
                present = {unit for unit in self._expected[label] if unit in options}
            present |= {unit for unit in options if rng.random() < self.bias.yes}
            marks = {unit: unit in present for unit in options}
            is_list = isinstance(levels[name], list)
            levels[name] = [unit for unit in options if marks[unit]] if is_list else marks
        return replace(choice, text=json.dumps(levels))


def _first(named: str | list[str], listed: Sequence[str]) -> str | list[str]:
    """Return an answer with the first option named, or put in the first place."""
    if isinstance(named, str):
        return listed[0]
    return [listed[0], *(name for name in named if name != listed[0])][: len(named)]


def _present(named: Any) -> set[str]:
    """Return the units that an answer calls present."""
    return set(named) if isinstance(named, list) else {unit for unit, mark in named.items() if mark}
