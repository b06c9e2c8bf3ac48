"""The words of one logical line: keyword, flags, arguments, exec forms, and where heredocs open.

The rules are those of BuildKit (``frontend/dockerfile/parser`` and ``shell/lex.go`` of moby/buildkit, August 2026).
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import NamedTuple

from hardener.lazy_pattern import lazy_pattern

_ASCII_BLANKS = b"\t\n\v\f\r "
WIDE_BLANK = (  # what unicode.IsSpace of Go has outside ASCII, in UTF-8
    rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
)
BLANK = rb"(?:[\t-\r ]|" + WIDE_BLANK + rb")"
_BLANKS = lazy_pattern(BLANK + rb"*")
_BLANK_AT_END = re.compile(BLANK + rb"\Z")
_SPACE = lazy_pattern("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_HEREDOC_KEYWORDS = frozenset({b"ADD", b"COPY", b"RUN"})
_PLAIN_WORD = re.compile(rb"(?P<word>[^\t\v\f\r ]+)")
_STRING = rb'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"'
_JSON_STRING = re.compile(_STRING)
_JSON_STRINGS = re.compile(
    rb"\[[ \t\r\n]*(?:" + _STRING + rb"[ \t\r\n]*(?:,[ \t\r\n]*" + _STRING + rb"[ \t\r\n]*)*)?\][ \t\r\n]*\Z"
)
_SURROGATE = lazy_pattern("[\ud800-\udfff]")
_OPENER = lazy_pattern(r"[0-9]*<<(-?)[\t\n\f\r ]*([^<]*)\Z")
_SHIFT = lazy_pattern("<<[\t\r ]*")
_UNQUOTED = lazy_pattern(r"[^\s'\"$<\\]+")
_NAME = lazy_pattern(r"[0-9]+|[@*#?$!-]|\w*")


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
    word = rb"(?:(?!" + WIDE_BLANK + rb")" + plain + rb"|" + escaped + rb"|" + double + rb"|'[^']*(?:'|\Z))+"
    return _Patterns(
        re.compile(rb"(?P<flag>--" + flag + rb")[\t-\r \x85\xa0]*", re.DOTALL),
        re.compile(double + rb"|" + single + rb"|(" + escaped + rb")", re.DOTALL),
        re.compile(char + rb"(.|\Z)", re.DOTALL),
        re.compile(rb"(?P<word>" + word + rb")|" + WIDE_BLANK, re.DOTALL),
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
    if not text.startswith(b"[", start):
        return None
    if _JSON_STRINGS.match(text, start):
        strings = _JSON_STRING.finditer(text, start)
        return tuple(Piece(match.start(), match.end(), _json_value(match[0])) for match in strings)
    if _is_json(text[start:]):
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
