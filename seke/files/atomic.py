"""Writing files so that they are either complete or not there at all."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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


@contextmanager
def replacing(output: Path) -> Iterator[Path]:
    """Yield a place beside a file or a new folder; what is written there takes its place at the end.

    After an exception nothing of it is left. A link to a file stays a link.

    Raises:
        OSError: it cannot be written; the error names the output.
    """
    output = output.resolve()
    temporary = output.with_name(f".{output.name}.{os.urandom(4).hex()}.part")
    try:
        yield temporary
        temporary.replace(output)
    except OSError as error:
        if error.errno is None or not str(error.filename or temporary).startswith(str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(output)) from None
    finally:
        with suppress(OSError):
            if temporary.is_dir():
                from shutil import rmtree

                rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)


def write_file(data: bytes, output: Path) -> None:
    """Write a file that is whole or not there; a link stays a link, and a device a device."""
    if output.exists() and not output.is_file():
        output.write_bytes(data)
        return
    with replacing(output) as temporary:
        temporary.write_bytes(data)
