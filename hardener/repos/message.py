"""What a commit says: why, image by image, and what has to be done once; and the mark by which it is known again."""

from __future__ import annotations

import hashlib
import os
import re
import textwrap
from typing import TYPE_CHECKING

from hardener import __version__
from hardener.repos.local import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hardener.repos.values import ImagePlan, Plan

SUBJECT = "Run containers as a non-root user"
WHY = (
    "A process that is root in its container is root for every mistake of the kernel, the engine and the mounts. "
    "Made by harden, which changes nothing but what this needs, and leaves an image alone where it is not certain."
)
TRAILER = "Harden-Change"
MARK = re.compile(rf"^{TRAILER}: ([0-9a-f]{{64}})\s*$", re.MULTILINE)
MOST_LINES = 40


def message(plan: Plan, trailers: Iterable[str] = (), subject: str = SUBJECT) -> str:
    """Return the message of a plan's commit; ``trailers`` (``Signed-off-by: …``) stand before the mark."""
    paragraphs = [subject, wrapped(WHY)]
    switched = [one for one in plan.images if one.outcome == "switched"]
    left = [one for one in plan.images if one.outcome == "manual"]
    for title, images in (("Switched:", switched), ("Left alone:", left)):
        if images:
            paragraphs.append("\n".join([title, *bullets(images)]))
    commands = dict.fromkeys(one.command for image in switched for one in image.migrations)
    if commands:
        head = "Once, for data that was written as root before:"
        paragraphs.append("\n".join([head, *(f"    {line}" for one in commands for line in one.splitlines())]))
    paragraphs.append("\n".join([*trailers, f"Hardened-by: harden {__version__}", f"{TRAILER}: {mark(plan)}"]))
    return "\n\n".join(paragraphs) + "\n"


def bullets(images: list[ImagePlan]) -> list[str]:
    """Return a line or two for each image; the last says how many more there are."""
    found = []
    for one in images[:MOST_LINES]:
        name = f"{shown(one.path)} [{one.stage}]" if one.stage else shown(one.path)
        text = f"{name}: {one.reason}" + (f" ({one.way_out})" if one.way_out and one.outcome == "manual" else "")
        found.append(textwrap.fill(text, 100, initial_indent="- ", subsequent_indent="  ", break_long_words=False))
    return [*found, f"- and {len(images) - MOST_LINES} more"] if len(images) > MOST_LINES else found


def wrapped(text: str) -> str:
    """Return a paragraph in lines of at most 72 characters."""
    return textwrap.fill(text, 72)


def mark(plan: Plan) -> str:
    """Return the digest of what a plan changes."""
    return digest({one.path: one.after for one in plan.files})


def digest(files: Mapping[str, bytes]) -> str:
    """Return the digest of paths and contents; a commit with another one in its message was changed by somebody."""
    found = hashlib.sha256()
    for path in sorted(files):
        name = os.fsencode(path)
        found.update(b"%d:%s%d:%s" % (len(name), name, len(files[path]), files[path]))
    return found.hexdigest()
