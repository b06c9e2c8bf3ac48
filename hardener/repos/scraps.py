"""Temporary files and folders that carry their maker's name, so that what a killed process left can be swept."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:32]
NAME = re.compile(rf"\.?harden-{HOST}-(?P<process>\d+)-")


def prefix(process: int | None = None) -> str:
    """Return the beginning of the names of a process's scraps."""
    return f"harden-{HOST}-{process or os.getpid()}-"


def scrap_folder(inside: Path | None = None) -> Path:
    """Make a new folder, by default where temporary files go; it is its maker's to remove."""
    return Path(tempfile.mkdtemp(prefix=prefix(), dir=inside))


def sweep(folder: Path | None = None, process: int | None = None) -> None:
    """Remove the scraps in a folder whose maker is gone, or those of one process that was killed just now."""
    place = Path(tempfile.gettempdir()) if folder is None else folder
    try:
        entries = list(os.scandir(place))
    except OSError:
        return
    for entry in entries:
        match = NAME.match(entry.name)
        if match is None or (is_alive(int(match["process"])) if process is None else int(match["process"]) != process):
            continue
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def is_alive(process: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
