"""The physical lines of a Dockerfile, and a view of them that dockerfile-parse reads right.

The rules are those of BuildKit (``frontend/dockerfile/parser`` and ``shell/lex.go`` of moby/buildkit, August
2026): which line continues, what is a directive, where a heredoc opens and ends.  dockerfile-parse 2.0.1
knows fewer of them, so it is given `Scan.view`: as many lines as the file, in which all that it would misread
is hidden (heredoc bodies, a byte-order mark, blank lines in a continuation, an escape character at the end of
the file) or has a stand-in that `restored` undoes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span
from hardener.lexing import BLANK, heredoc_openers, split_keyword, without_blanks_after, without_indent

if TYPE_CHECKING:
    from collections.abc import Mapping

BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 65_535  # bufio.MaxScanTokenSize - 1
_MANY_LINES = 200
_DIRECTIVE = re.compile(rb"#" + BLANK + rb"*([a-zA-Z][a-zA-Z0-9]*)[\t\f\r ]*=(.+)\Z", re.DOTALL)

# What Python takes for a blank and Go does not everywhere, bytes that are no UTF-8, and the stand-ins.
_STRANGE = re.compile(
    "[\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\udc80-\udcff\U0010ff00-\U0010ffff]"
)
_FIRST_STAND_IN = 0x10FF00  # private use: byte n has the stand-in chr(0x10FF00 + n)
_STAND_INS = re.compile("[\U0010ff00-\U0010ffff]+")


class ParseError(Exception):
    """Bytes that BuildKit would not build: the 1-based ``line``, and one sentence that says what to do."""

    def __init__(self, line: int, message: str) -> None:
        """Keep both; ``str(error)`` is the message alone."""
        super().__init__(message)
        self.line = line
        self.message = message


class Heredoc(NamedTuple):
    """A heredoc of an instruction; all offsets are bytes of the file.

    ``span`` is the opener as written (``<<-"EOF"``), ``body`` the whole lines between opener and terminator,
    and ``stop`` the offset after the terminator line and its newline.  ``expand`` is false for a quoted name.
    """

    name: str
    span: Span
    body: Span
    stop: int
    expand: bool
    strip_tabs: bool


class Extent(NamedTuple):
    """The lines of one instruction, 0-based and inclusive: ``last`` without, ``end`` with its heredocs."""

    first: int
    last: int
    end: int
    heredocs: tuple[Heredoc, ...]


class Scan(NamedTuple):
    """What the lines of a file say.

    ``starts`` has the offset of every line (of the first: after the byte-order mark) and then the length of
    the file; ``comments`` the 0-based line and the text from ``#`` on; ``restore`` tells that the view has
    stand-ins.
    """

    view: bytes
    restore: bool
    starts: tuple[int, ...]
    extents: tuple[Extent, ...]
    comments: tuple[tuple[int, bytes], ...]
    directives: dict[str, str]
    escape: bytes


class Joined(NamedTuple):
    """One instruction without its continuations; ``text[start:stop]`` is the part that is not blank.

    Piece ``n`` begins at ``pieces[n]`` of the text and at ``offsets[n]`` of the file.
    """

    text: bytes
    start: int
    stop: int
    pieces: tuple[int, ...]
    offsets: tuple[int, ...]

    def span(self, start: int, stop: int) -> Span:
        """Return where the bytes ``text[start:stop]``, at least one, stand in the file."""
        first = bisect_right(self.pieces, start) - 1
        last = bisect_right(self.pieces, stop - 1) - 1
        return Span(self.offsets[first] + start - self.pieces[first], self.offsets[last] + stop - self.pieces[last])


def continued(line: bytes, escape: bytes) -> bytes | None:
    """Return what a line adds to an instruction that goes on after it; None where the instruction ends.

    It goes on where the last byte but blanks is one escape character; two of them are text.
    """
    if escape not in line:
        return None
    text = line.rstrip(b"\r").rstrip(b" \t")
    if not text.endswith(escape) or text[-2:-1] == escape:
        return None
    return text[:-1]


def joined(data: bytes, start: int, stop: int, escape: bytes) -> Joined:
    """Join the physical lines ``data[start:stop]`` of one instruction, without comments and blank lines."""
    parts: list[bytes] = []
    offsets: list[int] = []
    position = start
    for line in data[start:stop].removesuffix(b"\n").split(b"\n"):
        if without_indent(line)[:1] not in {b"", b"#"}:
            part = continued(line, escape)
            parts.append(line.rstrip(b"\r") if part is None else part)
            offsets.append(position)
        position += len(line) + 1
    text = b"".join(parts)
    begin = len(text) - len(without_indent(text))
    pieces = (0, *accumulate(map(len, parts[:-1])))
    return Joined(text, begin, len(without_blanks_after(text)), pieces, tuple(offsets))


def scan(data: bytes) -> Scan:
    """Find the instructions, comments, heredocs and directives of a Dockerfile, and make its view.

    Raises `ParseError` for a line that is too long, a faulty directive and a heredoc that is never closed.
    """
    lines, starts = _lines(data)
    directives = _directives(lines)
    escape = directives.get("escape", "\\").encode()
    view = lines.copy()
    comments: list[tuple[int, bytes]] = []
    extents: list[Extent] = []
    false_ends: list[int] = []
    terminators = _terminators(lines) if b"<<" in data else {}
    first = 0
    while first < len(lines):
        view[first] = text = without_indent(lines[first])
        if not text or text[0] == ord("#"):
            view[first] = b""
            if text:
                comments.append((first, text))
            first += 1
            continue
        last = _last_line(lines, view, comments, first, escape)
        heredocs, end = _heredocs(data, starts, terminators, (first, last), escape) if terminators else ((), last)
        view[last + 1 : end + 1] = [b""] * (end - last)
        if view[last].rstrip().endswith(escape):
            false_ends.append(last)
        extents.append(Extent(first, last, end, heredocs))
        first = end + 1
    if directives:
        view[0] = b"# escape=" + escape
    masked, restore = _stand_ins(data, view, false_ends)
    return Scan(masked, restore, tuple(starts), tuple(extents), tuple(comments), directives, escape)


def _lines(data: bytes) -> tuple[list[bytes], list[int]]:
    """Return the lines without newline and byte-order mark, and the offset of each and of the end."""
    lines = data.split(b"\n")
    if len(data) > LONGEST_LINE:
        for number, line in enumerate(lines, 1):
            if len(line) > LONGEST_LINE:
                message = f"the line has {len(line):,} bytes and BuildKit takes {LONGEST_LINE:,}; split it"
                raise ParseError(number, message)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    if not lines[-1]:
        lines.pop()
        starts.pop()
    starts[-1] = len(data)
    if data.startswith(BOM):
        lines[0] = lines[0][len(BOM) :]
        starts[0] = len(BOM)
    return lines, starts


def _directives(lines: list[bytes]) -> dict[str, str]:
    """Return the parser directives, which are the first lines of a file, in order."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.match(without_indent(line.rstrip(b"\r")))
        name = match[1].decode().lower() if match else ""
        if not match or name not in {"syntax", "escape", "check"}:
            break
        if name in found:
            raise ParseError(number, f"the directive {name}= stands here a second time; remove one of them")
        found[name] = match[2].strip(b"\t\f\r ").decode("utf-8", "surrogateescape")
        if name == "escape" and found[name] not in {"\\", "`"}:
            raise ParseError(number, "the escape directive takes a backslash or a backtick; write one")
    return found


def _last_line(
    lines: list[bytes], view: list[bytes], comments: list[tuple[int, bytes]], first: int, escape: bytes
) -> int:
    """Return the last line (heredocs aside) of the instruction that begins on line ``first``.

    In ``view`` its comments become ``#`` and its blank lines go on, as dockerfile-parse wants them.
    """
    last = index = first
    while (part := continued(view[last], escape)) is not None:
        index += 1
        while index < len(lines) and (text := without_indent(lines[index]))[:1] in {b"", b"#"}:
            if text:
                comments.append((index, text))
            view[index] = b"#" if text else escape
            index += 1
        if index == len(lines):  # the instruction goes on to the end of the file
            view[-1] = part if last == len(lines) - 1 else b""
            index = len(lines) - 1
            break
        last = index
    if index > first and _is_folded(view[first], index - first, escape):
        _fold(view, first, index, escape)
    return index


def _is_folded(line: bytes, more: int, escape: bytes) -> bool:
    """Tell whether an instruction has to stand on one line for dockerfile-parse.

    It looks for the keyword on the first line only, and copies all that it has for every line that follows.
    """
    part = continued(line, escape) or b""
    return more > _MANY_LINES or split_keyword(part)[0] == part


def _fold(view: list[bytes], first: int, last: int, escape: bytes) -> None:
    """Put an instruction on its first line; of the others, comments remain and a blank line at the end."""
    *lines, end = (line for line in view[first : last + 1] if line != b"#")
    text = b"".join(continued(line, escape) or b"" for line in lines) + end
    view[first : last + 1] = [without_indent(text) + b" " + escape, *[b"#"] * (last - first - 1), b""]


def _heredocs(
    data: bytes,
    starts: list[int],
    terminators: Mapping[tuple[bool, bytes], list[int]],
    extent: tuple[int, int],
    escape: bytes,
) -> tuple[tuple[Heredoc, ...], int]:
    """Return the heredocs of the instruction on the lines ``extent``, and the last line of them all."""
    first, end = extent
    if data.find(b"<<", starts[first], starts[end + 1]) < 0:
        return (), end
    line = joined(data, starts[first], starts[end + 1], escape)
    try:
        openers = heredoc_openers(line.text[line.start :], escape)
    except RecursionError:
        raise ParseError(first + 1, "substitutions in substitutions go too deep; take some apart") from None
    found: list[Heredoc] = []
    for opener in openers:
        span = line.span(line.start + opener.start, line.start + opener.stop)
        closing = terminators.get((opener.strip_tabs, opener.name.encode("utf-8", "surrogateescape")), [])
        following = bisect_right(closing, end)
        if following < len(closing):
            stop = closing[following]
            body = Span(starts[end + 1], starts[stop])
            found.append(Heredoc(opener.name, span, body, starts[stop + 1], opener.expand, opener.strip_tabs))
            end = stop
        elif not opener.spaced:  # `1 << 2`: BuildKit before 0.21 builds it as it is, later ones never do
            message = f"heredoc <<{opener.name} is never closed; add a line with {opener.name}"
            raise ParseError(bisect_right(starts, span.start), message)
    return tuple(found), end


def _terminators(lines: list[bytes]) -> dict[tuple[bool, bytes], list[int]]:
    """Return the lines that each heredoc name could be closed by, with tabs before it ignored and not."""
    found: dict[tuple[bool, bytes], list[int]] = {}
    for index, line in enumerate(lines):
        text = line.rstrip(b"\r")
        found.setdefault((False, text), []).append(index)
        found.setdefault((True, text.lstrip(b"\t")), []).append(index)
    return found


def _stand_ins(data: bytes, view: list[bytes], false_ends: list[int]) -> tuple[bytes, bool]:
    """Return the view as UTF-8 bytes, and whether there are stand-ins in it.

    ``false_ends`` are the lines whose last escape character dockerfile-parse would take for a continuation.
    """
    strange = 0
    if not data.isascii() or any(control in data for control in (b"\x1c", b"\x1d", b"\x1e", b"\x1f")):
        text = b"\n".join(view).decode("utf-8", "surrogateescape")
        text, strange = _STRANGE.subn(_stand_in, text)
        view = text.encode().split(b"\n")
    for index in false_ends:
        line = view[index].rstrip()
        view[index] = line[:-1] + chr(_FIRST_STAND_IN + line[-1]).encode()
    return b"\n".join(view) + b"\n", strange > 0 or bool(false_ends)


def _stand_in(match: re.Match[str]) -> str:
    """Return the stand-ins of the bytes of a character."""
    return "".join(chr(_FIRST_STAND_IN + byte) for byte in match[0].encode("utf-8", "surrogateescape"))


def restored(text: str) -> str:
    """Return a text of the view with every stand-in replaced by what it stands for."""
    return _STAND_INS.sub(_stood_for, text)


def _stood_for(match: re.Match[str]) -> str:
    """Return what some stand-ins stand for."""
    return bytes(ord(char) - _FIRST_STAND_IN for char in match[0]).decode("utf-8", "surrogateescape")


# The text of one instruction, continuations joined; offsets are indices of the text that goes in.
