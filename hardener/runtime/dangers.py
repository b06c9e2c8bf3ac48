"""Options that give a container rights over its host: the danger of each, and what is narrower (``dangers.toml``).

For Compose services, ``docker run`` and pods alike: whoever reads one asks here by the option's own name.
"""

from __future__ import annotations

import posixpath
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import tomli

from hardener.paths import below


class Danger(NamedTuple):
    """One dangerous option: its ``name`` as people write it, why it is dangerous, what to do instead, who says so."""

    name: str
    danger: str
    instead: str
    source: str

    def __str__(self) -> str:
        return f"{self.name}: {self.danger} ({self.instead})"


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``dangers.toml``."""
    return tomli.loads(Path(__file__).with_name("dangers.toml").read_text(encoding="utf-8"))


def privileged() -> Danger:
    """Return the danger of a privileged container."""
    row = knowledge()["privileged"]
    return Danger("privileged", row["danger"], row["instead"], row["source"])


def of_capability(name: str) -> Danger | None:
    """Return the danger of an added capability (with or without ``CAP_``, in any case), ``None`` for a harmless one."""
    plain = name.strip().upper().removeprefix("CAP_")
    return row_of("capabilities", plain, f"cap_add {plain}")


def of_namespace(kind: str, value: str) -> Danger | None:
    """Return the danger of a shared namespace: ``kind`` is pid, ipc, network, userns, uts or cgroup."""
    return row_of("namespaces", kind, f"{kind}: host") if value == "host" else None


def of_security_option(text: str) -> Danger | None:
    """Return the danger of one ``security_opt`` entry, written with ``=`` or with ``:``."""
    plain = text.strip().replace(":", "=", 1).lower()
    return row_of("options", plain, plain)


def of_host_path(path: str, *, read_only: bool = False) -> Danger | None:
    """Return the danger of a mounted path of the host (absolute), ``None`` for another; /sys is harmless read-only."""
    if not path.startswith("/"):
        return None
    plain = posixpath.normpath("/" + path.lstrip("/"))
    fitting = [
        one
        for one in knowledge()["paths"]
        if (plain == one["path"] if one.get("exact") else below(plain, (one["path"],)))
    ]
    row = max(fitting, key=lambda one: len(one["path"]), default=None)
    if row is None or (read_only and row.get("readable")):
        return None
    return Danger(f"host path {plain}", row["danger"], row["instead"], row["source"])


def row_of(table: str, key: str, name: str) -> Danger | None:
    """Return one row of ``dangers.toml`` as a `Danger`."""
    rows = knowledge()[table]
    row = rows.get(key)
    if not isinstance(row, dict):
        return None
    return Danger(name, row["danger"], row["instead"], rows["source"])
