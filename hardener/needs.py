"""What the configuration says that one Dockerfile's image needs: ``[dockerfiles."web/Dockerfile"]``.

A person writes it, or ``harden verify --learn``, which saw the image fail without.  Keys: ``writable`` and
``readable`` (absolute paths in the image), ``env``, ``tmpfs`` (for Compose services with a read-only root), ``ports``
(as for the whole configuration) and ``leave``, the reason why it is not to be switched.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.lazy_pattern import lazy_pattern
from hardener.outcome import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from hardener.settings import Settings

KEYS = ("writable", "readable", "env", "tmpfs", "ports", "leave")
PATH = lazy_pattern(r"/[\w.@%+,:/-]*")  # it is written into RUN lines as it is
VARIABLE = lazy_pattern(r"[A-Za-z_]\w*")
VALUE = lazy_pattern(r"[\w.@%+,:/=-]*")
WITH_SUFFIX = lazy_pattern(r"[^.]\.\w+$")


class Needs(NamedTuple):
    """What one image needs; a path of ``writable`` that ends in / or has no suffix is a directory."""

    writable: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    tmpfs: tuple[str, ...] = ()
    ports: str = ""
    leave: str = ""

    def merged(self, other: Needs) -> Needs:
        """Return both together; where both say something of one thing, ``other`` counts."""
        return Needs(
            tuple(dict.fromkeys((*self.writable, *other.writable))),
            tuple(dict.fromkeys((*self.readable, *other.readable))),
            tuple({**dict(self.env), **dict(other.env)}.items()),
            tuple(dict.fromkeys((*self.tmpfs, *other.tmpfs))),
            other.ports or self.ports,
            other.leave or self.leave,
        )


def is_file(path: str) -> bool:
    """Whether a writable path is a file: it has a suffix (``/var/log/app.log``); ``conf.d`` is a directory."""
    name = posixpath.basename(path)
    return bool(WITH_SUFFIX.search(name)) and not name.endswith(".d")


def needs_of(settings: Settings, dockerfile: PurePosixPath) -> Needs:
    """Return what the configuration says of a Dockerfile, by the end of its path or a glob."""
    found = Needs()
    for pattern, needs in settings.dockerfiles:
        if dockerfile.match(pattern):
            found = found.merged(needs)
    return found


def left_by_configuration(settings: Settings, dockerfile: PurePosixPath, line: int) -> Verdict | None:
    """Return the verdict for an image that the configuration leaves alone, ``None`` for any other."""
    reason = needs_of(settings, dockerfile).leave
    if not reason:
        return None
    way_out = f'take `leave` out of [dockerfiles."{dockerfile}"] to have it switched'
    return Verdict(Outcome.MANUAL, line, f"the configuration leaves it alone: {reason}", way_out)


def needs_from(value: Any, where: str) -> tuple[tuple[str, Needs], ...]:
    """Return the tables of ``dockerfiles``; raises ``ConfigurationError`` for what does not fit."""
    from hardener.settings import ConfigurationError  # noqa: PLC0415

    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise ConfigurationError(f'{where} wants tables by Dockerfile, as [dockerfiles."web/Dockerfile"]')
    return tuple((pattern, one_from(table, f"{where}, '{pattern}'")) for pattern, table in value.items())


def one_from(table: Mapping[str, Any], where: str) -> Needs:
    """Return one table as ``Needs``; raises ``ConfigurationError``."""
    from hardener.settings import POLICIES, ConfigurationError  # noqa: PLC0415

    for key in table:
        if key not in KEYS:
            raise ConfigurationError(f"{where}: unknown key '{key}'; known: {', '.join(KEYS)}")
    paths: dict[str, tuple[str, ...]] = {}
    for key in ("writable", "readable", "tmpfs"):
        given = table.get(key, [])
        if not isinstance(given, list) or not all(isinstance(one, str) and PATH.fullmatch(one) for one in given):
            raise ConfigurationError(f"{where}: '{key}' wants a list of absolute paths, not {given!r}")
        paths[key] = tuple(given)
    env = table.get("env", {})
    fits = isinstance(env, dict) and all(
        VARIABLE.fullmatch(key) and isinstance(one, str) and VALUE.fullmatch(one) for key, one in env.items()
    )
    if not fits:
        raise ConfigurationError(f"{where}: 'env' wants names with plain values, not {env!r}")
    ports, leave = table.get("ports", ""), table.get("leave", "")
    if ports and ports not in POLICIES:
        raise ConfigurationError(f"{where}: 'ports' wants {', '.join(POLICIES)}, not {ports!r}")
    if not isinstance(leave, str):
        raise ConfigurationError(f"{where}: 'leave' wants the reason as text, not {leave!r}")
    return Needs(paths["writable"], paths["readable"], tuple(env.items()), paths["tmpfs"], ports, leave)
