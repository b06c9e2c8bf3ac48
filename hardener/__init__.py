"""Rewrites Dockerfiles so that their containers run as a non-root user; nothing but the needed bytes changes.

Three layers, each on top of the one before: ``harden_bytes`` (bytes to bytes), ``harden`` (a ``Project`` to a
``Result``), ``harden_paths`` (files and folders to results).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardener.bulk import Failure, Hardened, harden_paths
    from hardener.dockerfile import ParseError
    from hardener.edit import Edit, Finding, Span
    from hardener.outcome import Outcome, Verdict
    from hardener.pipeline import Result, SelfCheckError, harden
    from hardener.project import Project, open_project, project_from_bytes
    from hardener.settings import ConfigurationError, Settings

__version__ = "0.1.0"

# Where each public name lives; imported when it is asked for, so that `harden --version` pays for nothing else.
HOMES = {
    "ConfigurationError": "settings", "Edit": "edit", "Failure": "bulk", "Finding": "edit", "Hardened": "bulk",
    "Outcome": "outcome", "ParseError": "dockerfile", "Project": "project", "Result": "pipeline",
    "SelfCheckError": "pipeline", "Settings": "settings", "Span": "edit", "Verdict": "outcome",
    "harden": "pipeline", "harden_paths": "bulk", "open_project": "project", "project_from_bytes": "project",
}  # fmt: skip

__all__ = [
    "ConfigurationError", "Edit", "Failure", "Finding", "Hardened", "Outcome", "ParseError", "Project", "Result",
    "SelfCheckError", "Settings", "Span", "Verdict", "__version__", "harden", "harden_bytes", "harden_paths",
    "open_project", "project_from_bytes",
]  # fmt: skip


def harden_bytes(data: bytes, settings: Settings | None = None) -> bytes:
    """Return one Dockerfile hardened, or the same bytes where it is left alone; no file is read or written.

    Raises ``ParseError`` for bytes that are no Dockerfile and ``SelfCheckError`` for a fault of this program.
    """
    from hardener.pipeline import harden  # noqa: PLC0415
    from hardener.project import project_from_bytes  # noqa: PLC0415

    result = harden(project_from_bytes(data), settings)
    return result.after.dockerfile.data


def __getattr__(name: str) -> object:
    """Import a public name from its module."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
