"""The readers of Traefik's and supervisord's configuration, and of settings in YAML and TOML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_proxies import moved

from hardener import settings_tables, supervisor, traefik_configuration
from hardener.server_reading import Unknown

FILE = "providers:\n  file:\n    filename: /etc/traefik/routes.yml\n"
WEB = 'entryPoints:\n  web:\n    address: ":80"\n'


@pytest.mark.parametrize(
    ("before", "ports", "after"),
    [
        (WEB + FILE, {80}, WEB.replace(":80", ":8080") + FILE),
        ("\ufeff# é 80\r\nentryPoints: {web: {address: ':80'}}\r\n", {80},
         "\ufeff# é 80\r\nentryPoints: {web: {address: ':8080'}}\r\n"),
        ("entrypoints:\n  web:\n    ADDRESS: 0.0.0.0:80/tcp # 80\n", {80},
         "entrypoints:\n  web:\n    ADDRESS: 0.0.0.0:8080/tcp # 80\n"),
        ('[entryPoints]\n  [entryPoints.web]\n  address = "[::]:80" # 80\n[log]\nlevel = "80"\n', {80},
         '[entryPoints]\n  [entryPoints.web]\n  address = "[::]:8080" # 80\n[log]\nlevel = "80"\n'),
        ("[entryPoints.'web']\naddress = ':80'\n[entryPoints.api]\naddress = ':9000'\n", {80, 9000},
         "[entryPoints.'web']\naddress = ':8080'\n[entryPoints.api]\naddress = ':9000'\n"),
        (WEB + "    http: {redirections: {entryPoint: {to: tls, scheme: https}}}\n  tls:\n    address: ':443'\n", {80, 443},
         WEB.replace(":80", ":8080")
         + '    http: {redirections: {entryPoint: {to: ":443", scheme: https}}}\n  tls:\n    address: \':8443\'\n'),
        (WEB + "    http: {redirections: {entryPoint: {to: ':444'}}}\n", {80},
         WEB.replace(":80", ":8080") + "    http: {redirections: {entryPoint: {to: ':444'}}}\n"),
        (WEB + "ping: {}\n", {80, 8080}, WEB.replace(":80", ":8080") + "ping: {}\n"),
        (WEB + "ping: {entryPoint: web}\n", {80}, WEB.replace(":80", ":8080") + "ping: {entryPoint: web}\n"),
        (WEB + "api: {insecure: false, dashboard: true}\n", {80},
         WEB.replace(":80", ":8080") + "api: {insecure: false, dashboard: true}\n"),
    ],
)  # fmt: skip
def test_entry_points_move(before: str, ports: set[int], after: str) -> None:
    found = traefik_configuration.listens(before.encode())
    assert {one.port for one in found} == ports
    assert moved(before.encode(), found).decode() == after
    again = traefik_configuration.listens(after.encode())
    assert not any(one.port < 1024 or one.changes for one in again), "a second run changes it again"


@pytest.mark.parametrize(
    "text",
    [
        WEB.replace(":80", ":80-90"),
        WEB.replace(":80", "${PORT}"),
        WEB.replace('":80"', "|\n      :80"),
        WEB.replace(":80", ":80/udp"),
        WEB + "    http3: {}\n",
        WEB + "    http: {tls: {certResolver: le}}\n",
        WEB + "providers: {docker: {}}\n",
        WEB + "providers: {kubernetesIngress: {}}\n",
        WEB + "certificatesResolvers: {le: {acme: {storage: acme.json}}}\n",
        WEB + "experimental: {plugins: {x: {moduleName: y}}}\n",
        WEB + "unknown: 1\n",
        WEB + "    http: {redirections: {entryPoint: {to: nowhere}}}\n",
        WEB + "http: {services: {x: {loadBalancer: {servers: [{url: 'http://127.0.0.1/'}]}}}}\n",
        "providers: {file: {directory: routes}}\n" + WEB,
        FILE,
        "- 80\n",
        "entryPoints: [\n",
        "a: &a [*a]\n" + WEB,
        "[[entryPoints]]\naddress = ':80'\n",
        '[entryPoints]\nweb = { address = ":80" }\n',
    ],
)
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(Unknown):
        traefik_configuration.read(text.encode())


@given(st.text(alphabet="entryPoints:web.adr \n[]{}=\"':80&*-", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    data = text.encode()
    try:
        found = settings_tables.entries(data)
    except Unknown as error:
        assert error.line >= 1
        return
    for one in found:
        if one.span is not None:
            assert data[one.span.start : one.span.stop].strip(b"\"'").decode() == one.text


def test_the_programs_of_supervisord() -> None:
    data = b"[supervisord]\r\nnodaemon = true ; 80\r\n[program:web]\r\ncommand: gunicorn -b :80 app ; 80\r\ndirectory=/app\r\n"
    (found,) = supervisor.programs(data)
    assert (found.code, found.directory) == (b"gunicorn -b :80 app", "/app")
    assert data[found.start :].startswith(found.code)
    (command,) = supervisor.commands(data, "/")
    assert (command.name, command.directory) == ("gunicorn", "/app")


@pytest.mark.parametrize("data", [b"command=x\n", b"[program:x]\ncommand=a\n  b\n", b"[program:x]\nnonsense\n"])
def test_a_configuration_of_other_lines_is_none(data: bytes) -> None:
    assert supervisor.sections(data) is None
