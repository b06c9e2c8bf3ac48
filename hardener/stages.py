"""What is true at every step of a stage: user, working directory, variables, shell, and what finally runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from hardener import image
from hardener.paths import absolute
from hardener.variables import assignments, expand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardener.dockerfile import Dockerfile, Instruction, Stage
    from hardener.image import ImageFacts
    from hardener.shell import Command

POSIX_SHELLS = frozenset(("sh", "bash", "ash", "dash"))
# The instructions that say what runs in the container, and all that commands stand in.
START = frozenset(("ENTRYPOINT", "CMD", "HEALTHCHECK"))
RUNNING = START | {"RUN"}


@dataclass(frozen=True, eq=False)
class Step:
    """One instruction of a stage (or of a stage it is built FROM) and the state in which it runs."""

    dockerfile: Dockerfile
    instruction: Instruction
    stage: int
    """Index of the stage whose text holds the instruction."""
    user: str | None
    """Effective user: ``""`` is root as the base image leaves it, ``None`` a variable that the text does not decide."""
    workdir: str | None
    variables: Mapping[str, str | None]
    shell: tuple[str, ...]

    @cached_property
    def commands(self) -> tuple[Command, ...] | None:
        """The commands of a RUN, CMD, ENTRYPOINT or HEALTHCHECK; ``None`` where they are not understood.

        Not understood: another shell than a POSIX one, a script with a syntax error, a heredoc for another
        interpreter.
        """
        from hardener import shell  # noqa: PLC0415  tree-sitter is not needed for an image without RUN

        instruction = self.instruction
        try:
            if instruction.json is not None:
                return shell.exec_commands(instruction.json, self.workdir)
            if not posix_shell(self.shell):
                return None
            variables = {name: value for name, value in self.variables.items() if value is not None}
            found: list[Command] = []
            for source, offset in shell_sources(self.dockerfile, instruction):
                found += shell.commands(source, offset, self.workdir, variables)
        except shell.ShellError:
            return None
        return tuple(found)


@dataclass(frozen=True, eq=False)
class StageFacts:
    """Everything the fixers ask about one stage; the steps of the stages it is built FROM come first."""

    stage: Stage
    chain: tuple[int, ...]
    reference: str | None
    """The base image at the root of the chain, variables resolved; ``None`` where they cannot be."""
    image: ImageFacts | None
    steps: tuple[Step, ...]
    user: str | None
    user_step: Step | None
    workdir: str | None
    variables: Mapping[str, str | None]
    shell: tuple[str, ...]
    entrypoint: Step | None
    command: Step | None

    @cached_property
    def own_steps(self) -> tuple[Step, ...]:
        """The steps that stand in this stage's own text."""
        return tuple(step for step in self.steps if step.stage == self.stage.index)

    @cached_property
    def run_commands(self) -> tuple[tuple[Step, Command], ...]:
        """Every command of every RUN step that is understood, with its step, in order."""
        runs = (step for step in self.steps if step.instruction.keyword == "RUN")
        return tuple((step, command) for step in runs for command in step.commands or ())

    @property
    def runs_as_root(self) -> bool | None:
        """Whether PID 1 starts as root; ``None`` where the text does not tell."""
        if self.user is None:
            return None
        return None if self.image is None and not self.user else is_root(self.user)


def is_root(user: str) -> bool:
    """Whether a USER argument means uid 0: empty, ``root``, ``0``, ``00``, each with any group."""
    name = user.partition(":")[0]
    return name in ("", "root") or (name.isdecimal() and int(name) == 0)


@lru_cache(maxsize=512)
def stage_facts(dockerfile: Dockerfile, index: int) -> StageFacts:
    """Return the facts of stage ``index`` (0-based) of a parsed Dockerfile."""
    chain = [index]
    while (parent := dockerfile.stages[chain[0]].parent) is not None:
        chain.insert(0, parent)
    global_values = global_variables(dockerfile)
    reference = expand(dockerfile.stages[chain[0]].base, global_values)
    steps: list[Step] = []
    variables: dict[str, str | None] = {}
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    user_step = entrypoint = command = None
    facts = next((one for text, one in dockerfile.images if text == dockerfile.stages[chain[0]].base), None)
    facts = image.lookup(reference) if facts is None and reference else facts
    user: str | None = facts.user if facts is not None else ""
    workdir = (facts.workdir or None) if facts is not None else None
    if facts is not None and facts.inherited is not None:
        workdir = facts.inherited.workdir
        reference = facts.inherited.reference or reference
    if facts is not None:
        reference = reference or dockerfile.stages[chain[0]].base
        variables = dict(facts.variables)
    exported: set[str] = set(variables)
    for position in chain:
        # An ARG ends with its stage; an ENV goes on (https://docs.docker.com/reference/dockerfile/#scope).
        variables = {name: variables[name] for name in exported}
        for instruction in dockerfile.stages[position].instructions[1:]:
            step = Step(dockerfile, instruction, position, user, workdir, variables, shell)
            steps.append(step)
            keyword = instruction.keyword
            if keyword == "ARG":
                values = {
                    name: global_values.get(name) if value is None else value
                    for name, value in assignments(instruction, variables).items()
                    if name not in exported
                }
                variables = {**variables, **values}
            elif keyword == "ENV":
                values = assignments(instruction, variables)
                variables = {**variables, **values}
                exported |= values.keys()
            elif keyword == "USER":
                user, user_step = expand(instruction.value, variables), step
            elif keyword == "WORKDIR":
                workdir = resolve(instruction.value, step)
            elif keyword == "SHELL" and instruction.json:
                shell = tuple(word.text for word in instruction.json)
            elif keyword == "ENTRYPOINT":
                # Setting ENTRYPOINT drops a CMD that came from the base image or an earlier stage.
                entrypoint = step
                if command is not None and command.stage != position:
                    command = None
            elif keyword == "CMD":
                command = step
    return StageFacts(
        stage=dockerfile.stages[index],
        chain=tuple(chain),
        reference=reference,
        image=facts,
        steps=tuple(steps),
        user=user,
        user_step=user_step,
        workdir=workdir,
        variables=variables,
        shell=shell,
        entrypoint=entrypoint,
        command=command,
    )


def global_variables(dockerfile: Dockerfile) -> dict[str, str | None]:
    """Return the ARG values that stand before the first FROM, the only ones a FROM line sees.

    One without a value is not there: ``${NAME:-default}`` is the default then.
    """
    values: dict[str, str | None] = {}
    for instruction in dockerfile.global_args:
        values |= assignments(instruction, values)
        values = {name: value for name, value in values.items() if value is not None}
    return values


def resolve(path: str, step: Step) -> str | None:
    """Return a path of a Dockerfile instruction as an absolute path of the image, ``None`` if not decided."""
    expanded = expand(path, step.variables)
    if expanded is None or (step.workdir is None and not expanded.startswith("/")):
        return None
    return absolute(expanded, step.workdir or "/")


def posix_shell(words: tuple[str, ...]) -> bool:
    """Whether a SHELL instruction's words start a POSIX shell."""
    return bool(words) and words[0].rpartition("/")[2] in POSIX_SHELLS


def shell_sources(dockerfile: Dockerfile, instruction: Instruction) -> list[tuple[bytes, int]]:
    """Return the pieces of an instruction that a shell executes, each with its offset in the file."""
    start = instruction.arguments.start
    if not instruction.heredocs:
        return [(dockerfile.shell_source(instruction), start)]
    openers = {document.span for document in instruction.heredocs}
    if any(word.span not in openers for word in instruction.words):
        return [(dockerfile.data[start : instruction.span.stop], start)]  # `RUN cat <<EOF >file`
    body = instruction.heredocs[0].body
    script = dockerfile.data[body.start : body.stop]
    if script.startswith(b"#!"):
        interpreter = script.split(b"\n", 1)[0].split(b"/")[-1].split()
        if not interpreter or interpreter[-1].decode("latin-1") not in POSIX_SHELLS:
            return [(b"unknown-interpreter", body.start)]
    return [(script, body.start)]
