"""One function for each reader of what people wrote: bytes in; an exception that is no answer to a user is a finding.

``ParseError`` and ``ConfigurationError`` are answers.  ``SelfCheckError`` is none: the tool would have written
something wrong, and only its last net held it.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hardener import ParseError, Settings, harden, project_from_bytes
from hardener.dockerfile import parse
from hardener.pods.manifests import harden_file
from hardener.runtime.deployment import harden_compose
from hardener.settings import ConfigurationError, from_table, read_table
from hardener.shell import ShellError, commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardener.pipeline import Result

SETTINGS = Settings()
# The program of the Compose and Kubernetes targets: an image that is switched, so that its services get options.
FILES = {
    "Dockerfile": 'FROM python:3.12-slim\nWORKDIR /app\nCOPY app.py .\nEXPOSE 8000\nCMD ["python", "app.py"]\n',
    "app.py": "import http.server\nhttp.server.HTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()\n",
}


def reader(data: bytes) -> None:
    """Read a Dockerfile: the bytes stay, spans lie inside the file, in order and without overlap."""
    try:
        found = parse(data)
    except ParseError as error:
        assert str(error)
        assert error.line >= 1
        return
    assert found.data == data
    position = 0
    for one in found.instructions:
        assert position <= one.span.start <= one.span.stop <= len(data)
        position = one.span.stop
        for word in one.words or ():
            assert one.span.start <= word.span.start <= word.span.stop <= one.span.stop
    assert sum(len(stage.instructions) for stage in found.stages) <= len(found.instructions)


def shell(data: bytes) -> None:
    """Read shell code: every command lies inside it, and so do its words."""
    try:
        found = commands(data)
    except ShellError:
        return
    for one in found:
        assert 0 <= one.span.start <= one.span.stop <= len(data)
        for argument in one.arguments:
            assert 0 <= argument.span.start <= argument.span.stop <= len(data)


def hardening(data: bytes) -> None:
    """Harden a Dockerfile alone: an answer, a result that can be read, and nothing left for a second run."""
    try:
        result = harden(project_from_bytes(data), SETTINGS)
    except ParseError as error:
        assert str(error)
        return
    after = result.after.dockerfile.data
    assert harden(project_from_bytes(after), SETTINGS).after.dockerfile.data == after


@functools.lru_cache(maxsize=1)
def folder() -> Path:
    """Return a folder with a program and its Dockerfile."""
    place = Path(tempfile.mkdtemp(prefix="hardener-fuzz-"))
    for name, text in FILES.items():
        (place / name).write_text(text)
    return place


def compose(data: bytes) -> None:
    """Harden a Compose file beside a Dockerfile; the tool itself checks what changed, and a second run."""
    deployed(harden_compose, PurePosixPath("compose.yaml"), data)


def kubernetes(data: bytes) -> None:
    """Harden a manifest beside a Dockerfile."""
    deployed(harden_file, PurePosixPath("deploy.yaml"), data)


def deployed(harden_one: Callable[..., Result], path: PurePosixPath, data: bytes) -> None:
    """Harden a file that starts images: an answer, or findings where bytes change."""
    try:
        result = harden_one(folder(), path, SETTINGS, {path: data}, {})
    except ParseError as error:
        assert str(error)
        return
    assert bool(result.findings) == bool(result.changed)


def configuration(data: bytes) -> None:
    """Read a configuration file under both of its names."""
    for name in ("hardener.toml", "pyproject.toml"):
        file = folder() / name
        file.write_bytes(data)
        try:
            table = read_table(file)
            if table is not None:
                from_table(table, file)
        except ConfigurationError as error:
            assert str(error)
        finally:
            file.unlink()


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (reader, shell, hardening, compose, kubernetes, configuration)
}
