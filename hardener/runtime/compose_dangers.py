"""What gives a Compose service rights over its host: told with the narrower replacement, never mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardener.runtime import dangers
from hardener.runtime.services import items, mount_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.runtime.dangers import Danger

NAMESPACES = {
    "pid": "pid",
    "ipc": "ipc",
    "network_mode": "network",
    "userns_mode": "userns",
    "uts": "uts",
    "cgroup": "cgroup",
}


def dangers_of(values: Mapping[str, Any]) -> Iterator[Danger]:
    """Yield every dangerous option of a service's values."""
    if is_true(values.get("privileged")):
        yield dangers.privileged()
    found = [dangers.of_capability(str(one)) for one in items(values.get("cap_add"))]
    found += [dangers.of_namespace(kind, str(values.get(key))) for key, kind in NAMESPACES.items()]
    found += [dangers.of_security_option(str(one)) for one in items(values.get("security_opt"))]
    found += [dangers.of_host_path(source, read_only=ro) for source, _, ro in mount_rows(values)]
    yield from dict.fromkeys(one for one in found if one is not None)


def is_true(value: Any) -> bool:
    """Whether a scalar is YAML's true."""
    return str(value).lower() in ("true", "yes", "on")
