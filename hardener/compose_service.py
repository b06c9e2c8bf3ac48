"""What a Compose service of the image says of its own port besides ``ports``: environment, labels, command."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hardener import compose, compose_scalars, listening, own_addresses, server_arguments, shell
from hardener.edit import Edit
from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.compose import Service
    from hardener.compose_scalars import Setting
    from hardener.project import Project
    from hardener.stages import StageFacts

# Names of settings whose number is a port or an address, and of those that speak of the world outside.
PORT_NAME = lazy_pattern(r"PORT|URL|URI|BIND|ADDR|LISTEN|ENDPOINT|SERVER", re.IGNORECASE)
OUTSIDE_NAME = lazy_pattern(
    r"PUBLIC|EXTERNAL|FRONT|CORS|ORIGIN|BASE|SITE|ROOT_?URL|DOMAIN|REDIRECT|CALLBACK|ALLOWED", re.IGNORECASE
)
HOST_ENDS = ("_HOST", "_HOSTNAME", "_ADDR", "_ADDRESS", "_SERVER", "_SERVICE", "HOST")
# Labels that name the container's port: Traefik 2 and 1, caddy-docker-proxy.
# https://doc.traefik.io/traefik/routing/providers/docker/#port
# https://github.com/lucaslorentz/caddy-docker-proxy#reverse-proxy-examples
PORT_LABEL = lazy_pattern(r"^traefik\..*(?:loadbalancer\.(?:server|healthcheck)\.port|\.port)$|^traefik\.port$")
VARIABLE = lazy_pattern(rb"(?m)^\s*(?:export\s+)?(\w+)=[\"']?([^\s\"'#]*)")
UPSTREAMS = lazy_pattern(r"\{\{\s*upstreams(?:\s+(?:https?|h2c))?(?:\s+(\d+))?\s*\}\}")


class Ask(NamedTuple):
    """One question about one service: does it say that the image's port is ``old``, and how does it say ``new``."""

    project: Project
    facts: StageFacts
    service: Service
    text: str
    old: int
    new: int

    def where(self, line: int) -> str:
        """Return ``path:line`` in the Compose file."""
        return f"{self.service.file}:{line}"

    def mentions(self, value: str) -> bool:
        """Whether a value has the port as a number of its own."""
        return re.search(rf"(?<![\w.]){self.old}(?![\w.])", value) is not None


def own_edits(ask: Ask) -> tuple[list[Edit], str | None]:
    """Return the edits of one service besides its ``ports``; the second value is the first place not understood."""
    edits: list[Edit] = []
    for part in (environment, files, labels, command, arguments):
        for one in part(ask):
            if isinstance(one, str):
                return [], one
            edits.append(one)
    return edits, None


def environment(ask: Ask) -> Iterator[Edit | str]:
    """Yield the edits of the variables that decide the port."""
    table = {one.name: one.value for one in compose_scalars.settings(ask.service, ask.text, "environment")}
    for one in compose_scalars.settings(ask.service, ask.text, "environment"):
        if of_another_service(ask, one.name, table):
            continue
        if one.name == "<<":
            if ask.mentions(str(ask.service.values.get("environment"))):
                yield ask.where(one.line)
            continue
        match = server_arguments.ADDRESS.match(one.value)
        if match is not None and int(match["port"]) == ask.old:
            if one.name == "VIRTUAL_PORT" or listening.decides(ask.project, ask.facts, one.name):
                yield changed(ask, one, match.span("port"))
            elif PORT_NAME.search(one.name) and not OUTSIDE_NAME.search(one.name) and is_own(one.value):
                yield ask.where(one.line)
        elif not OUTSIDE_NAME.search(one.name) and (
            own_addresses.may_set(one.name, one.value, ask.old)
            or names_itself(ask, one)
            or (ask.mentions(one.value) and listening.decides(ask.project, ask.facts, one.name))
        ):
            yield ask.where(one.line)


def of_another_service(ask: Ask, name: str, table: dict[str, str]) -> bool:
    """Whether a setting is the port of another service that stands beside it: ``STORE_PORT``, ``STORE_HOST=store``."""
    match = re.fullmatch(r"(?P<stem>\w+?)_?PORT", name, re.IGNORECASE)
    hosts = {table.get(f"{match['stem']}{end}") for end in HOST_ENDS} - {None} if match is not None else set()
    if not hosts:
        return False
    own = {service.name for service in compose.services(ask.project)}
    return bool(hosts & ({service.name for service in compose.all_services(ask.project)} - own))


def is_own(value: str) -> bool:
    """Whether an address has no host of another container."""
    return server_arguments.EVERYWHERE.match(value) is not None


def names_itself(ask: Ask, setting: Setting) -> bool:
    """Whether a setting calls the container itself on its port, which nobody outside does by that name."""
    if OUTSIDE_NAME.search(setting.name):
        return False
    implicit = "|" + r"(?=[/\"'\s,;]|$)" if ask.old in (80, 443) else ""
    scheme = {80: "http://", 443: "https://"}.get(ask.old, "")
    return re.search(rf"{scheme}(?:localhost|127\.0\.0\.1)(?::{ask.old}(?!\d){implicit})", setting.value) is not None


def changed(ask: Ask, setting: Setting, where: tuple[int, int]) -> Edit | str:
    """Return the edit of a setting's port, or its place where the file does not have it as it is."""
    if setting.start is None:
        return ask.where(setting.line)
    return compose_scalars.replaced(ask.service, setting, where, str(ask.new))


def files(ask: Ask) -> Iterator[Edit | str]:
    """Yield the edits of the ``env_file`` files; one that is not there may set a variable that decides."""
    given = ask.service.values.get("env_file")
    for one in given if isinstance(given, list) else [given]:
        name = one.get("path") if isinstance(one, dict) else one
        if not isinstance(name, str):
            continue
        path = PurePosixPath(posixpath.normpath(ask.service.file.parent / name))
        data = ask.project.read(path)
        missing = data is None
        if missing:
            data = template(ask, path)
            if data is None and not said_by_command(ask) and listening.variable_names(ask.project, ask.facts):
                yield ask.where(ask.service.line)  # it may set the variable that decides
        for match in VARIABLE.finditer(data or b""):
            address = server_arguments.ADDRESS.match(match[2].decode("latin-1"))
            if (
                address is None
                or int(address["port"]) != ask.old
                or not listening.decides(ask.project, ask.facts, match[1].decode())
            ):
                continue
            if missing:
                yield ask.where(ask.service.line)  # the template says it, so does the file that is not here
            else:
                start = match.start(2) + address.start("port")
                yield Edit(path, start, start + len(str(ask.old)), str(ask.new).encode())


def template(ask: Ask, path: PurePosixPath) -> bytes | None:
    """Return the example that stands beside an ``env_file`` which nobody commits."""
    names = [f"{path.name}{ending}" for ending in (".example", ".sample", ".template", ".dist", "-example")]
    for name in (*names, ".env.example", ".env.sample", "example.env"):
        data = ask.project.read(path.parent / name)
        if data is not None:
            return data
    return None


def said_by_command(ask: Ask) -> bool:
    """Whether the start command has the port as an argument, which goes before variables."""
    return any(
        port == ask.old
        for server, words in server_arguments.server_commands(ask.facts)
        for _, port in server_arguments.port_tokens(server, words)
    )


def labels(ask: Ask) -> Iterator[Edit | str]:
    """Yield the edits of the labels that tell a proxy the container's port."""
    for keys in (("labels",), ("deploy", "labels")):
        for one in compose_scalars.settings(ask.service, ask.text, *keys):
            upstreams = UPSTREAMS.search(one.value)
            if PORT_LABEL.match(one.name) and one.value.strip() == str(ask.old):
                yield changed(ask, one, (0, len(one.value)))
            elif upstreams is not None and upstreams[1] == str(ask.old):
                yield changed(ask, one, upstreams.span(1))
            elif (upstreams is not None and upstreams[1] is None and ask.old == 80) or (
                one.name.startswith(("traefik", "caddy")) and ask.mentions(one.value) and "port" in one.name
            ):
                yield ask.where(one.line)


def command(ask: Ask) -> Iterator[Edit | str]:
    """Yield the edits of the command that a service starts in place of the image's."""
    for key in ("entrypoint", "command"):
        raw = str(ask.service.values.get(key) or "")
        if not ask.mentions(raw):
            continue
        found = compose_scalars.words(ask.service, ask.text, key)
        edits: list[Edit] = []
        for one in found or ():
            try:
                commands = shell.exec_commands(found or (), ask.facts.workdir)
            except shell.ShellError:
                break
            for server, words in server_arguments.servers_of(commands):
                for token, port in server_arguments.port_tokens(server, words):
                    if port == ask.old and token.span == one.span:
                        stop = one.span.start + len(one.text.rstrip("/").encode())
                        edits.append(Edit(ask.service.file, stop - len(str(port)), stop, str(ask.new).encode()))
        if not edits:
            yield ask.where(ask.service.line)
        yield from {edit.start: edit for edit in edits}.values()


def arguments(ask: Ask) -> Iterator[Edit | str]:
    """Yield the edits of ``build.args`` that decide the port."""
    names = {
        word.text.partition("=")[0]
        for step in ask.facts.steps
        if step.instruction.keyword == "ARG"
        for word in step.instruction.words
    }
    for one in compose_scalars.settings(ask.service, ask.text, "build", "args"):
        if one.name in names and PORT_NAME.search(one.name) and ask.mentions(one.value):
            yield changed(ask, one, (0, len(one.value))) if one.value == str(ask.old) else ask.where(one.line)
