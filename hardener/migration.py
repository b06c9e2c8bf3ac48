"""What has to be done once with data that an image wrote as root, before its new user can write them.

First as values (`Migration`), so that whoever shows them (the report, a pull request) needs to know nothing else;
the text of the report comes from them.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from hardener import compose, compose_needs, kubernetes
from hardener.accounts import WITHOUT_SHELL, family_of
from hardener.directories import own_volumes
from hardener.paths import TEMPORARY, below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.accounts import Account
    from hardener.compose import Service
    from hardener.project import Project
    from hardener.stages import StageFacts

# The names that `docker compose` finds by itself: https://docs.docker.com/compose/intro/compose-application-model/
DEFAULT_FILES = frozenset(("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"))
# An image without a shell has no chown either.
HELPER_IMAGE = "alpine"


class Migration(NamedTuple):
    """One mount whose data belong to root, and what gives them to the new user.

    ``kind`` is ``volume`` (of ``docker run``: its name is not known here, ``VOLUME`` and ``IMAGE`` stand in the
    command), ``compose`` (a named volume), ``anonymous`` (of a Compose service), ``bind`` (a folder of the host) or
    ``kubernetes``.  ``path`` is absolute in the container, ``source`` the volume's name, the host's folder or the
    claim, ``where`` the file (and service or workload) that mounts it.  ``command`` is a shell command for a POSIX
    shell, for ``kubernetes`` the lines to set; ``note`` says when.
    """

    kind: str
    path: str
    source: str
    where: str
    command: str
    note: str = ""


def migrations(project: Project, facts: StageFacts, account: Account) -> tuple[Migration, ...]:
    """Return one `Migration` for every volume or folder that the image wrote as root so far; no path twice a file."""
    owner = account.written("numeric")
    found = [*of_compose(project, facts, owner), *of_kubernetes(project, account)]
    named = {one.path for one in found if one.kind in ("compose", "anonymous", "bind")}
    found += [one for one in of_dockerfile(project, facts, owner) if one.path not in named]
    unique = {(one.kind, one.source or one.where, one.path): one for one in found if not below(one.path, TEMPORARY)}
    return tuple(unique.values())


def of_dockerfile(project: Project, facts: StageFacts, owner: str) -> Iterator[Migration]:
    """Yield what VOLUME instructions ask of those who use ``docker run -v``."""
    for line, path in own_volumes(facts):
        where = f"{project.dockerfile_path}:{line}"
        chown = f"docker run --rm -u 0 -v VOLUME:{shlex.quote(path)} {with_chown(facts, 'IMAGE', owner, path)}"
        yield Migration(
            "volume", path, "", where, chown, "for each volume that is used there; Podman: mount it with :U"
        )


def of_compose(project: Project, facts: StageFacts, owner: str) -> Iterator[Migration]:
    """Yield what the volumes and folders of Compose services need; those that name a user of their own, nothing."""
    for service in compose.services_of(project, facts.stage):
        if compose_needs.own_user(service):
            continue
        where = f"{service.file}:{service.line}: service {service.name}"
        for source, target, read_only in compose_needs.mounts(service):
            if read_only or not target.startswith("/") or compose_needs.is_file(project, service, source):
                continue
            if compose_needs.is_bind(source):
                folder = host_folder(service, source)
                yield Migration(
                    "bind", target, source, where, f"sudo chown -R {owner} {folder}", "Podman: mount it with :U"
                )
            elif source:
                command = for_named_volume(service, target, owner)
                if family_of(facts) in WITHOUT_SHELL:
                    mount = f"{compose_name(project, service)}_{source}:{shlex.quote(target)}"
                    command = f"docker run --rm -u 0 -v {mount} {with_chown(facts, '', owner, target)}"
                yield Migration("compose", target, source, where, command, "while the service is stopped")
            else:
                command = (
                    f"{compose_command(service)} exec --user 0 {service.name} chown -R {owner} {shlex.quote(target)}"
                )
                yield Migration("anonymous", target, "", where, command, "before the service is built anew")


def of_kubernetes(project: Project, account: Account) -> Iterator[Migration]:
    """Yield what the persistent volumes of Kubernetes manifests need: the kubelet gives them to the group."""
    for mount in kubernetes.persistent_mounts(project):
        where = f"{mount.file}: {mount.workload}"
        text = f"securityContext: {{fsGroup: {account.gid}}}"
        note = "in the pod's spec: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/"
        yield Migration("kubernetes", mount.path, mount.claim, where, text, note)


def for_named_volume(service: Service, target: str, owner: str) -> str:
    """Return the command for a named volume: through Compose, which knows the volume's real name."""
    # Root may not without CAP_CHOWN either; the second is for folders that are the new user's already.
    rights = " --cap-add CHOWN --cap-add DAC_OVERRIDE"  # `compose_privileges` may drop them in the same run
    run = f"{compose_command(service)} run --rm --no-deps --user 0{rights} --entrypoint chown"
    return f"{run} {service.name} -R {owner} {shlex.quote(target)}"


def compose_name(project: Project, service: Service) -> str:
    """Return the name that Compose gives a project without ``-p``: its folder's, in what letters it takes.

    https://docs.docker.com/compose/how-tos/project-name/
    """
    folder = service.file.parent.name or (project.root.name if project.root is not None else "")
    return re.sub(r"[^a-z0-9_-]|^[_-]+", "", folder.lower()) or "PROJECT"


def with_chown(facts: StageFacts, image: str, owner: str, path: str) -> str:
    """Return the end of a ``docker run`` that runs chown in ``image``, or in one that has it."""
    if family_of(facts) in WITHOUT_SHELL:
        return f"{HELPER_IMAGE} chown -R {owner} {shlex.quote(path)}"
    return f"--entrypoint chown {image} -R {owner} {shlex.quote(path)}"


def compose_command(service: Service) -> str:
    """Return ``docker compose`` with the file, where it is not found by itself at the project's root."""
    if service.file.name in DEFAULT_FILES and len(service.file.parts) == 1:
        return "docker compose"
    return f"docker compose -f {shlex.quote(str(service.file))}"


def host_folder(service: Service, source: str) -> str:
    """Return a folder of the host as seen from the project's root; one that starts with ~ or $ as it is written."""
    if source.startswith("."):
        return shlex.quote(posixpath.join(".", posixpath.normpath(posixpath.join(str(service.file.parent), source))))
    return source


def hint(found: tuple[Migration, ...]) -> str:
    """Return the half sentence for the line of a stage: what to do once, ``""`` where there is nothing to do."""
    if not found:
        return ""
    paths = ", ".join(dict.fromkeys(one.path for one in found))
    first = f"data written before in {paths} belong to root; once: {found[0].command}"
    return first if len(found) == 1 else f"{first} (and {len(found) - 1} more, see --verbose)"


def lines(found: tuple[Migration, ...]) -> Iterator[str]:
    """Yield one line for each mount: where it is, and the command."""
    for one in found:
        source = f" ({one.source})" if one.source else ""
        note = f"  # {one.note}" if one.note else ""
        yield f"{one.where}: {one.path}{source}: {one.command}{note}"
