"""How many pull requests a run may still open: as the state remembers, and as the forges counted when it began."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hardener.bot.forge import ForgeError

if TYPE_CHECKING:
    from hardener.bot.forge import Forge, Repository
    from hardener.repos.journal import Journal

HOUR = 3600.0


@dataclass
class Budget:
    """The limits of a run, over all forges: pull requests that are open at once, and opened within an hour.

    ``None`` is no limit.  A forge is asked once, since the search of some lags behind; what this run, or one that was
    killed just before, opened is added from the state.
    """

    journal: Journal
    branch: str
    max_open: int | None = None
    per_hour: int | None = None
    began: float = field(default_factory=time.time)
    asked: set[int] = field(default_factory=set)
    open_before: int = 0
    made_before: int = 0
    change: int = 0
    """How many more are open by what this run did."""

    def look(self, forge: Forge, repository: Repository) -> None:
        """Ask a forge for its counts, the first time; where it does not tell, the state alone counts."""
        if id(forge) in self.asked or (self.max_open is None and self.per_hour is None):
            return
        self.asked.add(id(forge))
        try:
            if self.max_open is not None:
                self.open_before += forge.count(repository, self.branch)
            if self.per_hour is not None:
                self.made_before += forge.count(repository, self.branch, self.began - HOUR)
        except ForgeError:
            self.open_before = max(self.open_before, self.journal.open_pulls())

    def left(self) -> tuple[int | None, int | None]:
        """Return how many may be open beside those that are, and how many may be opened now."""
        now = time.time()
        fresh = self.journal.opened_since(now - HOUR)
        made = sum(one >= self.began for one in fresh)
        before = self.made_before if now < self.began + HOUR else 0
        open_now = max(self.open_before, self.journal.open_pulls(self.began - HOUR) - self.change) + self.change
        return (
            None if self.max_open is None else self.max_open - open_now,
            None if self.per_hour is None else self.per_hour - max(len(fresh), before + made),
        )

    def wait(self) -> float:
        """Return how many seconds it takes until one more may be opened, as far as the hour is what keeps it."""
        now = time.time()
        fresh = self.journal.opened_since(now - HOUR)
        by_state = fresh[0] + HOUR - now if fresh else 0.0
        by_forge = self.began + HOUR - now if self.made_before > len(fresh) else 0.0
        return max(1.0, by_state, by_forge)
