"""Which absolute paths belong to the system and which to the application (Filesystem Hierarchy Standard 3.0).

Source: https://refspecs.linuxfoundation.org/FHS_3.0/fhs-3.0.html
"""

from __future__ import annotations

import posixpath
from functools import lru_cache

# Everything below these belongs to the operating system: files there stay root's.
SYSTEM_TREES = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr/bin",
    "/usr/include", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/usr/share", "/usr/local/bin",
    "/usr/local/etc", "/usr/local/include", "/usr/local/lib", "/usr/local/sbin", "/usr/local/share",
)  # fmt: skip
# These are shared as such; what a project makes below them is its own.
SHARED = frozenset(
    (
        "/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/usr/local",
        "/usr/src", "/usr/local/src", "/var", "/var/cache", "/var/lib", "/var/local", "/var/log", "/var/mail",
        "/var/opt", "/var/run", "/var/spool", "/var/tmp", "/var/www",
    )
)  # fmt: skip
# Of those, these are left to applications altogether; as a working directory they may change their owner.
FOR_APPLICATIONS = frozenset(("/srv", "/opt", "/mnt", "/media", "/usr/src", "/usr/local/src", "/var/www"))
# Where everybody may write, and nothing is kept.
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")
# The container's own output, as a program names it for a log.
OWN_OUTPUT = r"/dev/(?:stdout|stderr|null|fd/[12])|/proc/self/fd/[12]"


def below(path: str, parents: tuple[str, ...]) -> bool:
    """Whether ``path`` is one of ``parents`` or lies below one of them; all absolute and normalised."""
    return path in parents or path.startswith(beginnings(parents))


@lru_cache(maxsize=1024)
def beginnings(parents: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a path below one of ``parents`` starts with."""
    return tuple(parent.rstrip("/") + "/" for parent in parents)


def is_system(path: str) -> bool:
    """Whether the owner of ``path`` is the operating system's business, not the application's."""
    return path in SHARED or below(path, SYSTEM_TREES)


def is_fixed(path: str) -> bool:
    """Whether ``path`` itself must keep its owner, even as the folder an application is started in."""
    return path in SYSTEM_TREES or (path in SHARED and path not in FOR_APPLICATIONS)


@lru_cache(maxsize=4096)
def absolute(path: str, directory: str) -> str:
    """Return ``path`` as seen from ``directory``, normalised, without a trailing slash."""
    joined = posixpath.normpath(posixpath.join(directory, path))
    return "/" + joined.lstrip("/")
