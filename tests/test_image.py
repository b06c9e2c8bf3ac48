"""The knowledge of base images: references, look-ups by tag, and the completeness of ``images.toml``."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from hardener import image
from hardener.image import ImageFacts, ImageReference, KnownUser, lookup

import tomli

TOML = Path(image.__file__).with_name("images.toml")
TABLES = {
    header: table for header, table in tomli.loads(TOML.read_text(encoding="utf-8")).items() if header != "variant"
}
VARIANTS = tomli.loads(TOML.read_text(encoding="utf-8"))["variant"]
FAMILIES = set("debian alpine rhel suse arch wolfi shell scratch distroless windows unknown".split())
OUTCOMES = set("plain already drops server root".split())
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python", ("", "python", "", "")),
        ("python:3.12-slim", ("", "python", "3.12-slim", "")),
        (f"python:3.12@{DIGEST}", ("", "python", "3.12", DIGEST)),
        (f"python@{DIGEST}", ("", "python", "", DIGEST)),
        ("library/python:3", ("", "python", "3", "")),
        ("docker.io/library/python", ("", "python", "", "")),
        ("docker.io/python:3", ("", "python", "3", "")),
        ("index.docker.io/library/python", ("", "python", "", "")),
        ("registry-1.docker.io/library/python:3", ("", "python", "3", "")),
        ("public.ecr.aws/docker/library/python:3", ("", "python", "3", "")),
        ("mirror.gcr.io/library/python", ("", "python", "", "")),
        ("mirror.gcr.io/grafana/grafana", ("", "grafana/grafana", "", "")),
        ("docker.io/grafana/grafana:11.0.0", ("", "grafana/grafana", "11.0.0", "")),
        ("public.ecr.aws/lambda/python:3.12", ("public.ecr.aws", "lambda/python", "3.12", "")),
        ("mcr.microsoft.com/dotnet/sdk:8.0", ("mcr.microsoft.com", "dotnet/sdk", "8.0", "")),
        ("localhost/app", ("localhost", "app", "", "")),
        ("localhost:5000/library/python:3", ("localhost:5000", "library/python", "3", "")),
        (f"registry.example.com:5000/a/b:c@{DIGEST}", ("registry.example.com:5000", "a/b", "c", DIGEST)),
        ("registry.example.com:5000/a/b", ("registry.example.com:5000", "a/b", "", "")),
        ("node.js:1", ("", "node.js", "1", "")),
        ("user/app", ("", "user/app", "", "")),
        ("  python:3 ", ("", "python", "3", "")),
        ("", ("", "", "", "")),
    ],
)
def test_a_reference_is_split(text: str, expected: tuple[str, str, str, str]) -> None:
    assert tuple(ImageReference.parse(text)) == expected


def test_the_name_of_a_reference() -> None:
    assert ImageReference.parse("docker.io/library/python:3").name == "python"
    assert ImageReference.parse("quay.io/a/b@" + DIGEST).name == "quay.io/a/b"


@pytest.mark.parametrize(
    "reference",
    [
        "ghcr.io/somebody/something:1",
        "registry.example.com/python:3.12",  # a mirror, or something else of that name
        "localhost:5000/python",
        "user/python",
        "arm64v8/somebody",
        "arm64v8/grafana/grafana",
        "python:$VERSION",
        "${BASE}",
        f"python@{DIGEST}",  # it may be the Alpine one
        "nvidia/cuda:latest",
        "maven:3-graalvm-community",
        "bitnami/nothing-checked",
        "registry.access.redhat.com/ubi9/nothing-checked",
        "",
    ],
)
def test_what_is_not_known_is_none(reference: str) -> None:
    assert lookup(reference) is None


@pytest.mark.parametrize(
    ("reference", "family", "outcome"),
    [
        ("debian", "debian", "plain"),
        ("debian:jessie", "debian", "plain"),
        (f"debian@{DIGEST}", "debian", "plain"),
        (f"python:3-alpine@{DIGEST}", "alpine", "plain"),
        ("armhf/debian:8", "debian", "plain"),
        ("arm32v7/python:3-alpine3.18", "alpine", "plain"),
        ("alpine:3.20", "alpine", "plain"),
        ("busybox:1.36-musl", "alpine", "plain"),
        ("fedora:41", "rhel", "plain"),
        ("centos:7", "rhel", "plain"),
        ("rockylinux:9", "rhel", "plain"),
        ("rockylinux:9-minimal", "shell", "plain"),
        ("almalinux:8-minimal", "shell", "plain"),
        ("oraclelinux:8-slim", "rhel", "plain"),
        ("amazonlinux:2023", "shell", "plain"),
        ("public.ecr.aws/amazonlinux/amazonlinux:2", "shell", "plain"),
        ("registry.access.redhat.com/ubi9/ubi:9.4", "rhel", "plain"),
        ("registry.access.redhat.com/ubi9/ubi-minimal", "shell", "plain"),
        ("redhat/ubi8-micro", "shell", "plain"),
        ("registry.access.redhat.com/ubi9/python-311", "rhel", "already"),
        ("registry.access.redhat.com/ubi8/openjdk-17", "shell", "already"),
        ("opensuse/leap:15", "shell", "plain"),
        ("archlinux:base-devel", "arch", "plain"),
        ("cgr.dev/chainguard/wolfi-base", "wolfi", "plain"),
        ("cgr.dev/chainguard/python:latest-dev", "wolfi", "already"),
        ("cgr.dev/chainguard/python", "distroless", "already"),
        ("scratch", "scratch", "plain"),
        ("gcr.io/distroless/static-debian12", "distroless", "plain"),
        ("gcr.io/distroless/base:nonroot", "distroless", "already"),
        ("gcr.io/distroless/python3-debian12:debug-nonroot-amd64", "distroless", "already"),
        ("mcr.microsoft.com/windows/servercore:ltsc2022", "windows", "root"),
        ("python:3.12-windowsservercore-ltsc2022", "windows", "root"),
        ("golang:nanoserver", "windows", "root"),
        ("node:6-onbuild", "unknown", "root"),
        ("node:22-alpine3.20", "alpine", "plain"),
        ("node", "debian", "plain"),
        ("php:8.3", "debian", "plain"),
        ("php:8.3-fpm-alpine", "alpine", "plain"),
        ("php:7-apache-buster", "debian", "server"),
        ("openjdk:8-jre-alpine", "alpine", "plain"),
        ("eclipse-temurin:21-jre-ubi9-minimal", "shell", "plain"),
        ("amazoncorretto:21", "shell", "plain"),
        ("amazoncorretto:17-alpine3.20", "alpine", "plain"),
        ("maven:3-amazoncorretto-21", "shell", "plain"),
        ("maven:3-amazoncorretto-21-alpine", "alpine", "plain"),
        ("gradle:8-jdk21", "debian", "plain"),
        ("gradle:4.10-jdk8", "unknown", "already"),
        ("swift:6.0-amazonlinux2", "shell", "plain"),
        ("denoland/deno:alpine-2.1.0", "alpine", "plain"),
        ("denoland/deno:distroless", "distroless", "plain"),
        ("ghcr.io/astral-sh/uv:python3.12-bookworm-slim", "debian", "plain"),
        ("ghcr.io/astral-sh/uv:0.5.1", "scratch", "plain"),
        ("mambaorg/micromamba:2.0", "debian", "already"),
        ("nvidia/cuda:12.4.1-runtime-ubuntu22.04", "debian", "plain"),
        ("nvidia/cuda:12.4.1-runtime-ubi9", "shell", "plain"),
        ("mcr.microsoft.com/dotnet/aspnet:8.0", "debian", "plain"),
        ("mcr.microsoft.com/dotnet/aspnet:8.0-alpine3.20", "alpine", "plain"),
        ("mcr.microsoft.com/dotnet/aspnet:9.0-noble-chiseled", "distroless", "already"),
        ("mcr.microsoft.com/dotnet/runtime:10.0-azurelinux3.0", "shell", "plain"),
        ("mcr.microsoft.com/dotnet/sdk:6.0", "debian", "plain"),
        ("mcr.microsoft.com/dotnet/aspnet:8.0-nanoserver-ltsc2022", "windows", "root"),
        ("jupyter/scipy-notebook", "debian", "already"),
        ("nginx:1.27", "debian", "server"),
        ("nginx:stable-alpine-slim", "alpine", "server"),
        ("nginxinc/nginx-unprivileged:alpine", "alpine", "already"),
        ("httpd:2.4", "debian", "server"),
        ("caddy:2-builder", "alpine", "plain"),
        ("haproxy:2.3", "debian", "server"),
        ("haproxy:3.0-alpine", "alpine", "already"),
        ("tomcat:9-jdk17-corretto", "shell", "root"),
        ("postgres:16-alpine", "alpine", "drops"),
        ("mongo:7", "debian", "drops"),
        ("elasticsearch:7.17.0", "unknown", "drops"),
        ("elasticsearch:8.15.0", "unknown", "already"),
        ("bitnami/postgresql:16", "debian", "already"),
        ("docker:27", "alpine", "root"),
        ("docker:27-dind", "alpine", "root"),
        ("docker:27-dind-rootless", "alpine", "already"),
        ("phusion/baseimage:jammy-1.0.1", "debian", "root"),
        ("lscr.io/linuxserver/sonarr", "unknown", "root"),
        ("mcr.microsoft.com/devcontainers/python:3.12", "unknown", "root"),
    ],
)
def test_family_and_outcome(reference: str, family: str, outcome: str) -> None:
    facts = lookup(reference)
    assert facts is not None
    assert (facts.family, facts.outcome) == (family, outcome)


@pytest.mark.parametrize(
    "tag", ["24.04", "noble", "23.04", "23.10", "24.10", "25.04", "26.04", "latest", "rolling", "devel", ""]
)
def test_newer_ubuntu_has_a_user(tag: str) -> None:
    facts = lookup(f"ubuntu:{tag}" if tag else "ubuntu")
    assert facts is not None
    assert facts.users == (KnownUser("ubuntu", 1000, 1000, "/home/ubuntu"),)


@pytest.mark.parametrize(
    "tag", ["14.04", "trusty", "16.04", "18.04", "20.04", "22.04", "22.10", "jammy-20240111", "focal", "bionic"]
)
def test_older_ubuntu_has_none(tag: str) -> None:
    facts = lookup(f"ubuntu:{tag}")
    assert facts is not None
    assert facts.users == ()


@pytest.mark.parametrize(
    ("reference", "ports"),
    [
        ("mcr.microsoft.com/dotnet/aspnet:3.1", (80,)),
        ("mcr.microsoft.com/dotnet/core/aspnet:2.2-alpine", (80,)),
        ("mcr.microsoft.com/dotnet/aspnet:7.0-bullseye-slim", (80,)),
        ("mcr.microsoft.com/dotnet/runtime-deps:6.0-alpine", (80,)),
        ("mcr.microsoft.com/dotnet/aspnet:6.0-jammy-chiseled", ()),
        ("mcr.microsoft.com/dotnet/aspnet:8.0", ()),
        ("mcr.microsoft.com/dotnet/aspnet:10.0", ()),
        ("mcr.microsoft.com/dotnet/aspnet", ()),
        ("mcr.microsoft.com/dotnet/sdk:6.0", ()),
        ("microsoft/aspnetcore:2.0", (80,)),
        ("nginx", (80,)),
        ("caddy:2", (80, 443)),
        ("php:8-apache", (80,)),
        ("php:8-cli", ()),
    ],
)
def test_privileged_ports(reference: str, ports: tuple[int, ...]) -> None:
    facts = lookup(reference)
    assert facts is not None
    assert facts.ports == ports


@pytest.mark.parametrize(
    ("reference", "name", "uid", "gid"),
    [
        ("node:22", "node", 1000, 1000),
        ("nginx", "nginx", 101, 101),
        ("php:8-alpine", "www-data", 82, 82),
        ("php:8", "www-data", 33, 33),
        ("mcr.microsoft.com/dotnet/aspnet:8.0", "app", 1654, 1654),
        ("gcr.io/distroless/static", "nonroot", 65532, 65532),
        ("postgres:16-alpine", "postgres", 70, 70),
        ("redis:7-alpine", "redis", 999, 1000),
        ("apache/airflow:2.10.0", "airflow", 50000, 0),
        ("denoland/deno", "deno", 1993, 1993),
    ],
)
def test_accounts(reference: str, name: str, uid: int, gid: int) -> None:
    facts = lookup(reference)
    assert facts is not None
    assert facts.users[0][:3] == (name, uid, gid)
    assert facts.holder("somebody", uid) == facts.holder(name, 5000) == facts.users[0]
    assert facts.holder("appuser", 5000) is None


@pytest.mark.parametrize(
    "reference",
    ["debian", "ubuntu", "alpine", "golang", "rust", "mcr.microsoft.com/dotnet/aspnet:8.0", "gcr.io/distroless/static"],
)
def test_only_a_shell_is_started(reference: str) -> None:
    facts = lookup(reference)
    assert facts is not None
    assert not facts.has_cmd


@pytest.mark.parametrize(
    "reference", ["python", "node:alpine", "ruby", "php:cli", "nginx", "gcr.io/distroless/nodejs22-debian12", "maven"]
)
def test_an_application_is_started(reference: str) -> None:
    facts = lookup(reference)
    assert facts is not None
    assert facts.has_cmd


def tags_of(table: dict[str, object]) -> dict[str, object]:
    tags = table.get("tags", {"*": {}})
    assert isinstance(tags, dict)
    return tags


def example(pattern: str) -> str:
    """A tag that the glob fits: the least that it can stand for."""
    text = pattern
    while "[" in text:
        start, stop = text.index("["), text.index("]")
        text = text[:start] + text[stop - 1] + text[stop + 1 :]
    return text.replace("*", "") or "some-other-tag"


CASES = [
    pytest.param(header, patterns, id=f"{header.split()[0]}:{patterns}")
    for header, table in TABLES.items()
    for patterns in tags_of(table)
]


@pytest.mark.parametrize(("header", "patterns"), CASES)
def test_every_entry_loads_and_is_reachable(header: str, patterns: str) -> None:
    table = TABLES[header]
    ordered = list(tags_of(table))
    earlier = ordered[: ordered.index(patterns)]
    own = [
        tag
        for tag in map(example, patterns.split("|"))
        if not any(fnmatchcase(tag, one) for before in earlier for one in before.split("|"))
    ]
    assert own, "an earlier pattern takes every tag of this one"
    for name in header.split():
        for tag in own:
            facts = lookup(f"{name.replace('*', 'x')}:{tag}")
            if tags_of(table)[patterns] is False:
                assert facts is None
                continue
            assert isinstance(facts, ImageFacts)
            assert facts.source == table["source"]
            assert facts.family in FAMILIES
            assert facts.outcome in OUTCOMES
            assert bool(facts.reason) == bool(facts.way_out) == (facts.outcome != "plain")
            assert not facts.reason.endswith(".")
            assert bool(facts.user) == (facts.outcome == "already")
            assert all(0 < port < 1024 for port in facts.ports)
            assert all(path.startswith("/") for path in (*facts.writable, *(user.home for user in facts.users)))


def test_every_table_says_where_it_is_from() -> None:
    assert len(TABLES) > 100
    assert all(table["source"] for table in TABLES.values())


def test_every_image_is_named_once() -> None:
    names = [name for header in TABLES for name in header.split()]
    assert len(names) == len(set(names))


def test_every_variant_is_used() -> None:
    used = {"already", "drops"}
    for table in TABLES.values():
        for value in tags_of(table).values():
            used.add(value.get("variant", "") if isinstance(value, dict) else str(value))
    assert VARIANTS.keys() <= used


def test_the_tables_are_cut_as_toml_has_them() -> None:
    whole = {**TABLES, **{f"variant.{name}": table for name, table in VARIANTS.items()}}
    assert {header: image._table(header) for header in image._tables()} == whole


def test_a_lookup_reads_little() -> None:
    script = (
        "import time; from hardener.image import lookup; start = time.perf_counter(); lookup('python:3-slim');"
        "lookup('registry.access.redhat.com/ubi9/python-311'); print((time.perf_counter() - start) * 1000)"
    )
    took = min(float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(3))
    assert took < 12
