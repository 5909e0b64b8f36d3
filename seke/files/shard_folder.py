"""A folder with records in shards: a file for each, and a manifest that says what they were made with.

A shard that is done stands in the manifest with its file, which is whole; one without items has none. So a
folder that is not done can be gone on with, by what it was begun with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import SekeError
from seke.files.atomic import write_file
from seke.files.free_folder import check_free
from seke.files.shards import shard_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MANIFEST = "_manifest.json"
# What a manifest that is read may be; that of 10,000 shards has a tenth.
LARGEST_MANIFEST = 64 << 20
JSON_LINES_GZ, PARQUET = "jsonl.gz", "parquet"
SHARD_FORMATS = (PARQUET, JSON_LINES_GZ)
# Shards of a new folder: work for some dozens of processors, and 30,000 items each of a million.
USUAL_SHARDS = 32


class Shard(msgspec.Struct):
    """One of the shards.

    samples: digest of the answers about its items, once they were read. done: whether its records are
    written; file: the name of their file, empty for a shard without items, and size: its bytes. counts: of
    what was decided.
    """

    samples: str = ""
    done: bool = False
    file: str = ""
    size: int = 0
    counts: dict[str, Any] = {}


class ShardManifest(msgspec.Struct):
    """What the records of a folder are made with, and how far they are made.

    made_with: name -> value of all that the records depend on but for the samples. inputs: the files of the
    samples, paths of the machine that began or addresses. format: ending of the files. thresholds: of risks,
    by variable, found on all samples; None where none are looked for or not yet found.
    stamps: input -> its size and time of last change, None where unknown, as all shards were made of it.
    """

    made_with: dict[str, str | int | bool | None]
    inputs: list[str]
    format: str
    shards: list[Shard]
    thresholds: dict[str, tuple[float, ...]] | None = None
    stamps: dict[str, str | None] = {}


class ShardFolder:
    """The folder and its manifest, which is written again at each change."""

    def __init__(self, path: Path, manifest: ShardManifest) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def opened(
        cls,
        path: Path,
        made_with: Mapping[str, str | int | bool | None],
        inputs: list[str],
        shards: int | None,
        form: str | None,
    ) -> ShardFolder:
        """Return the folder: a new one, which is made once something is written, or one to go on with.

        shards, form: how many, and their format; where they are None, those of the folder, and of a new one
        USUAL_SHARDS and PARQUET.

        Raises:
            engine.SekeError: the folder holds other things, or was begun with something else.
        """
        if not (path / MANIFEST).exists():
            check_free(path, besides=(".",))
            shard_list = [Shard() for _ in range(shards or USUAL_SHARDS)]
            manifest = ShardManifest(dict(made_with), inputs, form or PARQUET, shard_list)
            return cls(path, manifest)
        folder = cls(path, read_manifest(path))
        manifest = folder.manifest
        before = manifest.made_with | {"shards": len(manifest.shards), "format": manifest.format}
        now = {**made_with, "shards": shards or len(manifest.shards), "format": form or manifest.format}
        changed = [name for name in before | now if before.get(name) != now.get(name)]
        if changed:
            what = "; ".join(f"{name} was {before.get(name)}, is {now.get(name)}" for name in changed)
            raise SekeError(
                f"{path}: its records are made with something else: {what}. Name another folder, or what "
                "this one was begun with"
            )
        folder.manifest.inputs = inputs
        return folder

    def missing(self) -> list[int]:
        """Return the shards that are to be made, among them those whose file is gone or has another size."""
        shards = enumerate(self.manifest.shards)
        return [number for number, shard in shards if not (shard.done and self._is_there(shard))]

    def is_finished(self, stamps: Mapping[str, str | None]) -> bool:
        """Whether all shards are there, made of inputs that have not changed since, by their size and time.

        stamps: of the inputs as they are now, in their order.
        """
        known = self.manifest.stamps
        same = list(known.items()) == list(stamps.items()) and None not in known.values()
        return bool(known) and same and not self.missing()

    def note_inputs(self, stamps: Mapping[str, str | None]) -> None:
        """Note the inputs that all shards are made of, as they were before they were read."""
        self.manifest.stamps = dict(stamps)
        self.save()

    def _is_there(self, shard: Shard) -> bool:
        file = self.path / shard.file
        return not shard.file or (file.is_file() and file.stat().st_size == shard.size)

    def note_samples(self, number: int, digest: str) -> None:
        """Note which samples a shard has; not yet written.

        Raises:
            engine.SekeError: it was begun with others.
        """
        shard = self.manifest.shards[number]
        if shard.samples not in ("", digest):
            raise SekeError(
                f"{self.path}: the samples are not those that it was begun with (those of shard {number + 1} "
                f"of {len(self.manifest.shards)} differ); name another folder"
            )
        shard.samples = digest

    def write(self, number: int, data: bytes | None, counts: dict[str, Any]) -> None:
        """Write the records of a shard, None for one without items, and note that it is done."""
        shards = self.manifest.shards
        name = ""
        if data is not None:
            name = f"shard-{number + 1:05d}-of-{len(shards):05d}.{self.manifest.format}"
            self.path.mkdir(parents=True, exist_ok=True)
            write_file(data, self.path / name)
        shards[number] = Shard(shards[number].samples, True, name, len(data or b""), counts)
        self.save()

    def save(self) -> None:
        """Write the manifest."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(self.manifest), indent=1)
        write_file(text + b"\n", self.path / MANIFEST)


def is_shard_folder(path: str | Path) -> bool:
    """Tell whether a path is a folder with records in shards."""
    return (Path(path) / MANIFEST).is_file()


def read_manifest(path: Path) -> ShardManifest:
    """Return the manifest of a folder.

    Raises:
        engine.SekeError: it is none.
    """
    file = path / MANIFEST
    try:
        if file.stat().st_size > LARGEST_MANIFEST:
            raise SekeError(f"{file}: is larger than {LARGEST_MANIFEST >> 20} MB, so no manifest of shards")
        return msgspec.json.decode(file.read_bytes(), type=ShardManifest)
    except msgspec.MsgspecError as error:
        raise SekeError(f"{file}: is no manifest of shards: {error}") from None


def sample_files(paths: Iterable[str]) -> list[str]:
    """Return files of samples; in the place of a folder of shards those that its records are made of."""
    return [
        name
        for path in paths
        for name in (read_manifest(Path(path)).inputs if is_shard_folder(path) else [path])
    ]


def record_files(path: Path, item: str | None = None) -> list[Path]:
    """Return the files of a folder whose shards are all done, in the order of the shards.

    item: return only the file in which this item is, if it is in any.

    Raises:
        engine.SekeError: shards are missing.
    """
    folder = ShardFolder(path, read_manifest(path))
    missing = folder.missing()
    if missing:
        raise SekeError(
            f"{path}: {len(missing)} of {len(folder.manifest.shards)} shards are not made; the command that "
            "began them goes on with them"
        )
    shards = folder.manifest.shards
    chosen = shards if item is None else [shards[shard_of(item, len(shards))]]
    return [path / shard.file for shard in chosen if shard.file]
