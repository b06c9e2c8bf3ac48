"""What the fixers remember of a repository, forgotten before the next one: so the memory of a worker stays."""

from __future__ import annotations

import functools
import sys

PACKAGE = "hardener."
Cache = functools._lru_cache_wrapper  # noqa: SLF001  the only name that it has


def forget() -> None:
    """Empty every cache of the package that holds more than one entry.

    Their keys are paths and texts of a repository, so another one finds nothing there.  Those of one entry hold tables
    of knowledge.
    """
    for cache in caches(len(sys.modules)):
        cache.cache_clear()


@functools.lru_cache(maxsize=1)
def caches(modules: int) -> tuple[Cache[object], ...]:  # noqa: ARG001  they are looked for again when there are more
    """Return those caches, of all modules that are loaded."""
    found = (
        value
        for name, module in list(sys.modules.items())
        if name.startswith(PACKAGE)
        for value in vars(module).values()
        if isinstance(value, Cache)
    )
    return tuple({id(one): one for one in found if one.cache_parameters()["maxsize"] != 1}.values())
