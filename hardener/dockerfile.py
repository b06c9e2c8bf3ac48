"""Dockerfiles, read without losing a byte: instructions, stages and comments as spans of the file.

dockerfile-parse reads the instructions (keyword, value, first and last line) from the masked view that
`hardener.masking` makes; flags, words, exec forms and all columns are found here.  Nothing here writes.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from dockerfile_parse.parser import DockerfileParser

from hardener.edit import Span
from hardener.lexing import (
    Piece,
    json_strings,
    split_flags,
    split_keyword,
    split_words,
    without_blanks_after,
    without_indent,
)
from hardener.masking import Heredoc, Joined, ParseError, continued, joined, restored, scan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardener.image import ImageFacts
    from hardener.masking import Extent, Scan

__all__ = ["Comment", "Dockerfile", "Flag", "Heredoc", "Instruction", "ParseError", "Stage", "Word", "parse"]

KEYWORDS = frozenset({  # frontend/dockerfile/command/command.go of moby/buildkit
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
})  # fmt: skip
_SPLIT_AT_BLANKS = frozenset({"ADD", "COPY", "EXPOSE", "FROM", "VOLUME"})  # quotes or not
_EXEC_FORMS = frozenset({"ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"})
_NOT_TRIGGERS = frozenset({"FROM", "MAINTAINER", "ONBUILD"})
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z")  # instructions/parse.go
_QUOTED = re.compile(r"""\A(["'])(.*)\1\Z""")


class Word(NamedTuple):
    """A word: its logical text (str, quotes kept, bad bytes by surrogateescape) and its span in the file.

    The span goes from the first to the last byte of the word, and may cross a continuation.
    """

    text: str
    span: Span


class Flag(NamedTuple):
    """A flag: ``--chown=1:1`` has the name ``chown`` and the value ``1:1``, ``--link`` has the value None."""

    name: str
    value: str | None
    span: Span


class Comment(NamedTuple):
    """A full-line comment outside heredocs: its 1-based line, and its text without ``#`` and blanks."""

    line: int
    text: str


@dataclass(frozen=True)
class Instruction:
    """An instruction and the bytes it came from; all but the first fields is found on first use, and kept.

    ``keyword`` is upper case.  ``span`` has whole lines, ``line`` and ``end_line`` are the first and last of
    them (1-based, inclusive); all three include the heredocs.
    """

    keyword: str
    span: Span
    line: int
    end_line: int
    heredocs: tuple[Heredoc, ...]
    _rest: str = field(repr=False)  # what follows the keyword on the logical line
    _data: bytes = field(repr=False, compare=False)
    _stop: int = field(repr=False)  # of the lines without heredocs
    _escape: bytes = field(repr=False)
    _outer: Instruction | None = field(default=None, repr=False)

    @cached_property
    def _joined(self) -> Joined:
        """The logical line, with the way back to the file."""
        return joined(self._data, self.span.start, self._stop, self._escape)

    @cached_property
    def _bytes(self) -> bytes:
        """`_rest` in bytes, which ends where the logical line does: an index in it counts from there."""
        return _encoded(self._rest)

    @cached_property
    def _flags(self) -> tuple[tuple[Piece, ...], int]:
        """The flags as pieces of `_bytes`, and where the arguments begin in it."""
        may_have_flags = self._rest[:1] == "-" or self._rest[:1] > "\x7f"
        return split_flags(self._bytes, self._escape) if may_have_flags else ((), 0)

    def _span(self, start: int, stop: int) -> Span:
        """Return the span in the file of ``_bytes[start:stop]``."""
        before = self._joined.stop - len(self._bytes)
        return self._joined.span(before + start, before + stop)

    @cached_property
    def keyword_span(self) -> Span:
        """Where the keyword stands; it may cross a continuation."""
        start = self._joined.start
        if self._outer is not None:
            start = self._joined.stop - len(_encoded(self._outer.value))
        return self._joined.span(start, start + len(self.keyword))

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """The flags, with quotes and escapes undone."""
        found = []
        for piece in self._flags[0]:
            name, equals, value = _decoded(piece.value[2:]).partition("=")
            found.append(Flag(name, value if equals else None, self._span(piece.start, piece.stop)))
        return tuple(found)

    @property
    def flags_stop(self) -> int:
        """The offset after the last flag, or after the keyword: here one more flag can be inserted."""
        return (self.flags[-1].span if self.flags else self.keyword_span).stop

    @cached_property
    def arguments(self) -> Span:
        """From the first to the last byte after the flags, heredoc bodies aside; may be empty."""
        start = self._flags[1]
        if start == len(self._bytes):
            return Span(self.flags_stop, self.flags_stop)
        return self._span(start, len(self._bytes))

    @cached_property
    def value(self) -> str:
        """The logical text of the arguments, without the continuations and comments in them."""
        start = self._flags[1]
        return _decoded(self._bytes[start:]) if start else self._rest

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The words of the value.

        Quotes hold a word together, but not in ADD, COPY, EXPOSE, FROM and VOLUME: there blanks decide.
        """
        return tuple(Word(_decoded(piece.value), self._span(piece.start, piece.stop)) for piece in self._pieces())

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The texts of the words alone: the way back to the file costs more than all the rest."""
        return tuple(_decoded(piece.value) for piece in self._pieces())

    def _pieces(self) -> tuple[Piece, ...]:
        """Return the words as pieces of `_bytes`."""
        quotes = self.keyword not in _SPLIT_AT_BLANKS
        return split_words(self._bytes, self._flags[1], self._escape, quotes=quotes)

    @cached_property
    def json(self) -> tuple[Word, ...] | None:
        """The elements of an exec form, decoded, each with its span quotes included; None for a shell form.

        For HEALTHCHECK it is that of the command after ``CMD``.
        """
        pieces = _exec_form(self.keyword, self._bytes, self._flags[1])
        if pieces is None:
            return None
        return tuple(Word(_decoded(piece.value), self._span(piece.start, piece.stop)) for piece in pieces)

    @property
    def operands(self) -> tuple[str, ...]:
        """The texts of the elements of an exec form, or else of the words."""
        return tuple(word.text for word in self.json) if self.json else self.texts

    @cached_property
    def inner(self) -> Instruction | None:
        """The instruction that an ONBUILD triggers, with the span and lines of the whole ONBUILD."""
        if self.keyword != "ONBUILD":
            return None
        value = _encoded(self.value)
        name, start = split_keyword(value)
        return Instruction(
            _decoded(name).upper(),
            self.span,
            self.line,
            self.end_line,
            self.heredocs,
            _decoded(value[start:]),
            self._data,
            self._stop,
            self._escape,
            self,
        )


@dataclass(frozen=True)
class Stage:
    """A build stage, its FROM first.

    ``name`` is lower case, ``base`` as written but for quotes around it, ``parent`` the index of the earlier
    stage that it is built FROM.
    """

    index: int
    name: str | None
    base: str
    platform: str | None
    instructions: tuple[Instruction, ...]
    parent: int | None

    @property
    def from_(self) -> Instruction:
        """The FROM instruction."""
        return self.instructions[0]


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile that was read; ``data`` is all of it, and every span is a range of it.

    ``newline`` is the line ending that most lines have, ``global_args`` the ARGs before the first FROM, ``images``
    what is known of its base images besides ``images.toml``, by the text of FROM.
    """

    data: bytes
    instructions: tuple[Instruction, ...] = field(compare=False)
    stages: tuple[Stage, ...] = field(compare=False)
    global_args: tuple[Instruction, ...] = field(compare=False)
    escape: str = field(compare=False)
    newline: bytes = field(compare=False)
    directives: Mapping[str, str] = field(compare=False)
    comments: tuple[Comment, ...] = field(compare=False)
    _starts: tuple[int, ...] = field(compare=False, repr=False)
    images: tuple[tuple[str, ImageFacts], ...] = field(default=(), hash=False)  # hashed often, and rarely there

    def line_of(self, offset: int) -> int:
        """Return the 1-based line that holds the byte at ``offset``; the end of the file is on the last."""
        return min(max(1, bisect_right(self._starts, offset)), len(self._starts) - 1)

    def newline_at(self, offset: int) -> bytes:
        """Return the ending of the line that holds ``offset``; the usual one where the line has none."""
        stop = self.data.find(b"\n", offset)
        if stop < 0:
            return self.newline
        return b"\r\n" if self.data[max(0, stop - 1) : stop] == b"\r" else b"\n"

    def shell_source(self, instruction: Instruction) -> bytes:
        """Return the arguments for a shell parser, byte for byte as long as ``instruction.arguments``.

        Comments and blank lines in continuations become spaces, an escape character that continues the line
        a backslash right before the newline.  So an offset in it counts from ``instruction.arguments.start``.
        """
        start, stop = instruction.arguments
        *lines, last = self.data[start:stop].split(b"\n")
        if not lines:
            return last
        parts: list[bytes] = []
        escape = self.escape.encode()
        for line in lines:
            part = continued(line, escape)
            if part is None or (parts and without_indent(line).startswith(b"#")):
                parts.append(b" " * (len(line) + 1))
            else:
                parts.append(part.ljust(len(line) - 1) + b"\\\n")
        return b"".join(parts) + last


@lru_cache(maxsize=256)
def parse(data: bytes) -> Dockerfile:
    """Read a Dockerfile.  Raises `ParseError` where BuildKit would refuse it for the way it is written."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ParseError(1, "the file is UTF-16; save it as UTF-8")
    found = scan(data)
    if not found.extents:
        raise ParseError(1, "the file has no instruction; begin with FROM")
    instructions = _instructions(data, found)
    first = 0
    while instructions[first].keyword != "FROM":
        one = instructions[first]
        if one.keyword != "ARG":
            message = f"{one.keyword} stands before the first FROM, where only ARG may; move it"
            raise ParseError(one.line, message)
        first += 1
        if first == len(instructions):
            raise ParseError(one.line, "the file has no FROM; add one after this line")
    return Dockerfile(
        data,
        instructions,
        _stages(instructions[first:]),
        instructions[:first],
        found.escape.decode(),
        b"\r\n" if 2 * data.count(b"\r\n") > data.count(b"\n") else b"\n",
        found.directives,
        tuple(Comment(line + 1, _decoded(text[1:]).strip()) for line, text in found.comments),
        found.starts,
    )


def _instructions(data: bytes, found: Scan) -> tuple[Instruction, ...]:
    """Return the instructions as dockerfile-parse reads them; both readers have to agree on the lines."""
    structure = DockerfileParser(fileobj=io.BytesIO(found.view)).structure
    entries = {entry["startline"]: entry for entry in structure}
    instructions = []
    for extent in found.extents:
        entry = entries.get(extent.first, {"instruction": "", "value": "", "endline": extent.last})
        if entry["endline"] != extent.last:
            raise ParseError(extent.first + 1, "the end of the instruction is in doubt; write it on one line")
        keyword, rest = entry["instruction"], entry["value"].rstrip()
        if found.restore:
            keyword = restored(keyword)
            rest = _decoded(without_blanks_after(_encoded(restored(rest))))
        if (reason := _refusal(keyword, rest, found.escape)) is not None:
            raise ParseError(extent.first + 1, reason)
        instructions.append(_instruction(data, found, extent, keyword, rest))
    return tuple(instructions)


def _instruction(data: bytes, found: Scan, extent: Extent, keyword: str, rest: str) -> Instruction:
    """Return the instruction on the lines of an extent."""
    return Instruction(
        keyword,
        Span(found.starts[extent.first], found.starts[extent.end + 1]),
        extent.first + 1,
        extent.end + 1,
        extent.heredocs,
        rest,
        data,
        found.starts[extent.last + 1],
        found.escape,
    )


def _refusal(keyword: str, rest: str, escape: bytes) -> str | None:
    """Return why BuildKit refuses an instruction, or None."""
    if keyword in {"", "\\", "`"}:
        return "nothing is continued here; remove the line"
    if keyword not in KEYWORDS:
        return f"unknown instruction {keyword[:40]}; correct it, or put # before it"
    if "[" not in rest and keyword != "ONBUILD":
        return None
    text = _encoded(rest)
    start = split_flags(text, escape)[1]
    if keyword == "ONBUILD":
        name, size = split_keyword(text[start:])
        inner = _decoded(name).upper()
        if not inner:
            return "ONBUILD triggers nothing; add an instruction or remove it"
        if inner in _NOT_TRIGGERS:
            return f"ONBUILD cannot trigger {inner}; remove it"
        return _refusal(inner, _decoded(text[start + size :]), escape)
    try:
        _exec_form(keyword, text, start)
    except ValueError as error:
        return str(error)
    return None


def _exec_form(keyword: str, text: bytes, start: int) -> tuple[Piece, ...] | None:
    """Return the elements of the exec form that follows a keyword and its flags, or None."""
    if keyword == "HEALTHCHECK":
        start += split_keyword(text[start:])[1]
    elif keyword not in _EXEC_FORMS:
        return None
    return json_strings(text, start)


def _stages(instructions: tuple[Instruction, ...]) -> tuple[Stage, ...]:
    """Split the instructions before every FROM.  Raises `ParseError` for a FROM that BuildKit refuses."""
    starts = [index for index, one in enumerate(instructions) if one.keyword == "FROM"]
    stages: list[Stage] = []
    for index, (start, stop) in enumerate(zip(starts, [*starts[1:], None], strict=True)):
        one = instructions[start]
        texts = _encoded(one.value).split()
        if len(texts) != 1 and not (len(texts) == 3 and texts[1].upper() == b"AS"):
            raise ParseError(one.line, "FROM takes an image, or an image AS a name; write it so")
        name = _decoded(texts[2]).lower() if len(texts) == 3 else None
        if name is not None and not _STAGE_NAME.match(name):
            message = f"{name} cannot name a stage; use letters, digits, - _ . and a letter first"
            raise ParseError(one.line, message)
        base = _decoded(texts[0])
        quoted = _QUOTED.match(base)
        base = quoted[2] if quoted else base
        parent = next((stage.index for stage in reversed(stages) if stage.name == base.lower()), None)
        platform = next((flag.value for flag in one.flags if flag.name == "platform"), None)
        stages.append(Stage(index, name, base, platform, instructions[start:stop], parent))
    return tuple(stages)


def _encoded(text: str) -> bytes:
    """Return the bytes of a text, bad ones included."""
    return text.encode("utf-8", "surrogateescape")


def _decoded(data: bytes) -> str:
    """Return bytes as text, bad ones by surrogateescape."""
    return data.decode("utf-8", "surrogateescape")
