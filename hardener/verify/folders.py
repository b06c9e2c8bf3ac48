"""Folders of the host that containers write: volumes of the run's own stand for them, filled through the engine.

So every start finds them as they were, what root wrote in them can be removed by whoever runs this, and an engine on
another machine has them too.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardener.verify.runner import Place

SECONDS = 300.0
INSIDE = "/hardener"


def make_volume(place: Place, name: str) -> None:
    """Make a volume of the run's own."""
    place.engine.do("volume", "create", *place.run.label_options, name)


def copy_into(place: Place, image: str, volume: str, files: Sequence[tuple[Path, str]]) -> None:
    """Copy folders (what lies in them) and files with owners and modes to paths of a volume; raises ``EngineFailed``.

    ``image`` is any that is there: its container is made and never started.
    """
    if not files:
        return
    words = ["create", *place.run.label_options, "--network", "none", "--volume", f"{volume}:{INSIDE}"]
    container = place.engine.do(*words, image, "none").strip()
    try:
        for source, path in files:
            what = f"{source}/." if source.is_dir() else str(source)
            place.engine.do("cp", "--archive", what, f"{container}:{INSIDE}/{path}", seconds=SECONDS)
    finally:
        place.engine.ask(*place.engine.removal, container)


def changed_files(old: Path, new: Path) -> Iterator[Path]:
    """Yield the files below ``new`` whose bytes are not those of the same file below ``old``."""
    for file in sorted(new.rglob("*")):
        other = old / file.relative_to(new)
        if file.is_file() and not file.is_symlink() and other.is_file() and other.read_bytes() != file.read_bytes():
            yield file
