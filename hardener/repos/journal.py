"""The state of a run, in one SQLite file: what became of every repository, so that nothing is done twice or lost.

One process writes it (a lock says so); others may read it meanwhile.  A repository is ``pending``, then ``applying``
(all that is known of it is written, and what will be done), then ``done``.  After a crash the first starts
anew, and the second is finished: committing again is the same commit, and files in place go on from the bytes that
are kept here.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener import __version__
from hardener.repos.schema import FORMAT, prepare
from hardener.repos.sources import Source
from hardener.repos.values import FileChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import IO

    from hardener.repos.values import Plan, Pull


class JournalError(Exception):
    """The state cannot be used; one line that says why and what to do."""


class Applied(NamedTuple):
    """What the writer did for a repository: commit and branch, patch file, pull request; empty for what it did not."""

    commit: str = ""
    branch: str = ""
    patch: str = ""
    pull: Pull | None = None


class Journal:
    """The state file.  Use it with ``with closing(...)``; every method raises ``JournalError`` for a full disk."""

    def __init__(self, file: Path | None, *, writes: bool = True) -> None:
        """Open or make the file; ``None`` keeps the state in memory.  With ``writes`` nobody else may write it."""
        self.file = file
        self.began = time.time()
        self.lock: IO[bytes] | None = None
        if writes and file is not None:
            self.lock = locked(file)
        try:
            if file is None:
                self.db = sqlite3.connect(":memory:", isolation_level=None)
            else:
                address = f"{file.absolute().as_uri()}?mode={'rwc' if writes else 'ro'}"
                self.db = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30)
            self.db.row_factory = sqlite3.Row
            if writes:
                self.db.execute("PRAGMA journal_mode = WAL")
                self.db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing by it
                if not prepare(self.db):
                    raise JournalError(f"{file}: was written by a newer version of harden")
            elif self.db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                raise JournalError(f"{file}: is no state of this version of harden")
        except sqlite3.Error as error:
            raise JournalError(f"{file}: cannot be used as state: {error}") from error

    def close(self) -> None:
        """Close the file and let others have it."""
        self.db.close()
        if self.lock is not None:
            self.lock.close()

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement."""
        try:
            return self.db.execute(statement, values)
        except sqlite3.Error as error:
            raise JournalError(f"the state cannot be written: {error}") from error

    # ------------------------------------------------------------------------------------------------------ the run

    def start_run(self, options: dict[str, Any]) -> float:
        """Note that a run begins and return its time, or that of the first run that this one goes on with."""
        first = self.execute("SELECT started FROM run ORDER BY number LIMIT 1").fetchone()
        now = float(int(time.time()))
        self.execute(
            "INSERT INTO run (version, started, options) VALUES (?, ?, ?)", __version__, now, json.dumps(options)
        )
        return float(first[0]) if first else now

    def end_run(self, stopped: str = "") -> None:
        """Note that the run has ended; ``stopped`` says why before its time."""
        self.execute(
            "UPDATE run SET finished = ?, stopped = ? WHERE number = (SELECT MAX(number) FROM run)",
            time.time(), stopped or None,
        )  # fmt: skip

    def last_options(self) -> dict[str, Any] | None:
        """Return the options of the last run, ``None`` before the first."""
        row = self.execute("SELECT options FROM run ORDER BY number DESC LIMIT 1").fetchone()
        return dict(json.loads(row[0])) if row else None

    def runs(self) -> list[sqlite3.Row]:
        """Return the runs, first to last."""
        return self.execute("SELECT * FROM run ORDER BY number").fetchall()

    # ------------------------------------------------------------------------------------------------ repositories

    def add(self, sources: Iterable[Source]) -> int:
        """Add the repositories that are not there yet, in order, and return how many are there."""
        count = int(self.execute("SELECT COUNT(*) FROM repository").fetchone()[0])
        self.execute("BEGIN")
        for source in sources:
            done = self.execute(
                "INSERT OR IGNORE INTO repository (key, position, location, is_local, name, team, forge) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                text(source.key), count, os.fsencode(source.location), source.is_local, text(source.name),
                text(source.team), source.forge,
            )  # fmt: skip
            count += done.rowcount
        self.execute("COMMIT")
        return count

    def waiting(self) -> Iterator[tuple[Source, int]]:
        """Yield the repositories that are not done, each with the attempts so far, in order."""
        position = -1
        while True:
            row = self.execute(
                "SELECT * FROM repository WHERE state <> 'done' AND position > ? ORDER BY position LIMIT 1", position
            ).fetchone()
            if row is None:
                return
            position = row["position"]
            yield source_of(row), row["attempts"]

    def again(self, outcome: str | None = None) -> int:
        """Make the repositories with an outcome, or all that are done, pending again and return how many."""
        return self.execute(
            "UPDATE repository SET state = 'pending' WHERE state = 'done' AND (?1 IS NULL OR outcome = ?1)", outcome
        ).rowcount

    def attempted(self, source: Source) -> None:
        """Count one attempt that the network failed."""
        self.execute("UPDATE repository SET attempts = attempts + 1 WHERE key = ?", text(source.key))

    def begin(self, plan: Plan, *, keep_files: bool) -> None:
        """Write down everything that is known of a repository, and that the writer is about to act on it.

        With ``keep_files`` also the bytes of its changes, so that half-done work in place can be finished.
        """
        key = text(plan.source.key)
        self.execute("BEGIN")
        try:
            for table in ("image", "finding", "file"):
                self.execute(f"DELETE FROM {table} WHERE key = ?", key)  # noqa: S608  names of this module
            self.execute(
                """UPDATE repository SET state = 'applying',
                pr_begun = CASE WHEN state = 'applying' THEN pr_begun ELSE ? END,
                outcome = ?, reason = ?, base_commit = ?, base_branch = ?,
                team = CASE WHEN team = '' THEN ? ELSE team END, attempts = ?, dockerfiles = ?, files = ?, switched = ?,
                prepared = ?, already = ?, manual = ?, fetch_seconds = ?, harden_seconds = ?, peak_megabytes = ?,
                errors = ?, notes = ? WHERE key = ?""",
                time.time(),
                plan.kind.value, text(plan.reason), plan.commit, text(plan.branch), text(plan.team), plan.attempt,
                plan.dockerfiles, len(plan.files), *map(plan.count, ("switched", "prepared", "already", "manual")),
                round(plan.fetch_seconds, 4), round(plan.harden_seconds, 4), round(plan.peak_megabytes, 1),
                json.dumps([text(one) for one in plan.errors]), json.dumps([text(one) for one in plan.notes]), key,
            )  # fmt: skip
            images = [
                (
                    key, text(one.path), one.line, text(one.stage), text(one.base), one.outcome, text(one.reason),
                    text(one.way_out), json.dumps([list(map(text, each)) for each in one.migrations]),
                )
                for one in plan.images
            ]  # fmt: skip
            self.db.executemany("INSERT INTO image VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", images)
            findings = [
                (key, text(one.path), one.line, one.fixer, text(one.reason), one.applied) for one in plan.findings
            ]
            self.db.executemany("INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?)", findings)
            if keep_files:
                files = [(key, os.fsencode(one.path), one.mode, one.before, one.after) for one in plan.files]
                self.db.executemany("INSERT INTO file VALUES (?, ?, ?, ?, ?)", files)
            self.execute("COMMIT")
        except BaseException as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise JournalError(f"the state cannot be written: {error}") from error
            raise

    def finish(self, source: Source, applied: Applied, failure: str = "") -> None:
        """Note what the writer did, or in one line why it did not; what was postponed is for a later run."""
        key = text(source.key)
        self.execute("BEGIN")
        self.execute(
            "UPDATE repository SET state = 'done', finished = ?, commit_id = ?, branch = ?, patch = ? WHERE key = ?",
            time.time(), applied.commit, text(applied.branch), text(applied.patch), key,
        )  # fmt: skip
        if failure:
            self.execute("UPDATE repository SET outcome = 'failed', reason = ? WHERE key = ?", text(failure), key)
        self.execute("DELETE FROM file WHERE key = ?", key)
        if applied.pull is not None:
            self.pull_request(key, applied.pull)
        self.execute("COMMIT")

    def half_done(self) -> list[tuple[Source, tuple[FileChange, ...]]]:
        """Return the repositories that a killed run may have written in part, with what it was about to write."""
        rows = self.execute(
            "SELECT * FROM repository WHERE state = 'applying' AND key IN (SELECT key FROM file) ORDER BY position"
        ).fetchall()
        return [(source_of(row), self.files(row["key"])) for row in rows]

    def files(self, key: str) -> tuple[FileChange, ...]:
        """Return the changes that are kept for a repository."""
        rows = self.execute("SELECT * FROM file WHERE key = ?", key).fetchall()
        return tuple(FileChange(os.fsdecode(row["path"]), row["mode"], row["before"], row["after"]) for row in rows)

    # ------------------------------------------------------------------------------------------------ pull requests

    def pull_request(self, key: str, pull: Pull) -> None:
        """Note what became of a repository's pull request.

        One that is open, and that a killed run may have opened, counts as opened when that run began with it.
        """
        now = time.time()
        self.execute(
            "UPDATE repository SET pr_outcome = ?, pr_reason = ?, pr_state = ?, pr_changed = ?, "
            "pr_url = COALESCE(NULLIF(?, ''), pr_url), pr_number = COALESCE(NULLIF(?, 0), pr_number), "
            "state = CASE WHEN ?1 = 'postponed' THEN 'postponed' ELSE state END WHERE key = ?",
            pull.outcome, text(pull.reason), pull.state, now, text(pull.url), pull.number, key,
        )  # fmt: skip
        if pull.outcome == "opened":
            self.execute("UPDATE repository SET pr_opened = ? WHERE key = ?", now, key)
        elif pull.state == "open":
            self.execute(
                "UPDATE repository SET pr_opened = pr_begun WHERE key = ? AND pr_opened IS NULL AND pr_begun < ?",
                key, self.began,
            )  # fmt: skip

    def opened_since(self, since: float) -> list[float]:
        """Return when pull requests were opened after ``since`` (seconds since 1970), the first first."""
        rows = self.execute("SELECT pr_opened FROM repository WHERE pr_opened >= ? ORDER BY 1", since)
        return [row[0] for row in rows]

    def open_pulls(self, since: float = 0.0) -> int:
        """Return how many pull requests were open when they were last looked at, of those opened after ``since``."""
        found = self.execute(
            "SELECT COUNT(*) FROM repository WHERE pr_state = 'open' AND COALESCE(pr_opened, 0) >= ?", since
        )
        return int(found.fetchone()[0])

    # ------------------------------------------------------------------------------------------------------ reading

    def counts(self) -> dict[str, int]:
        """Return how many repositories have each outcome, and how many are ``pending``."""
        rows = self.execute(
            "SELECT CASE WHEN state = 'done' THEN outcome ELSE 'pending' END, COUNT(*) FROM repository GROUP BY 1"
        )
        return {row[0]: row[1] for row in rows}

    def repositories(self) -> Iterator[sqlite3.Row]:
        """Yield the rows of the repositories, in order."""
        yield from self.execute("SELECT * FROM repository ORDER BY position")

    def images(self) -> Iterator[sqlite3.Row]:
        """Yield the rows of the images, in the order of their repositories."""
        yield from self.execute(
            "SELECT image.*, repository.team, repository.name FROM image JOIN repository USING (key) "
            "ORDER BY repository.position, image.rowid"
        )

    def findings(self) -> Iterator[sqlite3.Row]:
        """Yield the rows of the findings, in the order of their repositories."""
        yield from self.execute(
            "SELECT finding.* FROM finding JOIN repository USING (key) ORDER BY repository.position, finding.rowid"
        )


def source_of(row: sqlite3.Row) -> Source:
    """Return the source of a row."""
    return Source(row["key"], os.fsdecode(row["location"]), bool(row["is_local"]), row["team"], row["forge"])


def text(value: str) -> str:
    r"""Return a text that SQLite and JSON take: a byte that is no UTF-8 as ``\xff``."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def locked(file: Path) -> IO[bytes] | None:
    """Return an open lock beside the state file; raises ``JournalError`` where another run has it."""
    try:
        import fcntl  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    try:
        lock = open(f"{file}.lock", "ab")  # noqa: SIM115  held until the journal is closed
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalError(f"{file}: another run is writing it; wait for its end") from error
    except OSError as error:
        raise JournalError(f"{file}: cannot be used as state: {error.strerror}") from error
    return lock


def reading(file: Path) -> closing[Journal]:
    """Return a journal that is only read; raises ``JournalError`` where there is none."""
    if not file.is_file():
        raise JournalError(f"{file}: there is no such state; `harden repos` writes it")
    return closing(Journal(file, writes=False))
