"""Which forge a URL belongs to, and the secrets for it: from the environment or git's own helpers, and nowhere else."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hardener.bot.forge import ForgeError
from hardener.repos.sources import SCP, URL, path_of

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
PAIR = 'printf "username=%s\\npassword=%s\\n" "$HARDEN_GIT_USER" "$HARDEN_GIT_PASSWORD"'
HELPER = f'!f() {{ test "$1" = get && {PAIR}; }}; f'


def connect(url: str, kind: str = "", api_url: str = "") -> tuple[Forge, str]:
    """Return the forge of a repository's URL and the repository's path there; raises ``ForgeError``.

    ``kind`` and ``api_url`` are needed where the host's name does not tell.
    """
    match = URL.fullmatch(url) or SCP.fullmatch(url)
    host = (match["host"] or "").lower() if match else ""
    path = path_of(url).strip("/").removesuffix(".git")
    if not host or not re.fullmatch(r"[^/]+(?:/[^/]+)+", path):
        raise ForgeError("there is no forge behind it: the repository needs a remote like https://HOST/OWNER/NAME")
    kind = kind or kind_of(host)
    if not kind:
        raise ForgeError(f"{host} does not tell which forge it is; say so with --forge {'|'.join(KINDS)}")
    address = urlsplit(url)
    web = f"{address.scheme}://{address.netloc}" if address.scheme in ("http", "https") else f"https://{host}"
    try:
        adapter: Any = getattr(import_module(f"hardener.bot.{kind}"), KINDS[kind])
    except ImportError as error:
        raise ForgeError(f"{KINDS[kind]} needs more packages: pip install 'hardener[{kind}]'") from error
    token = token_for(kind, web)
    if kind == "github":
        default = "https://api.github.com" if host == "github.com" else f"{web}/api/v3"
        own = os.environ.get("GITHUB_API_URL", "") if own_server("GITHUB_SERVER_URL") == host else ""
        return adapter(api_url or own or default, web, token, app()), path
    if kind == "gitlab":
        job = os.environ.get("CI_JOB_TOKEN", "") if own_server("CI_SERVER_URL") == host else ""
        return adapter(api_url or web, web, token, job), path
    return adapter(api_url or web, web, token), path


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


def token_for(kind: str, web_url: str) -> str:
    """Return the token of the environment, else the password that git's helpers have for the host, else ``""``."""
    found = next((os.environ[name] for name in TOKENS[kind] if os.environ.get(name)), "")
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
