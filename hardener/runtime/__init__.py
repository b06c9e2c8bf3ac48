"""How images are started: what they need at run time, and the options that give them that and no more."""

from __future__ import annotations

# What --select, --ignore and comments call the passes over files that start images.
FIXER_NAMES = ("compose_privileges", "kubernetes_privileges")
