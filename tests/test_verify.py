"""Comparing, naming causes, proposing remedies, isolating Compose files: everything of `harden verify` without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from click.testing import CliRunner
from conftest import FIXTURES

from hardener.bulk import harden_paths
from hardener.cli import main
from hardener.needs import Needs, needs_from
from hardener.settings import ConfigurationError, Settings, settings_for
from hardener.verify import causes, compose_file, probes, processes, registry, sockets, stacks, watching
from hardener.verify.command import command as verify_command
from hardener.verify.compare import BETTER, BROKEN, SAME, UNJUDGED, judge, unwritten
from hardener.verify.configuration import with_needs
from hardener.verify.data import File, unusable
from hardener.verify.engine import EngineFailed, Said
from hardener.verify.kept_options import with_kept
from hardener.verify.observation import Answer, Image, Seen, Side
from hardener.verify.remedies import Evidence, proposals

ROOT_SEEN = Seen(running=True, user="0:0", ports=(80,), answers=(Answer("GET", 200, "hello"),), log="started\n")
USER_SEEN = Seen(running=True, user="5000:5000", ports=(8080,), answers=(Answer("GET", 200, "hello"),), log="started\n")


def side(seen: Seen, **scenarios: Seen) -> Side:
    return Side(
        images={"app": Image(1000, 3)},
        scenarios={"start": {"app": seen}, **{k: {"app": v} for k, v in scenarios.items()}},
    )


def verdict(old: Seen, new: Seen, **options) -> str:
    return judge(side(old), side(new), Settings().new_port, **options).verdict


def changed(seen: Seen, **values) -> Seen:
    return Seen(**{**seen.__dict__, **values})


def test_no_longer_root_is_better_and_nothing_different_is_the_same() -> None:
    assert verdict(ROOT_SEEN, USER_SEEN) == BETTER
    assert verdict(ROOT_SEEN, ROOT_SEEN) == SAME


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"running": False, "exit_code": 1, "log": "PermissionError: [Errno 13] Permission denied: '/x'"}, "exit"),
        ({"running": False, "error": "unable to find user app: no matching entries in passwd file"}, "start"),
        ({"restarts": 5}, "restarts"),
        ({"ports": ()}, "port"),
        ({"answers": (Answer("GET", 500, "oops"),)}, "probe"),
        ({"answers": (Answer("GET", 200, "hullo"),)}, "probe"),
        ({"answers": (Answer("GET", error="refused"),)}, "probe"),
        ({"log": "started\nEACCES: permission denied, open '/app/.next/cache'\n"}, "log"),
    ],
)
def test_everything_that_is_worse_is_broken(values, kind) -> None:
    found = judge(side(ROOT_SEEN), side(changed(USER_SEEN, **values)), Settings().new_port)
    assert found.verdict == BROKEN
    assert kind in {one.kind for one in found.reasons}


def test_what_differs_at_every_start_is_no_difference() -> None:
    old = changed(
        ROOT_SEEN, answers=(Answer("GET", 200, "at 2026-11-27T10:00:00Z on 0123456789ab"),), log="pid 1 EACCES\n"
    )
    new = changed(
        USER_SEEN, answers=(Answer("GET", 200, "at 2026-11-27T10:07:31Z on ba9876543210"),), log="pid 7 EACCES\n"
    )
    assert verdict(old, new) == BETTER


def test_tolerance_and_allowed_lines() -> None:
    near = changed(USER_SEEN, answers=(Answer("GET", 200, "hellö"),))
    assert verdict(ROOT_SEEN, near) == BROKEN
    assert verdict(ROOT_SEEN, near, tolerance=0.5) == BETTER
    loud = changed(USER_SEEN, log="cannot tune: Operation not permitted\n")
    assert verdict(ROOT_SEEN, loud) == BROKEN
    assert verdict(ROOT_SEEN, loud, allowed=("cannot tune",)) == BETTER


def test_what_did_not_work_before_cannot_be_judged() -> None:
    dead = changed(ROOT_SEEN, running=False, exit_code=3)
    assert verdict(dead, dead) == UNJUDGED
    assert judge(Side(build_error="no"), Side(build_error="no"), Settings().new_port).verdict == UNJUDGED
    assert judge(side(ROOT_SEEN), Side(build_error="no"), Settings().new_port).verdict == BROKEN


def test_a_port_may_move_as_configured_or_anywhere_but_not_vanish() -> None:
    assert verdict(ROOT_SEEN, changed(USER_SEEN, ports=(3000,))) == BETTER
    assert verdict(changed(ROOT_SEEN, ports=(80, 9000)), changed(USER_SEEN, ports=(8080,))) == BROKEN
    assert verdict(changed(ROOT_SEEN, ports=(80, 40123)), changed(USER_SEEN, ports=(8080, 51000))) == BETTER
    assert verdict(changed(ROOT_SEEN, ports=None), changed(USER_SEEN, ports=())) == BETTER


def test_a_printed_command_that_fails_and_data_that_cannot_be_used_are_broken() -> None:
    before = side(ROOT_SEEN, again=ROOT_SEEN)
    failed = Side(**{**side(USER_SEEN, upgrade=USER_SEEN).__dict__, "refused": ("chown ...: Operation not permitted",)})
    lost = side(USER_SEEN, upgrade=changed(USER_SEEN, unusable=("/data/notes.db",)))
    assert judge(before, side(USER_SEEN, upgrade=USER_SEEN), Settings().new_port).verdict == BETTER
    for after, kind in ((failed, "migration"), (lost, "data")):
        found = judge(before, after, Settings().new_port)
        assert (found.verdict, [one.kind for one in found.reasons]) == (BROKEN, [kind])
        assert [one.kind for one in causes.causes_of(found.reasons)] == [kind]


@pytest.mark.parametrize(
    ("owner", "mode", "written", "usable"),
    [
        ((5000, 5000), 0o600, True, True),
        ((0, 0), 0o644, False, True),  # came with the image: to be read
        ((0, 0), 0o600, False, False),
        ((0, 0), 0o644, True, False),  # the program wrote it, and could not again
        ((0, 0), 0o666, True, True),
        ((0, 5000), 0o660, True, True),
        ((4999, 4999), 0o644, True, False),  # given to somebody else
        ((999, 999), 0o600, False, True),  # another service's
    ],
)
def test_data_are_judged_by_owner_and_mode(owner, mode, written, usable) -> None:
    file = File("/data/x", *owner, mode, 20.0 if written else 5.0, is_folder=False)
    assert unusable([file], "5000:5000", 10.0) == (() if usable else ("/data/x",))
    assert unusable([file], "0:0", 10.0) == ()


def test_ids_are_those_of_the_container() -> None:
    assert processes.ids_of("Name:\tsh\nUid:\t101000\t101000\nGid:\t100000\t1\n") == (101000, 100000)
    assert processes.ids_of("Name:\tsh\n") is None
    rootless = "         0       1000          1\n         1     100000      65536\n"
    assert [processes.inside(one, rootless) for one in (1000, 100999, 5)] == [0, 1000, -1]


def test_a_lock_up_counts_only_against_what_survived_it_before() -> None:
    dead = Seen(exit_code=1)
    both = judge(side(ROOT_SEEN, locked=dead), side(USER_SEEN, locked=dead), Settings().new_port)
    lost = judge(side(ROOT_SEEN, locked=ROOT_SEEN), side(USER_SEEN, locked=dead), Settings().new_port)
    won = judge(side(ROOT_SEEN, locked=dead), side(USER_SEEN, locked=USER_SEEN), Settings().new_port)
    assert (both.verdict, lost.verdict, won.verdict) == (BETTER, BROKEN, BETTER)
    assert len(won.gains) == 2


def test_what_was_written_before_and_is_not_afterwards() -> None:
    old = changed(ROOT_SEEN, written=("/app", "/app/data", "/app/data/x", "/app/__pycache__/a.pyc"))
    assert unwritten(old, USER_SEEN) == ["/app/data"]
    assert unwritten(old, changed(USER_SEEN, written=("/app/data/x",))) == []


def test_the_folder_that_the_engine_makes_for_a_volume_is_not_what_the_program_wrote() -> None:
    paths = ["/var", "/var/lib", "/var/lib/notes", "/var/cache", "/var/cache/x", "/run"]
    assert watching.beside_mounts(paths, ("/var/lib/notes",)) == ("/var", "/var/cache", "/var/cache/x", "/run")
    assert watching.beside_mounts(paths[:3], ("/var/lib/notes",)) == ()
    assert watching.beside_mounts(paths, ()) == tuple(paths)


@pytest.mark.parametrize("one", causes.knowledge(), ids=lambda one: one["example"][:40])
def test_every_pattern_of_a_cause_fits_its_example(one) -> None:
    assert one["source"]
    assert re.search(one["pattern"], one["example"])
    found = causes.cause_of_line(one["example"])
    assert found is not None
    assert found.kind == one["kind"]
    assert "{" not in found.text


@pytest.mark.parametrize(
    ("line", "kind", "about"),
    [
        ("listen tcp :80: bind: permission denied", "port", "80"),
        ("Error: listen EACCES: permission denied 0.0.0.0:443", "port", "443"),
        ("touch: cannot touch '/var/run/app.pid': Permission denied", "not-writable", "/var/run/app.pid"),
        ("java.io.FileNotFoundException: /app/logs/app.log (Permission denied)", "not-writable", "/app/logs/app.log"),
        ("Error: EACCES: permission denied, mkdir '/root/.cache/x'", "home", "/root/.cache/x"),
        ("PermissionError: [Errno 13] Permission denied: '/.cache'", "home", "/.cache"),
        ("/bin/sh: 0: cannot open /start.sh: Permission denied", "not-executable", "/start.sh"),
        ("chown: /data: Operation not permitted", "entrypoint-chown", "/data"),
        ("OSError: [Errno 30] Read-only file system: '/var/cache/x'", "read-only", "/var/cache/x"),
    ],
)
def test_causes_are_named_with_what_they_are_about(line, kind, about) -> None:
    found = causes.cause_of_line(line)
    assert found is not None
    assert (found.kind, found.about) == (kind, about)


def test_a_harmless_line_names_no_cause() -> None:
    assert causes.cause_of_line("listening on port 8000") is None


def test_remedies_give_the_folder_first_and_then_the_file() -> None:
    cause = causes.Cause("not-writable", "/app/notes.db")
    assert next(proposals([cause], Evidence())).needs == Needs(writable=("/app/",))
    again = Evidence(tried=Needs(writable=("/app/",)))
    assert next(proposals([cause], again)).needs == Needs(writable=("/app/notes.db",))


def test_no_remedy_gives_away_the_system() -> None:
    for path in ("/etc/passwd", "/usr/bin/x", "/proc/1/mem", "/run/app.pid", "/x"):
        for remedy in proposals([causes.Cause("not-writable", path)], Evidence()):
            assert not {"/", "/etc/", "/usr/bin/", "/proc/1/", "/run/", "/etc/passwd"} & set(remedy.needs.writable)


def test_what_was_learnt_is_written_without_touching_another_byte() -> None:
    data = b'# ours\nuid = 6000\n\n[images."x"]\nfamily = "debian"\n'
    first = with_needs(data, "hardener.toml", "web/Dockerfile", Needs(writable=("/a",)), ["it was refused"])
    assert first.startswith(data)
    second = with_needs(first, "hardener.toml", "web/Dockerfile", Needs(writable=("/a", "/b"), leave="no"), [])
    assert second.startswith(data)
    table = tomli.loads(second.decode())["dockerfiles"]
    assert needs_from(table, "t") == (("web/Dockerfile", Needs(writable=("/a", "/b"), leave="no")),)
    own = with_needs(b"[tool.hardener]\nuid = 1\n[tool.x]\n", "pyproject.toml", "Dockerfile", Needs(ports="keep"), [])
    assert tomli.loads(own.decode())["tool"]["hardener"]["dockerfiles"]["Dockerfile"] == {"ports": "keep"}


@pytest.mark.parametrize(
    "value",
    [{"d": {"writable": ["relative"]}}, {"d": {"writable": ["/a; rm -rf /"]}}, {"d": {"env": {"A": "x y"}}},
     {"d": {"ports": "any"}}, {"d": {"unknown": 1}}, {"d": 1}, [], {"d": {"leave": True}}],
)  # fmt: skip
def test_needs_that_do_not_fit_are_refused(value) -> None:
    with pytest.raises(ConfigurationError):
        needs_from(value, "hardener.toml: 'dockerfiles'")


def test_probes_are_read() -> None:
    assert probes.parse("http://localhost:8000/a?b=c")[:5] == (
        "http",
        "http://localhost:8000/a?b=c",
        "",
        8000,
        "/a?b=c",
    )
    assert probes.parse("POST http://web/add name=x")[5:] == ("POST", "name=x")
    assert probes.parse("tcp://db:5432")[2:4] == ("db", 5432)
    assert probes.parse("cmd:db:pg_isready")[2] == "db"
    for text in ("ftp://x", "tcp:http", "cmd:", "http:/x", "http://x:99999/"):
        with pytest.raises(probes.ProbeError):
            probes.parse(text)


def test_listening_ports_are_read_from_the_kernels_table() -> None:
    table = (
        "  sl  local_address rem_address   st\n"
        "   0: 00000000:1F90 00000000:0000 0A 0\n"
        "   1: 0B00007F:9F77 00000000:0000 0A 0\n"
        "   2: 0100007F:1F91 0100007F:0000 01 0\n"
    )
    six = "   0: 00000000000000000000000000000000:0050 0:0 0A\n   1: 00000000000000000000000001000000:0051 0:0 0A\n"
    assert sockets.listening(table, six) == (80, 8080)


def isolation(root: Path, **values) -> compose_file.Isolation:
    return compose_file.Isolation({"l": "1"}, "p", {"web": "own:tag"}, root, root / "outside", **values)


def test_a_compose_file_keeps_to_itself(tmp_path: Path) -> None:
    config = {
        "name": "shop",
        "services": {
            "web": {
                "build": {"context": str(tmp_path), "tags": ["mine:latest"]},
                "image": "mine:latest",
                "container_name": "web",
                "network_mode": "host",
                "ports": [{"target": 80, "published": "8080", "protocol": "tcp"}],
                "volumes": [
                    {"type": "bind", "source": "/var/run/docker.sock", "target": "/var/run/docker.sock"},
                    {"type": "bind", "source": "/home/me/data", "target": "/data"},
                    {"type": "bind", "source": str(tmp_path / "conf"), "target": "/conf"},
                    {"type": "volume", "target": "/anonymous"},
                ],
            },
            "db": {"image": "postgres:16", "networks": {"back": None}},
        },
        "networks": {"back": {"name": "shop_back", "external": True}},
        "volumes": {"data": {"name": "shop_data", "external": True}},
    }
    given = json.dumps(config)
    (tmp_path / "conf").mkdir()
    to = isolation(tmp_path, sysctl="net.x=1", volumes={"web": ("/state",)})
    found, notes, folders, _ = compose_file.isolated(config, to)
    assert json.dumps(config) == given
    web = found["services"]["web"]
    assert web["image"] == "own:tag"
    assert "tags" not in web["build"]
    assert not {"container_name", "network_mode"} & set(web)
    assert web["ports"] == [{"target": 80, "host_ip": "127.0.0.1", "protocol": "tcp", "mode": "ingress"}]
    sources = {mount["target"]: mount["source"] for mount in web["volumes"]}
    assert folders == {"p_outside-web-data": None, "p_folder-conf": tmp_path / "conf"}
    assert [sources["/data"], sources["/conf"]] == list(folders)
    assert all(found["volumes"].pop(one) == {"name": one, "external": True} for one in folders)
    assert set(sources) == {"/data", "/conf", "/anonymous", "/state"}
    assert all(one == {"labels": {"l": "1"}} for one in found["volumes"].values())
    assert found["networks"]["back"] == {"labels": {"l": "1"}}
    assert found["services"]["db"]["labels"] == {"l": "1"}
    assert len(notes) == 3


def test_an_engine_elsewhere_gets_folders_as_volumes_and_files_copied(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "nginx.conf").touch()
    mounts = [{"type": "bind", "source": str(tmp_path / one), "target": f"/{one}", "read_only": True} for one in
              ("www", "nginx.conf")]  # fmt: skip
    config = {"services": {"web": {"build": {"context": "."}, "volumes": mounts}}}
    here = compose_file.isolated(config, isolation(tmp_path))
    assert here.document["services"]["web"]["volumes"] == mounts
    assert (here.folders, here.files) == ({}, [])
    there = compose_file.isolated(config, isolation(tmp_path, is_remote=True))
    (mount,) = there.document["services"]["web"]["volumes"]
    assert (mount["source"], mount["read_only"]) == ("p_folder-www", True)
    assert there.files == [("web", tmp_path / "nginx.conf", "/nginx.conf")]
    assert len(there.notes) == 1


def test_a_locked_service_keeps_what_it_had(tmp_path: Path) -> None:
    config = {
        "services": {
            "web": {
                "build": {"context": "."},
                "tmpfs": "/tmp:size=1m",
                "security_opt": ["no-new-privileges:true", "a:b"],
            }
        }
    }
    web = compose_file.isolated(config, isolation(tmp_path, locked=True, user="1:0")).document["services"]["web"]
    assert (web["cap_drop"], web["read_only"], web["user"], web["tmpfs"]) == (["ALL"], True, "1:0", "/tmp:size=1m")
    assert web["security_opt"] == ["a:b", "no-new-privileges:true"]


def test_a_run_is_alive_as_long_as_its_lock_is_held(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert not registry.is_alive(run)
    handle = registry.held(run / "alive")
    assert handle is not None
    assert registry.is_alive(run)
    os.close(handle)
    assert not registry.is_alive(run)


def test_without_an_engine_nothing_happens_and_the_exit_code_says_so(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM python:3.12-slim\nWORKDIR /app\nCMD ["python"]\n')
    env = {**os.environ, "PATH": str(tmp_path / "empty"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "verify", str(tmp_path)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "no container engine answers (docker is not on PATH; podman is not on PATH)" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Dockerfile"]
    write = [sys.executable, "-m", "hardener", str(tmp_path), "--in-place", "--verify"]
    assert subprocess.run(write, capture_output=True, env=env, check=False).returncode == 3
    assert (tmp_path / "Dockerfile").read_text().count("USER") == 0


def test_verify_goes_with_in_place_only() -> None:
    result = CliRunner().invoke(main, [str(FIXTURES), "--verify"])
    assert result.exit_code == 2
    assert "--in-place" in result.output


def test_options_of_verify_go_with_it_only() -> None:
    result = CliRunner().invoke(main, [str(FIXTURES), "--in-place", "--probe", "tcp:80"])
    assert result.exit_code == 2
    assert "--probe goes with --verify" in result.output


def test_options_are_kept_in_the_configuration_and_the_command_line_wins(tmp_path: Path) -> None:
    text = '[verify]\nprobe = ["tcp:5432"]\ntimeout = 5\nskip = ["locked"]\nno-compose = true\n'
    (tmp_path / "hardener.toml").write_text(text)
    context = verify_command.make_context("verify", ["--timeout", "7", str(tmp_path)])
    options = with_kept(context, tmp_path, {})
    names = ("probes", "timeout", "skip", "no_compose", "tolerance")
    assert [options[one] for one in names] == [("tcp:5432",), 7.0, ("locked",), True, 0.0]
    assert harden_paths([tmp_path], {}) is not None  # the hardener itself takes the table, too


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("verify = 1", "wants a table"),
        ("[verify]\nprobes = []", "unknown key 'probes'"),
        ('[verify]\nprobe = "tcp:1"', "wants a list"),
        ("[verify]\ntimeout = 0", "not in the range"),
        ('[verify]\nskip = ["everything"]', "is not one of"),
        ('[verify]\nengine = "podman"', "unknown key 'engine'"),  # the machine's, not the project's
        ('[verify]\ncontext = "../.."', "below the project"),
    ],
)
def test_options_that_do_not_fit_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "hardener.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        settings_for(tmp_path, {})


def test_a_probe_that_cannot_be_read_is_told() -> None:
    result = CliRunner().invoke(main, ["verify", ".", "--probe", "nonsense"])
    assert result.exit_code == 2
    assert "is no probe" in result.output


def test_why_a_compose_project_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = 'level=warning msg="The \\"DOMAIN\\" variable is not set."\nerror while interpolating services.web.cpus\n'
    monkeypatch.setattr(stacks, "call", lambda *_: Said(1, "", said))
    with pytest.raises(EngineFailed, match=r"\Aerror while interpolating services\.web\.cpus\Z"):
        stacks.resolved("docker", tmp_path, ())
