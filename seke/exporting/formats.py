"""Writes exported items as files of rows that trainers read; each format is a class with the same methods.

    messages     JSON Lines: messages with one `<image>`, images   (LLaMA-Factory, ms-swift)
    trl          JSON Lines: prompt and completion of content parts, images, no token   (TRL)
    llava        a JSON list: image, conversations with one `<image>`   (LLaVA)
    imagefolder  metadata.jsonl beside pictures, one row an item   (datasets)
    parquet      all that is known of an item, one row each, in typed columns

All paths of pictures are relative to the folder of the export. Every row bears `schema`; a change of what a
column means raises its number. Columns that could be empty throughout a split are text, since readers of JSON
take the type of a column from its values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from seke.exporting.parquet_format import Parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from seke.exporting.export_item import ExportItem
    from seke.exporting.instruction_row import InstructionRow
    from seke.exporting.parquet_format import ReleaseColumns

    Record = dict[str, Any]

VERSION = 1
IMAGE = "<image>"
# Bytes of each file's write buffer: splits are written in turn, row by row.
BUFFER_BYTES = 1 << 20


class Format(Protocol):
    """Writes files of one format below a folder."""

    name: str
    rows: int

    def write(self, export_item: ExportItem) -> None:
        """Write the rows of an item."""

    def close(self) -> None:
        """End all files."""


def schema_of(name: str) -> str:
    """Return what stands in the column `schema`."""
    return f"seke-{name}-{VERSION}"


class _LineFiles(ABC):
    """Files of JSON values, a line each, with something before, between and after them."""

    before, between, after = b"", b"\n", b"\n"
    ending = "jsonl"

    def __init__(self, name: str, folder: Path, splits: Sequence[str]) -> None:
        self.name, self.schema, self.rows = name, schema_of(name), 0
        self._encode = msgspec.json.Encoder().encode
        self._stack = ExitStack()
        self._files = {}
        for split in splits:
            path = folder / self.path(split)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[split] = self._stack.enter_context(path.open("wb", buffering=BUFFER_BYTES))
        self._begun: set[str] = set()

    def path(self, split: str) -> str:
        """Return where the file of a split is, from the export's folder."""
        return f"{self.name}/{split}.{self.ending}"

    @abstractmethod
    def write(self, export_item: ExportItem) -> None:
        """Write the rows of an item."""

    def put(self, split: str, row: Record) -> None:
        """Write one value."""
        file = self._files[split]
        file.write(self.between if split in self._begun else self.before)
        self._begun.add(split)
        file.write(self._encode(row))
        self.rows += 1

    def close(self) -> None:
        """End all files."""
        for split, file in self._files.items():
            file.write(self.after if split in self._begun else self.before + self.after)
        self._stack.close()


class _TaskRows(_LineFiles):
    """A row for each task of an item."""

    def write(self, export_item: ExportItem) -> None:
        """Write the rows of an item."""
        for row in export_item.rows:
            self.put(export_item.split, self.row(export_item, row) | {"schema": self.schema})

    @abstractmethod
    def row(self, export_item: ExportItem, row: InstructionRow) -> Record:
        """Return the columns of a row, without `schema`."""


class _TurnRows(_TaskRows):
    """Columns of questions and answers, with a list of images, the item and the task.

    soft: P(expression) as JSON where the posterior is split and the answer says so, else no text. partner: of
    a comparison the item of the first picture, else no text. reworded_by: the model that put some of the
    texts into other words, else no text. decision: `not accepted` where `soft` stands for an expression that
    was not, else `accepted`.
    """

    def row(self, export_item: ExportItem, row: InstructionRow) -> Record:
        """Return the columns of a row, without `schema`."""
        pictures = list(row.pictures or (export_item.picture,))
        about = {"images": pictures, "item": export_item.accepted.item, "partner": row.partner}
        about |= {"task": row.task, "soft": row.soft, "reworded_by": row.reworded_by}
        about |= {"decision": row.decision}
        return self.turns(row, len(pictures)) | about

    @abstractmethod
    def turns(self, row: InstructionRow, pictures: int) -> Record:
        """Return the columns of questions and answers about so many pictures."""


class Messages(_TurnRows):
    """Rows of messages, with a list of images."""

    def turns(self, row: InstructionRow, pictures: int) -> Record:
        """Return the columns of questions and answers about so many pictures."""
        messages = []
        for place, (ask, answer) in enumerate(row.turns):
            content = ask if place else IMAGE * pictures + ask
            messages.append({"role": "user", "content": content})
            messages.append({"role": "assistant", "content": answer})
        return {"messages": messages}


class Trl(_TurnRows):
    """Rows of prompt and completion, as content parts; of several turns the last answer is the completion."""

    def turns(self, row: InstructionRow, pictures: int) -> Record:
        """Return the columns of questions and answers about so many pictures."""
        messages = []
        for place, texts in enumerate(row.turns):
            for role, text in zip(("user", "assistant"), texts, strict=True):
                first = [{"type": "image"}] * pictures if not place and role == "user" else []
                messages.append({"role": role, "content": [*first, {"type": "text", "text": text}]})
        return {"prompt": messages[:-1], "completion": messages[-1:]}


class Llava(_TaskRows):
    """One list of conversations."""

    before, between, after = b"[\n", b",\n", b"\n]\n"
    ending = "json"

    def row(self, export_item: ExportItem, row: InstructionRow) -> Record:
        """Return the columns of a row, without `schema`."""
        turns = []
        for place, (ask, answer) in enumerate(row.turns):
            turns.append({"from": "human", "value": ask if place else f"{IMAGE}\n{ask}"})
            turns.append({"from": "gpt", "value": answer})
        name = f"{export_item.accepted.item}/{row.task}"
        if row.number > 1:
            name = f"{name}-{row.number}"
        about = {"soft": row.soft, "reworded_by": row.reworded_by, "decision": row.decision}
        return {"id": name, "image": export_item.picture, "conversations": turns, **about}


class ImageFolder(_LineFiles):
    """A metadata file beside the pictures of each split.

    numbers: the columns of numbers that every split has a value in; others are left out.
    """

    def __init__(self, name: str, folder: Path, splits: Sequence[str], numbers: Sequence[str]) -> None:
        super().__init__(name, folder, splits)
        self.numbers = numbers

    def path(self, split: str) -> str:
        """Return where the file of a split is, from the export's folder."""
        return f"images/{split}/metadata.jsonl"

    def write(self, export_item: ExportItem) -> None:
        """Write the rows of an item."""
        accepted = export_item.accepted
        row: Record = {
            "file_name": export_item.inside,
            "item": accepted.item,
            "expression": accepted.expression or "",
            **{name: accepted.numbers.get(name) for name in self.numbers},
            "present": " ".join(name for name, seen in accepted.units.items() if seen),
            "absent": " ".join(name for name, seen in accepted.units.items() if not seen),
            "source": export_item.known.source or "",
            "schema": self.schema,
        }
        if export_item.soft is not None:
            row["soft"] = msgspec.json.encode(export_item.soft).decode()
        self.put(export_item.split, row)


FORMATS = ("messages", "trl", "llava", "imagefolder", "parquet")


def open_format(
    name: str, folder: Path, splits: Sequence[str], numbers: Sequence[str], columns: ReleaseColumns
) -> Format:
    """Open the files of a format; numbers: see `ImageFolder`; columns: of parquet."""
    if name == "imagefolder":
        return ImageFolder(name, folder, splits, numbers)
    if name == "parquet":
        return Parquet(folder, splits, schema_of(name), columns)
    task_formats: dict[str, Callable[[str, Path, Sequence[str]], Format]] = {
        "messages": Messages,
        "trl": Trl,
        "llava": Llava,
    }
    return task_formats[name](name, folder, splits)


def dataset_info(splits: Sequence[str]) -> Record:
    """Return what LLaMA-Factory is told of the messages (dataset_info.json beside them)."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    return {
        f"seke_{split}": {
            "file_name": f"messages/{split}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": tags,
        }
        for split in splits
    }
