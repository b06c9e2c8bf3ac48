"""What RUN steps do to the server of an official image: edits that leave ports, paths and users alone, and refusals."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import compose, context, shell
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import below
from hardener.server_reading import Unknown

if TYPE_CHECKING:
    from hardener.project import Project
    from hardener.servers import Server
    from hardener.shell import Command
    from hardener.stages import StageFacts, Step

# Escapes that `echo` of dash, `echo -e` and `printf` know, as far as configuration needs them.
ESCAPES = {r"\n": "\n", r"\t": "\t", "\\\\": "\\", r"\"": '"'}
ESCAPE = lazy_pattern(r'\\[nt\\"]')
SUBSTITUTION = lazy_pattern(
    r"s(?P<mark>[/|!#,@%])(?P<old>(?:\\.|(?!(?P=mark)).)+)(?P=mark)(?P<new>(?:\\.|(?!(?P=mark)).)*)(?P=mark)(?P<flags>g?)"
)
PRINTED = lazy_pattern(r"-[neE]+")


def keeps(command: Command, sensitive: str, *, plain: bool) -> bool:
    """Whether a ``sed`` speaks of nothing that decides ports, paths or users; ``sensitive`` is what does.

    Its scripts are the words that name no file; one that is known only at run time may say anything.  ``plain`` asks
    for substitutions of plain text alone, since a pattern may mean more than it names.
    """
    if plain and substitutions(command) is None:
        return False
    if shell.program(command.name) != "sed" or not sensitive:
        return False
    scripts = [one.text for one in command.arguments if not one.raw.startswith(("/", "conf/", "./conf/"))]
    return all(one is not None and not re.search(sensitive, one) for one in scripts)


class Substitution(NamedTuple):
    """A plain ``s`` command of sed's: what it replaces, by what, and how often in a line (0: always)."""

    expression: re.Pattern[str]
    text: str
    times: int


def substitutions(command: Command) -> tuple[Substitution, ...] | None:
    """Return what a ``sed -i`` of plain ``s`` commands replaces.

    ``None`` where a script has an address, a back reference or an operator that means something else to Python.
    """
    if shell.program(command.name) != "sed":
        return None
    found: list[Substitution] = []
    in_place = False
    for one in command.arguments:
        if one.raw.startswith(("/", "conf/")):
            continue
        if one.text is None:
            return None
        in_place = in_place or re.fullmatch(r"-[nrE]*i[nrE]*|--in-place", one.text) is not None
        if one.text.startswith("-"):
            if re.fullmatch(r"-[reEi]+|--in-place|--follow-symlinks|--regexp-extended", one.text) is None:
                return None
            continue
        match = SUBSTITUTION.fullmatch(one.text)
        expression = plain_expression(match["old"]) if match is not None else None
        new = match["new"] if match is not None else ""
        if match is None or expression is None or re.search(r"&|\\[\dnLUEl]", new):
            return None
        found.append(Substitution(expression, re.sub(r"\\(.)", r"\1", new), 0 if "g" in match["flags"] else 1))
    return tuple(found) if in_place else None


def plain_expression(text: str) -> re.Pattern[str] | None:
    """Return a regular expression of sed's that is nothing but text, dots and anchors, ``None`` for any other."""
    body = text.removeprefix("^")
    body = body[:-1] if body.endswith("$") and not body.endswith("\\$") else body
    tokens = re.findall(r"\\[^\w\s]|[^\\*+?(){}|\[\]^$]", body)
    if "".join(tokens) != body:
        return None
    plain = "".join("." if one == "." else re.escape(one[-1]) for one in tokens)
    return re.compile(("^" if text.startswith("^") else "") + plain + ("$" if body != text.removeprefix("^") else ""))


def substituted(text: bytes, changes: tuple[Substitution, ...]) -> bytes:
    """Return a file's text after the substitutions of `substitutions`."""
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    for one in changes:
        literal = one.text.replace("\\", r"\\")
        lines = [one.expression.sub(literal, line, count=one.times) for line in lines]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def printed(command: Command) -> tuple[str, bytes] | None:
    """Return operator and text of an ``echo`` or ``printf`` into a file; ``None`` for anything else, or unknown."""
    if shell.program(command.name) not in ("echo", "printf") or len(command.redirects) != 1:
        return None
    operator, _ = command.redirects[0]
    words = [one.text for one in command.arguments]
    while words and words[0] is not None and PRINTED.fullmatch(words[0]):
        words.pop(0)
    if operator not in (">", ">>") or None in words:
        return None
    text = " ".join(one for one in words if one is not None)
    if shell.program(command.name) == "printf" and (len(words) != 1 or "%" in text):
        return None
    return operator, (ESCAPE.sub(lambda match: ESCAPES[match[0]], text) + "\n").encode("utf-8", "surrogateescape")


@lru_cache(maxsize=64)
def refusals(refused: tuple[tuple[str, str], ...]) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the compiled expressions of `Server.refused` with their reasons."""
    return tuple((re.compile(expression), reason) for expression, reason in refused)


def refuse(project: Project, facts: StageFacts, server: Server) -> None:
    """Raise `Unknown` for build commands and variables after which the server works otherwise."""
    expressions = refusals(tuple((server.refused or {}).items()))
    for step, command in facts.run_commands if expressions else ():
        words = " ".join((shell.program(command.name), *(one.shown for one in command.arguments)))
        targets = "".join(f" {operator} {target.shown}" for operator, target in command.redirects)
        for expression, reason in expressions:
            if expression.search(words + targets):
                raise Unknown(step.instruction.line, reason)
    for step, command in facts.run_commands:
        refuse_script(project, facts, server, command, step.instruction.line)
    for path in server.fixed:
        found = context.origin(project, facts, path)
        if found is not None and (found.data is not None or may_bring(found.step, path)):
            raise Unknown(found.step.instruction.line, f"it brings a {path} of its own")
    for step in facts.steps if server.settings else ():
        if step.instruction.keyword in ("COPY", "ADD") and is_hidden(step, server.settings):
            raise Unknown(step.instruction.line, "it copies settings that only root can read")
    allowed = server.environment or {}
    for name in allowed:
        if name in facts.variables:
            refuse_value(facts.stage.instructions[0].line, name, facts.variables[name], allowed[name])
    for service in compose.services(project) if allowed else ():
        given = service.values.get("environment")
        pairs = given.items() if isinstance(given, dict) else (str(one).partition("=")[::2] for one in given or ())
        for name, value in pairs:
            if name in allowed:
                where = f"{service.file}:{service.line}: {name}"
                refuse_value(facts.stage.instructions[0].line, where, value, allowed[name])


def refuse_script(project: Project, facts: StageFacts, server: Server, command: Command, line: int) -> None:
    """Raise `Unknown` where a build step runs a script of the project's that speaks of the server's configuration."""
    from hardener.start_scripts import script_path  # noqa: PLC0415  it imports this module's importers

    path = script_path(command)
    found = context.origin(project, facts, path) if path is not None else None
    if found is None:
        return
    if found.missing and "/" in command.name:
        raise Unknown(line, f"it runs {path}, which is not in the build context here")
    marks = (*server.folders, *(f"{one} " for one in server.programs), "a2enmod", "a2ensite", "a2enconf")
    if any(one.encode() in (found.data or b"") for one in marks):
        raise Unknown(line, f"it runs {path}, which changes the server's configuration")


def may_bring(step: Step, path: str) -> bool:
    """Whether a COPY or ADD from elsewhere (a URL, another image) brings a file at ``path``, by the names in it."""
    name = posixpath.basename(path)
    sources, _ = context.copy_arguments(step.instruction)
    return context.destination(step) == path or any(
        posixpath.basename(one) in (name, "", ".", "bin", "sbin") or "*" in one for one in sources
    )


def is_hidden(step: Step, folders: tuple[str, ...]) -> bool:
    """Whether a COPY or ADD brings files below the folders that others cannot read, by ``--chmod`` or from a URL."""
    target = context.destination(step)
    if target is None or not below(target, folders):
        return False
    mode = context.flag(step.instruction, "chmod")
    if mode is not None:
        return not (mode.isdecimal() and int(mode[-1]) & 4)
    return any(context.is_remote(source) for source in context.copy_arguments(step.instruction)[0])


def refuse_value(line: int, name: str, value: str | None, expression: str) -> None:
    """Raise `Unknown` unless a variable has a value that changes nothing."""
    if value is None or not re.fullmatch(expression, str(value)):
        raise Unknown(line, f"{name} is set to {value or 'something unknown'}")
