"""The demo: answers, drawn faces with recorded answers, an overlay and a notebook, to try things out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.files.free_folder import check_free
from seke.files.shipped import knowledge
from seke.graphics.bitmap import bitmap
from seke.graphics.face import face
from seke.start.made_up_answers import made_up_answers, truths_of
from seke.start.new_folder import new_folder, write_files
from seke.vision.fake import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SAMPLES, OVERLAY, NOTEBOOK = "samples.jsonl", "overlay.yaml", "try.ipynb"
PICTURES, RECORDED = "faces", "answers.jsonl"
# Files of the demo that stand in this package as they are written.
COPIED = (SAMPLES, OVERLAY, NOTEBOOK)
_FOLDER = Path(__file__).with_name("demo")


def write_demo(folder: Path) -> Mapping[str, Any]:
    """Write the demo into a new or empty folder; return what its faces are (`faces.yaml`).

    Raises:
        engine.SekeError: something is in the folder.
        OSError: it cannot be written; nothing is left behind.
    """
    import yaml

    check_free(folder)
    table: Mapping[str, Any] = yaml.safe_load((_FOLDER / "faces.yaml").read_text("utf-8"))
    files = {name: (_FOLDER / name).read_bytes() for name in COPIED}
    for name, facts in table["faces"].items():
        files[f"{PICTURES}/{name}.png"] = _picture(facts["units"])
    files[RECORDED] = _recorded(table)
    with new_folder(folder):
        write_files(folder, files)
    return table


def _picture(units: Iterable[str]) -> bytes:
    """Return a face that shows these action units, as PNG."""
    drawing = face(dict.fromkeys(units, 1.0)).with_margin()
    file = io.BytesIO()
    bitmap(drawing).save(file, "PNG")
    return file.getvalue()


def _recorded(table: Mapping[str, Any]) -> bytes:
    """Return made-up answers about the faces, as JSON Lines."""
    base = knowledge()
    model = ScriptedModel(table["seed"], truths_of(base, table["faces"]), error=table["error"])
    answers = made_up_answers(base, model, table["observer"])
    return "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers).encode()
