"""Commands that a start script in Python, Ruby, Node, PHP or Perl hands to the system in so many words.

Not a parser of these languages: calls with literal words are found by their names, everything else is passed over.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from hardener import shell
from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.shell_command import Command

SOURCES = (".py", ".rb", ".js", ".mjs", ".cjs", ".ts", ".php", ".pl")
INTERPRETERS = frozenset(("python", "ruby", "node", "nodejs", "php", "perl", "bun", "ts-node", "tsx"))
# A larger file is a bundle, which nobody writes by hand to start something.
LARGEST = 262_144
# Something of these is in every call that is looked for.
MARKS = (b"system", b"exec", b"spawn", b"subprocess", b"open", b"`", b"%x")
LITERAL = rb"""(?:[fbru]{0,2}"(?:[^"\\\n]|\\.){0,2000}"|[fbru]{0,2}'(?:[^'\\\n]|\\.){0,2000}')"""
# https://docs.python.org/3/library/subprocess.html, https://docs.python.org/3/library/os.html#process-management,
# https://nodejs.org/api/child_process.html, https://docs.ruby-lang.org/en/master/Kernel.html, https://www.php.net/exec
CALL = lazy_pattern(
    rb"(?:(?<![\w.>$])(?:(?P<file>os\.exec[lv]p?e?)|(?:os\.)?(?:system|popen)|(?:subprocess\.)?(?:check_call|check_output|"
    rb"Popen)|subprocess\.(?:run|call|getoutput|getstatusoutput)|child_process\.exec|exec|shell_exec|passthru|proc_open|"
    rb"Kernel\.(?:system|exec|spawn))|(?<![\w$])(?:execSync|execFile|execFileSync|spawn|spawnSync))"
    rb"(?:\s{0,9}\(\s{0,99}|[ \t]{1,9})"
    rb"(?P<words>\[?\s{0,99}" + LITERAL + rb"(?:\s{0,99},\s{0,99}\[?\s{0,99}" + LITERAL + rb")*)"
)
QUOTED = lazy_pattern(rb"`([^`\n]{1,2000})`|%x[({\[]([^)}\]\n]{1,200})[)}\]]")
COMMENT = (b"#", b"//", b"*", b"--")


def source_argument(command: Command) -> str | None:
    """Return the source file that an interpreter runs, as written; ``None`` for another command."""
    if shell.program(command.name).rstrip("0123456789.") not in INTERPRETERS:
        return None
    name = next((one.text for one in command.arguments if not (one.text or "-").startswith("-")), None)
    return name if name is not None and name.endswith(SOURCES) else None


def handed_commands(data: bytes, path: str, directory: str | None, variables: Mapping[str, str]) -> tuple[Command, ...]:
    """Return what a source file hands to the system; spans are offsets in ``data``.

    ``path`` tells the language by its ending; ``directory`` is where it is started.
    """
    if len(data) > LARGEST or b"\0" in data[:1024] or not any(mark in data for mark in MARKS):
        return ()
    return tuple(one for text, offset in calls(data, path) for one in read(text, offset, directory, variables))


def read(text: bytes, offset: int, directory: str | None, variables: Mapping[str, str]) -> tuple[Command, ...]:
    """Return the commands of one call; none of what is a template of the language's own."""
    try:
        return shell.commands(text, offset, directory, variables)
    except shell.ShellError:
        return ()


def calls(data: bytes, path: str) -> Iterator[tuple[bytes, int]]:
    """Yield the shell code of each call, with the offset of the call."""
    for match in CALL.finditer(data):
        if is_comment(data, match.start()):
            continue
        words = [literal_value(one) for one in re.findall(LITERAL, match["words"])]
        words = words[1:] if match["file"] and len(words) > 1 else words  # the program's file, then its words
        listed = match["file"] or b"[" in re.sub(LITERAL, b"", match["words"]) or path.endswith(".rb")
        text = shlex.join(words) if listed and len(words) > 1 else words[0]
        yield text.encode("latin-1"), match.start()
    if path.endswith((".rb", ".php", ".pl")) or data.startswith((b"#!/usr/bin/env ruby", b"#!/usr/bin/ruby")):
        for match in QUOTED.finditer(data):
            if not is_comment(data, match.start()):
                yield match[1] or match[2], match.start()


def literal_value(word: bytes) -> str:
    """Return the text of a literal, each byte as one character; the usual escapes are taken off."""
    text = word.decode("latin-1").lstrip("fbru")
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def is_comment(data: bytes, offset: int) -> bool:
    """Whether the line of an offset begins as a comment."""
    return data[data.rfind(b"\n", 0, offset) + 1 : offset].lstrip().startswith(COMMENT)
