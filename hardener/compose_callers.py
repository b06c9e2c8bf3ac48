"""Calls of the image's Compose services by their host names, in every file around: where they name the port.

``http://web:80``, ``http://web/`` without a port, ``server web;`` in nginx, host and port side by side.  A manifest
of Kubernetes is left out: there the name is a Service's, whose own port stays.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hardener import compose, references
from hardener.edit import Edit
from hardener.lazy_pattern import lazy_pattern
from hardener.port_use import Use
from hardener.server_sharing import dockerfiles
from hardener.small_files import MAXIMUM_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.compose import Service
    from hardener.dockerfile import Stage
    from hardener.project import Project

SCHEMES = {80: rb"http", 443: rb"https"}
HOST_KEY = rb"(?i:[\"']?(?:\w*[_.-])?(?:host|hostname|address|addr|server)[\"']?\s*(?:=>|[:=])\s*[\"']?)"
PORT_KEY = rb"(?i:[\"']?(?:\w*[_.-])?port(?:_value)?[\"']?\s*(?:=>|[:=])\s*[\"']?)"
HAPROXY_SERVER = rb"(?m)^[ \t]*server[ \t]+\S+[ \t]+"
# The value that a setting has where nobody sets it: `os.getenv("API_HOST", "web")`, `process.env.API || "web"`.
DEFAULT = rb"(?i:env)[^\n]{0,60}?(?:\|\||\?\?|,|\bor\b|:-)\s*[\"'`]?"
# What takes addresses of servers in a Caddyfile, of which 80 is the port where none is named.
# https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#upstream-addresses
CADDY_UPSTREAMS = lazy_pattern(rb"^\s*(?:reverse_proxy|forward_auth|to|proxy)\b[^#]*$")
# In a program a call is a string of its own or begins a URL; elsewhere it stands free.
CODE = (".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".py", ".go", ".rb", ".php", ".java", ".cs", ".kt")
SPECIMEN = lazy_pattern(r"(?:^|[/._-])(?:tests?|specs?|mocks?|__tests__|e2e)(?:[/._-]|$)", re.IGNORECASE)
# Before a call: then it stands in a comment.
COMMENT = lazy_pattern(rb"^\s*(?:#|//|\*|--\s)|\s(?:#|//)\s")
LINES_AROUND = 6
# How many bytes before and after a host a port may stand that belongs to it.
NEAR = 150
MANIFEST = lazy_pattern(rb"^apiVersion:.*$", re.MULTILINE)


def calls(project: Project, stage: Stage, old: int, new: int) -> Iterator[Use]:
    """Yield every call of the image's services on a port, with the edit that moves it."""
    own = tuple(compose.services_of(project, stage))
    if project.root is None or not own:
        return
    hosts = {name: aliases(project, name) for name in sorted({service.name for service in own})}
    names = sorted({one for group in hosts.values() for one in group})
    certain = names_mean_one_image(project, stage, names)
    yield from calls_of(project, names, old, new if certain else None)


def calls_of(project: Project, names: list[str], old: int, new: int | None = None) -> Iterator[Use]:
    """Yield every call of some hosts on a port, with the edit that moves it where ``new`` says where to."""
    patterns = patterns_for(names, old)
    lower_names = [name.lower().encode() for name in names]
    for path, data in near_files(project):
        windows = around_names(data, lower_names)
        if not windows:
            continue
        if MANIFEST.search(data) and b"kind:" in data:
            continue
        if path.suffix in CODE and SPECIMEN.search(str(path)):
            continue
        if path == project.dockerfile_path:
            continue
        moved: set[int] = set()
        for (pattern, text), (begin, end) in itertools.product(patterns, windows):
            for match in pattern.finditer(data, begin, end):
                loose = "loose" in pattern.groupindex
                start, stop = match.span("loose" if loose else "port")
                if start in moved or not is_call(path, data, match):
                    continue
                moved.add(start)
                edit = None
                if new is not None and not loose:
                    edit = Edit(path, start, stop, text.replace(b"{}", str(new).encode()))
                yield Use(path, data.count(b"\n", 0, start) + 1, edit)


def around_names(data: bytes, names: list[bytes]) -> list[tuple[int, int]]:
    """Return the lines around each of the names (lower case), as byte ranges that do not overlap.

    The patterns are slow over whole files, and what they find stands within a few lines of a name.
    """
    lowered = data.lower()
    places: list[int] = []
    for name in names:
        place = lowered.find(name)
        while place >= 0:
            places.append(place)
            place = lowered.find(name, place + len(name))
    windows: list[tuple[int, int]] = []
    for place in sorted(places):
        begin = end = place
        for _ in range(LINES_AROUND):
            begin = data.rfind(b"\n", 0, max(begin, 0))
            end = data.find(b"\n", end + 1) if end >= 0 else end
        begin, end = begin + 1, len(data) if end < 0 else end + 1
        if windows and begin < windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((begin, end))
    return windows


def patterns_for(names: list[str], port: int) -> list[tuple[re.Pattern[bytes], bytes]]:
    """Return what calls look like, each with the text for its group ``port`` (``{}`` is the new port).

    A pattern with a group ``loose`` finds what is not understood.
    """
    host = b"(?i:" + b"|".join(re.escape(name.encode()) for name in names) + b")"
    number = str(port).encode()
    free = rb"(?<![\w.@/-])(?:\w+://(?:[^\s/@\"']*@)?)?"
    found = [
        (free + host + rb":(?P<port>" + number + rb")(?![\w.])", b"{}"),
        (HOST_KEY + host + rb"[\"']?\s*[,;]?\s*\.?" + PORT_KEY + rb"(?P<port>" + number + rb")\b", b"{}"),
        (PORT_KEY + rb"(?P<port>" + number + rb")[\"']?\s*[,;]?\s*\.?" + HOST_KEY + host + rb"(?![\w.-])", b"{}"),
    ]
    if port in SCHEMES:
        after = rb"(?P<port>)(?=[/\"'\s;?#,)`}|\]<]|$)"
        found.append((rb"(?<![\w.@/-])" + SCHEMES[port] + rb"://(?:[^\s/@\"']*@)?" + host + after, b":{}"))
    # HAProxy: the health check of a server may name its port beside the address.
    found.append((HAPROXY_SERVER + host + rb"(?::\d+)?[ \t][^\n#]*?\bport[ \t]+(?P<port>" + number + rb")\b", b"{}"))
    if port == 80:
        found.append((rb"(?m)(?:^|[{;])\s*server\s+" + host + rb"(?P<port>)(?=(?:\s+[\w=.-]+)*\s*;)", b":{}"))
        found.append((rb"(?<![\w.@/-])(?:grpc|uwsgi|h2c)://" + host + rb"(?P<loose>)(?=[/\"'\s;]|$)", b""))
        found.append((rb"(?<=[ \t])" + host + rb"(?P<bare>(?P<port>))(?=[ \t\r\n]|$)", b":{}"))
        # Without a port HAProxy takes that of the client's connection, and nginx a variable for what it may be.
        found.append((HAPROXY_SERVER + host + rb"(?P<loose>)(?=\s|$)", b""))
        found.append((rb"\bset\s+\$\w+\s+[\"']?" + host + rb"[\"']?(?P<loose>)\s*;", b""))
        found.append((HOST_KEY + host + rb"[\"'`](?P<alone>(?P<loose>))", b""))
        found.append((DEFAULT + host + rb"[\"'`}](?P<alone>(?P<loose>))", b""))
    between = (
        rb"(?<![\w.-])" + host + rb"(?![\w.:/-])(?:[^{}\n]{0,60}\n){0,2}[^{}\n]{0,60}?\b(?i:port(?:_value)?)\W{1,6}"
    )
    found.append((between + rb"(?P<loose>" + number + rb"\b)", b""))
    return [(re.compile(pattern), text) for pattern, text in found]


def is_call(path: PurePosixPath, data: bytes, match: re.Match[bytes]) -> bool:
    """Whether a match stands where a program or a setting calls somebody."""
    line = data[data.rfind(b"\n", 0, match.start()) + 1 : match.start()]
    if re.search(rb"^\s*-?\s*[\"']?(?:image|FROM|container_name|hostname|tag|build)\b", line) or COMMENT.search(line):
        return False
    text = match[0]
    if match.groupdict().get("bare") is not None:
        return "caddyfile" in path.name.lower() and CADDY_UPSTREAMS.match(line) is not None
    if match.groupdict().get("alone") is not None:
        around = data[max(match.start() - NEAR, 0) : match.end() + NEAR]
        if path.suffix not in CODE and b"=>" in text:
            # lighttpd's `proxy.server = ( "" => (( "host" => "web" )) )` takes port 80 where none is named.
            around = data[data.rfind(b"(", 0, match.start()) + 1 : data.find(b")", match.end()) % (len(data) + 1)]
        elif path.suffix not in CODE:
            return False
        return re.search(rb"(?i)port", around) is None
    if path.suffix in CODE and b"://" not in text:
        return data[match.start() - 1 : match.start()] in (b'"', b"'", b"`") or b"ort" in text
    host = re.search(rb"://([\w.-]+)", text)
    # An `upstream` of nginx may have the service's name: then its own servers are what counts.
    return not (host is not None and re.search(rb"\bupstream\s+" + re.escape(host[1]) + rb"\s*\{", data))


def near_files(project: Project) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield path and content of the files that may call the image, as they are after earlier edits."""
    assert project.root is not None
    beside = {project.root / one.file.parent for one in compose.services(project)}
    close = tuple(f"{folder}/" for folder in (*references.close_folders(project), *sorted(beside)))
    around = {references.search_root(project), *beside}
    files = [file for folder in sorted(around) for file in references.files_below(folder)]
    files += [file for folder in sorted(around) for file, _ in dockerfiles(folder)]
    for file in dict.fromkeys(files):
        if not str(file).startswith(close):
            continue
        path = PurePosixPath(os.path.relpath(file, project.root))
        data = project.read(path)
        if data is not None and len(data) <= MAXIMUM_SIZE:
            yield path, data


def aliases(project: Project, name: str) -> set[str]:
    """Return every host name that a service has on its networks."""
    found = {name}
    for service in current_services(project):
        if service.name == name:
            found |= {str(service.values[key]) for key in ("container_name", "hostname") if service.values.get(key)}
            networks = service.values.get("networks")
            for network in networks.values() if isinstance(networks, dict) else ():
                if isinstance(network, dict) and isinstance(network.get("aliases"), list):
                    found |= {str(one) for one in network["aliases"]}
                if isinstance(network, dict) and network.get("ipv4_address"):
                    found.add(str(network["ipv4_address"]))
        for link in service.values.get("links") or ():
            target, _, alias = str(link).partition(":")
            if target == name and alias:
                found.add(alias)
    return {one for one in found if re.fullmatch(r"[\w.-]+", one)}


def current_services(project: Project) -> Iterator[Service]:
    """Yield every service of the Compose files around, as the files are after earlier edits."""
    for path, _ in compose.files_around(project):
        yield from compose.read_services(path, project.read(path) or b"")


def names_mean_one_image(project: Project, stage: Stage, names: list[str]) -> bool:
    """Whether every service of these names, in the Compose files beside the stage's own, certainly runs that stage."""
    own = {(service.file, service.name) for service in compose.services_of(project, stage) if service.certain}
    folders = {service.file.parent for service in compose.services_of(project, stage)}
    return all(
        (service.file, service.name) in own
        for service in compose.all_services(project)
        if service.name in names and service.file.parent in folders
    )


def host_settings(project: Project, stage: Stage, old: int, new: int) -> Iterator[Use]:
    """Yield the calls by two settings of another service: ``API_HOST=web`` with ``API_PORT=80``.

    A host without a port beside it may stand for the program's own default, so that is not understood.
    """
    from hardener import compose_scalars  # noqa: PLC0415

    own = tuple(compose.services_of(project, stage))
    mine = {(service.file, service.name) for service in own}
    names = {one for service in own for one in aliases(project, service.name)}
    certain = names_mean_one_image(project, stage, sorted(names))
    for service in current_services(project):
        if (service.file, service.name) in mine or not (project.read(service.file) or b""):
            continue
        text = (project.read(service.file) or b"").decode("utf-8", "surrogateescape")
        table = {one.name: one for one in compose_scalars.settings(service, text, "environment")}
        for name, one in table.items():
            if one.value.strip() not in names:
                continue
            stem = re.sub(r"_?(?:HOST(?:NAME)?|ADDR(?:ESS)?|SERVER|SERVICE|NAME|URL)$", "", name, flags=re.IGNORECASE)
            port = next((table[key] for key in (f"{stem}_PORT", f"{stem}PORT", f"{stem}_port") if key in table), None)
            if port is None:
                yield Use(service.file, one.line, None)
            elif port.value.strip() == str(old):
                edit = compose_scalars.replaced(service, port, (0, len(port.value)), str(new)) if port.start else None
                yield Use(service.file, port.line, edit if certain else None)
            elif "$" in port.value:
                yield Use(service.file, port.line, None)
