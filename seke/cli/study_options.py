"""Options from seke.toml: what is in the file becomes the defaults of the commands that have such options.

Values pass the same types as what is typed, and a command that used some says so in a line.
"""

from __future__ import annotations

import shlex
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from seke.cli.completion import FileText
from seke.cli.errors import exit_on_errors
from seke.cli.output import print_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from seke.start.study_file import StudyFile

    Command = tuple[str, ...]

# What stands at the top of the file -> the option of every command that has it; all else stands in the table
# of its command. [knowledge] is the table of the commands of that name, so a base cannot have this key.
SHARED = {
    "base": "knowledge",
    "population": "population",
    "model": "model",
    "base-url": "base-url",
    "key-from": "key-from",
    "prices": "prices",
    "price-in": "price-in",
    "price-out": "price-out",
    "price-cached": "price-cached",
    "run": "run",
    "gold": "gold",
}
# Options of such a name that mean something else: a benchmark has a run of its own, its variants are bases.
OTHER_MEANING = {
    ("bench run", "run"),
    ("bench prompts", "run"),
    ("bench prompts", "knowledge"),
    ("calibrate", "model"),
    ("observe", "model"),
    ("plan", "gold"),
}
# Arguments that are given by an option of another name, or of theirs.
ARGUMENTS = {"base": "knowledge", "run": "run"}
# Arguments of a run or other things, as which a study's run counts.
SOURCES = {("report", "source"), ("explain", "source")}
# Commands that begin something new, which takes nothing from a study that they happen to be in.
BEGINNING = {("demo",), ("init",)}
# What a user decides anew each time: consent, and what replaces or gives up something.
ONCE = frozenset(
    {"allow-scripted", "branch", "explain", "force", "forget-unanswered", "in-place", "partial"}
    | {"retry-refused", "shard", "status", "yes", "help", "version"}
)
# Two ways to state prices: what is typed in one way replaces what the file has in the other.
PRICE_LIST, TOKEN_PRICES = ("price_list",), ("price_in", "price_out", "price_cached")
_HELP = {"-h", "--help"}
_SOURCE = "seke.study_file"


class StudyGroup(click.Group):
    """The commands, whose defaults are those of the nearest seke.toml."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and read the file, unless only help or completions are asked for."""
        resolved = super().resolve_command(ctx, args)
        if not (ctx.resilient_parsing or ctx.default_map or _HELP & set(args)):
            with exit_on_errors(as_json="--json" in args):
                ctx.default_map = study_defaults(self, ctx)
            if not ctx.default_map and (resolved[0],) not in BEGINNING:
                _name_studies_below()
        return resolved


def _name_studies_below() -> None:
    """Say where studies are, if the working directory is none and in none, but has some in it."""
    from seke.start.study_file import NAME, find_study_file, studies_below

    here = Path.cwd()
    names = studies_below(here)
    if names and find_study_file(here) is None:
        first = shlex.quote(names[0])
        others = f" and {len(names) - 1} other folders have" if len(names) > 1 else " has"
        print_message(f"no {NAME} here: its options are not used; {names[0]}/{others} one (cd {first})")


def say_what_is_used(command: click.Command, path: Command) -> None:
    """Let a command, or all of a group, say what it took from the file; path: its words."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            say_what_is_used(inner, (*path, name))
    elif command.callback is not None and path not in BEGINNING:
        command.callback = _saying(command.callback, path)


def leaf_commands(group: click.Group, above: Command = ()) -> Iterator[tuple[Command, click.Command]]:
    """Yield every command that takes options from the file, with its words: ("knowledge", "check")."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaf_commands(command, (*above, name))
        elif (*above, name) not in BEGINNING:
            yield (*above, name), command


def key_of(path: Command, parameter: click.Parameter) -> str:
    """Return the key of a parameter in the table of its command: its long name; empty where it has none."""
    if isinstance(parameter, click.Option):
        name = next((name[2:] for name in parameter.opts if name.startswith("--")), "")
        return "" if name in ONCE else name
    if (" ".join(path), parameter.name) in SOURCES:
        return "run"
    return ARGUMENTS.get(parameter.name or "", "") if parameter.nargs == 1 else ""


def shared_key_of(path: Command, parameter: click.Parameter) -> str:
    """Return the key of a parameter at the top of the file; empty where it has none."""
    name = key_of(path, parameter)
    if (" ".join(path), name) in OTHER_MEANING:
        return ""
    return next((key for key, option in SHARED.items() if option == name), "")


def study_defaults(group: click.Group, ctx: click.Context) -> dict[str, Any]:
    """Return the defaults of all commands by the nearest seke.toml, as click takes them; none without one.

    Raises:
        engine.SekeError: a key that no command has, or a value that its option does not take.
    """
    from seke.start.study_file import StudyFile, find_study_file

    path = find_study_file(Path.cwd())
    if path is None:
        return {}
    study = StudyFile.read(path)
    ctx.meta[_SOURCE] = study.path
    commands = dict(leaf_commands(group))
    _check_keys(study, commands)
    defaults: dict[str, Any] = {}
    for words, command in commands.items():
        place = defaults
        for word in words:
            place = place.setdefault(word, {})
        place.update(_command_defaults(study, words, command))
    return defaults


def _command_defaults(study: StudyFile, words: Command, command: click.Command) -> dict[str, Any]:
    """Return parameter -> value of one command."""
    table: Any = study.values
    for word in words:
        table = table.get(word, {})
    values: dict[str, Any] = {}
    for parameter in command.params:
        key, where = key_of(words, parameter), ".".join((*words, ""))
        if key and key in table:
            values[str(parameter.name)] = _value(study, f"{where}{key}", parameter, table[key])
        elif (key := shared_key_of(words, parameter)) in study.values:
            values[str(parameter.name)] = _value(study, key, parameter, study.values[key])
    return values


def _check_keys(study: StudyFile, commands: Mapping[Command, click.Command]) -> None:
    """Refuse keys that no command would take."""
    tables = {words[:length] for words in commands for length in range(1, len(words) + 1)}
    _check_table(study, (), study.values, tables, commands)


def _check_table(
    study: StudyFile,
    words: Command,
    table: Mapping[str, Any],
    tables: set[Command],
    commands: Mapping[Command, click.Command],
) -> None:
    from engine import SekeError, did_you_mean

    command = commands.get(words)
    keys = [key for parameter in command.params if (key := key_of(words, parameter))] if command else []
    if not words:
        keys = list(SHARED)
    below = sorted({name[len(words)] for name in tables if name[: len(words)] == words and name != words})
    for key, value in table.items():
        inner, name = (*words, key), ".".join((*words, key))
        if key in below and isinstance(value, dict):
            _check_table(study, inner, value, tables, commands)
        elif key in below and key not in SHARED.values():
            raise SekeError(
                f"{study.path}: {name}: options of `seke {' '.join(inner)}` belong here, as a table [{name}]"
            )
        elif key not in keys:
            problem = _unknown(words, key, commands) or f"no such key{did_you_mean(key, [*keys, *below])}"
            raise SekeError(f"{study.path}: {name}: {problem}")


def _unknown(words: Command, key: str, commands: Mapping[Command, click.Command]) -> str:
    """Return why a key is not taken where it stands, if it is one elsewhere."""
    if key in ONCE:
        return "is decided anew with each command; type it"
    if not words and key in SHARED.values():
        return f"is called {next(name for name, option in SHARED.items() if option == key)} here"
    paths = [
        path for path, command in commands.items() if any(key_of(path, p) == key for p in command.params)
    ]
    if words or not paths:
        return ""
    return f"is an option of single commands; put it into the table of one, such as [{'.'.join(paths[0])}]"


def _value(study: StudyFile, where: str, parameter: click.Parameter, value: Any) -> Any:
    """Return a value as click takes it as a default."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return _of_kind(study, where, value, isinstance(value, bool), "true or false")
    if getattr(parameter, "multiple", False) or parameter.nargs != 1:
        parts = value if isinstance(value, list) else [value]
        return tuple(_scalar(study, where, parameter, part) for part in parts)
    return _scalar(study, where, parameter, value)


def _scalar(study: StudyFile, where: str, parameter: click.Parameter, value: Any) -> Any:
    from engine import SekeError

    kind, is_number = parameter.type, isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(kind, click.types.IntParamType):
        _of_kind(study, where, value, is_number and isinstance(value, int), "a whole number")
    elif isinstance(kind, click.types.FloatParamType):
        _of_kind(study, where, value, is_number, "a number")
    elif isinstance(kind, click.Choice):
        _of_kind(study, where, value, value in kind.choices, f"one of {', '.join(map(repr, kind.choices))}")
    else:
        _of_kind(study, where, value, isinstance(value, str) and value != "", 'a text in quotes, "..."')
    try:
        kind.convert(value, parameter, None)
    except click.BadParameter as error:
        raise SekeError(f"{study.path}: {where}: {error.message}") from None
    return _path(study, parameter, value)


def _path(study: StudyFile, parameter: click.Parameter, value: Any) -> Any:
    """Return a path as it would be typed, and any other value as it is."""
    from seke.files.shipped import shipped_bases

    kind = parameter.type
    if not isinstance(kind, click.Path | FileText):
        return value
    names = shipped_bases() if isinstance(kind, FileText) and kind.bases else ()
    return value if value in names and not (study.path.parent / value).exists() else study.place(value)


def _of_kind(study: StudyFile, where: str, value: Any, fits: bool, allowed: str) -> Any:
    from engine import SekeError

    if not fits:
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise SekeError(f"{study.path}: {where}: is {shown}; allowed is {allowed}")
    return value


def _saying(callback: Callable[..., Any], path: Command) -> Callable[..., Any]:
    """Return a command that says first what it took from the file."""

    @wraps(callback)
    def command(*args: Any, **given: Any) -> Any:
        ctx = click.get_current_context()
        source = ctx.meta.get(_SOURCE)
        if source is not None:
            by_file = [p for p in ctx.command.params if _is_from(ctx, p.name, ParameterSource.DEFAULT_MAP)]
            for names, rivals in ((PRICE_LIST, TOKEN_PRICES), (TOKEN_PRICES, PRICE_LIST)):
                if any(_is_from(ctx, rival, ParameterSource.COMMANDLINE) for rival in rivals):
                    given.update(dict.fromkeys((p.name for p in by_file if p.name in names), None))
            used = [p for p in by_file if given[p.name] is not None]
            if used:
                texts = (f"{shared_key_of(path, p) or key_of(path, p)}={_text(given[p.name])}" for p in used)
                print_message(f"from {source}: {' '.join(texts)}")
        return callback(*args, **given)

    return command


def place_of_option(*names: str) -> str:
    """Return where the first of these options that has a value comes from; empty where none has one."""
    ctx = click.get_current_context()
    for name in names:
        if ctx.params.get(name) is None:
            continue
        if _is_from(ctx, name, ParameterSource.DEFAULT_MAP):
            return f"from {ctx.meta[_SOURCE]}"
        if _is_from(ctx, name, ParameterSource.ENVIRONMENT):
            return "from the environment"
        return "as typed"
    return ""


def _is_from(ctx: click.Context, name: str | None, source: ParameterSource) -> bool:
    return name is not None and ctx.get_parameter_source(name) == source


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return shlex.quote(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
