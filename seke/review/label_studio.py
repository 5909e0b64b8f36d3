"""Label Studio: the labelling config of a base, tasks with predictions, and the answers that it exports.

Written for and validated by Label Studio 1.23.2 (https://labelstud.io/guide/tasks, /guide/export): a task is
`data` and `predictions`, an answer an entry of `annotations` with `result`, one region a control.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import msgspec

from engine import SekeError
from seke.review.answers import NOT_JUDGED, OK, REFUSED, RawAnswer
from seke.review.wording import ask_text, unit_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine import Knowledge
    from seke.review.tasks import ReviewTask

    Record = dict[str, Any]

# Names of the config: the picture, the control of units whose place cannot be seen, and that of a task that
# cannot be judged.
PICTURE, HIDDEN, SIGHT = "picture", "not_visible", "judged"
NOTHING = "cannot be judged"
MODEL_VERSION = "seke"
LOST = (
    "{}: this kind of export leaves out tasks that were skipped and whether a prediction was shown, so skips "
    "are not counted and shown predictions are those of the tasks; export JSON instead"
)


class ExportedRegion(msgspec.Struct, frozen=True):
    """What one control holds; a relation between regions has no control."""

    from_name: str = ""
    value: dict[str, Any] = {}


class ExportedAnnotation(msgspec.Struct, frozen=True):
    """One person's answer. prediction: the one that the project showed when it was given."""

    result: list[ExportedRegion] = []
    completed_by: dict[str, Any] | int | str | None = None
    was_cancelled: bool = False
    lead_time: float | None = None
    prediction: dict[str, Any] | int | msgspec.UnsetType | None = msgspec.UNSET
    parent_prediction: int | None = None

    @property
    def saw_prediction(self) -> bool:
        """Whether it began with a prediction; an export that does not say is taken for yes."""
        return self.prediction is msgspec.UNSET or bool(self.prediction or self.parent_prediction)


class ExportedTask(msgspec.Struct, frozen=True):
    """A task with its answers, as far as they are read here."""

    data: dict[str, Any]
    annotations: list[ExportedAnnotation] = []


class LabelStudioForm:
    """How the variables of a base stand in Label Studio: each level of binary variables is one control."""

    def __init__(self, base: Knowledge, like: str) -> None:
        """like: the observer whose variables are asked."""
        self.base, self.like = base, like
        instruments = base.observers[like].instruments
        self.groups: dict[str, tuple[str, ...]] = {}
        for level, members in base.levels.items():
            reported = [name for name in members if name in instruments]
            units = [name for name in reported if base.variables[name].kind == "binary"]
            if units:
                self.groups[level] = tuple(units)
            self.groups |= {name: (name,) for name in reported if name not in units}

    def config(self) -> str:
        """Return the labelling config, XML."""
        view = ElementTree.Element("View")
        ElementTree.SubElement(view, "Header", value="$ask")
        ElementTree.SubElement(view, "Image", name=PICTURE, value="$image", maxWidth="640px")
        units: list[tuple[str, str]] = []
        for control, names in self.groups.items():
            variable = self.base.variables[names[0]]
            ElementTree.SubElement(view, "Header", value=self._title(control), size="5")
            if variable.kind == "binary":
                shown = [(name, unit_text(self.base, name)) for name in names]
                units += shown
                _choices(view, control, [text for _, text in shown], "multiple")
            elif variable.kind == "interval":
                edges, numbers = variable.edges, self.base.observers[self.like].numbers[control]
                limits = {"min": f"{edges[0]:g}", "max": f"{edges[-1]:g}", "step": f"{numbers.grid:g}"}
                names_of = {"name": control, "toName": PICTURE}
                ElementTree.SubElement(view, "Number", {**names_of, **limits})
            else:
                _choices(view, control, variable.states, "single")
        if units:
            ElementTree.SubElement(view, "Header", value="Their place cannot be seen", size="5")
            _choices(view, HIDDEN, [text for _, text in units], "multiple")
        _choices(view, SIGHT, [NOTHING], "single")
        ElementTree.indent(view)
        return ElementTree.tostring(view, encoding="unicode") + "\n"

    def task(self, task: ReviewTask, picture: str) -> Record:
        """Return a task as Label Studio imports it; picture: its data URI."""
        data = {
            "image": picture,
            "ask": ask_text(self.base, task),
            "task": task.key,
            "item": task.item,
            "question": task.question,
            "about": task.about,
            "shown": task.shown,
        }
        if not task.shown:
            return {"data": data}
        scores = list(task.scores.values())
        score = task.scores.get(self.base.root, sum(scores) / len(scores))
        result = list(self._regions(task))
        return {
            "data": data,
            "predictions": [{"model_version": MODEL_VERSION, "score": round(score, 4), "result": result}],
        }

    def values(self, answered: Mapping[str, Any], task: ReviewTask) -> Record:
        """Return variable -> value of an answer; answered: control -> what it holds, a text, list or number.

        A unit that is asked and not marked is absent, once a unit, or none of several, could be marked.
        """
        values: Record = {}
        if not any(
            _texts(answered.get(control)) or _is_number(answered.get(control)) for control in self.groups
        ):
            return values
        hidden = set(_texts(answered.get(HIDDEN)))
        for control, names in self.groups.items():
            asked = [name for name in names if name in task.asks]
            variable = self.base.variables[names[0]]
            if variable.kind == "binary":
                marked = set(_texts(answered.get(control)))
                self._check_units(control, marked | hidden)
                for name in asked:
                    text = {unit_text(self.base, name), name}
                    values[name] = None if text & hidden else bool(text & marked)
            elif answered.get(control) not in (None, "", []):
                value = answered[control]
                whole = _texts(value)
                values[control] = _number(value) if variable.kind == "interval" else whole[0]
        return values

    def _check_units(self, control: str, marked: set[str]) -> None:
        known = {
            text
            for names in self.groups.values()
            for name in names
            for text in (name, unit_text(self.base, name))
        }
        for text in sorted(marked - known):
            allowed = ", ".join(self.groups[control])
            raise SekeError(f"{control}: met {text[:80]!r}; allowed are {allowed}")

    def _title(self, control: str) -> str:
        variable = self.base.variables.get(control)
        return variable.label if variable is not None and variable.label else control.replace("_", " ")

    def _regions(self, task: ReviewTask) -> Iterator[Record]:
        for control, names in self.groups.items():
            asked = [name for name in names if name in task.prediction]
            if not asked:
                continue
            kind = self.base.variables[asked[0]].kind
            region = {"id": f"{task.key}-{control}"[:40], "from_name": control, "to_name": PICTURE}
            if kind == "interval":
                yield {**region, "type": "number", "value": {"number": task.prediction[control]}}
                continue
            chosen = [task.prediction[control]] if control in task.prediction else []
            if kind == "binary":
                chosen = [unit_text(self.base, name) for name in asked if task.prediction[name]]
            if chosen:
                yield {**region, "type": "choices", "value": {"choices": chosen}}


def _choices(view: ElementTree.Element, name: str, values: Sequence[str], choice: str) -> None:
    tag = ElementTree.SubElement(view, "Choices", name=name, toName=PICTURE, choice=choice, showInline="true")
    for value in values:
        ElementTree.SubElement(tag, "Choice", value=value)


def _texts(value: Any) -> list[str]:
    """Return what a control holds as texts: one, several, or those within `choices`."""
    if isinstance(value, dict):
        value = value.get("choices", [])
    if value in (None, ""):
        return []
    return [str(text) for text in value] if isinstance(value, list) else [str(value)]


def _is_number(value: Any) -> bool:
    return isinstance(_number(value), int | float)


def _number(value: Any) -> Any:
    """Return a number that stands in a text or within a mapping; anything else as it is."""
    if isinstance(value, dict):
        value = value.get("number")
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def is_export(rows: Any) -> bool:
    """Return whether decoded JSON is Label Studio's full export."""
    return isinstance(rows, list) and any(isinstance(row, dict) and "annotations" in row for row in rows)


def full_answers(
    rows: Sequence[Any], name: str, values: Callable[[Mapping[str, Any], str], Record]
) -> Iterator[RawAnswer]:
    """Yield the answers of a full JSON export; name: of the file, for messages.

    values: control -> what it holds, and the key of the task -> variable -> value.

    Raises:
        engine.SekeError: a task without what this program put into it.
    """
    for number, row in enumerate(rows, 1):
        place = f"{name}: task {number}"
        try:
            task = msgspec.convert(row, ExportedTask)
        except (msgspec.ValidationError, RecursionError) as error:
            raise SekeError(f"{place}: cannot be read ({error})") from None
        if "task" not in task.data or "item" not in task.data:
            raise SekeError(f"{place}: has no `data` with `task` and `item`; it was not made by this program")
        for annotation in task.annotations:
            yield _answer(
                place,
                task.data,
                {region.from_name: region.value for region in annotation.result},
                REFUSED if annotation.was_cancelled else OK,
                _annotator(annotation.completed_by),
                values,
                shown=bool(task.data.get("shown")) and annotation.saw_prediction,
                lead_time=annotation.lead_time,
            )


def flat_answers(
    rows: Sequence[Mapping[str, Any]], name: str, values: Callable[[Mapping[str, Any], str], Record]
) -> Iterator[RawAnswer]:
    """Yield the answers of a JSON_MIN or CSV export, decoded; as `full_answers`.

    Raises:
        engine.SekeError: a row without what this program put into its task.
    """
    for number, row in enumerate(rows, 1):
        place = f"{name}: answer {number}"
        if not isinstance(row, dict) or not row.get("task") or not row.get("item"):
            raise SekeError(f"{place}: has no `task` and `item`; it was not made by this program")
        if row.get("annotation_id") in (None, ""):
            continue  # a task that nobody answered
        annotator, time = _annotator(row.get("annotator")), row.get("lead_time")
        yield _answer(place, row, row, OK, annotator, values, shown=None, lead_time=time)


def _answer(
    place: str,
    data: Mapping[str, Any],
    held: Mapping[str, Any],
    status: str,
    annotator: str,
    values: Callable[[Mapping[str, Any], str], Record],
    *,
    shown: bool | None,
    lead_time: Any,
) -> RawAnswer:
    """Return an answer; shown: whether the prediction was, None where the file does not say."""
    if status == OK and NOTHING in _texts(held.get(SIGHT)):
        status = NOT_JUDGED
    task, item, seconds = str(data["task"]), str(data["item"]), _number(lead_time)
    try:
        reported = values(held, task) if status == OK else {}
    except SekeError as error:
        raise SekeError(f"{place}: item {item[:80]}: {error}") from None
    known = float(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) else None
    return RawAnswer(place, task, item, annotator, status, reported, shown, known)


def _annotator(completed_by: Any) -> str:
    """Return who answered: the number of the account, never an address."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("id")
    return "" if completed_by in (None, "") else str(completed_by)
