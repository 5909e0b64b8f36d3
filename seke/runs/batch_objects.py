"""A server's descriptions of files and batches -> values. They are untrusted: every field is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seke.vision.http_bodies import BodyError, decoded_json
from seke.vision.server_errors import LONGEST_MESSAGE

# Letters of an identity: those of OpenAI have 40. It becomes part of an address, and is kept in the ledger.
LONGEST_IDENTITY = 200


@dataclass(frozen=True)
class Batch:
    """A batch as the server has it.

    name: what it was begun as, in the metadata under the mark that is asked for; empty where there is none.
    files: of results and of errors, as far as there are any. errors: code and message of each.
    """

    identity: str
    status: str
    name: str = ""
    input_file: str = ""
    files: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


def file_of(body: bytes) -> str:
    """Return the identity of a file.

    Raises:
        BodyError: the body tells of no file.
    """
    return _identity(_object(body, "file"), "id", body, "file")


def batch_of(body: bytes, mark: str) -> Batch:
    """Return a batch; mark: the key of its name in the metadata.

    Raises:
        BodyError: the body tells of no batch.
    """
    return _batch(_object(body, "batch"), mark, body)


def batches_of(body: bytes, mark: str) -> tuple[list[Batch], bool]:
    """Return a page of batches, and whether there are more.

    Raises:
        BodyError: the body is no list of batches.
    """
    page = _object(body, "list of batches")
    if not isinstance(page.get("data"), list):
        raise BodyError("the answer is no list of batches", body)
    return [_batch(entry, mark, body) for entry in page["data"]], page.get("has_more") is True


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        decoded = decoded_json(body)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise BodyError(f"the answer is no {what}", body)
    return decoded


def _batch(fields: Any, mark: str, body: bytes) -> Batch:
    if not isinstance(fields, dict) or not isinstance(fields.get("status"), str):
        raise BodyError("the answer is no batch", body)
    metadata, errors = fields.get("metadata"), fields.get("errors")
    name = metadata.get(mark) if isinstance(metadata, dict) else None
    error_list = errors.get("data") if isinstance(errors, dict) else None
    files = [key for key in ("output_file_id", "error_file_id") if fields.get(key) is not None]
    return Batch(
        _identity(fields, "id", body, "batch"),
        fields["status"][:LONGEST_IDENTITY],
        name if isinstance(name, str) else "",
        _identity(fields, "input_file_id", body, "batch") if fields.get("input_file_id") is not None else "",
        tuple(_identity(fields, key, body, "batch") for key in files if fields[key] != ""),
        tuple(
            (str(error.get("code"))[:LONGEST_IDENTITY], str(error.get("message"))[:LONGEST_MESSAGE])
            for error in (error_list if isinstance(error_list, list) else ())
            if isinstance(error, dict)
        ),
    )


def _identity(fields: dict[str, Any], key: str, body: bytes, what: str) -> str:
    identity = fields.get(key)
    plain = isinstance(identity, str) and identity.isascii() and identity.isprintable()
    if not plain or not identity or len(identity) > LONGEST_IDENTITY or "/" in identity:
        raise BodyError(f"the answer is no {what}", body)
    return str(identity)
