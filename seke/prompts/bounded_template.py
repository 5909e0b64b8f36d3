"""Templates of prompts, rendered within bounds on time, memory and length.

A template is a user's own, or comes with a base of somebody else's: jinja's sandbox keeps it from everything
but the words it is given, and what is here keeps it from taking the machine's time and memory with these.
"""

from __future__ import annotations

import functools
import sys
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment

from seke.files.memory import memory_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

MOST_SECONDS = 2.0  # to compile or to render; the longest prompt that ships takes some milliseconds
MOST_CHARACTERS = 200_000  # of a prompt, about 50,000 tokens, and of every text on the way to one
# Of a list on the way to a prompt with those of all lists in it, as jinja's own bound on range(). A list that
# holds another twice, which does the same in turn, is small, but written out or compared it is not.
MOST_ENTRIES = 100_000
MOST_BITS = 10_000  # of a whole number: 3,000 digits, which Python writes out without delay
MOST_DIGITS = 15  # to round to, of those that a float has
MOST_MEMORY = 128 << 20  # bytes beside what the process has; a prompt and its words have some 100,000
FILENAME = "<template>"  # what jinja calls the code of a template that is in no file
# Filters that return no more than they are given, or are checked below. Left out are those that search by
# slow patterns (urlize, striptags, wordwrap), that add up lists (sum), that fill lists (batch, slice), and
# that are by chance (random).
ALLOWED_FILTERS = (
    *("abs", "attr", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape"),
    *("first", "float", "format", "groupby", "indent", "int", "items", "join", "last", "length", "list"),
    *("lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "safe", "select"),
    *("selectattr", "sort", "string", "title", "tojson", "trim", "truncate", "unique", "upper"),
    *("wordcount",),
)


class TemplateBoundError(Exception):
    """A template takes more than it may."""


def render(text: str, words: Mapping[str, Any]) -> str:
    """Return the text of a template with these words.

    Raises:
        jinja2.TemplateError: no template, or a name in it that is unknown.
        TemplateBoundError: it takes too long, or makes too much.
        UnicodeEncodeError: its text cannot be sent.
        Exception: what its expressions raise, such as TypeError or LookupError.
    """
    with _resource_bounds():
        template = _template(text)
        pieces: list[str] = []
        length = 0
        for piece in template.generate(words):
            length += len(piece)
            if length > MOST_CHARACTERS:
                _refuse("the prompt", length, MOST_CHARACTERS, "characters")
            pieces.append(piece)
        rendered = "".join(pieces)
        rendered.encode()
        return rendered


@cache
def _template(text: str) -> Any:
    return _Environment().from_string(text)


@contextmanager
def _resource_bounds() -> Iterator[None]:
    """Raise TemplateBoundError where the block takes too much time or memory."""
    before = sys.gettrace()
    sys.settrace(_deadline(time.perf_counter() + MOST_SECONDS))
    try:
        with memory_bound(MOST_MEMORY):
            yield
    except MemoryError as error:
        message = f"it takes more than {MOST_MEMORY >> 20} MB of memory, which is the most allowed"
        raise TemplateBoundError(message).with_traceback(error.__traceback__) from None
    finally:
        sys.settrace(before)


def _deadline(end: float) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that raises once it is too late, at the line of the template."""
    clock = time.perf_counter

    def trace(frame: FrameType, *_: Any) -> Any:
        if clock() > end:
            raise TemplateBoundError(f"it takes more than {MOST_SECONDS:g} s, which is the most allowed")
        # Only loops of the template itself go on without calling anything.
        return trace if frame.f_code.co_filename == FILENAME else None

    return trace


def _refuse(what: str, amount: int, limit: int, unit: str) -> NoReturn:
    raise TemplateBoundError(f"{what} has {amount:,} {unit}; allowed are {limit:,}")


def _check_size(value: Any) -> Any:
    """Return a value that an expression made, unless it is too large."""
    if isinstance(value, str) and len(value) > MOST_CHARACTERS:
        _refuse("a text", len(value), MOST_CHARACTERS, "characters")
    if isinstance(value, list | tuple | dict):
        _check_entries(value)
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        _refuse("a number", value.bit_length(), MOST_BITS, "bits")
    return value


def _check_entries(value: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> None:
    lists: list[Any] = [value]
    count = 0
    while lists:
        entries = lists.pop()
        count += len(entries)
        if count > MOST_ENTRIES:
            _refuse("a list, with those within it,", count, MOST_ENTRIES, "entries")
        inner = entries.values() if isinstance(entries, dict) else entries
        lists += [entry for entry in inner if isinstance(entry, list | tuple | dict)]


def _check_operands(operator: str, first: Any, second: Any) -> None:
    """Refuse a product or power whose result would be too large, before it is made."""
    if operator == "*":
        for value, times in ((first, second), (second, first)):
            if isinstance(times, int) and isinstance(value, str | list | tuple):
                text = isinstance(value, str)
                limit, unit = (MOST_CHARACTERS, "characters") if text else (MOST_ENTRIES, "entries")
                if len(value) * times > limit:
                    _refuse("a product", len(value) * times, limit, unit)
    if operator == "**" and isinstance(first, int) and isinstance(second, int):
        bits = first.bit_length() * second
        if bits > MOST_BITS:
            _refuse("a power", bits, MOST_BITS, "bits")


class _Generator(CodeGenerator):
    """Lets `~` and lists pass through the environment, as the sandbox lets operators and calls."""

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:  # noqa: N802
        self.write("environment.concatenation((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Any) -> None:  # noqa: N802
        self._write_checked(super().visit_List, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Any) -> None:  # noqa: N802
        self._write_checked(super().visit_Tuple, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Any) -> None:  # noqa: N802
        self._write_checked(super().visit_Dict, node, frame)

    def _write_checked(self, visit: Callable[[Any, Any], None], node: nodes.Expr, frame: Any) -> None:
        # What is assigned to, such as `a, b` in a loop, is a tuple too.
        reads = getattr(node, "ctx", "load") == "load"
        self.write("environment.literal(" if reads else "")
        visit(node, frame)
        self.write(")" if reads else "")


class _Environment(ImmutableSandboxedEnvironment):
    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self) -> None:
        # Folding constants would compute a template's products while it is compiled.
        super().__init__(undefined=StrictUndefined, autoescape=False, optimized=False, cache_size=0)
        self.filters = {name: _bounded_filter(FILTERS[name]) for name in ALLOWED_FILTERS}
        self.filters["round"] = _round
        del self.globals["lipsum"]

    def call_binop(self, context: Any, operator: str, first: Any, second: Any) -> Any:
        """Return the result of a binary operator, within bounds."""
        _check_operands(operator, first, second)
        return _check_size(super().call_binop(context, operator, first, second))

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return the result of a call, within bounds."""
        return _check_size(super().call(context, called, *args, **kwargs))

    def concatenation(self, parts: tuple[Any, ...]) -> str:
        """Return the concatenation `~` of its parts, within bounds."""
        return str(_check_size("".join(map(str, parts))))

    def literal(self, value: Any) -> Any:
        """Return a list, a tuple or a mapping that stands in a template."""
        return _check_size(value)


def _round(value: Any, precision: int = 0, method: Any = "common") -> Any:
    if abs(precision) > MOST_DIGITS:
        _refuse("a precision", precision, MOST_DIGITS, "digits")
    return FILTERS["round"](value, precision, method)


def _bounded_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)  # which keeps jinja's mark of what is passed to it
    def checked(*args: Any, **kwargs: Any) -> Any:
        return _check_size(function(*args, **kwargs))

    return checked
