"""``harden pr`` against real git over HTTP and a fake forge with a state: one test for each thing that can happen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from forge.quick import quick  # noqa: F401  a fixture of every test
from forge.scene import ACCOUNT, BRANCH, DONE, KINDS, Scene
from forge.server import served
from forge.world import TOKEN, World

from hardener.bot import branch, steps, waiting

pytest.importorskip("github", reason="PyGithub is not installed: pip install 'hardener[github]'")
pytest.importorskip("gitlab", reason="python-gitlab is not installed: pip install 'hardener[gitlab]'")


# On every kind of forge; everything else does not depend on it, and runs on GitHub.
EVERYWHERE = (
    "second_run_writes", "said_once", "nothing_left_is_closed", "people_closed_is_not", "comes_from_a_fork",
    "labels_reviewers", "although_the_answer", "too_long", "limit_of",
)  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scene" in metafunc.fixturenames:
        kinds = KINDS if any(name in metafunc.function.__name__ for name in EVERYWHERE) else KINDS[:1]
        metafunc.parametrize("scene", kinds, indirect=True)


@pytest.fixture
def scene(request, tmp_path):
    with served(World(tmp_path)) as world:
        yield Scene(world, request.param)


@pytest.fixture
def github(tmp_path):
    with served(World(tmp_path)) as world:
        yield Scene(world, "github")


def test_a_fresh_repository_gets_one_pull_request(scene) -> None:
    assert "opened: a pull request was opened" in scene.run()
    assert scene.is_right()
    pull = scene.the_pull()
    assert pull.title == "Run the container as a non-root user"
    assert pull.base == "main"
    assert "### What was verified?" in pull.body


def test_a_second_run_writes_nothing(scene) -> None:
    scene.run()
    scene.writes()
    assert "current: up to date" in scene.run()
    assert scene.writes() == []


def test_a_dry_run_writes_nothing_and_shows_title_text_and_diff(scene) -> None:
    assert "would be opened" in scene.run("--dry-run")
    assert scene.writes() == []
    assert scene.stdout.startswith("Run the container as a non-root user\n")
    assert "+USER 5000:5000" in scene.stdout
    assert not scene.head()


def test_a_branch_with_somebodys_commit_is_left_alone_and_that_is_said_once(scene) -> None:
    scene.run()
    theirs = scene.repo.commit({"notes.txt": b"mine\n"}, branch=BRANCH)
    for _ in range(2):
        assert "left alone: somebody's commits are on the branch" in scene.run()
    assert scene.head() == theirs
    assert len(scene.the_pull().comments) == 1


def test_an_amended_commit_is_somebodys(scene) -> None:
    scene.run()
    message = scene.repo.git("log", "-1", "--format=%B", BRANCH)
    theirs = scene.repo.commit(
        {"Dockerfile": b"FROM scratch\n"}, branch=BRANCH, message=message, parent=scene.repo.tip("main")
    )
    assert "left alone" in scene.run()
    assert scene.head() == theirs


def test_the_base_merged_into_the_branch_is_somebodys_commit(scene) -> None:
    scene.run()
    moved = scene.repo.commit({"README.md": b"x\n"})
    tree = scene.repo.git("rev-parse", f"{scene.head()}^{{tree}}")
    merge = scene.repo.git("commit-tree", "-p", scene.head(), "-p", moved, "-m", "Merge", tree)
    scene.repo.git("update-ref", f"refs/heads/{BRANCH}", merge)
    assert "left alone" in scene.run()
    assert scene.head() == merge


def test_a_ticked_box_lets_the_bot_build_the_branch_anew(scene) -> None:
    scene.run()
    scene.repo.commit({"notes.txt": b"mine\n"}, branch=BRANCH)
    pull = scene.the_pull()
    pull.body = pull.body.replace("- [ ] <!-- harden:rebuild -->", "- [x] <!-- harden:rebuild -->")
    assert "updated: the branch was built anew" in scene.run()
    assert scene.is_right()
    assert "[x] <!-- harden:rebuild -->" not in scene.the_pull().body


def test_the_branch_moves_with_its_base(scene) -> None:
    scene.run()
    scene.repo.commit({"README.md": b"more\n"})
    assert "updated" in scene.run()
    assert scene.is_right()
    assert scene.repo.show(BRANCH, "README.md") == "more"


def test_a_base_that_moved_elsewhere_is_no_reason_when_only_conflicts_are(scene) -> None:
    scene.run()
    before = scene.head()
    scene.repo.commit({"README.md": b"more\n"})
    scene.run("--rebase", "conflicts")
    assert scene.head() == before


def test_a_conflict_with_the_base_is_solved_by_building_anew(scene) -> None:
    scene.run()
    scene.repo.commit({"Dockerfile": b'FROM node:20-slim\nWORKDIR /srv\nCOPY . .\nCMD ["node", "app.js"]\n'})
    scene.run("--rebase", "conflicts")
    assert scene.is_right()
    assert "FROM node" in scene.hardened()


def test_a_pull_request_with_nothing_left_is_closed_with_a_word(scene) -> None:
    scene.run()
    scene.repo.commit({"Dockerfile": DONE})
    assert "closed: nothing is left to do" in scene.run()
    (pull,) = scene.pulls("closed")
    assert len(pull.comments) == 1
    assert not scene.head()
    assert "unchanged" in scene.run()


def test_one_that_the_bot_closed_is_no_refusal(scene) -> None:
    scene.run()
    scene.repo.commit({"Dockerfile": DONE})
    scene.run()
    scene.repo.commit({"worker/Dockerfile": b'FROM python:3.12-slim\nCOPY . /app\nCMD ["python", "/app/w.py"]\n'})
    assert "opened" in scene.run()
    assert len(scene.pulls()) == 1


def test_one_that_people_closed_is_not_opened_again(scene) -> None:
    scene.run()
    scene.the_pull().state = "closed"
    assert "declined: people closed" in scene.run()
    assert scene.pulls() == []
    scene.repo.commit({"README.md": b"more\n"})
    assert "declined" in scene.run()


def test_one_that_people_closed_is_opened_again_when_that_is_asked_for(scene) -> None:
    scene.run()
    scene.the_pull().state = "closed"
    assert "opened" in scene.run("--reopen")
    assert len(scene.pulls()) == 1


def test_after_a_merge_there_is_nothing_to_do(scene) -> None:
    scene.run()
    scene.world.merge(scene.repo, scene.the_pull())
    assert "unchanged" in scene.run()
    assert not scene.head()


def test_a_merge_that_was_taken_back_is_a_refusal(scene) -> None:
    scene.run()
    before = scene.repo.show("main", "Dockerfile")
    scene.world.merge(scene.repo, scene.the_pull())
    scene.repo.commit({"Dockerfile": f"{before}\n".encode()})
    assert "reverted: the same change was merged and taken back" in scene.run()
    assert scene.pulls() == []


def test_the_hold_label_stops_updates(scene) -> None:
    scene.run()
    scene.the_pull().labels.append("stop-updating")
    scene.repo.commit({"README.md": b"more\n"})
    before = scene.head()
    assert "held" in scene.run()
    assert scene.head() == before


def test_a_limit_of_open_ones_and_of_ones_in_an_hour(scene) -> None:
    assert "opened" in scene.run("--max-open", "1", "--per-hour", "1")
    other = Scene(scene.world, scene.kind, path="acme/other")
    scene.writes()
    assert "postponed: the limit of --max-open is reached" in other.run("--max-open", "1", "--per-hour", "2")
    assert "postponed: the limit of --per-hour is reached" in other.run("--max-open", "2", "--per-hour", "1")
    assert "would be postponed" in other.run("--max-open", "1", "--dry-run")
    assert scene.writes() == []
    assert "current" in scene.run("--max-open", "0", "--per-hour", "0")  # what is open is kept current
    scene.the_pull().created -= 3700
    assert "opened" in other.run("--max-open", "2", "--per-hour", "1")


def test_a_configuration_that_wants_none_gets_none(scene) -> None:
    scene.repo.commit({"hardener.toml": b"pull-requests = false\n"})
    assert "declined: its configuration says pull-requests = false" in scene.run()
    assert scene.writes() == []


def test_a_configuration_that_wants_none_any_more_closes_the_one_that_is_open(scene) -> None:
    scene.run()
    scene.repo.commit({"pyproject.toml": b"[tool.hardener]\npull-requests = false\n"})
    for _ in range(2):
        scene.run()
    (pull,) = scene.pulls("closed")
    assert len(pull.comments) == 1
    assert "pull-requests = false" in pull.comments[0]
    assert not scene.head()
    scene.repo.commit({"pyproject.toml": b"\n"})  # and wants them again
    assert "opened" in scene.run()


def test_one_folder_of_a_repository_may_want_none(scene) -> None:
    dockerfile = b'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "app.py"]\n'
    scene.repo.commit({"legacy/Dockerfile": dockerfile, "legacy/hardener.toml": b"pull-requests = false\n"})
    scene.run()
    assert "USER" not in scene.repo.show(BRANCH, "legacy/Dockerfile")
    assert "`legacy/Dockerfile`: its configuration says" in scene.the_pull().body


def test_what_people_wrote_around_the_bots_part_stays(scene) -> None:
    scene.run()
    pull = scene.the_pull()
    pull.body = f"Ada: please look.\r\n\r\n{pull.body}\r\n\r\nThanks!"
    pull.title = "Ada's title"
    scene.repo.commit({"README.md": b"more\n"})
    scene.run()
    assert pull.body.startswith("Ada: please look.")
    assert pull.body.rstrip().endswith("Thanks!")
    assert pull.title == "Ada's title"
    assert scene.is_right()


def test_a_text_whose_marker_is_gone_is_peoples(scene) -> None:
    scene.run()
    scene.the_pull().body = "Mine now."
    scene.repo.commit({"README.md": b"more\n"})
    scene.run()
    assert scene.the_pull().body == "Mine now."
    assert scene.repo.show(BRANCH, "README.md") == "more"


def test_without_the_right_to_push_it_comes_from_a_fork(scene) -> None:
    scene.repo.can_push = False
    assert "opened" in scene.run()
    fork = scene.world.repos[f"{ACCOUNT}/shop"]
    assert scene.is_right(fork)
    assert not scene.repo.tip(BRANCH)
    assert "current" in scene.run()
    scene.repo.commit({"README.md": b"more\n"})
    scene.run()
    assert scene.is_right(fork)


def test_no_fork_is_made_where_nothing_is_to_do(scene) -> None:
    scene.repo.can_push = False
    scene.repo.commit({"Dockerfile": DONE})
    assert "skipped: nothing to do" in scene.run()
    assert list(scene.world.repos) == ["acme/shop"]


def test_an_archived_repository_is_skipped(scene) -> None:
    scene.repo.archived = True
    assert "skipped: it is archived" in scene.run()
    assert scene.writes() == []


def test_an_empty_repository_is_skipped(scene) -> None:
    scene.world.add("acme/empty")
    assert "skipped: it has no commit yet" in scene.run(url=f"{scene.world.url}/acme/empty.git")


def test_a_repository_without_a_dockerfile_is_unchanged(scene) -> None:
    scene.world.add("acme/docs", {"README.md": b"x\n"})
    assert "unchanged" in scene.run(url=f"{scene.world.url}/acme/docs.git")
    assert scene.writes() == []


def test_a_renamed_default_branch_is_followed(scene) -> None:
    scene.run()
    scene.repo.git("branch", "-m", "main", "trunk")
    scene.repo.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    scene.repo.default_branch = "trunk"
    scene.run()
    assert scene.the_pull().base == "trunk"
    assert len(scene.repo.pulls) == 1


def test_a_protected_branch_is_a_line_not_a_traceback(scene) -> None:
    scene.world.protect(scene.repo, BRANCH)
    assert "Protected branch" in scene.run(status=2)
    assert scene.repo.pulls == []


def test_names_that_are_not_ascii(scene) -> None:
    dockerfile = 'FROM python:3.12-slim\n# Größe\nCOPY . /app\nCMD ["python", "/app/a.py"]\n'.encode()
    scene.repo.commit({"Dockerfile": None, "dienste/größe 1/Dockerfile": dockerfile})
    scene.run()
    assert "größe 1/Dockerfile" in scene.the_pull().body
    assert "gr%C3%B6%C3%9Fe%201/Dockerfile" in scene.the_pull().body
    assert "USER 5000:5000" in scene.repo.show(BRANCH, "dienste/größe 1/Dockerfile")


def test_a_huge_change_has_a_text_that_forges_take(github) -> None:
    dockerfile = b'FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nCMD ["python", "app.py"]\n'
    github.repo.commit(
        {f"services/with-a-rather-long-name-{number:03}/Dockerfile": dockerfile for number in range(150)}
    )
    github.run()
    body = github.the_pull().body
    assert len(body) < 65_536
    assert re.search(r"and \d+ more", body)


def test_labels_reviewers_assignees_and_draft(scene) -> None:
    scene.repo.labels = ["security"]
    text = scene.run("--draft", "--label", "security", "--reviewer", "zoe", "--assignee", "ada")
    pull = scene.the_pull()
    assert (pull.draft, pull.labels, pull.reviewers, pull.assignees) == (True, ["security"], ["zoe"], ["ada"])
    assert "todo=" not in pull.body
    assert "opened" in text
    scene.writes()
    scene.run("--draft", "--label", "security", "--reviewer", "zoe", "--assignee", "ada")
    assert scene.writes() == []


def test_a_reviewer_that_cannot_be_asked_is_said_and_keeps_nothing_back(github) -> None:
    text = github.run("--reviewer", "nobody", "--label", "security")
    assert "reviewers nobody: 422" in text
    assert github.the_pull().labels == ["security"]


def test_conventional_commits_where_the_history_has_them(scene) -> None:
    for number in range(8):
        scene.repo.commit({"n.txt": str(number).encode()}, message=f"feat(docker): add step {number}")
    scene.run()
    assert scene.the_pull().title == "fix(docker): run the container as a non-root user"
    assert scene.repo.git("log", "-1", "--format=%s", BRANCH) == scene.the_pull().title


def test_a_sign_off_where_the_repository_asks_for_it(scene) -> None:
    scene.repo.commit({"CONTRIBUTING.md": b"We need a Developer Certificate of Origin.\n"})
    scene.run()
    trailers = scene.repo.git("log", "-1", "--format=%(trailers:only)", BRANCH)
    assert "Signed-off-by: Bot <bot@example.com>" in trailers
    scene.writes()
    scene.run()
    assert scene.writes() == []


def test_the_repositorys_template_is_filled_in(scene) -> None:
    template = b"<!-- hello -->\n## Description\n\n## How was it tested?\n\n## Checklist\n- [ ] I read CONTRIBUTING\n"
    scene.repo.commit({".github/PULL_REQUEST_TEMPLATE.md": template})
    scene.run()
    body = scene.the_pull().body
    assert body.index("## Description") < body.index("Runs the container") < body.index("## How was it tested?")
    assert "- [ ] I read CONTRIBUTING" in body
    scene.writes()
    scene.run()
    assert scene.writes() == []


def test_dockerfiles_of_tests_and_examples_stay_aside(scene) -> None:
    scene.repo.commit({"tests/Dockerfile": b'FROM python:3.12-slim\nCOPY . /app\nCMD ["python", "/app/t.py"]\n'})
    scene.run()
    assert "USER" not in scene.repo.show(BRANCH, "tests/Dockerfile")
    assert "tests/Dockerfile" in scene.the_pull().body


@pytest.mark.parametrize("status", [403, 429, 502])
def test_a_call_that_fails_for_a_while_is_made_again(scene, status) -> None:
    headers = {"Retry-After": "0"} if status in (403, 429) else {}
    if status == 403 and scene.kind != "github":
        pytest.skip("403 is a rate limit on GitHub only")
    for verb, path in (("GET", "acme/shop$"), ("POST", "(pulls|merge_requests)$")):
        scene.world.fault(
            verb, path, status, times=2, headers=headers, message="You have exceeded a secondary rate limit"
        )
    scene.run()
    assert scene.is_right()


def test_a_pull_request_that_was_made_although_the_answer_was_an_error_is_found(scene) -> None:
    scene.world.fault("POST", "(pulls|merge_requests)$", 502, times=1, after=True)
    scene.run()
    assert scene.is_right()


@pytest.mark.parametrize("status", [401, 403, 404, 422, 500])
def test_a_call_that_fails_for_good_is_one_line(scene, status) -> None:
    scene.world.fault("GET", "acme/shop$", status, times=99)
    text = scene.run(status=2)
    assert text.startswith("error: ")
    assert len(text.splitlines()) <= 2
    assert scene.repo.pulls == []


def test_a_connection_that_breaks_off_is_tried_again(scene) -> None:
    scene.world.fault("GET", "acme/shop$", 0, times=1)
    scene.world.fault("GET", "acme/shop.git/info/refs.*upload-pack", 0, times=1)
    scene.run()
    assert scene.is_right()


def test_a_timeout_is_tried_again(scene, monkeypatch) -> None:
    for module in ("waiting", "forge", "github", "gitlab"):
        monkeypatch.setattr(f"hardener.bot.{module}.SECONDS", 1)
    scene.world.fault("GET", "acme/shop$", 0, times=1, sleep=1.5)
    scene.run()
    assert scene.is_right()


def test_a_wait_that_is_too_long_ends_the_run(scene) -> None:
    scene.world.fault("POST", "(pulls|merge_requests)$", 429, times=9, headers={"Retry-After": "7200"})
    assert "asks to wait 7200 s" in scene.run(status=2)
    scene.world.faults.clear()
    scene.run()
    assert scene.is_right()


def test_a_wrong_token_is_one_line(scene, monkeypatch) -> None:
    monkeypatch.setattr("forge.server.TOKEN", "another")
    assert "401" in scene.run(status=2)


def adapter_of(scene):
    from hardener.bot.access import connect

    return connect(scene.url, scene.kind, scene.api_url)[0]


def test_two_bots_at_once_make_one_pull_request(scene, monkeypatch) -> None:
    real, other = branch.push, []

    def push(*words):
        if not other:
            other.append(True)
            scene.run()  # the faster one
        return real(*words)

    monkeypatch.setattr(branch, "push", push)
    scene.run()
    assert scene.is_right()


def test_two_bots_that_pushed_the_same_make_one_pull_request(scene, monkeypatch) -> None:
    cls, other = type(adapter_of(scene)), []
    real = cls.create

    def create(*words):
        if not other:
            other.append(True)
            real(*words)
        return real(*words)

    monkeypatch.setattr(cls, "create", create)
    scene.run()
    assert scene.is_right()


def test_a_commit_that_comes_between_the_look_and_the_push_is_kept(scene, monkeypatch) -> None:
    scene.run()
    scene.repo.commit({"README.md": b"more\n"})
    real, theirs = branch.push, []

    def push(*words):
        if not theirs:
            theirs.append(scene.repo.commit({"notes.txt": b"mine\n"}, branch=BRANCH))
        return real(*words)

    monkeypatch.setattr(branch, "push", push)
    assert "left alone" in scene.run()
    assert scene.head() == theirs[0]


def test_no_secret_stays_anywhere(scene, tmp_path, monkeypatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    trace = tmp_path / "trace.txt"
    monkeypatch.setenv("GIT_TRACE", str(trace))
    scene.run()
    assert scene.is_right()
    found = subprocess.run(["grep", "-rl", TOKEN, str(tmp_path)], capture_output=True, text=True).stdout
    assert found == ""
    assert list(scratch.iterdir()) == []
    assert "HARDEN_GIT_PASSWORD" not in os.environ


def test_a_folder_means_the_repository_that_its_remote_names(scene, tmp_path) -> None:
    folder = tmp_path / "work"
    subprocess.run(["git", "clone", "-q", scene.url, folder], check=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    scene.run(url=str(folder))
    assert scene.is_right()
    assert (folder / "Dockerfile").read_text() == "FROM scratch\n"


def test_a_folder_without_a_remote_is_one_line(tmp_path) -> None:
    with served(World(tmp_path / "w")) as world:
        scene = Scene(world, "github")
        folder = tmp_path / "work"
        subprocess.run(["git", "init", "-q", folder], check=True)
        assert "has no remote" in scene.run(url=str(folder), status=2)


def test_a_github_enterprise_behind_its_own_path(github) -> None:
    github.api_url = f"{github.world.url}/api/v3"
    github.run()
    assert github.is_right()


def test_a_github_app_signs_in_and_its_commits_are_the_forges(github, monkeypatch) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    monkeypatch.setenv("HARDEN_APP_ID", "7")
    monkeypatch.setenv("HARDEN_APP_PRIVATE_KEY", pem.decode())
    github.run("--api-commit")
    assert github.is_right()
    assert github.repo.git("log", "-1", "--format=%cn", BRANCH) == "GitHub"
    github.writes()
    assert "current" in github.run("--api-commit")
    assert github.writes() == []


def test_a_host_that_does_not_tell_what_it_is_needs_a_word(github) -> None:
    from click.testing import CliRunner

    from hardener.cli import main

    result = CliRunner().invoke(main, ["pr", "https://git.example.com/acme/shop"])
    assert result.exit_code == 2
    assert "--forge" in result.stderr


@pytest.fixture
def gpg(tmp_path_factory, monkeypatch):
    """A key of our own; yields its fingerprint."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = tmp_path_factory.mktemp("gpg")  # its socket wants a short path
    home.chmod(0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    words = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run(
        [*words, "--quick-gen-key", "Bot <bot@example.com>", "ed25519", "sign"], check=True, capture_output=True
    )
    listed = subprocess.run([*words, "--list-keys", "--with-colons"], check=True, capture_output=True, text=True).stdout
    yield re.search(r"^fpr:+(\w+):", listed, re.MULTILINE)[1]
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=False)


def configured(tmp_path, monkeypatch, **settings: str) -> None:
    """Let git know what a user configured for all repositories."""
    file = tmp_path / "gitconfig"
    for name, value in settings.items():
        subprocess.run(["git", "config", "--file", file, name.replace("_", "."), value], check=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))


def test_commits_are_signed_where_git_is_configured_to_sign(github, gpg, tmp_path, monkeypatch) -> None:
    configured(tmp_path, monkeypatch, commit_gpgSign="true", user_signingKey=gpg)
    github.run()
    assert github.is_right()
    verified = github.repo.git("log", "-1", "--format=%G? %GF", BRANCH, GNUPGHOME=os.environ["GNUPGHOME"])
    assert verified == f"G {gpg}"
    github.writes()
    assert "current" in github.run()  # a signed commit is known again as the bot's own
    assert github.writes() == []


def test_commits_are_signed_with_an_ssh_key_where_git_is_configured_so(github, tmp_path, monkeypatch) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    configured(tmp_path, monkeypatch, commit_gpgSign="true", gpg_format="ssh", user_signingKey=f"{key}.pub")
    github.run()
    assert github.is_right()
    assert "-----BEGIN SSH SIGNATURE-----" in github.repo.git("cat-file", "commit", BRANCH)
    assert "current" in github.run()


def test_a_key_that_is_not_there_is_one_line_and_nothing_is_pushed(github, gpg, tmp_path, monkeypatch) -> None:
    configured(tmp_path, monkeypatch, commit_gpgSign="true", user_signingKey="0" * 40)
    assert len(github.run(status=2).splitlines()) == 1
    assert not github.head()
