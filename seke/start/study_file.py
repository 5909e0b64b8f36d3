"""The file of a study's options, seke.toml: where it is, what it holds, and that no key stands in it.

Which options there are is known to the commands (`seke.cli.study_options`).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.files.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "seke.toml"
# Entries of a folder among which studies are looked for.
MOST_FOLDERS = 1000
# A name of what nobody but the user should know.
_SECRET_NAME = re.compile(r"(^|[-_ ])(key|token|secret|password)$", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYS_ELSEWHERE = (
    "keys do not belong in this file, which is handed on with a study: put the key into an environment "
    "variable (OPENAI_API_KEY, or the one that key-from names)"
)


@dataclass(frozen=True)
class StudyFile:
    """A file of options. values: key -> value of TOML; a table holds the options of one command."""

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> StudyFile:
        """Read a file.

        Raises:
            engine.SekeError: it cannot be read, is no TOML, or holds a key of a server; the key is not shown.
        """
        import tomllib

        text = read_text(path)
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SekeError(
                f'{path}: is no TOML ({error}); texts stand in quotes: model = "gpt-4o"'
            ) from None
        _check_no_secret(path, "", values)
        return cls(path, values)

    def place(self, value: str) -> str:
        """Return a path of the file as it would be typed: a relative one is relative to the file."""
        named = Path(value).expanduser()
        return str(named) if named.is_absolute() else os.path.relpath(self.path.parent / named)


def find_study_file(folder: Path) -> Path | None:
    """Return the nearest seke.toml: in a folder, or in one above it; None where there is none.

    Above the folder, only the user's own files count: in a folder that everybody may write to, such as /tmp,
    another user could otherwise say where pictures are sent.
    """
    for place in (folder, *folder.parents):
        path = place / NAME
        if path.is_file() and (place == folder or _is_own(path)):
            return Path(os.path.relpath(path))
    return None


def studies_below(folder: Path) -> list[str]:
    """Return the names of the folders in a folder that are studies, of its first MOST_FOLDERS entries."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, MOST_FOLDERS) if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in names if (folder / name / NAME).is_file())


def _is_own(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid in (os.getuid(), 0)


def _listed(value: Any) -> list[Any]:
    """Return a value, or several in a list, as a list."""
    return value if isinstance(value, list) else [value]


def _check_no_secret(path: Path, above: str, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, dict):
            _check_no_secret(path, f"{name}.", value)
        elif _SECRET_NAME.search(key):
            raise SekeError(f"{path}: {name}: {_KEYS_ELSEWHERE}")
        elif key == "key-from" and isinstance(value, str) and not _VARIABLE.fullmatch(value):
            raise SekeError(f"{path}: {name}: names the environment variable with the key; {_KEYS_ELSEWHERE}")
        elif key == "base-url" and any("@" in str(address) for address in _listed(value)):
            raise SekeError(f"{path}: {name}: an address without user and password; {_KEYS_ELSEWHERE}")
