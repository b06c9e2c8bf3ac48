"""How far a run is: a line that renews itself on a terminal, plain lines now and then in a log."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardener.repos.values import Kind

if TYPE_CHECKING:
    from typing import TextIO

    from hardener.repos.values import Plan

BAR = 24
LOG_SECONDS = 10.0


@dataclass
class Progress:
    """Counts of a run of ``total`` repositories, of which ``before`` were done by earlier runs.

    It writes to ``stream``, nothing where ``quiet``.
    """

    total: int
    before: int = 0
    quiet: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    started: float = field(default_factory=time.monotonic)
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    dockerfiles: int = 0
    shown_at: float = 0.0
    width: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether somebody watches."""
        return self.stream.isatty()

    def add(self, plan: Plan) -> None:
        """Count one repository."""
        self.counts[plan.kind] += 1
        self.dockerfiles += plan.dockerfiles

    def tick(self) -> None:
        """Show the line anew if it is time."""
        now = time.monotonic()
        if not self.quiet and now - self.shown_at >= (0.1 if self.is_terminal else LOG_SECONDS):
            first, self.shown_at = self.shown_at == 0.0, now
            if self.is_terminal:
                columns = shutil.get_terminal_size().columns
                line = self.line(bar=True)[: columns - 1]
                self.stream.write("\r" + line.ljust(self.width))
                self.stream.flush()
                self.width = len(line)
            elif not first:
                self.stream.write(self.line(bar=False) + "\n")

    def clear(self) -> None:
        """Make room for another line on a terminal."""
        if self.width:
            self.stream.write("\r" + " " * self.width + "\r")
            self.stream.flush()
            self.width, self.shown_at = 0, 0.001

    def line(self, *, bar: bool) -> str:
        """Return how far it is: share, rate, time that is left, counts."""
        done = sum(self.counts.values())
        everything = self.before + done
        share = everything / self.total if self.total else 1.0
        rate = done / max(time.monotonic() - self.started, 1e-6)
        left = f", {duration((self.total - everything) / rate)} left" if rate and everything < self.total else ""
        counts = ", ".join(f"{number} {kind.value}" for kind, number in self.counts.items() if number)
        filled = round(share * BAR)
        picture = f"[{'#' * filled}{'.' * (BAR - filled)}] " if bar else ""
        return f"{picture}{everything}/{self.total} ({share:.0%}), {rate:.1f}/s{left}: {counts or 'beginning'}"

    def summary(self) -> str:
        """Return the last line of a run."""
        done = sum(self.counts.values())
        seconds = max(time.monotonic() - self.started, 1e-6)
        counts = (
            ", ".join(f"{number} {kind.value}" for kind, number in self.counts.items() if number) or "nothing to do"
        )
        return (
            f"{done} repositories in {duration(seconds)} ({done / seconds:.1f} a second, "
            f"{self.dockerfiles} Dockerfiles): {counts}"
        )


def duration(seconds: float) -> str:
    """Return a time as people say it: ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
