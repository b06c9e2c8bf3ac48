"""The fixture of every test that runs the bot: it waits for nothing, and knows no account but the test's."""

from __future__ import annotations

import os

import pytest

from hardener.bot import access, branch, waiting

ACCOUNTS = {"CI_JOB_TOKEN", "HARDEN_APP_ID", *(name for names in access.TOKENS.values() for name in names)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing, and take no token or configuration from outside; import it to have it."""
    monkeypatch.setattr(waiting, "BACKOFF", 0.01)
    monkeypatch.setattr(waiting, "BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(branch, "BACKOFF", 0.01)
    for name in ACCOUNTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
