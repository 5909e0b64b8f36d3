"""Pictures in archives -> files in a folder, and its manifest; read as streams, one picture at a time.

    tar (WebDataset)          key.jpg beside key.json, key.cls, key.txt; those of one key stand together
    parquet (Hugging Face)    a column of {bytes, path}, others beside it
    pictures                  of a folder of another file system, such as s3://bucket/faces

Names of members are never names of files: pictures are numbered. An item is called ARCHIVE/KEY, ARCHIVE being
the archive's name without its ending, and in parquet KEY the row from 0.
"""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from os.path import commonpath
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from engine import Knowledge, SekeError
from seke.console.plain_text import first_names
from seke.datasets.images import ENDINGS, MOST_BYTES, is_clutter
from seke.datasets.manifest import BOX, is_archive
from seke.files.addresses import StoredFile, copy_of, files_below, is_address
from seke.files.free_folder import check_free, folder_aside
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import FieldReport
from seke.samples.spelling import name_meant, other_words
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = dict[str, Any]

MANIFEST = "manifest.jsonl"
# Pictures of one folder, as file systems like it; rows of the manifest that are written at once.
FOLDER_FILES, ROW_BATCH = 1_000, 1_000
# Bytes of what stands beside a picture: a page of JSON has a hundredth of it.
MOST_BESIDE = 1_000_000
# Names that a message lists.
MOST_NAMES = 5
# Rows of parquet that are decoded at once: pictures of 100 kB make some 2 MB.
PARQUET_BATCH = 16
# What holds the class of a picture: a member's ending, a column.
CLASSES = ("cls", "label", "class")
# How pictures of the usual formats begin.
BEGINNINGS = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"))
TOO_LARGE = f"pictures of more than {MOST_BYTES // 1_000_000} MB"
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, repr=False)
class Unpacked(FieldReport):
    """What was unpacked. labelled: pictures with a class that the base knows.

    left_out: reason -> how many pictures or keys; unknown: classes that the base lacks -> how many pictures.
    """

    manifest: str
    items: int
    labelled: int
    left_out: Mapping[str, int]
    unknown: Mapping[str, int]


@dataclass
class _Packed:
    """A picture in an archive: its key, its bytes and ending, and what stands beside it."""

    key: str
    data: bytes = b""
    ending: str = ""
    beside: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class _Archive:
    """An archive: the file at a path or address `place`, or the pictures of a folder at an address.

    stored: the file, where it is of another file system.
    """

    place: str
    stored: StoredFile | None = None
    pictures: tuple[StoredFile, ...] = ()

    @property
    def stem(self) -> str:
        """Its name without its endings."""
        name = Path(self.place.partition("?")[0] if is_address(self.place) else self.place).name
        return name if self.pictures else name.removesuffix(".gz").rpartition(".")[0]


def unpack(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    knowledge: Knowledge | str | Path | None = None,
    classes: Sequence[str] = (),
) -> Unpacked:
    """Write the pictures of archives into a new folder, with a manifest; all of it or nothing.

    Args:
        sources: archives (.tar, .tar.gz, .tgz, .parquet), or folders of them, also addresses as
            s3://bucket/faces; of other file systems folders of pictures, too.
        output: the new folder.
        knowledge: the base whose variables and classes are meant; the shipped base by default.
        classes: the names of classes that are numbers, from 0; parquet files of Hugging Face have their own.

    Raises:
        engine.SekeError: no archive, or one that cannot be read; no picture in any; the folder is taken.
    """
    base, folder = read_knowledge(knowledge), Path(output).absolute()
    archives = _archives([sources] if isinstance(sources, str | Path) else sources)
    check_free(folder)
    aside = folder_aside(folder)
    try:
        writer = _PictureFolder(aside, base)
        with Writer(aside / MANIFEST) as manifest:
            for archive in archives:
                for picture in _pictures(archive, classes):
                    writer.add(archive, picture)
                    if len(writer.rows) == ROW_BATCH:
                        manifest.write(writer.rows)
                        writer.rows = []
            manifest.write(writer.rows)
        if not writer.items:
            raise SekeError(
                f"no picture ({', '.join(ENDINGS)}) is in {', '.join(archive.place for archive in archives)}"
            )
        if folder.is_dir():
            folder.rmdir()
        aside.replace(folder)
    finally:
        rmtree(aside, ignore_errors=True)
    path = str(Path(output) / MANIFEST)
    return Unpacked(path, writer.items, writer.labelled, dict(writer.left_out), dict(writer.unknown))


class _PictureFolder:
    """Writes pictures, and makes the rows of their manifest."""

    def __init__(self, folder: Path, base: Knowledge) -> None:
        self.folder, self.base = folder, base
        self.root = base.variables[base.root]
        self.rows: list[Row] = []
        self.items = self.labelled = 0
        self.left_out, self.unknown = Counter[str](), Counter[str]()
        self._also = other_words(self.root)
        self._known = {name for name, variable in base.variables.items() if variable.kind != "derived"}

    def add(self, archive: _Archive, picture: _Packed) -> None:
        """Write a picture and note its row; what has no picture is counted."""
        if picture.problem or not picture.data:
            self.left_out[picture.problem or "keys without a picture"] += 1
            return
        name = f"pictures/{self.items // FOLDER_FILES:04d}/{self.items:07d}{picture.ending}"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.data)
        self.items += 1
        self.rows.append({"path": name, "item": f"{archive.stem}/{picture.key}", **self._row(picture.beside)})

    def _row(self, beside: Mapping[str, Any]) -> Row:
        """Return what a manifest takes of what stands beside a picture."""
        values = {name: value for name, value in beside.items() if isinstance(value, str | int | float)}
        # Width and height alone are those of the picture.
        wanted = {"group", "source", *self._known, *(BOX if values.keys() >= set(BOX) else ())}
        row = {name: value for name, value in values.items() if name in wanted}
        text = next((str(beside[name]) for name in CLASSES if beside.get(name) is not None), "")
        if text and self.base.root not in row:
            state = name_meant(text, self.root.states, self._also, {})
            if state is None:
                self.unknown[text] += 1
            else:
                row[self.base.root] = state
        self.labelled += self.base.root in row
        return row


def _archives(sources: Sequence[str | Path]) -> list[_Archive]:
    """Return the archives that are named or in folders, in natural order.

    Raises:
        engine.SekeError: none; two of one name, whose items would have the same names.
    """
    archives: list[_Archive] = []
    for source in map(str, sources):
        if is_address(source):
            archives += _at_address(source)
        elif Path(source).is_dir():
            names = [
                str(path)
                for path in Path(source).rglob("*")
                if is_archive(path) and not is_clutter(path.name)
            ]
            archives += map(_Archive, sorted(names, key=_natural))
        elif Path(source).is_file() and is_archive(Path(source)):
            archives.append(_Archive(source))
        else:
            raise SekeError(f"{source}: is no archive; allowed are .tar, .tar.gz, .tgz, .parquet and folders")
    if not archives:
        raise SekeError(f"no archive (.tar, .tar.gz, .tgz, .parquet) is in {', '.join(map(str, sources))}")
    by_stem: dict[str, _Archive] = {}
    for archive in archives:
        earlier = by_stem.setdefault(archive.stem, archive)
        if earlier is not archive:
            raise SekeError(
                f"{archive.place}: has the name of {earlier.place}, and its items would have, too; rename one"
            )
    return archives


def _at_address(address: str) -> list[_Archive]:
    """Return the archives at or below an address, and its pictures, if any, as one."""
    files = [file for file in files_below(address) if not is_clutter(Path(file.path).name)]
    files.sort(key=lambda file: _natural(file.path))
    archives = [_Archive(file.address, file) for file in files if is_archive(Path(file.path))]
    loose = tuple(file for file in files if Path(file.path).suffix.lower() in ENDINGS)
    return [*archives, *([_Archive(address.rstrip("/"), None, loose)] if loose else [])]


def _natural(name: str) -> str:
    return DIGITS.sub(lambda digits: digits[0].zfill(12), name)


def _pictures(archive: _Archive, classes: Sequence[str]) -> Iterator[_Packed]:
    """Yield the pictures of an archive, with classes by name.

    Raises:
        engine.SekeError: it cannot be read.
    """
    if archive.pictures:
        yield from _of_files(archive)
        return
    with copy_of(archive.stored) if archive.stored else nullcontext(Path(archive.place)) as path:
        reader = _of_parquet if path.suffix.lower() == ".parquet" else _of_tar
        try:
            for picture in reader(path):
                for name in CLASSES:
                    number = str(picture.beside.get(name, "")).strip()
                    if classes and number.isdecimal() and int(number) < len(classes):
                        picture.beside[name] = classes[int(number)]
                yield picture
        except SekeError as error:
            raise SekeError(f"{archive.place}: {error}") from None
        except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, NotImplementedError) as error:
            raise SekeError(f"{archive.place}: cannot be read ({error})") from None


def _of_files(archive: _Archive) -> Iterator[_Packed]:
    """Yield the pictures of a folder of another file system; keys are their paths in it."""
    above = commonpath([str(Path(file.path).parent) for file in archive.pictures])
    paths = [Path(file.path).relative_to(above) for file in archive.pictures]
    keys = Counter(path.with_suffix("").as_posix() for path in paths)
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise SekeError(
            f"{archive.place}: {first_names(twice, MOST_NAMES)}: pictures that differ by their endings "
            "alone; their items would have one name, so leave one of each out"
        )
    for path, file in zip(paths, archive.pictures, strict=True):
        packed = _Packed(path.with_suffix("").as_posix(), ending=path.suffix.lower())
        if file.size > MOST_BYTES:
            packed.problem = TOO_LARGE
        else:
            with copy_of(file) as copy:
                packed.data = copy.read_bytes()
        yield packed


def _of_tar(archive: Path) -> Iterator[_Packed]:
    """Yield what a tar holds, key by key."""
    keys: set[str] = set()
    packed: _Packed | None = None
    with tarfile.open(archive, "r|*") as members:
        for member in members:
            # A stream needs no list of what it has passed.
            members.members = []  # type: ignore[attr-defined]
            folder, _, name = member.name.removeprefix("./").rpartition("/")
            stem, _, ending = name.partition(".")
            if not member.isfile() or is_clutter(name):
                continue
            key = f"{folder}/{stem}" if folder else stem
            if packed is None or packed.key != key:
                if packed is not None:
                    yield packed
                if key in keys:
                    raise ValueError(f"key {key!r} is there twice; members of one key stand together")
                keys.add(key)
                packed = _Packed(key)
            file = members.extractfile(member)
            if file is not None:
                _take_member(packed, ending.lower(), member.size, file)
    if packed is not None:
        yield packed


def _take_member(packed: _Packed, ending: str, size: int, file: Any) -> None:
    """Take a member of a key: its picture, or what stands beside that."""
    last = ending.rpartition(".")[2]
    if f".{last}" in ENDINGS:
        if size > MOST_BYTES:
            packed.problem = TOO_LARGE
        elif not packed.data:
            packed.data, packed.ending = file.read(), f".{last}"
    elif last in ("json", "cls") and size <= MOST_BESIDE:
        text = file.read().decode("utf-8", "replace")
        if last == "cls":
            packed.beside["cls"] = text.strip()
            return
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{packed.key}.{ending}: is no JSON ({error})") from None
        packed.beside = {**(values if isinstance(values, dict) else {}), **packed.beside}


def _of_parquet(archive: Path) -> Iterator[_Packed]:
    """Yield the rows of a parquet file whose pictures are {bytes, path}."""
    with import_module("pyarrow.parquet").ParquetFile(archive) as parquet:
        yield from _of_rows(archive, parquet)


def _of_rows(archive: Path, parquet: Any) -> Iterator[_Packed]:
    schema = parquet.schema_arrow
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    pictures = [name for name, kind in kinds.items() if kind.startswith("struct<") and "bytes: " in kind]
    if not pictures:
        raise SekeError(f"has no column of pictures ({{bytes, path}}); it has {', '.join(kinds)}")
    column = "image" if "image" in pictures else pictures[0]
    plain = [
        name for name, kind in kinds.items() if not kind.startswith(("struct", "list", "map", "large_list"))
    ]
    names = _class_names(schema.metadata or {})
    row_number = 0
    for batch in parquet.iter_batches(PARQUET_BATCH, columns=[column, *plain]):
        for row in batch.to_pylist():
            picture = row.pop(column) or {}
            for name, of_class in names.items():
                if isinstance(row.get(name), int) and 0 <= row[name] < len(of_class):
                    row[name] = of_class[row[name]]
            yield _packed_row(archive, str(row_number), picture, row)
            row_number += 1


def _packed_row(archive: Path, key: str, picture: Mapping[str, Any], beside: dict[str, Any]) -> _Packed:
    """Return a row's picture: its bytes, or the file beside the archive that it names."""
    data, name = picture.get("bytes"), str(picture.get("path") or "")
    if data is None and name:
        path, root = (archive.parent / name).resolve(), archive.parent.resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return _Packed(key, problem="pictures in files that are not beside the archive")
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    ending = next((ending for begin, ending in BEGINNINGS if (data or b"").startswith(begin)), "")
    ending = ending or Path(name).suffix.lower() or (".webp" if (data or b"")[8:12] == b"WEBP" else "")
    if len(data or b"") > MOST_BYTES:
        return _Packed(key, problem=TOO_LARGE)
    if data and ending not in ENDINGS:
        return _Packed(key, problem="pictures of a format that is not read")
    return _Packed(key, data or b"", ending, beside)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return column -> the names of its classes, as Hugging Face's `datasets` notes them in a schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: list(kind["names"])
            for name, kind in features.items()
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
