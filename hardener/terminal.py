"""What a person sees: colours where they are wanted, lines no wider than the terminal, errors as one line.

In a pipe every line stays whole and plain, so that it can be searched and compared.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import IO, Any

import click

from hardener.lazy_pattern import lazy_pattern

CODES = {"green": 32, "cyan": 36, "blue": 34, "yellow": 33, "red": 31, "bold": 1, "dim": 2}
STYLES = {
    "switched": "green", "hardened": "green", "prepared": "cyan", "already": "blue", "manual": "yellow",
    "left": "yellow", "danger": "red",
}  # fmt: skip
# `path:line: [stage] outcome: ...` of a summary, or `error: ...`.
OUTCOME = lazy_pattern(rf"(?P<where>.*?\d+:)(?P<label>.*?) (?P<outcome>{'|'.join(STYLES)}): ")
# What people copy must stay in one line: the command for data that are there already, in the brackets of a summary or
# at the end of a line of --verbose.
COMMAND = lazy_pattern(
    r"(?P<begin>.*?) \((?P<why>[^()]*; once:) (?P<command>.*?)"
    r"(?P<rest>(?: \(and \d+ more, see --verbose\))?(?:; .*)?)\)$"
    r"|(?P<where>.*?: )(?P<once>(?:sudo|docker|podman) .*)$"
)
NARROWEST = 40
INDENT = "    "


def wants_colour(stream: IO[Any]) -> bool:
    """Whether to write colours to a stream: as ``--color`` says, else NO_COLOR, FORCE_COLOR, else to a terminal.

    https://no-color.org, https://force-color.org; the order of the two is that of Python's own
    (https://docs.python.org/3/using/cmdline.html#controlling-color).
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: IO[Any]) -> bool:
    """Whether a person reads the stream; a closed one has no reader."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def width(stream: IO[Any], otherwise: int = 110) -> int:
    """Return the number of columns: the terminal's (COLUMNS wins), ``otherwise`` in a pipe."""
    columns = shutil.get_terminal_size((otherwise, 24)).columns if is_terminal(stream) else otherwise
    return max(columns, NARROWEST)


def painted(text: str, *styles: str) -> str:
    """Return text in colours; the caller knows that they are wanted."""
    return f"\x1b[{';'.join(str(CODES[one]) for one in styles)}m{text}\x1b[0m"


def say(line: str) -> None:
    """Write one line to standard error, with what a file could smuggle into a terminal made visible."""
    text = line if line.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
    if is_terminal(sys.stderr):
        text = wrapped(text, width(sys.stderr))
    coloured_too = wants_colour(sys.stderr)
    click.echo(in_colours(text) if coloured_too else text, err=True, color=coloured_too)


def wrapped(line: str, columns: int) -> str:
    """Return a line broken at spaces, what follows indented; a command at its end gets a line of its own."""
    if len(line) <= columns:
        return line
    import textwrap  # noqa: PLC0415  only where a person reads a long line

    def lines(text: str, indent: str = "") -> list[str]:
        return textwrap.wrap(
            text,
            columns,
            initial_indent=indent,
            subsequent_indent=INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )

    found = COMMAND.match(line)
    if found is None:
        return "\n".join(lines(line))
    if found["once"]:
        return "\n".join([*lines(found["where"]), INDENT + found["once"]])
    rest = lines(found["rest"].lstrip("; "), INDENT)
    return "\n".join([*lines(f"{found['begin']}; {found['why']}"), INDENT + found["command"], *rest])


def in_colours(line: str) -> str:
    """Return a line of a summary with its place and its outcome in colours, any other as it is."""
    if line.startswith("error: "):
        return painted("error:", "bold", "red") + line[6:]
    match = OUTCOME.match(line)
    if match is None:
        return line
    outcome = match["outcome"]
    place = painted(match["where"], "bold") + match["label"]
    return f"{place} {painted(outcome, STYLES[outcome])}: {line[match.end() :]}"


def show_text(text: str) -> None:
    """Write text to standard output, in whatever encoding that has: what it cannot say is escaped, never an error."""
    output(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def output(data: bytes) -> None:
    """Write bytes to standard output as they are; a full disk ends the program with one line and exit code 2."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:  # `| head`: click ends quietly
            raise
        say(f"error: standard output cannot be written: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter flushes it once more
        sys.exit(2)


def coloured(diff: bytes) -> bytes:
    """Return a diff with colours where standard output wants them."""
    return diff_in_colours(diff) if wants_colour(sys.stdout) else diff


def diff_in_colours(diff: bytes) -> bytes:
    """Return a diff with colours."""
    colours = {b"+": b"\x1b[32m", b"-": b"\x1b[31m", b"@": b"\x1b[36m"}
    lines = diff.split(b"\n")
    return b"\n".join(colours[line[:1]] + line + b"\x1b[0m" if line[:1] in colours else line for line in lines)
