"""Which actions and images the written pipelines use (``versions.toml``), and how they are pinned."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import tomli

from hardener import __version__

# Where `harden` is installed from.  By its repository: a name in a registry may be anybody's.
INSTALL = f"git+https://github.com/hardener/hardener@v{__version__}"


@lru_cache(maxsize=1)
def knowledge() -> dict[str, dict[str, str]]:
    """Return the tables of ``versions.toml``."""
    return tomli.loads(Path(__file__).with_name("versions.toml").read_text(encoding="utf-8"))


def action(name: str) -> str:
    """Return an action as ``uses`` has it: by its commit where that is known, else by its tag."""
    one = knowledge()[name]
    return f"{one['action']}@{one['commit']} # {one['tag']}" if "commit" in one else f"{one['action']}@{one['tag']}"


def image(name: str) -> str:
    """Return an image with its tag."""
    return f"{knowledge()[name]['image']}:{knowledge()[name]['tag']}"
