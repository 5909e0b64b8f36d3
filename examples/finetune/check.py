"""Hold an export and a recipe against the package that is to train, before a GPU is paid for.

    python examples/finetune/check.py trl data
    $SEKE_LLAMAFACTORY examples/finetune/check.py llamafactory data
    $SEKE_MSSWIFT examples/finetune/check.py ms-swift data --set model=tiny --set model_type=llava1_5_hf

It is run by the Python that has the package (environments.py makes two). The package's own classes read the
recipe, its own loader converts every row of every split, and its tokens are read back: what is learned of a
row has to be its answers, and nothing of its questions. A batch is collated of a row of each task.
Prints JSON; exit status 1 where a row is not read as it was written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Row = dict[str, Any]
    # What is learned of a row as a text, and how many pictures the package takes it to have; then the number
    # of pictures in the batch of some rows, by their numbers.
    Converted = tuple[list[tuple[str, int]], Callable[[list[int]], int]]

HERE = Path(__file__).parent
IGNORED = -100
MOST_FAULTS = 10


def rows_of(path: Path) -> list[Row]:
    """Return the rows of a file of JSON Lines."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def answers_of(row: Row) -> list[str]:
    """Return what is to be learned of a row."""
    if "completion" in row:
        return [part["text"] for part in row["completion"][0]["content"]]
    return [message["content"] for message in row["messages"] if message["role"] == "assistant"]


def questions_of(row: Row) -> list[str]:
    """Return what is asked in a row, without the places of pictures."""
    if "completion" in row:
        parts = [part for message in row["prompt"][::2] for part in message["content"]]
        return [part["text"] for part in parts if part["type"] == "text"]
    return [message["content"].replace("<image>", "") for message in row["messages"][::2]]


def learned_text(decode: Callable[..., str], labels: Any) -> str:
    """Return the text of the labels that count."""
    return decode([int(label) for label in labels if int(label) != IGNORED], skip_special_tokens=True)


class Trl:
    """TRL, with train.py."""

    rows = "trl"

    def __init__(self, export: Path, changes: dict[str, str], _: Path) -> None:
        sys.path.insert(0, str(HERE))
        import train
        from transformers import AutoProcessor
        from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

        words = [word for name, value in changes.items() for word in (f"--{name}", value)]
        config = ["--config", str(HERE / "trl.yaml"), "--export", str(export)]
        given, settings, model = train.arguments_of([*config, *words])
        self.splits = train.rows_of(Path(given.export))
        self.processor = AutoProcessor.from_pretrained(model.model_name_or_path)
        self.collate = DataCollatorForVisionLanguageModeling(
            self.processor, max_length=settings.max_length, completion_only_loss=settings.completion_only_loss
        )

    def converted(self, split: str) -> Converted:
        """Return the rows of a split as the package has them."""
        rows = self.splits[split]
        learned = []
        for row in rows:
            batch = self.collate([row])
            learned.append((learned_text(self.processor.decode, batch["labels"][0]), len(row["images"])))

        def batch_pictures(numbers: list[int]) -> int:
            return len(self.collate([rows[number] for number in numbers])["pixel_values"])

        return learned, batch_pictures


class LlamaFactory:
    """LLaMA-Factory; the splits are those that dataset_info.json registers."""

    rows = "messages"

    def __init__(self, export: Path, changes: dict[str, str], scratch: Path) -> None:
        from llamafactory.data import get_template_and_fix_tokenizer
        from llamafactory.hparams import get_train_args
        from llamafactory.model import load_tokenizer

        recipe = yaml.safe_load((HERE / "llamafactory.yaml").read_text("utf-8"))
        recipe |= {name: yaml.safe_load(value) for name, value in changes.items()}
        recipe |= {"dataset_dir": str(export), "media_dir": str(export), "cache_dir": str(scratch)}
        recipe |= {"output_dir": str(scratch / "output"), "overwrite_cache": True}
        self.model, self.data, self.training, *_ = get_train_args(recipe)
        self.tokens = load_tokenizer(self.model)
        self.template = get_template_and_fix_tokenizer(self.tokens["tokenizer"], self.data)

    def converted(self, split: str) -> Converted:
        """Return the rows of a split as the package has them."""
        from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset

        self.data.dataset, self.data.eval_dataset = [f"seke_{split}"], None
        settings = (self.template, self.model, self.data, self.training)
        rows = get_dataset(*settings, stage="sft", **self.tokens)["train_dataset"]
        decode = self.tokens["tokenizer"].decode
        learned = [(learned_text(decode, row["labels"]), len(row["images"])) for row in rows]
        collate = SFTDataCollatorWith4DAttentionMask(
            template=self.template, label_pad_token_id=IGNORED, **self.tokens
        )

        def batch_pictures(numbers: list[int]) -> int:
            return len(collate([rows[number] for number in numbers])["pixel_values"])

        return learned, batch_pictures


class MsSwift:
    """ms-swift; the splits are the files of messages."""

    rows = "messages"

    def __init__(self, export: Path, changes: dict[str, str], scratch: Path) -> None:
        os.environ["ROOT_IMAGE_DIR"] = str(export)
        from swift.arguments import SftArguments
        from swift.cli.main import parse_yaml_args
        from swift.utils import parse_args

        words = [word for name, value in changes.items() for word in (f"--{name}", value)]
        argv = [str(HERE / "ms-swift.yaml"), *words, "--output_dir", str(scratch)]
        parse_yaml_args(argv)
        self.export = export
        self.arguments, unknown = parse_args(SftArguments, argv)
        if unknown:
            sys.exit(f"ms-swift does not know {' '.join(unknown)}")
        self.processor = self.arguments.get_model_processor(load_model=False)[1]
        self.template = self.arguments.get_template(self.processor)
        self.template.set_mode("train")

    def converted(self, split: str) -> Converted:
        """Return the rows of a split as the package has them."""
        from swift.dataset import load_dataset

        path = self.export / "messages" / f"{split}.jsonl"
        rows = load_dataset([str(path)], **self.arguments.get_dataset_kwargs())[0]
        encoded = []
        for number, row in enumerate(rows, 1):
            try:
                encoded.append(self.template.encode(row))
            except Exception as error:
                raise ValueError(f"row {number}: {error}") from error
        decode = self.template.tokenizer.decode
        learned = [
            (learned_text(decode, tokens["labels"]), len(row["images"]))
            for tokens, row in zip(encoded, rows, strict=True)
        ]

        def batch_pictures(numbers: list[int]) -> int:
            return len(self.template.data_collator([encoded[number] for number in numbers])["pixel_values"])

        return learned, batch_pictures


PACKAGES = {"trl": Trl, "llamafactory": LlamaFactory, "ms-swift": MsSwift}


def faults_of(rows: list[Row], learned: list[tuple[str, int]]) -> Iterator[str]:
    """Yield which rows were not converted as they were written."""
    if len(learned) != len(rows):
        yield f"{len(learned):,} rows of {len(rows):,}"
        return
    for number, (row, (text, pictures)) in enumerate(zip(rows, learned, strict=True), 1):
        place = 0
        for answer in answers_of(row):
            place = text.find(answer.strip(), place)
            if place < 0:
                yield f"row {number} ({row['task']}): not all of the answer {answer[:60]!r} is learned"
                break
            place += len(answer.strip())
        if any(question.strip() in text for question in questions_of(row)):
            yield f"row {number} ({row['task']}): a question is learned"
        if pictures != len(row["images"]):
            yield f"row {number} ({row['task']}): {pictures} pictures of {len(row['images'])}"


def read_split(trainer: Any, split: str, rows: list[Row]) -> tuple[dict[str, Any], list[str]]:
    """Return what was read of a split, and the faults."""
    try:
        learned, batch_pictures = trainer.converted(split)
        faults = list(faults_of(rows, learned))
        facts: dict[str, Any] = {"rows": len(learned), "tasks": dict(Counter(row["task"] for row in rows))}
        if not faults:
            numbers = list({row["task"]: number for number, row in enumerate(rows)}.values())
            expected = sum(len(rows[number]["images"]) for number in numbers)
            if (collated := batch_pictures(numbers)) != expected:
                faults.append(f"a batch has {collated} pictures of {expected}")
            facts["batch"] = {"rows": len(numbers), "pictures": collated}
    except Exception as error:  # Packages raise of every kind; each is an answer to what is asked.
        return {"rows": 0}, [f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"]
    return facts, faults


def checked(package: str, export: Path, changes: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return what was read of each split, and the faults."""
    facts: dict[str, Any] = {"package": f"{package} {version(package)}", "splits": {}}
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        trainer = PACKAGES[package](export, changes, Path(scratch))
        for path in sorted((export / trainer.rows).glob("*.jsonl")):
            facts["splits"][path.stem], wrong = read_split(trainer, path.stem, rows_of(path))
            faults += [f"{path.stem}: {fault}" for fault in wrong]
    return facts, faults


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", choices=list(PACKAGES))
    parser.add_argument("export", type=Path, help="folder of `seke export`, with the format of the package")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    given = parser.parse_args()
    export = given.export.resolve()
    if not (export / PACKAGES[given.package].rows).is_dir():
        sys.exit(f"{given.export}: has no {PACKAGES[given.package].rows}/; seke export --format")
    changes = dict(change.split("=", 1) for change in given.changes)
    # Packages print what they do; the result is the last line of standard output alone.
    output, sys.stdout = sys.stdout, sys.stderr
    facts, faults = checked(given.package, export, changes)
    print(json.dumps(facts), file=output)
    for fault in faults[:MOST_FAULTS]:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(f"{len(faults):,} faults")


if __name__ == "__main__":
    main()
