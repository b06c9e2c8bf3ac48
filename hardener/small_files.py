"""Reads files of which nobody knows yet what they are: small regular ones, and no pipe, device or link."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAXIMUM_SIZE = 256 * 1024


def content(file: Path, limit: int = MAXIMUM_SIZE) -> bytes:
    """Return the bytes of a regular file of at most ``limit`` bytes, nothing of any other."""
    try:
        status = os.lstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return b""
        with open(file, "rb", buffering=0) as stream:  # noqa: PTH123  a third of the time that Path takes
            return stream.readall()
    except OSError:
        return b""
