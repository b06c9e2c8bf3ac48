"""The options with which one container is to be started: what its needs allow, and why the rest was left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hardener.compose_needs import mount_parts
from hardener.paths import below
from hardener.runtime.compose_dangers import is_true
from hardener.runtime.services import environment, items, mount_rows
from hardener.stages import is_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hardener.runtime.needs import Needs, Writable

NO_NEW_PRIVILEGES = "no-new-privileges:true"
# A service with one of these is after the host's hardware or namespaces; what it needs then nobody knows.
OF_THE_HOST = ("devices", "device_cgroup_rules", "runtime", "gpus", "cgroup_parent", "credential_spec", "volumes_from")


@dataclass(frozen=True)
class Options:
    """What may be written for one service: empty values are nothing; ``told`` is why something is left out."""

    user: str = ""
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    drops: bool = False
    """Whether all capabilities are dropped, with ``capabilities`` added again."""
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    told: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[Any, ...]:
        """What is to be written, without what is told: options that are alike have it alike."""
        return self.user, self.read_only, self.tmpfs, self.drops, self.capabilities, self.no_new_privileges


def options_of(values: Mapping[str, Any], needs: Needs, volumes: Mapping[str, str]) -> Options:
    """Return what a service with these values may be given.

    ``volumes`` has, for the named volumes whose owner is not the image's to decide, why that is so.
    """
    odd = next(odd_values(values), None)
    if odd is not None:
        return Options(told=(odd,))
    if is_true(values.get("privileged")):
        return Options(told=("it is privileged, and nothing else counts then",))
    host = next((one for one in OF_THE_HOST if values.get(one)), None)
    if host is not None:
        return Options(told=(f"it sets {host}: what it needs of the host is not known",))
    told: list[str] = []
    needs, user = as_started(values, needs, volumes, told)
    drops = no_new_privileges = False
    if needs.gains:
        told.append(f"no-new-privileges and cap_drop would break it: {needs.gains}")
    elif needs.gains is None:
        told.append(f"no-new-privileges: {needs.why_unknown('gains')}")
    else:
        no_new_privileges = not any("no-new-privileges" in str(one) for one in items(values.get("security_opt")))
        drops = drops_capabilities(values, needs, told)
    tmpfs, obstacle = temporary(values, needs)
    if obstacle and "read_only" not in values and f"no-new-privileges: {obstacle}" not in told:
        told.append(f"read_only: {obstacle}")
    read_only = not obstacle and "read_only" not in values
    return Options(
        user,
        read_only,
        tmpfs if read_only else (),
        drops,
        tuple(needs.capabilities or ()) if drops else (),
        no_new_privileges,
        tuple(told),
    )


def odd_values(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a service is not of the form that Compose takes; then nothing of it is understood."""
    for key in ("volumes", "cap_add", "cap_drop", "security_opt", "devices", "secrets", "configs"):
        if values.get(key) is not None and not isinstance(values[key], list):
            yield f"its {key} are no list"
    for one in items(values.get("volumes")):
        target = one.get("target") if isinstance(one, dict) else mount_parts(one)[1] if isinstance(one, str) else None
        if not isinstance(target, str) or not target or target.startswith(":"):
            yield f"it mounts {one!r}, which is no volume"
    if not isinstance(values.get("build") or "", (str, dict)) or not isinstance(values.get("image") or "", str):
        yield "its image is no name"


def as_started(
    values: Mapping[str, Any], needs: Needs, volumes: Mapping[str, str], told: list[str]
) -> tuple[Needs, str]:
    """Return the needs of an image under the service's user, and the user to be written, ``""`` for none."""
    given = str(values.get("user") or "")
    if given and not is_root(given):
        if needs.starts_as_root and needs.runs_as is None:
            return replace(
                needs.as_user(given), writes=None, unknown=(*needs.unknown, ("writes", "its user is chosen"))
            ), ""
        return needs.as_user(given), ""
    if given or not needs.starts_as_root or needs.runs_as is None:
        return needs, ""
    obstacle = next(user_obstacles(values, needs, volumes), None)
    if obstacle is not None:
        told.append(f"user: {needs.runs_as} would do, but {obstacle}")
        return needs, ""
    return needs.as_user(needs.runs_as), needs.runs_as


def user_obstacles(values: Mapping[str, Any], needs: Needs, volumes: Mapping[str, str]) -> Iterator[str]:
    """Yield why an image cannot be certain to start as its own user in place of root."""
    if "$" in str(values.get("image") or ""):
        yield "a variable decides its tag, and the number differs between tags"
    if values.get("env_file"):
        yield "its env_file may name another place for its data"
    secret = next((one for one in environment(values.get("environment")) if one.endswith("_FILE")), None)
    if secret is not None or values.get("secrets") or values.get("configs"):
        yield "the files of its secrets may be for root alone"
    for source, target, _ in mount_rows(values):
        if below(target, needs.mounts):
            continue
        if target not in needs.owned:
            yield f"what is mounted at {target} may be for root alone"
        elif source and not source[0].isalnum():
            yield f"the folder {source} of the host has to belong to it first"
        elif source in volumes:
            yield f"the volume {source} {volumes[source]}"


def drops_capabilities(values: Mapping[str, Any], needs: Needs, told: list[str]) -> bool:
    """Whether all capabilities may be dropped but those that the image needs; what people chose stays."""
    dropped = [str(one).upper() for one in items(values.get("cap_drop"))]
    if "ALL" in dropped:
        return False
    if dropped or values.get("cap_add"):
        told.append("its capabilities were chosen already")
        return False
    if needs.capabilities is None:
        told.append(f"cap_drop: {needs.why_unknown('capabilities')}")
    return needs.capabilities is not None


def temporary(values: Mapping[str, Any], needs: Needs) -> tuple[tuple[str, ...], str]:
    """Return the ``tmpfs`` entries with which a root file system may be read-only, or why it may not."""
    if needs.writes is None:
        return (), needs.why_unknown("writes")
    if values.get("develop"):
        return (), "docker compose watch copies files into it"
    if isinstance(values.get("tmpfs"), str):
        return (), "its tmpfs is written as one value; make it a list first"
    rows = list(mount_rows(values))
    writable = tuple(target for source, target, read_only in rows if not read_only)
    lasting = tuple(target for source, target, read_only in rows if not read_only and source != "tmpfs:")
    entries: list[str] = []
    for one in needs.writes:
        if below(one.path, lasting) or (not one.kept and below(one.path, writable)) or (one.kept and one.volume):
            continue
        if one.kept:
            return (), f"what it keeps in {one.path} would be lost; mount a volume there"
        deeper = next((target for _, target, _ in rows if below(target, (one.path,)) and one.uid is not None), None)
        if deeper is not None:
            return (), f"{deeper} is mounted below {one.path}"
        entries.append(tmpfs_entry(one))
    return tuple(entries), ""


def tmpfs_entry(one: Writable) -> str:
    """Return a ``tmpfs`` entry in the short form, the only one that has an owner.

    https://github.com/compose-spec/compose-spec/issues/278
    """
    owner = "" if one.uid is None else f"uid={one.uid},gid={one.gid},"
    return f"{one.path}:{owner}mode={one.mode},size={one.size}"


def common(found: list[Options]) -> Options:
    """Return what holds in every way that a service may be started."""
    first = found[0]
    told = tuple(dict.fromkeys(text for one in found for text in one.told))
    capabilities = tuple(sorted({name for one in found for name in one.capabilities}))
    same_files = all((one.read_only, one.tmpfs) == (first.read_only, first.tmpfs) for one in found)
    same_user = all(one.user == first.user for one in found)
    result = Options(
        first.user if same_user else "",
        first.read_only and same_files and same_user,
        first.tmpfs if same_files and same_user else (),
        all(one.drops for one in found),
        capabilities,
        all(one.no_new_privileges for one in found),
        told,
    )
    if not same_user or (not same_files and not told):
        result = replace(result, told=(*told, "another file that is put on top of this one wants it otherwise"))
    return result if result.drops and same_user else replace(result, drops=result.drops and same_user, capabilities=())
