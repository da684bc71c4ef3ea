"""The commands in groups, one line each, and what a mistyped one says.

Help is plain text of typer's own, with names of values in capitals and no brackets around them.
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

LEAST_WIDTH = 30
"""Columns of help in the narrowest terminal."""

_ONE_OF = re.compile(r"^(?:Value error, )?'(.*)' is not one of (.*?)\.?$", re.DOTALL)
_TYPED = re.compile(r"^(.*?) <(.*)>$")
_WORDS = {
    "str": "TEXT",
    "path": "PATH",
    "file": "FILE",
    "dir": "DIR",
    "int": "N",
    "int range": "N",
    "float": "X",
    "list[str]": "NAME",
}
"""Names of values for the types of typer; the choices of an option stay as they are."""


class _Narrow:
    """Help that fits a terminal of fewer than 50 columns too, which click does not."""

    def get_help(self, ctx: Any) -> str:
        """Return the help for the width of the terminal."""
        columns = shutil.get_terminal_size().columns
        ctx.terminal_width = max(LEAST_WIDTH, min(columns, 80))
        return super().get_help(ctx)  # type: ignore[misc]


class Command(_Narrow, TyperCommand):
    """A command whose help names values in one style."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        _write_parameters(self, ctx, formatter)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the name of the command in its usage."""
        return [_plain(piece) for piece in super().collect_usage_pieces(ctx)]


class Group(_Narrow, TyperGroup):
    """Commands under headings, with suggestions for what is none."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under their headings, then the options."""
        self.format_commands(ctx, formatter)
        _write_parameters(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with its one line, uncut, below the heading of its group."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "rich_help_panel", None) or "Commands"
            line = command.short_help or (command.help or "").partition("\n")[0]
            panels.setdefault(str(heading), []).append((name, line))
        widest = max(map(len, self.commands), default=0)
        for heading, rows in panels.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(name.ljust(widest), line) for name, line in rows], _first(formatter)
                )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a path in its place is answered with the command to type."""
        if args and args[0] not in self.commands and (line := _meant(args)):
            ctx.fail(f"{args[0]!r} is no command. To look at it, type: {line}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a value that is none of the choices is answered with the nearest."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            _say_choices(error)
            raise


def _say_choices(error: typer.BadParameter) -> None:
    if (match := _ONE_OF.match(error.message)) is None:
        return
    from jfilters.errors import unknown_choice

    error.message = unknown_choice("a value", match[1], re.findall(r"'([^']*)'", match[2]))


def _meant(args: list[str]) -> str | None:
    """Return the command line for a path that stands where a command should; None for no path."""
    paths = [arg for arg in args if not arg.startswith("-")]
    if not args[0] or not (os.path.exists(args[0]) or "://" in args[0]):
        return None
    if os.path.isfile(os.path.join(args[0], "scan.json")):
        return _line("report", args[0], "--open")
    if len(paths) > 1:
        return _line("scan", *paths)
    is_file = os.path.isfile(args[0])
    return _line("inspect" if is_file else "scan", args[0])


def _line(*words: str) -> str:
    return shlex.join(["jfilters", *words])


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    for heading, kind in (("Arguments", "argument"), ("Options", "option")):
        if rows := list(_rows(command, ctx, kind)):
            with formatter.section(heading):
                formatter.write_dl(rows, _first(formatter))


def _first(formatter: Any) -> int:
    """Return the columns of the terminal for the first column of a list."""
    return min(30, formatter.width // 2 - 4)


def _rows(command: Any, ctx: Any, kind: str) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if parameter.param_type_name == kind and record is not None:
            yield _value(record[0], kind), _ranges(record[1])


def _value(name: str, kind: str) -> str:
    """Return an option with the name of its value, an argument without its type."""
    match = _TYPED.match(name)
    if match is None:
        return name
    return (
        match[1].upper() if kind == "argument" else f"{match[1]} {_WORDS.get(match[2], match[2])}"
    )


def _ranges(text: str) -> str:
    """Return a help text without brackets in brackets, as a described default has them."""
    return re.sub(r"\[default: \(([^()]*(?:\([^()]*\))?[^()]*)\)", r"[default: \1", text)


def _plain(piece: str) -> str:
    """Return a word of the usage without the braces that typer puts around required arguments."""
    inner = re.sub(r"^\{(.*)\}|^\[(\[.*\]...)\]", lambda x: (x[1] or "").upper() or x[2], piece)
    return inner.removesuffix("...") if inner.endswith("......") else inner
