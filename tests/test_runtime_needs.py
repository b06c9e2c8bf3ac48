"""What official images need at run time, and which options are dangerous: knowledge, and how it is asked."""

from __future__ import annotations

import pytest

from hardener import image
from hardener.runtime import dangers
from hardener.runtime.needs import DEFAULT_CAPABILITIES, knowledge, needs_of_image


@pytest.mark.parametrize("name", sorted(knowledge()))
def test_every_fact_has_a_source_and_gives_nothing_that_docker_withholds(name: str) -> None:
    table = knowledge()[name]
    for fact in ("capabilities", "writes", "gains"):
        assert fact not in table or table[f"{fact}_source"]
    assert "runs_as_user" not in table or table["user_source"]
    assert DEFAULT_CAPABILITIES.issuperset(table.get("capabilities", ()))
    assert image.lookup(name) is not None, "images.toml has its users"


def test_a_database_keeps_what_its_second_start_needs() -> None:
    needs = needs_of_image("postgres:16")
    assert needs.starts_as_root
    assert needs.runs_as == "999:999"
    assert needs.capabilities == ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
    assert needs_of_image("postgres:16-alpine").runs_as == "70:70"
    assert needs.gains == ""


@pytest.mark.parametrize(
    ("image", "command", "options"),
    [
        ("nobody/knows:1", None, {}),
        ("postgres:${TAG}", None, {}),
        ("postgres:16", ("sh", "-c", "sleep 9"), {}),
        ("postgres:16", None, {"own_entrypoint": False}),
    ],
)
def test_nothing_is_known_of_what_runs_something_else(image: str, command, options) -> None:
    needs = needs_of_image(image, command, **options)
    assert (needs.capabilities, needs.writes, needs.gains, needs.runs_as) == (None, None, None, None)
    assert needs.why_unknown("capabilities")


@pytest.mark.parametrize(
    "question",
    [
        {"command": ("postgres", "-c", "config_file=/etc/postgresql.conf")},
        {"command": ("postgres", "-c", "log_directory=/var/log/pg")},
        {"variables": {"PGDATA": "/elsewhere"}},
        {"variables": {"PGDATA": None}},
        {"mounts": ("/etc/postgresql/postgresql.conf",)},
    ],
)
def test_what_may_write_elsewhere_makes_the_list_incomplete(question) -> None:
    needs = needs_of_image("postgres:16", **question)
    assert needs.writes is None
    assert needs.why_unknown("writes")
    assert needs.capabilities, "but the capabilities are known still"


def test_data_are_kept_and_the_rest_is_the_servers() -> None:
    needs = needs_of_image("postgres:16", variables={"PGDATA": "/var/lib/postgresql/data/pg"})
    assert needs.writes is not None
    kept, run, temporary = needs.writes
    assert kept.kept
    assert kept.volume
    assert (run.path, run.mode, run.uid, run.gid) == ("/var/run/postgresql", "3777", 999, 999)
    assert (temporary.path, temporary.uid) == ("/tmp", None)


def test_as_its_user_it_needs_no_capability() -> None:
    needs = needs_of_image("redis:7").as_user("999:999")
    assert needs.starts_as_root is False
    assert needs.capabilities == ()


def test_a_file_capability_is_a_gain_only_without_root() -> None:
    assert needs_of_image("caddy:2").gains == ""
    assert "NET_BIND_SERVICE" in (needs_of_image("caddy:2").capabilities or ())


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (dangers.privileged(), "privileged"),
        (dangers.of_capability("cap_sys_admin"), "cap_add SYS_ADMIN"),
        (dangers.of_capability("ALL"), "cap_add ALL"),
        (dangers.of_namespace("pid", "host"), "pid: host"),
        (dangers.of_security_option("seccomp:unconfined"), "seccomp=unconfined"),
        (dangers.of_security_option("apparmor=unconfined"), "apparmor=unconfined"),
        (dangers.of_security_option("label:disable"), "label=disable"),
        (dangers.of_host_path("/var/run/docker.sock"), "host path /var/run/docker.sock"),
        (dangers.of_host_path("//"), "host path /"),
        (dangers.of_host_path("/var/lib/docker/volumes/"), "host path /var/lib/docker/volumes"),
        (dangers.of_host_path("/sys"), "host path /sys"),
    ],
)
def test_dangers_are_known_however_they_are_written(found, name: str) -> None:
    assert found is not None
    assert found.name == name
    assert found.danger
    assert found.instead
    assert found.source.startswith("https://")


@pytest.mark.parametrize(
    "found",
    [
        dangers.of_capability("CHOWN"),
        dangers.of_namespace("pid", "service:web"),
        dangers.of_security_option("no-new-privileges:true"),
        dangers.of_security_option("seccomp=./profile.json"),
        dangers.of_host_path("./data"),
        dangers.of_host_path("/etc/localtime"),
        dangers.of_host_path("/sys", read_only=True),
    ],
)
def test_harmless_options_are_none(found) -> None:
    assert found is None
