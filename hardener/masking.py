"""The physical lines of a Dockerfile, and a view of them that dockerfile-parse reads right.

The rules are those of BuildKit (``frontend/dockerfile/parser`` and ``shell/lex.go`` of moby/buildkit, August
2026): which line continues, what is a directive, where a heredoc opens and ends.  dockerfile-parse 2.0.1
knows fewer of them, so it is given `Scan.view`: as many lines as the file, in which all that it would misread
is hidden (heredoc bodies, a byte-order mark, blank lines in a continuation, an escape character at the end of
the file) or has a stand-in that `restored` undoes.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from hardener.edit import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 65_535  # bufio.MaxScanTokenSize - 1
_MANY_LINES = 200
_ASCII_BLANKS = b"\t\n\v\f\r "
_WIDE_BLANK = (  # what unicode.IsSpace of Go has outside ASCII, in UTF-8
    rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
)
_BLANK = rb"(?:[\t-\r ]|" + _WIDE_BLANK + rb")"
_BLANKS = re.compile(_BLANK + rb"*")
_BLANK_AT_END = re.compile(_BLANK + rb"\Z")
_DIRECTIVE = re.compile(rb"#" + _BLANK + rb"*([a-zA-Z][a-zA-Z0-9]*)[\t\f\r ]*=(.+)\Z", re.DOTALL)

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


def without_blanks_after(text: bytes) -> bytes:
    """Return ``text`` without the blanks (those of Go's ``unicode.IsSpace``) that it ends with."""
    text = text.rstrip(_ASCII_BLANKS)
    while match := _BLANK_AT_END.search(text, max(0, len(text) - 3)):
        text = text[: match.start()].rstrip(_ASCII_BLANKS)
    return text


def without_indent(line: bytes) -> bytes:
    """Return ``line`` without the blanks it begins with; nothing is left of a blank line."""
    text = line.lstrip()
    if text[:1] > b"\x7f" and (match := _BLANKS.match(text)):
        return text[match.end() :]
    return text


def continued(line: bytes, escape: bytes) -> bytes | None:
    """Return what a line adds to an instruction that goes on after it; None where the instruction ends.

    It goes on where the last byte but blanks is one escape character; two of them are text.
    """
    text = line.rstrip(b"\r").rstrip(b" \t")
    if not text.endswith(escape) or text[-2:-1] == escape:
        return None
    return text[:-1]


def joined(data: bytes, start: int, stop: int, escape: bytes) -> Joined:
    """Join the physical lines ``data[start:stop]`` of one instruction, without comments and blank lines."""
    parts: list[bytes] = []
    offsets: list[int] = []
    position = start
    for line in data[start:stop].split(b"\n"):
        if without_indent(line)[:1] not in {b"", b"#"}:
            part = continued(line, escape)
            parts.append(line if part is None else part)
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
            view[first] = text[:1]
            if text:
                comments.append((first, text))
            first += 1
            continue
        last = _last_line(lines, view, comments, first, escape)
        heredocs, end = _heredocs(data, starts, terminators, (first, last), escape)
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
        openers = heredoc_openers(line.text[line.start : line.stop], escape)
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

_SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_HEREDOC_KEYWORDS = frozenset({b"ADD", b"COPY", b"RUN"})
_PLAIN_WORD = re.compile(rb"(?P<word>[^\t\v\f\r ]+)")
_STRING = rb'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"'
_JSON_STRING = re.compile(_STRING)
_JSON_STRINGS = re.compile(
    rb"\[[ \t\r\n]*(?:" + _STRING + rb"[ \t\r\n]*(?:,[ \t\r\n]*" + _STRING + rb"[ \t\r\n]*)*)?\][ \t\r\n]*\Z"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENER = re.compile(r"[0-9]*<<(-?)[\t\n\f\r ]*([^<]*)\Z")
_SHIFT = re.compile("<<[\t\r ]*")
_UNQUOTED = re.compile(r"[^\s'\"$<\\]+")
_NAME = re.compile(r"[0-9]+|[@*#?$!-]|\w*")


class Piece(NamedTuple):
    """A piece of an instruction: ``text[start:stop]``, and what it says (quotes and escapes undone)."""

    start: int
    stop: int
    value: bytes


class Opener(NamedTuple):
    """A heredoc opener, ``text[start:stop]``; ``spaced`` where blanks stand between ``<<`` and the name."""

    start: int
    stop: int
    name: str
    expand: bool
    strip_tabs: bool
    spaced: bool


class _UnreadableError(ValueError):
    """A quote or a substitution has no end; BuildKit then sees no heredoc in the instruction."""


class _Patterns(NamedTuple):
    """What depends on the escape character: a flag, a quoted or escaped part of it, a word with quotes."""

    flag: re.Pattern[bytes]
    part: re.Pattern[bytes]
    escaped: re.Pattern[bytes]
    word: re.Pattern[bytes]


@lru_cache(maxsize=2)
def _patterns(escape: bytes) -> _Patterns:
    """Return the patterns for one escape character; a quote without its fellow reaches to the end."""
    char = re.escape(escape)
    escaped = char + rb"(?:.|\Z)"
    double = rb'"((?:[^"' + char + rb"]|" + escaped + rb')*)(?:"|\Z)'
    single = rb"'((?:[^'" + char + rb"]|" + escaped + rb")*)(?:'|\Z)"
    plain = rb"[^\t-\r '\"" + char + rb"]"
    flag = rb"(?:(?![\x85\xa0])" + plain + rb"|" + escaped + rb"|" + double + rb"|" + single + rb")*"
    word = rb"(?:(?!" + _WIDE_BLANK + rb")" + plain + rb"|" + escaped + rb"|" + double + rb"|'[^']*(?:'|\Z))+"
    return _Patterns(
        re.compile(rb"(?P<flag>--" + flag + rb")[\t-\r \x85\xa0]*", re.DOTALL),
        re.compile(double + rb"|" + single + rb"|(" + escaped + rb")", re.DOTALL),
        re.compile(char + rb"(.|\Z)", re.DOTALL),
        re.compile(rb"(?P<word>" + word + rb")|" + _WIDE_BLANK, re.DOTALL),
    )


def split_keyword(text: bytes) -> tuple[bytes, int]:
    """Return the keyword that ``text`` begins with, and where the rest begins."""
    keyword = text.split(None, 1)[0] if text[:1].strip() else b""
    return keyword, len(text) - len(text[len(keyword) :].lstrip())


def split_flags(text: bytes, escape: bytes) -> tuple[tuple[Piece, ...], int]:
    """Return the flags that ``text`` begins with, and where the arguments after them begin.

    A ``--`` alone ends the flags and belongs to neither.  BuildKit goes through flags byte by byte, and so
    takes the bytes 85 and A0 for blanks in the middle of a character.
    """
    patterns = _patterns(escape)
    found: list[Piece] = []
    start = 0
    while match := patterns.flag.match(text, start):
        value = patterns.part.sub(
            lambda part: patterns.escaped.sub(rb"\1", part[1] or part[2] or part[3] or b""), match["flag"]
        )
        start = match.end()
        if value == b"--":
            break
        found.append(Piece(match.start(), match.end("flag"), value))
    return tuple(found), len(text) - len(without_indent(text[start:]))


def split_words(text: bytes, start: int, escape: bytes, *, quotes: bool) -> tuple[Piece, ...]:
    """Split ``text[start:]`` on blanks; with ``quotes`` a quoted or escaped blank does not split."""
    pattern = _patterns(escape).word if quotes else _PLAIN_WORD
    matches = pattern.finditer(text, start)
    return tuple(Piece(match.start(), match.end(), match[0]) for match in matches if match["word"] is not None)


def json_strings(text: bytes, start: int) -> tuple[Piece, ...] | None:
    """Return the elements of the JSON array ``text[start:]``, each with its quotes; None where it is none.

    Raises ``ValueError`` for an array that has anything but strings, because BuildKit refuses it.
    """
    if _JSON_STRINGS.match(text, start):
        strings = _JSON_STRING.finditer(text, start)
        return tuple(Piece(match.start(), match.end(), _json_value(match[0])) for match in strings)
    if text.startswith(b"[", start) and _is_json(text[start:]):
        message = "an exec form takes strings only; quote every element"
        raise ValueError(message)
    return None


def _is_json(text: bytes) -> bool:
    """Tell whether ``text`` is JSON to Go, which does not have the ``NaN`` and ``Infinity`` of Python."""
    try:
        json.loads(text.decode("utf-8", "replace"), parse_constant=int)
    except (ValueError, RecursionError):
        return False
    return True


def _json_value(quoted: bytes) -> bytes:
    """Return what a JSON string says; half a surrogate pair says U+FFFD, as in Go."""
    if b"\\" not in quoted:
        return quoted[1:-1]
    return _SURROGATE.sub("\ufffd", json.loads(quoted.decode("utf-8", "replace"))).encode()


def heredoc_openers(text: bytes, escape: bytes) -> tuple[Opener, ...]:
    """Return the heredoc openers of an instruction (keyword included) in order.

    Only ``RUN``, ``COPY`` and ``ADD``, also behind ``ONBUILD``, have them, and not in exec form.  There are
    none where a quote or a substitution has no end, because BuildKit gives up on such a line.
    """
    keyword, arguments = _keyword_and_arguments(text, escape)
    if keyword == b"ONBUILD":
        keyword, arguments = _keyword_and_arguments(arguments, escape)
    if keyword not in _HEREDOC_KEYWORDS or _JSON_STRINGS.match(arguments):
        return ()
    line = text.decode("utf-8", "surrogateescape")
    try:
        found = [_opener(line, start, stop) for start, stop in _shell_words(line)]
    except _UnreadableError:
        return ()
    return tuple(_in_bytes(opener, line) for opener in found if opener)


def _keyword_and_arguments(text: bytes, escape: bytes) -> tuple[bytes, bytes]:
    """Return the keyword of an instruction in upper case, and what follows its flags."""
    keyword, start = split_keyword(text)
    rest = text[start:]
    return keyword.upper(), rest[split_flags(rest, escape)[1] :]


def _in_bytes(opener: Opener, line: str) -> Opener:
    """Return an opener of ``line`` with its indices in bytes."""
    start, stop = (len(line[:index].encode("utf-8", "surrogateescape")) for index in (opener.start, opener.stop))
    return opener._replace(start=start, stop=stop)


def _opener(line: str, start: int, stop: int) -> Opener | None:
    """Return the word ``line[start:stop]`` as an opener, or None."""
    match = _OPENER.match(line[start:stop])
    # Go's text/scanner drops a byte-order mark that its text begins with
    name, quoted = _unquoted(match[2].removeprefix("\ufeff")) if match else ("", False)
    if not match or not name:
        return None
    spaced = line[start + match.start(2) - 1] not in "<-"
    return Opener(start, stop, name, not quoted, bool(match[1]), spaced)


def _unquoted(text: str) -> tuple[str, bool]:
    """Return a heredoc name without quotes and escapes, and whether it was quoted."""
    parts: list[str] = []
    quoted = False
    start = 0
    while start < len(text):
        stop = _unit(text, start)
        part = text[start:stop]
        if part[0] == "\\":
            part = part[1:]
        elif part[0] in "'\"":
            quoted = True
            part = part[1:-1] if part[0] == "'" else re.sub(r'\\(["$\\])', r"\1", part[1:-1])
        parts.append(part)
        start = stop
    return "".join(parts), quoted


def _shell_words(line: str) -> list[tuple[int, int]]:
    """Split a line into words, keeping quotes and escapes; ``<<`` takes the blanks after it into its word."""
    found: list[tuple[int, int]] = []
    start = index = 0
    while index < len(line):
        if space := _SPACE.match(line, index):
            found.append((start, index))
            start = index = space.end()
        elif plain := _SHIFT.match(line, index) or _UNQUOTED.match(line, index):
            index = plain.end()
        else:
            index = _unit(line, index)
    return [*found, (start, len(line))]


def _unit(text: str, start: int) -> int:
    """Return where the quoted string, escape, substitution or character at ``start`` ends."""
    char = text[start]
    if char == "\\":
        return min(start + 2, len(text))
    if char == "'":
        return _after(text, "'", start + 1)
    if char == '"':
        return _double(text, start + 1)
    return _dollar(text, start + 1) if char == "$" else start + 1


def _after(text: str, char: str, start: int) -> int:
    """Return the index after the next ``char``."""
    stop = text.find(char, start) + 1
    if not stop:
        raise _UnreadableError
    return stop


def _double(text: str, start: int) -> int:
    """Return the index after the double quote that closes a string."""
    while start < len(text):
        char = text[start]
        if char == '"':
            return start + 1
        if char == "$":
            start = _dollar(text, start + 1)
        else:
            start += 2 if char == "\\" and text[start + 1 : start + 2] in {'"', "$", "\\"} else 1
    raise _UnreadableError


def _dollar(text: str, start: int) -> int:
    """Return where the substitution ends whose ``$`` stands before ``start``."""
    if not text.startswith("{", start):
        return start + text.startswith("$", start)
    start += 1
    if text[start : start + 1] in {"", "{", "}", ":"}:
        raise _UnreadableError
    match = _NAME.match(text, start)
    start = match.end() if match else start
    char, following = text[start : start + 1], text[start + 1 : start + 2]
    if char == "}":
        return start + 1
    if char == ":" and following not in {"", "#", "%"}:
        return _until(text, "}", start + 2)
    if char == "/":
        return _until(text, "}", _until(text, "/", start + (2 if following == "/" else 1)))
    if char and char in "+-?#%":
        return _until(text, "}", start + 1)
    raise _UnreadableError


def _until(text: str, char: str, start: int) -> int:
    """Return the index after the next ``char`` that is not quoted, escaped or in another substitution."""
    while start < len(text):
        if text[start] == char:
            return start + 1
        start = _unit(text, start)
    raise _UnreadableError
