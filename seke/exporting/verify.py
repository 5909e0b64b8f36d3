"""Reads an export back, row by row, with the loaders that its users have.

`datasets` reads every format, TRL checks that its rows are conversations whose pictures have their places,
and the pictures are opened. LLaMA-Factory and ms-swift pin other versions of both, so that they cannot stand
beside them; examples/finetune/check.py holds an export against each in an environment of its own.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.files.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Record = dict[str, Any]
    Check = Callable[[Record], Iterator[str]]

IMAGE = "<image>"
INSTALL = "pip install 'seke[export]'"


@dataclass(frozen=True)
class Verified:
    """What was read back. rows: format -> accepted rows; faults: what was not accepted, with its place.

    readers: the libraries that read, with their versions.
    """

    rows: Mapping[str, int]
    faults: tuple[str, ...]
    readers: tuple[str, ...]


def verify_export(folder: str | Path) -> Verified:
    """Read an export with `datasets` and TRL, and compare it with its export.json.

    Raises:
        engine.SekeError: no export; a library that is not installed.
    """
    return _Verification(Path(folder)).run()


def check_installed(formats: Iterable[str]) -> None:
    """Refuse where what reads these formats back is not installed.

    Raises:
        engine.SekeError: with how it is installed.
    """
    _library("datasets")
    if "trl" in formats:
        _library("trl.data_utils")


class _Verification:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.facts: Record = json.loads((folder / "export.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SekeError(f"{folder}: is no export (export.json: {error})") from None
        self.datasets = _library("datasets")
        self.libraries = {"datasets": self.datasets}
        if "trl" in self.facts["formats"]:
            self.libraries["trl"] = _library("trl.data_utils")
        self.faults = Faults()
        self.pictures: set[str] = set()

    def run(self) -> Verified:
        """Read all formats."""
        checks: dict[str, Check] = {
            "messages": self._messages,
            "trl": self._trl,
            "llava": self._llava,
            "imagefolder": self._imagefolder,
            "parquet": self._parquet,
        }
        for name, digest in self.facts["files"].items():
            path = self.folder / name
            if not path.is_file() or _digest(path) != digest:
                self.faults.note(f"{name}: is not the file that was written")
        rows: dict[str, int] = {}
        had_progress_bar = self.datasets.utils.logging.is_progress_bar_enabled()
        self.datasets.disable_progress_bars()
        try:
            for name in self.facts["formats"]:
                rows[name] = self._read(name, checks[name])
        finally:
            if had_progress_bar:
                self.datasets.enable_progress_bars()
        readers = tuple(f"{name} {import_module(name).__version__}" for name in self.libraries)
        return Verified(rows, tuple(self.faults.lines()), readers)

    def _read(self, name: str, check: Check) -> int:
        """Check every row of a format; return how many are accepted."""
        splits = self.facts["splits"]
        accepted, by_task = 0, {split: Counter[str]() for split in splits}
        with tempfile.TemporaryDirectory() as cache:
            try:
                dataset = self._load(name, list(splits), cache)
            except Exception as error:  # Loaders raise of every kind; each is an answer to what is asked.
                self.faults.note(f"{name}: cannot be loaded: {type(error).__name__}: {_line(error)}")
                return 0
            for split in splits:
                for number, row in enumerate(dataset[split], 1):
                    wrong = list(self._check_row(check, row))
                    for fault in wrong:
                        self.faults.note(f"{name}/{split}, row {number}: {fault}")
                    accepted += not wrong
                    by_task[split][str(row.get("task", ""))] += 1
        self._compare(name, accepted, by_task)
        return accepted

    def _check_row(self, check: Check, row: Record) -> Iterator[str]:
        try:
            yield from check(row)
        except Exception as error:
            yield f"{type(error).__name__}: {_line(error)}"

    def _load(self, name: str, splits: list[str], cache: str) -> Any:
        place = self.folder.resolve()
        loaders = {"imagefolder": ("imagefolder", "images/{}/**"), "llava": ("json", "llava/{}.json")}
        if "parquet" in self.facts["formats"]:
            # The card declares these files alone; the others are read by their paths.
            loaders |= {rows: ("json", f"{rows}/{{}}.jsonl") for rows in ("messages", "trl")}
        if name in loaders:
            loader, files = loaders[name]
            paths = {split: str(place / files.format(split)) for split in splits}
            return self.datasets.load_dataset(loader, data_files=paths, cache_dir=cache)
        # By the configurations that the card declares, as anyone would who is given the folder.
        return self.datasets.load_dataset(str(place), name, cache_dir=cache)

    def _compare(self, name: str, accepted: int, by_task: Mapping[str, Mapping[str, int]]) -> None:
        written_count = self.facts["formats"][name]["rows"]
        if accepted != written_count:
            self.faults.note(f"{name}: {accepted:,} rows are accepted; {written_count:,} were written")
        if name in ("messages", "trl"):
            for split, counts in self.facts["rows_by_task"].items():
                if dict(by_task[split]) != {task: count for task, count in counts.items() if count}:
                    self.faults.note(f"{name}/{split}: has other tasks than were written")

    # The formats --------------------------------------------------------------------------------------

    def _messages(self, row: Record) -> Iterator[str]:
        messages = row["messages"]
        yield from self._turns([message["role"] for message in messages], ("user", "assistant"))
        texts = [message["content"] for message in messages]
        yield from self._turn_texts(texts, len(row["images"]), row["task"])
        yield from self._pictures(row["images"])

    def _trl(self, row: Record) -> Iterator[str]:
        trl = self.libraries["trl"]
        if not trl.is_conversational(row):
            yield "is no conversation"
        prompt = trl.prepare_multimodal_messages(row["prompt"], images=list(row["images"]))
        completion = trl.prepare_multimodal_messages(row["completion"])
        yield from self._turns([message["role"] for message in (*prompt, *completion)], ("user", "assistant"))
        parts = [part for message in (*prompt, *completion) for part in message["content"]]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        kinds = ["image"] * len(row["images"]) + ["text"] * len(texts)
        if [part["type"] for part in parts] != kinds or not all(texts):
            yield "is not pictures, then questions and answers"
        if any(IMAGE in text for text in texts):
            yield f"a text has {IMAGE}"
        yield from self._pictures(row["images"])

    def _llava(self, row: Record) -> Iterator[str]:
        turns = row["conversations"]
        yield from self._turns([turn["from"] for turn in turns], ("human", "gpt"))
        yield from self._turn_texts([turn["value"] for turn in turns], 1)
        yield from self._pictures([row["image"]])

    def _imagefolder(self, row: Record) -> Iterator[str]:
        if min(row["image"].size) < 1:
            yield "the picture is empty"
        if not set(row["present"].split()).isdisjoint(row["absent"].split()):
            yield "a unit is both visible and not"

    def _parquet(self, row: Record) -> Iterator[str]:
        if abs(sum(row["soft_label"]) - 1) > 1e-4:
            yield "the probabilities of the expressions do not sum to 1"
        states = self.facts["card"]["states"]
        accepted = row["decision"]["levels"]["expression"]
        if row["label"] is not None and states[row["label"]] != accepted["value"]:
            yield "the class is not the value that was accepted"
        if "picture" in row and min(row["picture"].size) < 1:
            yield "the picture is empty"
        yield from self._pictures([row["image"]])

    def _turns(self, roles: list[str], wanted: tuple[str, str]) -> Iterator[str]:
        """Yield who speaks out of turn; question and answer alternate, and an answer is last."""
        for place, role in enumerate(roles):
            if role != wanted[place % 2]:
                yield f"{role} speaks where {wanted[place % 2]} should"
        if not roles or len(roles) % 2:
            yield "ends without an answer"

    def _turn_texts(self, texts: list[str], images: int, task: str = "") -> Iterator[str]:
        first, *others = texts
        if first.count(IMAGE) != images or any(IMAGE in text for text in others):
            yield f"{first.count(IMAGE)} times {IMAGE}, and {images} pictures"
        if task and images != (2 if task == "compare" else 1):
            yield f"{images} pictures of a row of {task}"
        if not all(text.replace(IMAGE, "").strip() for text in texts):
            yield "an empty turn"

    def _pictures(self, paths: list[str]) -> Iterator[str]:
        from PIL import Image

        for path in paths:
            if path in self.pictures:
                continue
            try:
                with Image.open(self.folder / path) as image:
                    image.verify()
                self.pictures.add(path)
            except (OSError, SyntaxError, ValueError) as error:
                yield f"{path}: cannot be opened ({_line(error)})"


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise SekeError(
            f"--verify needs {name.partition('.')[0]}, and {error.name} is not installed; {INSTALL}"
        ) from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
