"""Train a small vision-language model on an export of `seke export --format trl`, with TRL and LoRA.

    python examples/finetune/train.py --config examples/finetune/trl.yaml --export data --output-dir tuned

All arguments of TRL's SFTConfig and ModelConfig are taken, from the configuration and behind it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from datasets import DatasetDict, Image, List, load_dataset
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import ModelConfig, SFTConfig, SFTTrainer, TrlParser, get_peft_config

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass
class ExportArguments:
    """What is trained on, and what is not trained."""

    export: str = field(metadata={"help": "folder of `seke export --format trl`"})
    train_split: str = field(default="train", metadata={"help": "split that is learned"})
    eval_split: str = field(
        default="val", metadata={"help": "split for the loss at the end, where there is one"}
    )
    frozen_modules: str | None = field(
        default=None, metadata={"help": "pattern of the modules that get no adapter"}
    )


def arguments_of(words: list[str] | None = None) -> tuple[ExportArguments, SFTConfig, ModelConfig]:
    """Return the arguments of a command line; what the machine can do is the default."""
    cuda = torch.cuda.is_available()
    parser = TrlParser([ExportArguments, SFTConfig, ModelConfig])
    bf16 = cuda and torch.cuda.is_bf16_supported()
    parser.set_defaults(use_cpu=not cuda, bf16=bf16, activation_checkpointing=cuda)
    return parser.parse_args_and_config(words)


def rows_of(folder: Path) -> DatasetDict:
    """Return the splits of an export; paths of pictures, which start at its folder, become pictures.

    Raises:
        SystemExit: the export has no rows for TRL.
    """
    # Not by the card of the export, which names the parquet files alone where there are some.
    files = {path.stem: str(path.resolve()) for path in sorted(folder.glob("trl/*.jsonl"))}
    if not files:
        sys.exit(f"{folder}: has no trl/*.jsonl; seke export --format trl")
    splits = load_dataset("json", data_files=files)

    def placed(row: dict) -> dict:
        return {"images": [str(folder.resolve() / path) for path in row["images"]]}

    rows = splits.map(placed).select_columns(["prompt", "completion", "images"])
    return rows.cast_column("images", List(Image(mode="RGB")))


def adapter_of(given: ExportArguments, model_settings: ModelConfig) -> PeftConfig | None:
    """Return where the model gets an adapter, None where it is trained whole."""
    adapter = get_peft_config(model_settings)
    if adapter is not None:
        adapter.exclude_modules = given.frozen_modules
    return adapter


def train(given: ExportArguments, settings: SFTConfig, model_settings: ModelConfig) -> None:
    """Train, and write the whole model with the adapter merged into it, ready to be served."""
    rows = rows_of(Path(given.export))
    if given.train_split not in rows:
        sys.exit(f"{given.export}: has no split {given.train_split!r}; it has {', '.join(rows)}")
    name = model_settings.model_name_or_path
    processor = AutoProcessor.from_pretrained(name)
    dtype = torch.bfloat16 if settings.bf16 else torch.float32
    adapter = adapter_of(given, model_settings)
    held_out = rows.get(given.eval_split)
    output = Path(settings.output_dir)
    trainer = SFTTrainer(
        model=AutoModelForImageTextToText.from_pretrained(name, dtype=dtype),
        args=settings,
        train_dataset=rows[given.train_split],
        eval_dataset=held_out,
        processing_class=processor,
        peft_config=adapter,
    )
    trainer.train()
    if held_out is not None:
        print({name: round(value, 4) for name, value in trainer.evaluate().items() if name.endswith("loss")})
    whole = trainer.model if adapter is None else trainer.model.merge_and_unload()
    whole.save_pretrained(output)
    processor.save_pretrained(output)
    print(f"{len(rows[given.train_split]):,} rows; the model is in {output}")


if __name__ == "__main__":
    train(*arguments_of())
