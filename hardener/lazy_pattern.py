"""Regular expressions of a module, compiled when first used: one file needs few of some 250, and start-up is a feature.

Compiling all of them was a third of the start-up of a single file.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn")


class LazyPattern:
    """Stands for ``re.Pattern``: compiles at the first use of a method, and has the compiled ones as its own then."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self.source = text, flags

    def __getattr__(self, name: str) -> Any:  # called only for what is not there yet
        if name.startswith("__"):
            raise AttributeError(name)
        text, flags = self.source
        compiled: Any = re.compile(text, flags)
        self.__dict__.update({method: getattr(compiled, method) for method in METHODS})
        return getattr(compiled, name)


def lazy_pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return a pattern for a module's constant: as ``re.compile`` with its methods, its mistakes told at first use.

    ``re.sub(pattern, ...)`` and its like refuse it: call the pattern's own method.
    """
    return cast("re.Pattern[AnyStr]", LazyPattern(text, flags))
