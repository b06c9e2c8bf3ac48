"""Compose files: which services are about an image, what they demand, and where their ports stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import compose, compose_needs, compose_port_edits, open_project
from hardener.edit import splice
from hardener.settings import Settings
from hardener.stages import stage_facts

DOCKERFILE = b'FROM python:3.12-slim AS base\nFROM base AS prod\nCMD ["python"]\n'


def project(folder: Path, text: str | bytes, where: str = ".", name: str = "compose.yaml"):
    (folder / ".git").mkdir(exist_ok=True)
    (folder / where).mkdir(parents=True, exist_ok=True)
    (folder / where / "Dockerfile").write_bytes(DOCKERFILE)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_project(folder / where / "Dockerfile")


def need(one, index: int):
    return compose_needs.root_need(one, one.dockerfile.stages[index], Settings())


def service(body: str) -> str:
    return "services:\n  web:\n    build: .\n" + "".join(f"    {line}\n" for line in body.splitlines())


# ----------------------------------------------------------------------------------------------------------- services


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  web:\n    image: nginx # no build\n",
        "services:\n  web:\n    build: other\n",
        "services:\n  web:\n    build: {context: ., dockerfile: other.Dockerfile}\n",
        "services:\n  web:\n    build: https://github.com/x/y.git\n",
        "services:\n  web:\n    build: /abs\n",
        "build: .\n",
        "services: {}\n# build\n",
    ],
)
def test_a_service_that_builds_something_else_is_not_ours(text, tmp_path) -> None:
    assert compose.services(project(tmp_path, text)) == ()


def test_a_build_of_an_unknown_variable_is_not_certain(tmp_path) -> None:
    one = project(tmp_path, "services:\n  web:\n    build: ${HERE}\n")
    assert [service.certain for service in compose.services(one)] == [False]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("services:\n  web:\n    build: .\n", "."),
        ("services:\n  web:\n    build:\n      context: .\n", "."),
        ("services:\n  web:\n    build: {context: ., dockerfile: ./Dockerfile}\n", "."),
        ("services:\n  web:\n    build: ./web/\n", "web"),
        ("services:\n  web:\n    build: {context: ., dockerfile: web/Dockerfile}\n", "web"),
        ("services:\n  web:\n    build: {context: web/../web}\n", "web"),
        ("web:\n  build: .\n", "."),
        ("x: &b {build: .}\nservices:\n  web:\n    <<: *b\n    build: .\n", "."),
        ('version: "3"\r\nservices:\r\n  web:\r\n    build: .\r\n', "."),
        ("# ünï 日本\nservices:\n  web:\n    build: .\n", "."),
    ],
)
def test_a_service_that_builds_this_dockerfile_is_found(text, where, tmp_path) -> None:
    found = compose.services(project(tmp_path, text, where))
    assert [one.name for one in found] == ["web"]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("compose.yaml", True), ("compose.yml", True), ("docker-compose.yml", True), ("docker-compose.yaml", True),
        ("docker-compose.prod.yml", True), ("docker-compose-dev.yml", True), ("compose.override.yaml", True),
        ("compose.txt", False), ("my-compose.yml", True), ("docker-compose.yml.bak", False), ("local.yml", True), ("services.json", False),
    ],
)  # fmt: skip
def test_which_files_are_compose_files(name, counts, tmp_path) -> None:
    assert bool(compose.services(project(tmp_path, service(""), name=name))) is counts


def test_a_target_is_a_stage_that_people_build(tmp_path) -> None:
    text = "services:\n  a:\n    build: {context: ., target: PROD}\n  b:\n    build: {context: ., target: base}\n"
    assert compose.build_targets(project(tmp_path, text)) == {"prod", "base"}


# -------------------------------------------------------------------------------------------------------------- needs


@pytest.mark.parametrize(
    "body",
    [
        "privileged: false",
        "cap_add: [NET_BIND_SERVICE]",
        "cap_add: []",
        "cap_add:",
        "devices: []",
        "devices:",
        "network_mode: bridge",
        "pid: service:db",
        "user: '1000'",
        "user: '5000:0'",
        "user:",
        "volumes: [data:/data]",
        "volumes: [/data]",
        "volumes: [./conf:/conf:ro]",
        "volumes: ['./conf.yml:/conf.yml']",
        "volumes: [{type: bind, source: ./x, target: /x, read_only: true}]",
        "volumes: [{type: volume, source: data, target: /data}]",
        "volumes:",
    ],
)
def test_what_works_without_root_is_no_need(body, tmp_path) -> None:
    assert need(project(tmp_path, service(body)), 1) is None


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("privileged: true", "privileged"),
        ("privileged: 'TRUE'", "privileged"),
        ("cap_add: [SYS_ADMIN]", "SYS_ADMIN"),
        ("cap_add: [cap_net_admin]", "NET_ADMIN"),
        ("cap_add: [ALL]", "ALL"),
        ("devices: ['/dev/ttyUSB0:/dev/ttyUSB0']", "devices"),
        ("pid: host", "processes"),
        ("user: root", "user"),
        ("user: '0:0'", "user"),
        ("user: 0", "user"),
        ("volumes: ['/var/run/docker.sock:/var/run/docker.sock']", "socket"),
        ("volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']", "socket"),
        ("volumes: [{type: bind, source: /run/docker.sock, target: /s}]", "socket"),
        ("volumes: [cache:/root/.cache]", "/root"),
        ("volumes: [./data:/data]", "./data"),
        ("volumes: [~/data:/data]", "~/data"),
        ("volumes: ['${DATA:-./data}:/data']", "/data"),
    ],
)
def test_what_goes_with_root_is_a_need_with_its_place_and_a_way_out(body, word, tmp_path) -> None:
    found = need(project(tmp_path, service(body)), 1)
    assert found is not None
    assert word in found.text
    assert found.text.startswith("compose.yaml:2: service web ")
    assert found.way_out


def test_the_need_of_one_target_does_not_count_for_another(tmp_path) -> None:
    text = "services:\n  a:\n    build: {context: ., target: base}\n    privileged: true\n"
    one = project(tmp_path, text)
    assert need(one, 1) is None
    assert need(one, 0) is not None


# -------------------------------------------------------------------------------------------------------------- ports


def moved(folder: Path, text: bytes) -> bytes | str:
    one = project(folder, text)
    edits, unclear = compose_port_edits.container_port_edits(
        one, stage_facts(one.dockerfile, len(one.dockerfile.stages) - 1), 80, 8080
    )
    return unclear or splice(text, edits)


@pytest.mark.parametrize(
    "ports",
    ['["${PORT}:${PORT}"]', '["80:$PORT"]', '["8000-8010:80-90"]', "[[80]]", "[{published: 80}]", "80:80", '["80:80/sctp"]',
     "{a: 80}"],
)  # fmt: skip
def test_ports_that_are_not_understood_name_their_place(ports, tmp_path) -> None:
    text = service(f"ports: {ports}").encode()
    assert moved(tmp_path, text) == "compose.yaml:4"


@pytest.mark.parametrize(
    "ports",
    ['["8080:3000"]', "[3000]", '["80:8000"]', "[{target: 3000, published: 80}]", "[]", '["180:180"]', '["80:808"]'],
)
def test_other_ports_stay(ports, tmp_path) -> None:
    text = service(f"ports: {ports}").encode()
    assert moved(tmp_path, text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["80:80"]', '["80:8080"]'),
        ("['80:80']", "['80:8080']"),
        ("[80:80]", "[80:8080]"),
        ("[80]", "[8080]"),
        ('["80"]', '["8080"]'),
        ('["127.0.0.1:80:80"]', '["127.0.0.1:80:8080"]'),
        ('["80:80/tcp"]', '["80:8080/tcp"]'),
        ('["${PORT:-80}:80"]', '["${PORT:-80}:8080"]'),
        ("[{target: 80, published: 80}]", "[{target: 8080, published: 80}]"),
        ("[{published: '80', target: '80'}]", "[{published: '80', target: '8080'}]"),
        ('["80:80", "443:443", "81:80"]', '["80:8080", "443:443", "81:8080"]'),
    ],
)
@pytest.mark.parametrize("head", ["", "# ünï 日本 😀\n"], ids=["ascii", "not-ascii"])
def test_the_container_side_moves_and_the_published_side_stays(before, after, head, tmp_path) -> None:
    text = (head + service(f"ports: {before} # web")).encode()
    assert moved(tmp_path, text) == (head + service(f"ports: {after} # web")).encode()


def test_expose_moves_too_and_windows_line_ends_stay(tmp_path) -> None:
    text = service("expose:\n  - 80\n  - '443'\nports:\n  - 80:80").replace("\n", "\r\n").encode()
    assert moved(tmp_path, text) == text.replace(b"- 80\r", b"- 8080\r").replace(b"80:80", b"80:8080")


def test_a_mark_at_the_start_of_the_file_does_not_shift_the_edits(tmp_path) -> None:
    text = b"\xef\xbb\xbf" + service('ports: ["80:80"]').encode()
    assert moved(tmp_path, text) == text.replace(b"80:80", b"80:8080")


def test_ports_in_an_anchor_that_others_share_are_not_guessed(tmp_path) -> None:
    text = (
        b'x-ports: &p ["80:80"]\nservices:\n  web:\n    build: .\n    ports: *p\n  db:\n    image: x\n    ports: *p\n'
    )
    assert moved(tmp_path, text) == "compose.yaml:1"


# ------------------------------------------------------------------------------------------------------------- mounts


@pytest.mark.parametrize(
    ("mount", "parts"),
    [
        ("/data", ("", "/data", False)),
        ("data:/data", ("data", "/data", False)),
        ("./a:/b:ro", ("./a", "/b", True)),
        ("./a:/b:z,ro", ("./a", "/b", True)),
        ("./a:/b:rw", ("./a", "/b", False)),
        ("${A:-./a}:/b", ("${A:-./a}", "/b", False)),
        ("${A:-./a}:${B:-/b}:ro", ("${A:-./a}", "${B:-/b}", True)),
        ({"source": "a", "target": "/b"}, ("a", "/b", False)),
        ({"source": "a", "target": "/b", "read_only": "true"}, ("a", "/b", True)),
        ({"type": "tmpfs"}, ("", "", False)),
        ("", ("", "", False)),
    ],
)
def test_the_parts_of_a_mount(mount, parts) -> None:
    assert compose_needs.mount_parts(mount) == parts


def test_named_and_anonymous_volumes_are_told_from_bind_mounts(tmp_path) -> None:
    body = "volumes: [data:/data/, /anon, ./x:/x, 'ro:/r:ro', {source: v, target: /long}, bad]"
    one = project(tmp_path, service(body))
    found = [(source, target) for _, source, target in compose_needs.named_volumes(one, one.dockerfile.stages[-1])]
    assert found == [("data", "/data"), ("", "/anon"), ("v", "/long")]


def test_a_folder_of_the_host_with_a_dot_in_its_name_is_a_bind_mount_like_any_other(tmp_path) -> None:
    (tmp_path / "data.v1").mkdir()
    assert need(project(tmp_path, service("volumes: ['./data.v1:/data']")), 1) is not None


def test_a_path_that_only_begins_like_the_home_of_root_is_no_need(tmp_path) -> None:
    assert need(project(tmp_path, service("volumes: ['data:/rootfs']")), 1) is None
