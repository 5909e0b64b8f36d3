"""Where the columns of a parquet file lie, and the headers of their pages.

Arrow sizes its buffers by a page's header, whatever the footer says. Both are structs in Thrift's compact
protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md); the fields are
those of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift. They are read
here since pyarrow ends the process over a footer of which some parts are damaged.
"""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Fields = dict[int, Any]

DEEPEST = 10  # structs within structs; a footer has six
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 3, 7, 8, 9, 12  # types of Thrift
_I32, _INTEGERS = 5, (4, 5, 6)
_I64 = 6
_LONG_LIST = 15  # a list's size where it does not fit into four bits
_LONGEST_NUMBER = 10  # bytes; 64 bits with seven in each


class _Shape(NamedTuple):
    """What is kept of a struct, by the numbers of its fields, if it has the type in which Arrow reads it.

    numbers: their types. structs: their shapes. lists: the types of the members, and the shape of structs. A
    list that is not named here is refused, as Arrow may take its members for another type than it says.
    """

    numbers: Mapping[int, int] = {}
    structs: Mapping[int, _Shape] = {}
    lists: Mapping[int, tuple[tuple[int, ...], _Shape]] = {}


_EMPTY = _Shape()
_STRUCTS, _NUMBERS, _TEXTS = ((_STRUCT,), _EMPTY), (_INTEGERS, _EMPTY), ((_BINARY,), _EMPTY)
_SIZE_STATISTICS = _Shape(lists={2: _NUMBERS, 3: _NUMBERS})
_GEOGRAPHY = _Shape(lists={2: _NUMBERS})
PACKED_SIZE, DATA_START, DICTIONARY_START = 7, 9, 11
_COLUMN = _Shape(
    {PACKED_SIZE: _I64, DATA_START: _I64, DICTIONARY_START: _I64},
    {16: _SIZE_STATISTICS, 17: _GEOGRAPHY},
    {2: _NUMBERS, 3: _TEXTS, 8: _STRUCTS, 13: _STRUCTS},
)
META_DATA, COLUMNS, GROUPS = 3, 1, 4
_CHUNK = _Shape(structs={META_DATA: _COLUMN})
_GROUP = _Shape(lists={COLUMNS: ((_STRUCT,), _CHUNK), 4: _STRUCTS})
_FOOTER = _Shape(lists={2: _STRUCTS, GROUPS: ((_STRUCT,), _GROUP), 5: _STRUCTS, 7: _STRUCTS})
UNPACKED, PACKED = 2, 3
# Structs of a page's header, of data, of a dictionary, and of data in the second version: of each the fields
# of the number of values and of the encoding.
KINDS = {5: (1, 2), 7: (1, 2), 8: (1, 4)}
_PAGE = _Shape(
    {UNPACKED: _I32, PACKED: _I32},
    {kind: _Shape(dict.fromkeys(fields, _I32)) for kind, fields in KINDS.items()},
)


class Page(NamedTuple):
    """unpacked, packed: bytes without the header. values: levels, in a list one for each member."""

    unpacked: int
    packed: int
    values: int
    encoding: int


def column_places(footer: bytes) -> list[list[tuple[int, int]]]:
    """Return of each group of rows where the pages of its columns start and end, in bytes.

    Raises:
        ValueError: the footer cannot be read.
    """
    groups = _struct(io.BytesIO(footer), _FOOTER, 0).get(GROUPS, [])
    return [[_place(chunk) for chunk in group.get(COLUMNS, [])] for group in groups]


def _place(chunk: Fields) -> tuple[int, int]:
    column = chunk.get(META_DATA, {})
    start, packed = _number(column, DATA_START), _number(column, PACKED_SIZE)
    dictionary = column.get(DICTIONARY_START, 0)
    if 0 < dictionary < start:
        start = dictionary
    return start, start + packed


def pages(file: IO[bytes], start: int, end: int) -> Iterator[Page]:
    """Yield the pages of a column between two positions of a file.

    Raises:
        ValueError: a header that cannot be read, or says something impossible.
    """
    while start < end:
        file.seek(start)
        header = _struct(file, _PAGE, 0)
        kinds = [kind for kind in KINDS if kind in header]
        if len(kinds) != 1:
            raise ValueError("a page is neither data nor a dictionary")
        values, encoding = (_number(header[kinds[0]], name) for name in KINDS[kinds[0]])
        page = Page(_number(header, UNPACKED), _number(header, PACKED), values, encoding)
        start = file.tell() + page.packed
        yield page


def _number(fields: Fields, name: int) -> int:
    value = fields.get(name, -1)
    if value < 0:
        raise ValueError("a number in it is damaged")
    return int(value)


def _struct(file: IO[bytes], shape: _Shape, depth: int) -> Fields:
    """Return the fields of a struct that are kept."""
    fields: Fields = {}
    name = 0
    if depth > DEEPEST:
        raise ValueError("its parts are nested too deeply")
    while head := _byte(file):
        step, kind = head >> 4, head & 15
        before, name = name, name + step if step else _zigzag(file)
        # Every writer has them in order; of two with the same number Arrow would take the last.
        if name <= before:
            raise ValueError("its parts are out of order")
        if kind == _LIST:
            kinds, inner = shape.lists.get(name, ((), _EMPTY))
            members = _members(file, kinds, inner, depth)
            if inner is not _EMPTY:
                fields[name] = members
        elif kind == _STRUCT:
            value = _struct(file, shape.structs.get(name, _EMPTY), depth + 1)
            if name in shape.structs:
                fields[name] = value
        else:
            number = kind in (_TRUE, _FALSE) or _scalar(file, kind)
            if shape.numbers.get(name) == kind:
                fields[name] = number
    return fields


def _members(file: IO[bytes], kinds: tuple[int, ...], inner: _Shape, depth: int) -> list[Fields]:
    """Return the kept fields of each struct in a list; an empty list where it has other members."""
    head = _byte(file)
    count, kind = head >> 4, head & 15
    if count == _LONG_LIST:
        count = _varint(file)
    if kind not in kinds:
        raise ValueError("a list in it is damaged")
    kept = []
    for _ in range(count):
        if kind != _STRUCT:
            _scalar(file, kind)
            continue
        fields = _struct(file, inner, depth + 1)
        if inner is not _EMPTY:
            kept.append(fields)
    return kept


def _scalar(file: IO[bytes], kind: int) -> int:
    """Return a whole number; pass over anything else, and return -1."""
    if kind == _BYTE:
        return _byte(file)
    if kind in _INTEGERS:
        return _zigzag(file)
    if kind not in (_DOUBLE, _BINARY):
        raise ValueError("a part of it is of no known type")
    file.seek(8 if kind == _DOUBLE else _varint(file), 1)
    return -1


def _byte(file: IO[bytes]) -> int:
    data = file.read(1)
    if not data:
        raise ValueError("a part of it is cut off")
    return data[0]


def _varint(file: IO[bytes]) -> int:
    """Return a whole number; the highest bit of each of its bytes but the last is set."""
    number = 0
    for place in range(_LONGEST_NUMBER):
        byte = _byte(file)
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            return number
    raise ValueError("a number in it is damaged")


def _zigzag(file: IO[bytes]) -> int:
    number = _varint(file)
    return (number >> 1) ^ -(number & 1)
