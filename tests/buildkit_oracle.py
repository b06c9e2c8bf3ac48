"""BuildKit's own Dockerfile parser as the judge of `hardener.dockerfile`.

The package ``dockerfile`` wraps the parser of BuildKit v0.12.5.  It can crash the process it runs in, so it runs in
a child that is fed in batches; it takes text, so bytes that are no UTF-8, and NUL, are not judged.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.dockerfile import ParseError, parse
from hardener.masking import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hardener.dockerfile import Dockerfile, Instruction

BATCH = 2_000
AVAILABLE = find_spec("dockerfile") is not None


class Node(NamedTuple):
    """One instruction as BuildKit reads it; lines are 1-based."""

    keyword: str
    sub_keyword: str | None
    json: bool
    line: int
    end_line: int
    flags: tuple[str, ...]
    value: tuple[str, ...]
    heredocs: tuple[tuple[str, str], ...]


class Verdict(NamedTuple):
    """What BuildKit says of one file: its instructions, or the error it refuses the file with."""

    nodes: tuple[Node, ...]
    error: str | None


def read(files: Sequence[bytes]) -> list[Verdict | None]:
    """Return a verdict for every file, None for one that the child cannot take or crashes on."""
    verdicts: list[Verdict | None] = [None] * len(files)
    waiting = [index for index, data in enumerate(files) if _is_judged(data)]
    while waiting:
        batch = waiting[:BATCH]
        answers = _ask([files[index].decode() for index in batch])
        for index, answer in zip(batch, answers):
            verdicts[index] = answer
        waiting = waiting[len(answers) + (len(answers) < len(batch)) :]
    return verdicts


def _is_judged(data: bytes) -> bool:
    """Tell whether the child can take the file."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _ask(texts: Iterable[str]) -> list[Verdict | None]:
    """Return the verdicts of one child, fewer than texts where it crashed on the next one."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=lines.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return [_verdict(json.loads(line)) for line in child.stdout.splitlines(keepends=True) if line.endswith(b"\n")]


def _verdict(answer: str | list[Any] | None) -> Verdict | None:
    """Return the verdict that a child wrote, None where it could not pass on what BuildKit said."""
    if answer is None:
        return None
    if isinstance(answer, str):
        return Verdict((), answer)
    return Verdict(
        tuple(
            Node(*fields, tuple(flags), tuple(value), tuple((name, body) for name, body in heredocs))
            for *fields, flags, value, heredocs in answer
        ),
        None,
    )


# Answers one JSON text a line with its instructions, or with the error.
_CHILD = """
import dockerfile, json, sys
for line in sys.stdin:
    try:
        answer = [
            (one.cmd.upper(), one.sub_cmd and one.sub_cmd.upper(), one.json, one.start_line, one.end_line,
             one.flags, one.value, [(heredoc.name, heredoc.content) for heredoc in one.heredocs])
            for one in dockerfile.parse_string(json.loads(line))
        ]
    except dockerfile.GoParseError as error:
        answer = str(error)
    except UnicodeDecodeError:
        answer = None
    print(json.dumps(answer), flush=True)
"""


class Comparison(NamedTuple):
    """How one file was read by both: `ALIKE`, `UNEXPLAINED`, or the known reason why not."""

    outcome: str
    details: str = ""


ALIKE = "read alike"
NOT_JUDGED = "not judged: no UTF-8, NUL, or a failure of the judge"
REFUSED_BY_BOTH = "refused by both"
REFUSED_LATER = "refused by hardener, and by BuildKit after parsing (instructions/parse.go)"
REFUSED_BY_BUILDKIT = "refused by BuildKit alone, for the arguments of ENV or LABEL"
UNEXPLAINED = "UNEXPLAINED difference"
AGREED = frozenset({ALIKE, REFUSED_BY_BOTH, REFUSED_LATER, REFUSED_BY_BUILDKIT})
_LATER = re.compile(
    "unknown instruction|nothing is continued|ONBUILD cannot trigger|ONBUILD triggers nothing|FROM takes|cannot name a stage"
    "|stands before the first FROM|has no FROM"
)
_ARGUMENTS = re.compile("(ENV|LABEL) must have two arguments|can't find = in")

# The judge is older than the rules that `hardener` follows.  Each entry is a change of BuildKit since v0.12.5, with
# what takes the change out of a file: a difference that is gone then has this reason.
CHANGES: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("any blank may follow the # of a directive", lambda data: _BLANKS.sub(rb"\1", data)),
    ("check= is a directive", lambda data: _without_check(data)),
    ("blanks after << are skipped", lambda data: re.sub(rb"<<[\t\r ]+(?=[^\t\r\n ])", b"<<", data)),
    ("blanks after << are skipped", lambda data: re.sub(rb"<<(?=[\t\r \\`])", b"__", data)),
    ("${name%x}, ${name#x} and ${name/x/y} are known", lambda data: _MODIFIER.sub(rb"$_\1", data)),
    ("no exec form where something follows the array", lambda data: data.replace(b"[", b"(")),
    ("flags have the escape character of the file", lambda data: _without_escapes_in_flags(data)),
    ("an escape character alone crashes the judge", lambda data: _ALONE_AT_END.sub(b"", data)),
)
_ALONE_AT_END = re.compile(rb"(?:\n[\t ]*[\\`]?[\t\r ]*|\n[\t ]*#.*)*\Z")
_BLANKS = re.compile(rb"(?m)^([\t\v\f\r \xc2\xa0\x85]*#)[\t\v\f\r \x80-\xa0\xa8\xa9\xaf\xc2\xe1-\xe3]*")
REASONS = frozenset(reason for reason, _ in CHANGES) | {"several changes of BuildKit"}
_MODIFIER = re.compile(rb"\$\{(\w*[%#/])")


def compare(files: Sequence[bytes]) -> list[Comparison]:
    """Read every file with both and compare; a difference gets the reason that `explain` finds."""
    found = [_compare(data, verdict) for data, verdict in zip(files, read(files), strict=True)]
    different = [index for index, one in enumerate(found) if one.outcome == UNEXPLAINED]
    reasons = explain([files[index] for index in different])
    for index, reason in zip(different, reasons, strict=True):
        found[index] = Comparison(reason or UNEXPLAINED, found[index].details)
    return found


def _compare(data: bytes, verdict: Verdict | None) -> Comparison:
    """Return how a file was read by both, with no reason for a difference."""
    if verdict is None:
        return Comparison(NOT_JUDGED)
    try:
        file = parse.__wrapped__(data)
    except ParseError as error:
        if verdict.error is not None:
            return Comparison(REFUSED_BY_BOTH)
        details = f"refused on line {error.line}: {error}"
        if not _LATER.search(str(error)):
            return Comparison(UNEXPLAINED, details)
        ours = [(extent.first + 1, extent.end + 1) for extent in scan(data).extents]
        theirs = [(node.line, node.end_line) for node in verdict.nodes]
        return Comparison(REFUSED_LATER if ours == theirs else UNEXPLAINED, f"{details}; {ours} is not {theirs}")
    if verdict.error is not None:
        expected = _ARGUMENTS.search(verdict.error)
        return Comparison(REFUSED_BY_BUILDKIT if expected else UNEXPLAINED, f"BuildKit: {verdict.error}")
    found = differences(file, verdict.nodes)
    return Comparison(UNEXPLAINED, "; ".join(found)) if found else Comparison(ALIKE)


def _without_check(data: bytes) -> bytes:
    """Return a file without the lines among its first comments that set ``check=``."""
    head = re.match(rb"(?:\xef\xbb\xbf)?(?:[\t-\r \x80-\xff]*#.*\n)*", data)
    size = head.end() if head else 0
    return re.sub(rb"(?im)^(\xef\xbb\xbf)?[\t-\r \x80-\xff]*#\s*check\s*=.*\n", rb"\1", data[:size]) + data[size:]


def _without_escapes_in_flags(data: bytes) -> bytes:
    """Return a file that sets ``escape=`` to a backtick without escapes behind ``--``; any other as it is."""
    if not re.search(rb"(?i)#\s*escape\s*=\s*`", data):
        return data
    return re.sub(rb"--[^\n]*", lambda match: re.sub(rb"[`\\](?=[\t\r ]*[^\t\r ])", b"x", match[0]), data)


def explain(files: Sequence[bytes]) -> list[str | None]:
    """Return the reason why each of some files is read differently, or None where none of `CHANGES` is."""
    reasons: list[str | None] = [None] * len(files)
    changed = list(files)
    for together in (False, True):
        for reason, change in CHANGES:
            open_ = [index for index in range(len(files)) if reasons[index] is None]
            tries = [change(changed[index] if together else files[index]) for index in open_]
            for index, data, verdict in zip(open_, tries, read(tries), strict=True):
                if together:
                    changed[index] = data
                if data != files[index] and _compare(data, verdict).outcome in AGREED:
                    reasons[index] = "several changes of BuildKit" if together else reason
    return reasons


def differences(file: Dockerfile, nodes: Sequence[Node]) -> list[str]:
    """Return one sentence for everything that `hardener` and BuildKit read differently."""
    ours = [(one.keyword, one.line, one.end_line) for one in file.instructions]
    theirs = [(node.keyword, node.line, node.end_line) for node in nodes]
    if ours != theirs:
        return [f"instructions: {set(ours) - set(theirs)} are not {set(theirs) - set(ours)}"]
    found = []
    for one, node in zip(file.instructions, nodes):
        for what, mine, its in (
            ("flags", _flags(one), node.flags),
            ("value", _value(one, file.escape), node.value),
            ("heredocs", _heredocs(file, one), node.heredocs),
            ("trigger", one.inner and one.inner.keyword, node.sub_keyword),
        ):
            # the wrapper gives an ONBUILD neither the flags nor the heredocs of the instruction it triggers
            if mine != its and not (what == "heredocs" and one.keyword == "ONBUILD"):
                found.append(f"{what} of {one.keyword} on line {one.line}: {mine!r} is not {its!r}")
    return found


def _flags(one: Instruction) -> tuple[str, ...]:
    """Return the flags as BuildKit gives them: it takes every byte of a flag for a character."""
    texts = (f"--{flag.name}" if flag.value is None else f"--{flag.name}={flag.value}" for flag in one.flags)
    return tuple(text.encode("utf-8", "surrogateescape").decode("latin-1") for text in texts)


def _heredocs(file: Dockerfile, one: Instruction) -> tuple[tuple[str, str], ...]:
    return tuple((heredoc.name, file.data[slice(*heredoc.body)].decode()) for heredoc in one.heredocs)


def _value(one: Instruction, escape: str) -> tuple[str, ...]:
    """Return the arguments in the shape that BuildKit's line parser gives them."""
    if one.inner is not None:
        return _value(one.inner, escape)
    words = [word.text for word in one.words]
    if one.json is not None:
        elements = tuple(word.text for word in one.json)
        return (words[0], *elements) if one.keyword == "HEALTHCHECK" else elements
    if one.keyword in {"ADD", "COPY", "EXPOSE", "FROM", "VOLUME"}:
        return tuple(words)
    if words and (len(words[-1]) - len(words[-1].rstrip(escape))) % 2:
        words[-1:] = [words[-1][:-1]] if len(words[-1]) > 1 else []  # an escape that nothing follows is left out
    if one.keyword == "ARG":
        return tuple(words)
    if one.keyword in {"ENV", "LABEL"} and words and "=" in words[0]:
        return tuple(part for word in words for part in word.split("=", 1))
    if one.keyword in {"ENV", "LABEL", "HEALTHCHECK"}:
        return tuple(re.split(r"[\t\v\f\r ]+", one.value, maxsplit=1)) if one.value else ()
    return (one.value,) if one.value else ()
