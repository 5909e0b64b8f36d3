"""Descriptions of files, batches and results, as a server sends them -> values. Every field is checked: they
are untrusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from seke.vision.http_bodies import ANSWER_LIMIT, BodyError, decoded_json
from seke.vision.server_errors import LONGEST_MESSAGE

# Letters of an identity: those of OpenAI have 40. It becomes part of an address, and is kept in the ledger.
LONGEST_IDENTITY = 200
# Digits of the number of a request: that of a ledger has fewer.
MOST_DIGITS = 18
# A line's own name, which stands before the answer; bytes of a line in which it is looked for.
CUSTOM_ID, BEFORE_ID = re.compile(rb'"custom_id" *: *"(\d{1,18})"'), 1000


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


@dataclass(frozen=True)
class BatchResult:
    """The answer to one request of a batch.

    code: its HTTP status, 0 where it has none. body: what was answered, of a refusal what says why.
    """

    code: int
    body: Any
    refused: bool


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


def result_of(text: bytes) -> BatchResult:
    """Return the result in a line of a file; what cannot be read is an empty answer."""
    result = _line_fields(text)
    response = result["response"] if isinstance(result.get("response"), dict) else {}
    status, body = response.get("status_code"), response.get("body")
    if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 999:
        return BatchResult(status, body, refused=status != 200)
    refused = isinstance(result.get("error"), dict)
    return BatchResult(0, result if refused else body, refused)


def number_of(text: bytes) -> int | None:
    """Return the number of the request that a line answers, whether or not the rest of it can be read."""
    number = CUSTOM_ID.search(text, 0, BEFORE_ID)
    if number is not None:
        return int(number[1])
    name = str(_line_fields(text).get("custom_id", ""))
    return int(name) if name.isascii() and name.isdigit() and len(name) <= MOST_DIGITS else None


def _line_fields(text: bytes) -> dict[str, Any]:
    try:
        decoded = decoded_json(text) if len(text) <= ANSWER_LIMIT else None
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


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
