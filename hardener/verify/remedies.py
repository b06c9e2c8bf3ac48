"""What mends a cause: a line of configuration that the fixers honour, or hardening the Dockerfile from root again.

Pure: from causes and what was seen to a proposal.  What no proposal mends is left alone, with its reason.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from hardener.needs import PATH, Needs, is_file
from hardener.paths import below, is_system
from hardener.verify.compare import unwritten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.verify.causes import Cause
    from hardener.verify.observation import Image, Seen

HOME = "/home/appuser"
# Where a directory of the system's must not change hands; a single file in it may.
SHARED = ("/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/dev", "/proc", "/sys", "/boot", "/root")
LEFT = {
    "entrypoint-chown": "its start script changes owners, which only root may; let it start as root",
    "drops-root": "its start script gives up root by itself",
}


class Remedy(NamedTuple):
    """One proposal: keys of the configuration, or (``again``) the Dockerfile hardened from root, its USER taken out."""

    needs: Needs
    text: str
    again: bool = False


class Evidence(NamedTuple):
    """What is known when a remedy is looked for.

    ``writes`` are the directories in which the image before wrote; ``given`` tells whether the tree after was written
    by hand; ``tried`` is what was configured already.
    """

    writes: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    given: bool = False
    tried: Needs = Needs()


def evidence(old: Seen | None, new: Seen | None, image: Image | None, tried: Needs, *, given: bool) -> Evidence:
    """Return the evidence of one service: what it wrote before and not afterwards, its volumes, its user."""
    quiet = unwritten(old, new) if old is not None and new is not None else []
    return Evidence(tuple(quiet), image.volumes if image is not None else (), given, tried)


def proposals(causes: Sequence[Cause], known: Evidence) -> Iterator[Remedy]:
    """Yield what may mend these causes, the most certain and smallest first."""
    together = Needs()
    texts: list[str] = []
    for cause in causes:
        if cause.kind == "not-writable" and not cause.about and texts:
            continue  # another line of the same failure said more
        needs = needs_for(cause, known)
        if needs != Needs():
            together = together.merged(needs)
            texts.append(cause.text)
    if together != Needs():
        yield Remedy(together, "; ".join(dict.fromkeys(texts)))
    kinds = {cause.kind for cause in causes}
    if known.given and kinds & {"port", "root-tools", "missing-user", "missing-file", "unknown", "not-executable"}:
        first = next(cause for cause in causes if cause.kind in kinds)
        yield Remedy(Needs(), f"{first.text}; the Dockerfile is hardened again from root", again=True)
    if "port" in kinds and not known.given:
        yield Remedy(Needs(ports="capability"), "the port stays, with the sysctl that lets every user open it")
    if known.writes:
        paths = tuple(one for one in known.writes if may_be_given(one))
        if paths:
            yield Remedy(Needs(writable=paths), f"before it wrote below {', '.join(paths)}")
    if known.given:
        yield Remedy(Needs(), "the Dockerfile is hardened again from root", again=True)


def needs_for(cause: Cause, known: Evidence) -> Needs:
    """Return the configuration that mends one cause, an empty one where none does."""
    path = cause.about.rstrip("/") if cause.about.startswith("/") and PATH.fullmatch(cause.about) else ""
    if cause.kind == "database":
        folders = tuple(one for one in (*known.writes, *known.volumes) if may_be_given(one))
        return Needs(writable=folders)
    if cause.kind == "not-writable":
        return (
            Needs(writable=writable_for(path, known))
            if path
            else Needs(writable=tuple(one for one in known.writes if may_be_given(one)))
        )
    if cause.kind == "read-only" and path:
        return Needs(tmpfs=(path if cause.scenario == "locked" else posixpath.dirname(path),))
    if cause.kind == "npm-cache":
        return Needs(env=(("npm_config_cache", "/tmp/.npm"),))  # noqa: S108
    if cause.kind == "home":
        return Needs(writable=(f"{HOME}/",), env=(("HOME", HOME),))
    if cause.kind == "not-executable" and path:
        return Needs(readable=(path,))
    return Needs()


def writable_for(path: str, known: Evidence) -> tuple[str, ...]:
    """Return what has to be given for a path that could not be written: its directory, or itself in the system's.

    A file is made or replaced by whoever owns its directory; where that was given and did not do, the file is there
    already, and belongs to root.
    """
    folder = posixpath.dirname(path)
    inside = next((one for one in known.volumes if below(path, (one,))), None)
    first = [f"{inside.rstrip('/')}/"] if inside is not None else []
    if may_be_given(folder) and f"{folder}/" not in known.tried.writable:
        return tuple(dict.fromkeys((*first, f"{folder}/")))
    by_itself = may_be_given(path) and (is_file(path) or not may_be_given(folder))  # else it may be no directory
    return tuple(dict.fromkeys((*first, *([path] if by_itself else []))))


def may_be_given(path: str) -> bool:
    """Whether a directory or file may change hands: not the system's own directories, nothing of the kernel's."""
    if path in ("", "/") or below(path, ("/proc", "/sys", "/dev", "/boot", "/root")):
        return False
    return not is_system(path) and path not in SHARED and posixpath.dirname(path) != path


def leave_reason(causes: Sequence[Cause], otherwise: str) -> str:
    """Return the reason for which an image is left alone that could not be mended, one line of plain text."""
    first = causes[0] if causes else None
    text = otherwise if first is None or first.kind == "unknown" else LEFT.get(first.kind, first.text)
    return text.replace('"', "'").replace("\n", " ")[:200]
