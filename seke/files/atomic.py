"""Files that commands write: whole, or not there."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAGE = ("html", "htm")
PICTURE = ("png", "svg", "pdf")


def check_target(output: Path | None, forms: Sequence[str] = ()) -> None:
    """Refuse a place that cannot be written before anything long is computed.

    forms: the endings that say what is written; what is named by mistake, such as an input, has another.
    """
    from engine import SekeError

    if output is None:
        return
    if output.is_dir():
        raise SekeError(f"{output}: is a folder; name a file")
    if not output.parent.is_dir():
        raise SekeError(f"{output}: its folder does not exist")
    if forms and output.suffix.lower().removeprefix(".") not in forms:
        allowed = ", ".join(f".{form}" for form in forms)
        raise SekeError(f"{output}: the ending says the format: {allowed}")


def write_file(data: bytes, output: Path) -> None:
    """Write a file that is whole or not there; a link stays a link, and a device a device."""
    output = output.resolve()
    if output.exists() and not output.is_file():
        output.write_bytes(data)
        return
    temporary = output.with_name(f".{output.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(output)) from None
