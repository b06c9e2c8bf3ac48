"""Which forge a URL belongs to, and the secrets for it: from the environment or git's own helpers, and nowhere else."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hardener.bot.forge import ForgeError, Repository
from hardener.repos.sources import host_of, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.bot.forge import Forge

KINDS = {"github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea"}
HOSTS = (
    (re.compile(r"(^|[.-])github([.-]|$)"), "github"),
    (re.compile(r"(^|[.-])gitlab([.-]|$)"), "gitlab"),
    (re.compile(r"(^|[.-])(gitea|forgejo)([.-]|$)|^codeberg\.org$"), "gitea"),
)
# The first that is set counts.  The names are those that each forge's own tools read.
TOKENS = {
    "github": ("HARDEN_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"),
    "gitlab": ("HARDEN_TOKEN", "GITLAB_TOKEN"),
    "gitea": ("HARDEN_TOKEN", "GITEA_TOKEN", "FORGEJO_TOKEN"),
}
# A pipeline says where its own forge is: https://docs.github.com/en/actions/reference/variables-reference
# https://docs.gitlab.com/ci/variables/predefined_variables/
OWN_SERVER = {"GITHUB_SERVER_URL": "github", "CI_SERVER_URL": "gitlab"}
# Whose secrets these are by their names: no other host gets them.  https://cli.github.com/manual/gh_help_environment
GITHUB_COM = ("GH_TOKEN", "GITHUB_TOKEN")
PUBLIC = re.compile(r"^(?:github\.com|[\w-]+\.ghe\.com|gitlab\.com|codeberg\.org|gitea\.com)$")
# What each forge takes as user beside a token, for git over HTTPS.
USERS = {"github": "x-access-token", "gitlab": "oauth2", "gitea": "x-access-token"}
PAIR = 'printf "username=%s\\npassword=%s\\n" "$HARDEN_GIT_USER" "$HARDEN_GIT_PASSWORD"'
HELPER = f'!f() {{ test "$1" = get && {PAIR}; }}; f'


def connect(url: str, kind: str = "", api_url: str = "") -> tuple[Forge, str]:
    """Return the forge of a repository's URL and the repository's path there; raises ``ForgeError``.

    ``kind`` and ``api_url`` are needed where the host's name does not tell.
    """
    web, path = place_of(url)
    return forge_at(web, kind, api_url), path


def place_of(url: str) -> tuple[str, str]:
    """Return the address of the forge that a repository's URL leads to, and its path there; raises ``ForgeError``."""
    host = host_of(url)
    path = path_of(url).strip("/").removesuffix(".git")
    if not host or not re.fullmatch(r"[^/]+(?:/[^/]+)+", path):
        raise ForgeError("there is no forge behind it: the repository needs a remote like https://HOST/OWNER/NAME")
    address = urlsplit(url)
    return (f"{address.scheme}://{address.netloc}" if address.scheme in ("http", "https") else f"https://{host}"), path


def forge_at(web: str, kind: str = "", api_url: str = "") -> Forge:
    """Return the forge at an address; raises ``ForgeError``."""
    host = urlsplit(web).hostname or ""
    kind = kind or kind_of(host)
    if not kind:
        raise ForgeError(f"{host} does not tell which forge it is; say so with --forge {'|'.join(KINDS)}")
    try:
        adapter: Any = getattr(import_module(f"hardener.bot.{kind}"), KINDS[kind])
    except ImportError as error:
        raise ForgeError(f"{KINDS[kind]} needs more packages: pip install 'hardener[{kind}]'") from error
    token = token_for(kind, web)
    if kind == "github":
        # https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency/about-github-enterprise-cloud-with-data-residency
        default = f"https://api.{host}" if is_github_com(host) else f"{web}/api/v3"
        own = os.environ.get("GITHUB_API_URL", "") if own_server("GITHUB_SERVER_URL") == host else ""
        github: Forge = adapter(api_url or own or default, web, token, app())
        return github
    if kind == "gitlab":
        job = os.environ.get("CI_JOB_TOKEN", "") if own_server("CI_SERVER_URL") == host else ""
        gitlab: Forge = adapter(api_url or web, web, token, job)
        return gitlab
    gitea: Forge = adapter(api_url or web, web, token)
    return gitea


def kind_of(host: str) -> str:
    """Return the kind of forge that a host is by its name, or as the pipeline says; ``""`` if not known."""
    by_pipeline = (kind for name, kind in OWN_SERVER.items() if own_server(name) == host)
    by_name = (kind for pattern, kind in HOSTS if pattern.search(host))
    return next(by_pipeline, "") or next(by_name, "")


def own_server(variable: str) -> str:
    """Return the host that a variable of a pipeline names."""
    return (urlsplit(os.environ.get(variable, "")).hostname or "").lower()


def app() -> tuple[str, str]:
    """Return id and private key of a GitHub App from the environment, two empty texts without one."""
    number, key = os.environ.get("HARDEN_APP_ID", ""), os.environ.get("HARDEN_APP_PRIVATE_KEY", "")
    file = os.environ.get("HARDEN_APP_PRIVATE_KEY_FILE", "")
    if number and file and not key:
        try:
            key = Path(file).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ForgeError(f"HARDEN_APP_PRIVATE_KEY_FILE: {file} cannot be read") from error
    return (number, key) if number and key else ("", "")


def is_github_com(host: str) -> bool:
    """Whether a host is GitHub's own service, also with data residency."""
    return host == "github.com" or host.endswith(".ghe.com")


def is_known(host: str) -> bool:
    """Whether a host is one of the public forges, or the pipeline's own."""
    return PUBLIC.match(host) is not None or any(own_server(name) == host for name in OWN_SERVER)


def token_of_environment(kind: str, web_url: str) -> str:
    """Return the token of the environment that is meant for a forge, ``""`` without one."""
    host = urlsplit(web_url).hostname or ""
    own = is_github_com(host) or own_server("GITHUB_SERVER_URL") == host
    names = (name for name in TOKENS[kind] if own or name not in GITHUB_COM)
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def git_credentials(url: str, kind: str, api_url: str = "") -> tuple[str, str]:
    """Return user and password of the environment for git at a repository's URL, ``("", "")`` without any.

    Raises ``ForgeError``.  A forge is asked only for an App's, which it gives out for an hour.
    """
    web, path = place_of(url)
    if kind == "github" and os.environ.get("HARDEN_APP_ID"):
        return kept_forge(web, kind, api_url).credentials(Repository(path, "", url, web, False, False))
    token = token_of_environment(kind, web)
    if not token and kind == "gitlab" and own_server("CI_SERVER_URL") == urlsplit(web).hostname:
        return "gitlab-ci-token", os.environ.get("CI_JOB_TOKEN", "")
    return USERS[kind], token


@lru_cache(maxsize=8)
def kept_forge(web: str, kind: str, api_url: str) -> Forge:
    """Return the forge at an address, the same one each time."""
    return forge_at(web, kind, api_url)


def token_for(kind: str, web_url: str) -> str:
    """Return the token of the environment, else the password that git's helpers have for the host, else ``""``."""
    found = token_of_environment(kind, web_url)
    if found or (kind == "github" and os.environ.get("HARDEN_APP_ID")):
        return found
    address = urlsplit(web_url)
    asked = f"protocol={address.scheme}\nhost={address.netloc}\n\n".encode()
    command = ["git", "-c", "credential.interactive=never", "credential", "fill"]
    # https://git-scm.com/docs/git-credential; without a terminal and a helper it fails, and there is no token.
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GIT_DIR": os.devnull}
    try:
        done = subprocess.run(command, input=asked, env=quiet, cwd="/", capture_output=True, check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    line = next((one for one in done.stdout.decode("utf-8", "replace").splitlines() if one.startswith("password=")), "")
    return line.partition("=")[2] if done.returncode == 0 else ""


@contextmanager
def signed_in(url: str, user: str, password: str) -> Iterator[None]:
    """Let git, and whatever it starts, know a password for the host of ``url`` for a while.

    It stands in the environment only: no argument, no file and no URL has it.
    """
    address = urlsplit(url)
    if not password or address.scheme not in ("http", "https"):
        yield
        return
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    name = f"credential.{address.scheme}://{address.netloc}.helper"
    pairs = ((name, ""), (name, HELPER))  # an empty one takes those of the configuration away
    added = {"GIT_CONFIG_COUNT": str(count + len(pairs)), "HARDEN_GIT_USER": user, "HARDEN_GIT_PASSWORD": password}
    for place, (key, value) in enumerate(pairs, count):
        added |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value}
    before = {key: os.environ.get(key) for key in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for key, old in before.items():
            os.environ.pop(key, None)
            if old is not None:
                os.environ[key] = old
