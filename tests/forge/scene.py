"""One forge with one repository in it, and the command run against it: what every scenario begins with."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner

from forge.world import ACCOUNT, TOKEN, Pull, Repo, World
from hardener.cli import main

BRANCH = "harden/non-root"
FILES = {
    "Dockerfile": b'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "app.py"]\n',
    "app.py": b"print(1)\n",
}
DONE = b'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nUSER 1000:1000\nCMD ["python", "app.py"]\n'
KINDS = ("github", "gitlab", "gitea")


class Scene:
    """A world, the forge that it is served as, and its repository ``acme/shop``."""

    def __init__(self, world: World, kind: str, api_url: str = "", path: str = "acme/shop") -> None:
        self.world, self.kind, self.api_url = world, kind, api_url or world.url
        self.repo: Repo = world.add(path, dict(FILES))

    @property
    def url(self) -> str:
        return f"{self.world.url}/{self.repo.path}.git"

    def words(self, *options: str, url: str = "") -> list[str]:
        """Return the arguments of ``harden``."""
        given = ["--forge", self.kind, "--api-url", self.api_url, "--author", "Bot <bot@example.com>"]
        return ["pr", url or self.url, *given, *options]

    def run(self, *options: str, url: str = "", status: int = 0) -> str:
        """Run ``harden pr`` and return what it says on standard error."""
        result = CliRunner().invoke(main, self.words(*options, url=url), env={"HARDEN_TOKEN": TOKEN})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert TOKEN not in result.output
        assert result.exit_code == status, result.output
        self.stdout = result.stdout
        return result.stderr

    def pulls(self, state: str = "open") -> list[Pull]:
        return [one for one in self.world.pulls(self.repo) if one.state == state]

    def the_pull(self) -> Pull:
        """Return the one open pull request."""
        (found,) = self.pulls()
        return found

    def head(self, repo: Repo | None = None) -> str:
        return (repo or self.repo).tip(BRANCH)

    def hardened(self, repo: Repo | None = None) -> str:
        return (repo or self.repo).show(BRANCH, "Dockerfile")

    def is_right(self, repo: Repo | None = None) -> bool:
        """Whether there is one pull request, with the hardened Dockerfile in one commit on the default branch."""
        where = repo or self.repo
        parents = where.git("rev-list", "--parents", "-1", BRANCH).split()
        return (
            len(self.repo.pulls) == 1
            and self.the_pull().head == (where.path, BRANCH)
            and "USER 5000:5000" in self.hardened(where)
            and parents[1:] == [self.repo.tip(self.repo.default_branch)]
            and self.head(where)[:40] in self.the_pull().body
        )

    def writes(self) -> list[tuple[str, str]]:
        """Return the calls that change something, and forget all calls."""
        found = [
            (verb, path)
            for verb, path in self.world.calls
            if verb != "GET" and "upload-pack" not in path and "access_tokens" not in path
        ]
        self.world.calls.clear()
        return found


__all__ = ["ACCOUNT", "BRANCH", "DONE", "FILES", "KINDS", "Scene"]
