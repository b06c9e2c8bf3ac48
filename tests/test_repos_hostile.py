"""Hostile repositories, one for each attack: nothing of them runs, nothing outside changes, each is one line.

Every attack would leave the file ``PWNED`` if it worked.  The whole run is made once with a commit on a branch and once
in place, which reads the work tree itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from repositories import APPLICATION, git, harden_repos, repository, snapshot

ATTACKS: dict[str, object] = {}


def attack(function):
    ATTACKS[function.__name__] = function
    return function


@attack
def hooks(folder: Path, pwned: Path) -> None:
    for name in ("pre-commit", "post-commit", "reference-transaction", "post-checkout", "post-index-change", "update"):
        hook = folder / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {pwned}\n")
        hook.chmod(0o755)


@attack
def hooks_path(folder: Path, pwned: Path) -> None:
    (folder / "h").mkdir()
    for name in ("reference-transaction", "post-index-change"):
        (folder / "h" / name).write_text(f"#!/bin/sh\ntouch {pwned}\n")
        (folder / "h" / name).chmod(0o755)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "h")
    git(folder, "config", "core.hooksPath", "h")


@attack
def fsmonitor(folder: Path, pwned: Path) -> None:
    git(folder, "config", "core.fsmonitor", f"touch {pwned}; false")


@attack
def ssh_command(folder: Path, pwned: Path) -> None:
    git(folder, "config", "core.sshCommand", f"touch {pwned}")
    git(folder, "config", "remote.origin.url", "ssh://localhost/x")
    git(folder, "config", "remote.origin.promisor", "true")


@attack
def filters(folder: Path, pwned: Path) -> None:
    (folder / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "attributes")
    for name in (
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.evil.command",
    ):
        git(folder, "config", name, f"touch {pwned}")
    git(folder, "config", "filter.evil.required", "true")
    os.utime(folder / "app.py", (1, 1))  # so that git wants to compare it


@attack
def external_programs(folder: Path, pwned: Path) -> None:
    for name in ("diff.external", "core.pager", "core.editor", "gpg.program", "core.askPass", "uploadpack.packObjectsHook",
                 "credential.helper", "alias.status", "core.gitProxy"):  # fmt: skip
        git(
            folder,
            "config",
            name,
            f"!touch {pwned}" if name in ("alias.status", "credential.helper") else f"touch {pwned}",
        )
    git(folder, "config", "commit.gpgSign", "true")


@attack
def included_configuration(folder: Path, pwned: Path) -> None:
    (folder / ".git/more").write_text(f"[core]\n\tfsmonitor = touch {pwned}; false\n")
    git(folder, "config", "include.path", "more")


@attack
def attributes_of_the_repository(folder: Path, pwned: Path) -> None:
    (folder / ".git/info").mkdir(exist_ok=True)
    (folder / ".git/info/attributes").write_text("* filter=evil\n")
    git(folder, "config", "filter.evil.clean", f"touch {pwned}")
    os.utime(folder / "app.py", (1, 1))


@attack
def submodules(folder: Path, pwned: Path) -> None:
    (folder / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {pwned}"\n\tupdate = !touch {pwned}\n'
    )
    oid = git(folder, "rev-parse", "HEAD")
    git(folder, "add", "-A")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{oid},x")
    git(folder, "commit", "-qm", "submodule")


@attack
def lfs(folder: Path, pwned: Path) -> None:
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (folder / ".lfsconfig").write_text("[lfs]\n\turl = http://127.0.0.1:9/\n")
    (folder / "a.bin").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "lfs")
    git(folder, "config", "filter.lfs.smudge", f"touch {pwned}")


@attack
def links_out(folder: Path, pwned: Path) -> None:
    for name, target in (("compose.yml", "secret"), ("app", ".."), ("hardener.toml", "secret"), (".gitignore", "secret"),
                         ("deep/x", "../.."), ("deep/y", "x/.."), ("web.Dockerfile", "secret")):  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(pwned.parent / target if target == "secret" else target)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "links")


@attack
def huge_file(folder: Path, pwned: Path) -> None:
    with open(folder / ".gitignore", "wb") as file:
        file.write(b"*" * (5 << 20))
    (folder / "compose.yml").write_bytes(b"services:\n" + b" " * (5 << 20))
    git(folder, "add", "-f", "-A")
    git(folder, "commit", "-qm", "huge")


@attack
def endless_files(folder: Path, pwned: Path) -> None:
    for name in (
        "compose.yml",
        "Makefile",
        "web.Dockerfile",
        "settings.py",
        "sub/.gitignore",
        "sub/hardener.toml",
        "sub/Dockerfile",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        os.mkfifo(folder / name)


@attack
def deep_tree(folder: Path, pwned: Path) -> None:
    place = folder
    for _ in range(400):
        place = place / "d"
    place.mkdir(parents=True)
    (place / "Dockerfile").write_text(APPLICATION["Dockerfile"])
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "deep")


@attack
def odd_names(folder: Path, pwned: Path) -> None:
    for name in (
        b"a\nb\x1b[31m.Dockerfile",
        b"\xff\xfe.Dockerfile",
        b"-rf.Dockerfile",
        b"--upload-pack=x.Dockerfile",
        b'q"\\.Dockerfile',
    ):
        (folder / os.fsdecode(name)).write_text(APPLICATION["Dockerfile"])
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "odd")


@attack
def configuration_injection(folder: Path, pwned: Path) -> None:
    (folder / "hardener.toml").write_text(f'user = "x; touch {pwned} #"\ninspect = true\n')
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "configuration")


@attack
def yaml_bomb(folder: Path, pwned: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (folder / "compose.yml").write_text("\n".join(lines) + "\nservices:\n  web:\n    build: .\n    environment: *a11\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "bomb")


@attack
def borrowed_objects(folder: Path, pwned: Path) -> None:
    (folder / ".git/objects/info/alternates").write_text(f"{pwned.parent}/victim/.git/objects\n")
    oid = git(pwned.parent / "victim", "rev-parse", "HEAD")
    (folder / ".git/refs/heads/main").write_text(oid + "\n")


@attack
def names_of_both_cases(folder: Path, pwned: Path) -> None:
    (folder / "DOCKERFILE").write_text("FROM alpine\n")
    (folder / "App.py").write_text("other\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "case")


@attack
def two_files_of_one_name(folder: Path, pwned: Path) -> None:
    """A tree that git would not write: ``x`` is a link out and a folder, ``.git`` and ``..`` are files."""
    blob = git(folder, "hash-object", "-w", "--stdin", stdin=str(pwned.parent).encode())
    inner = git(folder, "mktree", stdin=f"100644 blob {blob}\tPWNED\n".encode())
    raw = b"".join(
        mode + b" " + name + b"\0" + bytes.fromhex(oid)
        for mode, name, oid in (
            (b"100644", b"..", blob), (b"40000", b".git", inner), (b"100644", b"Dockerfile", git(folder, "rev-parse", "HEAD:Dockerfile")),
            (b"120000", b"x", blob), (b"40000", b"x", inner),
        )
    )  # fmt: skip
    tree = git(folder, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    git(folder, "update-ref", "HEAD", git(folder, "commit-tree", tree, "-m", "odd"))


@attack
def git_file_elsewhere(folder: Path, pwned: Path) -> None:
    shutil.rmtree(folder / ".git")
    (folder / ".git").write_text(f"gitdir: {pwned.parent}/victim/.git\n")


@attack
def branch_is_a_link(folder: Path, pwned: Path) -> None:
    (folder / ".git/refs/heads/harden").symlink_to(pwned.parent / "victim")


@attack
def branch_stands_for_another(folder: Path, pwned: Path) -> None:
    (folder / ".git/refs/heads/harden").mkdir()
    (folder / ".git/refs/heads/harden/non-root").write_text("ref: refs/heads/main\n")


@attack
def objects_are_a_link(folder: Path, pwned: Path) -> None:
    shutil.move(folder / ".git/objects", folder / "objects")
    (folder / ".git/objects").symlink_to(folder / "objects")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All hostile repositories in ``org``, a victim beside them, and a good one that has to be changed."""
    here = tmp_path_factory.mktemp("hostile")
    repository(here / "victim", {"Dockerfile": "FROM victim\n", "secret": "top secret\n"})
    (here / "secret").write_text("uid = 1\nsecretvalue\n")
    repository(here / "org/good")
    for name, function in ATTACKS.items():
        function(repository(here / "org" / name), here / "PWNED")
        assert not (here / "PWNED").exists(), name
    return here


@pytest.mark.parametrize("mode", ["branch", "in-place", "patches"])
def test_nothing_of_a_hostile_repository_runs_or_gets_out(built: Path, tmp_path: Path, mode: str) -> None:
    here = tmp_path / "copy"
    subprocess.run(["cp", "-a", built, here], check=True)  # FIFOs and links as they are
    for file in (here / "org").rglob("*"):  # the attacks name the folder where they were made
        if (
            file.is_file()
            and not file.is_symlink()
            and file.suffix != ".bin"
            and str(built).encode() in (data := file.read_bytes())
        ):
            if len(data) < 1 << 20 and "objects" not in file.parts:
                file.write_bytes(data.replace(str(built).encode(), str(here).encode()))
    outside = {path: data for path, data in snapshot(here).items() if not path.startswith(f"{here}/org/")}
    words = {
        "branch": ("--branch", "harden/non-root"),
        "in-place": ("--in-place",),
        "patches": ("--patches", tmp_path / "p"),
    }
    state = tmp_path / "state.sqlite"
    done = harden_repos(tmp_path, here / "org", *words[mode], "--state", state, "--time-limit", "60", code=1)
    assert not (here / "PWNED").exists() and not (built / "PWNED").exists()
    after = {path: data for path, data in snapshot(here).items() if not path.startswith(f"{here}/org/")}
    assert after == outside
    lines = [
        line
        for line in done.stderr.decode().splitlines()
        if line.startswith(("changed:", "unchanged:", "manual:", "failed:"))
    ]
    names = sorted(os.path.basename(line.split(": ", 1)[1].strip().split(": ")[0]) for line in lines)
    assert names == sorted(["good", *ATTACKS])  # one line for each
    assert "secretvalue" not in done.stderr.decode()
    assert "took more than" not in done.stderr.decode()
    assert "fault of harden" not in done.stderr.decode()
    assert next(line for line in lines if "/good:" in line).startswith("changed:")
    for line in lines:
        assert line.isprintable()
    for patch in tmp_path.glob("p/*.patch"):
        assert b"secretvalue" not in patch.read_bytes() and b"FROM victim" not in patch.read_bytes()


SECRET = "hunter2-s3cr3t-t0ken"


def test_a_credential_is_found_nowhere_afterwards(tmp_path: Path) -> None:
    """In the environment, in a helper that says it aloud, in the remote of a work tree, in a list of URLs."""
    work = repository(tmp_path / "org/one")
    git(work, "config", "remote.origin.url", f"https://user:{SECRET}@example.com/acme/one.git")
    source = snapshot(tmp_path / "org")
    here = tmp_path / "here"
    temporary = tmp_path / "tmp"
    here.mkdir()
    temporary.mkdir()
    (here / "urls.txt").write_text("http://127.0.0.1:9/acme/one\n")
    environment = {
        "GITHUB_TOKEN": SECRET,
        "GIT_ASKPASS": f"echo {SECRET}",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {SECRET}",
        "TMPDIR": str(temporary),
    }
    outputs = []
    for words, code in (
        ((tmp_path / "org", "urls.txt", "--patches", "p", "--report", "r.html", "--report", "r.json"), 1),
        ((f"https://user:{SECRET}@127.0.0.1:9/x", "--patches", "p", "--state", "2.sqlite"), 2),
        ((tmp_path / "org", "--branch", "b", "--state", "3.sqlite"), 0),
        (("status",), 0),
    ):
        driver = harden_repos(here, *words, code=code, environment=environment)
        outputs += [driver.stdout, driver.stderr]
    assert SECRET.encode() not in b"".join(outputs)
    for path, data in {**snapshot(here), **snapshot(temporary)}.items():
        assert SECRET not in path
        assert SECRET.encode() not in (data if isinstance(data, bytes) else data.encode())
    for path, data in snapshot(tmp_path / "org").items():
        assert path in source or SECRET.encode() not in (data if isinstance(data, bytes) else data.encode())
