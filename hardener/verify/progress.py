"""Tells on standard error what is being done and for how long: one line that moves on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Progress:
    """Shows steps with the seconds since the start; ``say`` writes a line (made safe for terminals)."""

    def __init__(self, say: Callable[[str], None], *, quiet: bool, verbose: bool) -> None:
        self.say = say
        self.quiet = quiet
        self.verbose = verbose
        self.started = time.monotonic()
        self.moves = sys.stderr.isatty() and not verbose
        self.shown = 0

    def step(self, text: str) -> None:
        """Show what is done now."""
        if self.quiet:
            return
        line = f"[{time.monotonic() - self.started:4.0f} s] {text}"
        if not self.moves:
            self.say(line)
            return
        line = line[:110]
        sys.stderr.write(f"\r{line}{' ' * max(0, self.shown - len(line))}")
        sys.stderr.flush()
        self.shown = len(line)

    def line(self, text: str) -> None:
        """Write a line that stays."""
        self.clear()
        self.say(text)

    def clear(self) -> None:
        """Take the moving line away."""
        if self.moves and self.shown:
            sys.stderr.write(f"\r{' ' * self.shown}\r")
            sys.stderr.flush()
            self.shown = 0

    def show(self) -> Callable[[str], None] | None:
        """Return what shows the lines of a build, ``None`` where nobody asked for them."""
        return (lambda text: self.say(f"    {text}")) if self.verbose and not self.quiet else None
