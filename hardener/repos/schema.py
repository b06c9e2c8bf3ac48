"""The tables of a state file, and what later formats added to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    number INTEGER PRIMARY KEY, version TEXT NOT NULL, started REAL NOT NULL, finished REAL, stopped TEXT,
    options TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS repository (
    key TEXT PRIMARY KEY, position INTEGER NOT NULL, location BLOB NOT NULL, is_local INTEGER NOT NULL,
    name TEXT NOT NULL, team TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
    outcome TEXT, reason TEXT, base_commit TEXT, base_branch TEXT,
    commit_id TEXT, branch TEXT, patch TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, dockerfiles INTEGER, files INTEGER,
    switched INTEGER, prepared INTEGER, already INTEGER, manual INTEGER,
    fetch_seconds REAL, harden_seconds REAL, peak_megabytes REAL, finished REAL, errors TEXT, notes TEXT,
    pr_url TEXT, pr_number INTEGER, pr_state TEXT, pr_changed REAL);
CREATE INDEX IF NOT EXISTS by_state ON repository (state, position);
CREATE TABLE IF NOT EXISTS image (
    key TEXT NOT NULL, path TEXT NOT NULL, line INTEGER NOT NULL, stage TEXT NOT NULL, base TEXT NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, way_out TEXT NOT NULL, migrations TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS image_by_key ON image (key);
CREATE TABLE IF NOT EXISTS finding (
    key TEXT NOT NULL, path TEXT NOT NULL, line INTEGER NOT NULL, fixer TEXT NOT NULL, reason TEXT NOT NULL,
    applied INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS finding_by_key ON finding (key);
CREATE TABLE IF NOT EXISTS file (
    key TEXT NOT NULL, path BLOB NOT NULL, mode TEXT NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS file_by_key ON file (key);
"""
# What later formats added to the table of the first.
ADDED = {
    "forge": "TEXT NOT NULL DEFAULT ''", "pr_outcome": "TEXT", "pr_reason": "TEXT", "pr_begun": "REAL",
    "pr_opened": "REAL",
}  # fmt: skip
FORMAT = 2


def prepare(db: sqlite3.Connection) -> bool:
    """Make the tables, or bring those of an earlier format up to date; ``False`` for those of a later one."""
    if db.execute("PRAGMA user_version").fetchone()[0] > FORMAT:
        return False
    db.executescript(SCHEMA)
    there = {row[1] for row in db.execute("PRAGMA table_info(repository)")}
    for name, kind in ADDED.items():
        if name not in there:
            db.execute(f"ALTER TABLE repository ADD COLUMN {name} {kind}")
    db.execute(f"PRAGMA user_version = {FORMAT}")
    return True
