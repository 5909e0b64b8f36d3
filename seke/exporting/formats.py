"""What is said of items -> files, in the rows that trainers read; each format is a class with the same face.

    messages     JSON Lines: messages with one `<image>`, images   (LLaMA-Factory, ms-swift)
    trl          JSON Lines: prompt and completion of content parts, images, no token   (TRL)
    llava        a JSON list: image, conversations with one `<image>`   (LLaVA)
    imagefolder  metadata.jsonl beside pictures, one row an item   (datasets)
    parquet      the posterior records whole, one row an item

All paths of pictures are relative to the folder of the export. Every row bears `schema`; a change of what a
column means raises its number. Columns that could be empty throughout a split are text, since readers of JSON
take the type of a column from its values.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seke.exporting.accepted_labels import Spoken
    from seke.runs.item_list import Known

    Record = dict[str, Any]

VERSION = 1
IMAGE = "<image>"
AT_ONCE = 1 << 20
ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Said:
    """What an export says of an item.

    picture: its path from the export's folder; inside: the one within `images/SPLIT`, where pictures or links
    to them are, no text where they are not. rows: task, question and answer of each. soft: probabilities and
    intervals, where they are wanted.
    """

    spoken: Spoken
    known: Known
    split: str
    picture: str
    inside: str
    rows: Sequence[tuple[str, str, str]]
    soft: Record | None


class Format(Protocol):
    """Writes files of one format below a folder."""

    name: str
    rows: int

    def write(self, said: Said) -> None:
        """Write what is said of an item."""

    def close(self) -> None:
        """End all files."""


def schema_of(name: str) -> str:
    """Return what stands in the column `schema`."""
    return f"seke-{name}-{VERSION}"


class _Lines:
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
            self._files[split] = self._stack.enter_context(path.open("wb", buffering=AT_ONCE))
        self._begun: set[str] = set()

    def path(self, split: str) -> str:
        """Return where the file of a split is, from the export's folder."""
        return f"{self.name}/{split}.{self.ending}"

    def write(self, said: Said) -> None:
        """Write what is said of an item."""
        raise NotImplementedError

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


class Messages(_Lines):
    """Rows of messages, with a list of images."""

    def write(self, said: Said) -> None:
        """Write what is said of an item."""
        for task, ask, answer in said.rows:
            user = {"role": "user", "content": IMAGE + ask}
            self.put(
                said.split,
                {
                    "messages": [user, {"role": "assistant", "content": answer}],
                    "images": [said.picture],
                    "item": said.spoken.item,
                    "task": task,
                    "schema": self.schema,
                },
            )


class Trl(_Lines):
    """Rows of prompt and completion, as content parts."""

    def write(self, said: Said) -> None:
        """Write what is said of an item."""
        for task, ask, answer in said.rows:
            asked = [{"type": "image"}, {"type": "text", "text": ask}]
            told = [{"type": "text", "text": answer}]
            self.put(
                said.split,
                {
                    "prompt": [{"role": "user", "content": asked}],
                    "completion": [{"role": "assistant", "content": told}],
                    "images": [said.picture],
                    "item": said.spoken.item,
                    "task": task,
                    "schema": self.schema,
                },
            )


class Llava(_Lines):
    """One list of conversations."""

    before, between, after = b"[\n", b",\n", b"\n]\n"
    ending = "json"

    def write(self, said: Said) -> None:
        """Write what is said of an item."""
        for task, ask, answer in said.rows:
            turns = [{"from": "human", "value": f"{IMAGE}\n{ask}"}, {"from": "gpt", "value": answer}]
            self.put(
                said.split,
                {
                    "id": f"{said.spoken.item}/{task}",
                    "image": said.picture,
                    "conversations": turns,
                    "schema": self.schema,
                },
            )


class ImageFolder(_Lines):
    """A metadata file beside the pictures of each split.

    numbers: the columns of numbers that every split has a value in; others are left out.
    """

    def __init__(self, name: str, folder: Path, splits: Sequence[str], numbers: Sequence[str]) -> None:
        super().__init__(name, folder, splits)
        self.numbers = numbers

    def path(self, split: str) -> str:
        """Return where the file of a split is, from the export's folder."""
        return f"images/{split}/metadata.jsonl"

    def write(self, said: Said) -> None:
        """Write what is said of an item."""
        spoken = said.spoken
        row: Record = {
            "file_name": said.inside,
            "item": spoken.item,
            "expression": spoken.expression or "",
            **{name: spoken.numbers.get(name) for name in self.numbers},
            "present": " ".join(name for name, seen in spoken.units.items() if seen),
            "absent": " ".join(name for name, seen in spoken.units.items() if not seen),
            "source": said.known.source or "",
            "schema": self.schema,
        }
        if said.soft is not None:
            row["soft"] = msgspec.json.encode(said.soft).decode()
        self.put(said.split, row)


class Parquet:
    """The posterior records of each split, with where each is from."""

    def __init__(self, name: str, folder: Path, splits: Sequence[str]) -> None:
        self.name, self.schema, self.rows = name, schema_of(name), 0
        self._stack = ExitStack()
        self._waiting: dict[str, list[Record]] = {split: [] for split in splits}
        (folder / name).mkdir(parents=True, exist_ok=True)
        self._writers = {
            split: self._stack.enter_context(Writer(folder / self.path(split))) for split in splits
        }

    def path(self, split: str) -> str:
        """Return where the file of a split is, from the export's folder."""
        return f"{self.name}/{split}.parquet"

    def write(self, said: Said) -> None:
        """Write what is said of an item."""
        known, waiting = said.known, self._waiting[said.split]
        left, top, width, height = known.box or (None, None, None, None)
        row = {
            **said.spoken.record,
            "image": said.picture,
            "group": known.group or "",
            "source": known.source or "",
            "box": {"left": left, "top": top, "width": width, "height": height},
            "known": msgspec.json.encode(known.labels).decode(),
            "schema": self.schema,
        }
        waiting.append(row)
        self.rows += 1
        if len(waiting) >= ROWS_AT_ONCE:
            self._writers[said.split].write(waiting)
            waiting.clear()

    def close(self) -> None:
        """End all files."""
        for split, waiting in self._waiting.items():
            self._writers[split].write(waiting)
        self._stack.close()


FORMATS = ("messages", "trl", "llava", "imagefolder", "parquet")


def opened(name: str, folder: Path, splits: Sequence[str], numbers: Sequence[str]) -> Format:
    """Open the files of a format; numbers: see `ImageFolder`."""
    if name == "imagefolder":
        return ImageFolder(name, folder, splits, numbers)
    if name == "parquet":
        return Parquet(name, folder, splits)
    return {"messages": Messages, "trl": Trl, "llava": Llava}[name](name, folder, splits)


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
