"""What a run that is scored by a protocol was asked with: model, settings, prompts and pictures."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.benchmarking.run import PREDICTIONS
from seke.runs.ledger import NAME, read_only
from seke.runs.run_folder import POSTERIORS, PROMPTS
from seke.vision.messages import is_scripted

if TYPE_CHECKING:
    from collections.abc import Mapping

# What runs write.
WRITTEN = (PREDICTIONS, POSTERIORS)
PICTURES = "SELECT DISTINCT item, picture FROM requests WHERE state = 'answered' AND picture != ''"
MODELS = "SELECT DISTINCT coalesce(model, '') FROM requests WHERE state = 'answered' ORDER BY 1"


@dataclass(frozen=True)
class AskedRun:
    """A system that is scored. path: of its predictions; name: of the file or the run's folder.

    models: as servers gave their names. prompts: question -> digest of the prompt -> answers to it. pictures:
    item -> digests of what was sent of its picture. Without a ledger nothing of these is known.
    """

    name: str
    path: Path
    models: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return what is known of it as JSON values; null where nothing is."""
        return {
            "name": self.name,
            "path": str(self.path),
            "models": list(self.models) or None,
            "scripted": any(is_scripted(model) for model in self.models),
            "settings": dict(self.settings) or None,
            "prompts": {question: dict(digests) for question, digests in self.prompts.items()} or None,
            "pictures": {"count": len(self.pictures), "digest": pictures_digest(self.pictures)}
            if self.pictures
            else None,
        }


def asked_run(source: str | Path) -> AskedRun:
    """Return the system behind a file of predictions, or the folder of a run.

    Raises:
        engine.SekeError: a folder without predictions.
    """
    path = Path(source)
    if path.is_dir():
        name = next((name for name in WRITTEN if (path / name).is_file()), None)
        if name is None:
            raise SekeError(
                f"{path}: has neither {PREDICTIONS} (seke bench run) nor {POSTERIORS} (seke annotate); name "
                "the folder of a run, or a file of predictions"
            )
        path = path / name
    elif path.name not in WRITTEN or not (path.parent / NAME).is_file():
        return AskedRun(path.name, path)
    folder = path.parent
    return _with_ledger(folder, path) if (folder / NAME).is_file() else AskedRun(folder.name, path)


def _with_ledger(folder: Path, path: Path) -> AskedRun:
    with read_only(folder) as db:
        models = tuple(model for (model,) in db.execute(MODELS))
        row = db.execute("SELECT value FROM facts WHERE name = 'settings'").fetchone()
        prompts: dict[str, dict[str, int]] = {}
        for question, digest, count in db.execute(PROMPTS):
            prompts.setdefault(question, {})[digest] = count
        pictures: dict[str, tuple[str, ...]] = {}
        for item, digest in sorted(db.execute(PICTURES)):
            pictures[item] = (*pictures.get(item, ()), digest)
    return AskedRun(folder.name, path, models, json.loads(row[0]) if row else {}, prompts, pictures)


def pictures_digest(pictures: Mapping[str, tuple[str, ...]]) -> str:
    """Return the SHA-256 of lines `item<TAB>digest`, sorted, each ended by a line feed."""
    lines = sorted(f"{item}\t{digest}\n" for item, digests in pictures.items() for digest in digests)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
