"""What a user can choose, and where the choice is read from."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.lazy_pattern import lazy_pattern
from hardener.small_files import MAXIMUM_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from hardener.image import ImageFacts
    from hardener.needs import Needs

CONFIGURATION_FILES = ("hardener.toml", "pyproject.toml")
STYLES = ("numeric", "name")
POLICIES = ("move", "keep", "capability")
# What useradd(8) takes without --badname; BusyBox' adduser takes more.  It is written into RUN lines as it is.
NAME = lazy_pattern(r"[a-z_][a-z0-9_-]{0,31}")


class ConfigurationError(Exception):
    """A configuration file that cannot be used; the message names the file and what to change."""


class Settings(NamedTuple):
    """The choices of one run; the defaults are the guide's (``appuser``/``appgroup``, 5000:5000)."""

    uid: int = 5000
    gid: int = 5000
    user: str = "appuser"
    group: str = "appgroup"
    user_style: str = "numeric"
    """``numeric`` writes ``USER 5000:5000`` (Kubernetes ``runAsNonRoot`` and hadolint DL3066 want numbers);
    ``name`` writes ``appuser:appgroup`` wherever the image has the names."""
    ports: tuple[tuple[int, int], ...] = ()
    """Where a privileged port goes; others go to 8080, 8443 or 8000 above the old one."""
    port_policy: str = "move"
    """``move`` takes a port below 1024 to a higher one, everywhere or not at all; ``keep`` leaves it and says where
    that works; ``capability`` leaves it and writes what lets a non-root process open it."""
    keep_root_entrypoint: bool = False
    """Keep root at start where there is a volume: an entrypoint gives its data to the user and goes on as it."""
    prefer_unprivileged_variant: bool = False
    """Build FROM the maintained unprivileged image of a server (nginxinc/nginx-unprivileged) in place of a RUN."""
    select: frozenset[str] = frozenset()
    """Fixers to run; empty means all."""
    ignore: frozenset[str] = frozenset()
    images: tuple[tuple[str, ImageFacts], ...] = ()
    """What the configuration knows of base images, by glob, the most telling (longest) first; it wins over
    ``images.toml``."""
    dockerfiles: tuple[tuple[str, Needs], ...] = ()
    """What the configuration says that single images need, by the path of their Dockerfile; see `hardener.needs`."""
    pull_requests: bool = True
    """Whether ``harden pr`` may propose changes for the Dockerfiles that this configuration is for."""
    verify: tuple[tuple[str, Any], ...] = ()
    """Options of ``harden verify`` that the configuration keeps, by name; see `hardener.verify.kept_options`."""
    inspect: bool = False
    """Whether a container engine is asked about unknown base images; on the command line only, since it runs one."""

    def new_port(self, port: int) -> int:
        """Return the port that takes the place of a privileged one."""
        return {80: 8080, 443: 8443, **dict(self.ports)}.get(port, port + 8000)

    def of(self, dockerfile: PurePosixPath) -> Settings:
        """Return the settings for one Dockerfile, whose own ``ports`` win."""
        if not self.dockerfiles:
            return self
        from hardener.needs import needs_of  # noqa: PLC0415  few projects have such tables

        return self._replace(port_policy=needs_of(self, dockerfile).ports or self.port_policy)

    @property
    def moves_ports(self) -> bool:
        """Whether ports below 1024 move."""
        return self.port_policy == "move" and self.runs("move_port")

    def runs(self, fixer: str) -> bool:
        """Whether ``--select`` and ``--ignore`` let a fixer run."""
        return fixer not in self.ignore and (not self.select or fixer in self.select)


def settings_for(folder: Path, overrides: Mapping[str, Any]) -> Settings:
    """Return the settings for Dockerfiles in ``folder``: nearest configuration file, then ``overrides``.

    ``hardener.toml`` or ``[tool.hardener]`` in ``pyproject.toml``, nearest folder upwards first, ending at the
    repository's root.  Raises ``ConfigurationError`` for a file that is not TOML, an unknown key or a bad value.
    """
    found = configured(folder)
    return found._replace(**overrides) if overrides else found


@lru_cache(maxsize=4096)
def configured(folder: Path) -> Settings:
    """Return what the nearest configuration file at or above ``folder`` says, else the defaults."""
    for name in CONFIGURATION_FILES:
        if not os.path.isfile(f"{folder}/{name}"):  # noqa: PTH113  a third of the time that Path takes
            continue
        table = read_table(folder / name)
        if table is not None:
            return from_table(table, folder / name)
    if os.path.exists(f"{folder}/.git") or folder.parent == folder:  # noqa: PTH110
        return Settings()
    return configured(folder.parent)


def read_table(file: Path) -> dict[str, Any] | None:
    """Return the hardener table of one configuration file, ``None`` where it has none."""
    import tomli  # noqa: PLC0415  only projects with a configuration pay for it

    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAXIMUM_SIZE:
            raise ConfigurationError(f"{file}: is too large for a configuration file, or no regular file")
        content = file.read_bytes()
        if file.name == "pyproject.toml" and b"hardener" not in content:
            return None
        document = tomli.loads(content.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read as TOML: {error}") from error
    if file.name == "pyproject.toml":
        tools = document.get("tool", {})
        table = tools.get("hardener") if isinstance(tools, dict) else None
        if table is not None and not isinstance(table, dict):
            raise ConfigurationError(f"{file}: 'tool.hardener' has to be a table, not {table!r}")
        return table
    return document


def from_table(table: Mapping[str, Any], file: Path) -> Settings:
    """Return ``Settings`` from a configuration table; raises ``ConfigurationError`` naming the key at fault."""
    known = set(Settings._fields) - {"inspect"}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            keys = ", ".join(sorted(one.replace("_", "-") for one in known))
            raise ConfigurationError(f"{file}: unknown key '{key}' in the hardener configuration; known: {keys}")
        if name == "ports" and isinstance(value, str):
            name = "port_policy"  # `ports = "keep"` is what `--ports=keep` is
        values[name] = checked(name, value, f"{file}: '{key}'")
    return Settings(**values)


def checked(name: str, value: Any, where: str) -> Any:
    """Return one configured value in the type that ``Settings`` holds; raises ``ConfigurationError``."""
    if name in ("uid", "gid") and type(value) is int and 0 < value < 2**31:  # `true` is an int to isinstance
        return value
    if name in ("user", "group"):
        return account_name(value, where)
    if name == "user_style" and value in STYLES:
        return value
    if name == "port_policy" and value in POLICIES:
        return value
    if name in ("keep_root_entrypoint", "prefer_unprivileged_variant", "pull_requests") and isinstance(value, bool):
        return value
    if name in ("select", "ignore") and isinstance(value, list):
        return fixer_names(value, where)
    if name == "ports" and isinstance(value, dict):
        return port_mapping([f"{old}={new}" for old, new in value.items()], where)
    if name == "images":
        from hardener.image_overlay import images_from  # noqa: PLC0415  few projects have images of their own

        return images_from(value, where)
    if name == "dockerfiles":
        from hardener.needs import needs_from  # noqa: PLC0415  fewer say what a single one needs

        return needs_from(value, where)
    if name == "verify":
        from hardener.verify.kept_options import options_from  # noqa: PLC0415  it is the only one to need click's types

        return options_from(value, where)
    raise ConfigurationError(f"{where} has a value that does not fit: {value!r}")


def account_name(name: Any, where: str) -> str:
    """Return a name that every family's tools take for a new account; raises ``ConfigurationError``."""
    if not isinstance(name, str) or NAME.fullmatch(name) is None or name == "root":
        raise ConfigurationError(
            f"{where} wants a new name of at most 32 lower-case letters, digits, _ and -, beginning with a letter, "
            f"not {name!r}"
        )
    return name


def fixer_names(names: list[Any] | tuple[str, ...], where: str) -> frozenset[str]:
    """Return the set of fixer names; raises ``ConfigurationError`` for one that does not exist."""
    from hardener.fixers import FIXER_NAMES  # noqa: PLC0415  the fixers import this module
    from hardener.runtime import FIXER_NAMES as OF_DEPLOYMENT  # noqa: PLC0415

    known = (*FIXER_NAMES, *OF_DEPLOYMENT)
    for name in names:
        if name not in known:
            from difflib import get_close_matches  # noqa: PLC0415

            near = "".join(f"did you mean {one}? " for one in get_close_matches(str(name), known, 1))
            raise ConfigurationError(f"{where} names no fixer: {name!r}; {near}there are: {', '.join(known)}")
    return frozenset(names)


def port_mapping(pairs: list[str] | tuple[str, ...], where: str) -> tuple[tuple[int, int], ...]:
    """Return ``((80, 8080),)`` from ``["80=8080"]``; raises ``ConfigurationError`` for anything else."""
    mapping: list[tuple[int, int]] = []
    for pair in pairs:
        old, _, new = pair.partition("=")
        if not (old.isdecimal() and new.isdecimal() and 0 < int(old) < 65536 and 1024 <= int(new) < 65536):
            raise ConfigurationError(f"{where} wants OLD=NEW with NEW from 1024 to 65535, not {pair!r}")
        mapping.append((int(old), int(new)))
    return tuple(mapping)
