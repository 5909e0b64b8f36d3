"""Train a small vision-language model on an export of `seke export --format trl`, with TRL and LoRA.

python examples/finetune/train.py data --model HuggingFaceTB/SmolVLM-500M-Instruct --output tuned
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict, Image, List, load_dataset
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTConfig, SFTTrainer


def rows_of(folder: Path) -> DatasetDict:
    """Return the splits of an export; paths of pictures, which start at its folder, become pictures."""
    splits = load_dataset(str(folder.resolve()), "trl")

    def placed(row: dict) -> dict:
        return {"images": [str(folder.resolve() / path) for path in row["images"]]}

    wanted = ["prompt", "completion", "images"]
    rows = splits.map(placed).select_columns(wanted)
    return rows.cast_column("images", List(Image(mode="RGB")))


def tuned(arguments: argparse.Namespace) -> None:
    """Train, and write the whole model with the adapter merged into it, ready to be served."""
    rows = rows_of(arguments.export)
    processor = AutoProcessor.from_pretrained(arguments.model)
    dtype = torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32
    model = AutoModelForImageTextToText.from_pretrained(arguments.model, dtype=dtype)
    settings = SFTConfig(
        output_dir=str(arguments.output / "checkpoints"),
        num_train_epochs=arguments.epochs,
        max_steps=arguments.max_steps,
        learning_rate=arguments.learning_rate,
        per_device_train_batch_size=arguments.batch,
        gradient_accumulation_steps=arguments.accumulate,
        gradient_checkpointing=torch.cuda.is_available(),
        bf16=dtype == torch.bfloat16,
        use_cpu=not torch.cuda.is_available(),
        # A length that cuts through a picture's tokens would be an error; answers are short.
        max_length=None,
        # Only the answer is learned, not the question.
        completion_only_loss=True,
        logging_steps=arguments.log_every,
        save_strategy="no",
        seed=arguments.seed,
        report_to="none",
    )
    adapter = LoraConfig(
        r=arguments.rank,
        lora_alpha=2 * arguments.rank,
        lora_dropout=0.05,
        target_modules="all-linear",
        # The part that sees stays as it is; a few thousand faces would rather spoil than teach it.
        exclude_modules=r".*vision.*",
        task_type="CAUSAL_LM",
    )
    held_out: Dataset | None = rows.get(arguments.held_out)
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=rows["train"],
        eval_dataset=held_out,
        processing_class=processor,
        peft_config=adapter,
    )
    trainer.train()
    if held_out is not None:
        print({name: round(value, 4) for name, value in trainer.evaluate().items() if name.endswith("loss")})
    whole = trainer.model.merge_and_unload()
    whole.save_pretrained(arguments.output)
    processor.save_pretrained(arguments.output)
    print(f"{len(rows['train']):,} rows; the model is in {arguments.output}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", type=Path, help="folder of `seke export --format trl`")
    parser.add_argument("--model", required=True, help="name on the hub, or a folder")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--held-out", default="val", help="split for the loss at the end, where there is one")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--max-steps", type=int, default=-1)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--accumulate", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--log-every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    tuned(parser.parse_args())


if __name__ == "__main__":
    main()
