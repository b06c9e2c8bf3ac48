"""Known servers in start commands: which words of a command line hold the port (``ports.toml``)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.processes import started

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hardener.shell_command import Argument, Command
    from hardener.stages import StageFacts

# The end of an address or a bare port, as a server's option takes it: `80`, `:80`, `0.0.0.0:80`, `http://+:80`.
ADDRESS = lazy_pattern(r"^(?:[\w.+*\-\[\]:/]*[:])?(?P<port>\d{1,5})/?$")
# An address of the container itself: no host, or one that means all interfaces or the loopback.
EVERYWHERE = lazy_pattern(r"^(?:(?:https?://)?(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::\d?\]|\*|\+)?:)?\d+/?$")


class Token(NamedTuple):
    """One word of a start command: its text and the bytes of the file that hold it."""

    text: str
    span: Span


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``ports.toml``: where each server takes its port from."""
    return tomli.loads(Path(__file__).with_name("ports.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=256)
def server_commands(facts: StageFacts) -> tuple[tuple[dict[str, Any], tuple[Token, ...]], ...]:
    """Return each known server that the image starts, with the words of its command."""
    return tuple(servers_of(started(facts) or ()))


def servers_of(commands: Iterable[Command]) -> Iterator[tuple[dict[str, Any], tuple[Token, ...]]]:
    """Yield each known server among some commands, with its words."""
    for command in commands:
        words = (
            Token(command.name, Span(command.span.start, command.span.start)),
            *(Token(literal(argument), argument.span) for argument in command.arguments),
        )
        for server in knowledge()["server"]:
            if start_of(server, words) is not None:
                yield server, words


def literal(argument: Argument) -> str:
    """Return a word as the server gets it, ``""`` where that is not certain; ``[::]:80`` is a glob to the shell."""
    if argument.text is None and not any(mark in argument.raw for mark in "$`'\"\\"):
        return argument.raw
    return argument.text or ""


def start_of(server: dict[str, Any], words: tuple[Token, ...]) -> int | None:
    """Return the position after the words that start a server, ``None`` where it is not started."""
    if server["names"] == ["*"]:
        return 0
    after = server.get("after", [])
    for position, word in enumerate(words):
        if word.text.rpartition("/")[2] in server["names"]:
            following = [one.text for one in words[position + 1 :]]
            if all(any(text.rpartition("/")[2] == need for text in following) for need in after):
                skip = max(
                    (following.index(text) for text in following if text.rpartition("/")[2] in after),
                    default=-1,
                )
                return position + 2 + skip
    return None


def port_tokens(server: dict[str, Any], words: tuple[Token, ...]) -> Iterator[tuple[Token, int]]:
    """Yield the words of a server's command line that hold its port."""
    begin = start_of(server, words) or 0
    options = server.get("options", [])
    for position in range(begin, len(words)):
        word = words[position]
        flag, equals, value = word.text.partition("=")
        short = next(
            (one for one in options if len(one) == 2 and word.text.startswith(one) and len(word.text) > 2),
            None,
        )
        if equals and flag in options:
            text = value
        elif word.text in options and position + 1 < len(words):
            word, text = words[position + 1], words[position + 1].text
        elif short is not None:
            text = word.text[2:]
        elif server.get("positional") and not word.text.startswith("-"):
            text = word.text
        else:
            continue
        match = ADDRESS.match(text)
        if match is not None and (server["names"] != ["*"] or EVERYWHERE.match(text)):
            yield word, int(match["port"])
