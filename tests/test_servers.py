"""The readers of server configuration, the knowledge of servers.toml, and which files an image has in the end."""

from __future__ import annotations

import re

import pytest

from hardener import fpm_configuration, image, nginx_configuration, nginx_syntax, servers, tomcat_configuration
from hardener.project import project_from_bytes
from hardener.server_readers import READERS
from hardener.server_reading import NEW_PORT, Listen, Unknown
from hardener.servers import server_of
from hardener.stages import stage_facts


def moved(data: bytes, listens: tuple[Listen, ...], new: bytes = b"8080") -> bytes:
    """The file with every port below 1024 moved."""
    changes = [change for one in listens if one.port < 1024 for change in one.changes]
    for change in sorted(changes, key=lambda one: one.span, reverse=True):
        data = data[: change.span.start] + change.text.replace(NEW_PORT, new) + data[change.span.stop :]
    return data


@pytest.mark.parametrize(
    ("listen", "port", "after"),
    [
        ("listen 80;", 80, "listen 8080; port_in_redirect off;"),
        ("listen  80 default_server;", 80, "listen  8080 default_server; port_in_redirect off;"),
        ("listen [::]:80 ipv6only=on;", 80, "listen [::]:8080 ipv6only=on; port_in_redirect off;"),
        ("listen 127.0.0.1:80;", 80, "listen 127.0.0.1:8080; port_in_redirect off;"),
        ("listen *:443 ssl http2;", 443, "listen *:8080 ssl http2; port_in_redirect off;"),
        ("listen localhost;", 80, "listen localhost:8080; port_in_redirect off;"),
        ("listen [::1];", 80, "listen [::1]:8080; port_in_redirect off;"),
        ('listen "80";', 80, 'listen "8080"; port_in_redirect off;'),
        ("listen 80; absolute_redirect off;", 80, "listen 8080; absolute_redirect off;"),
        ("port_in_redirect off; listen 80;", 80, "port_in_redirect off; listen 8080;"),
        ("listen 8080;", 8080, "listen 8080;"),
        ("root /srv;", 80, "listen 8080; port_in_redirect off; root /srv;"),
        ("listen 80; return 301 http://$host:$server_port/;", 80,
         "listen 8080; port_in_redirect off; return 301 http://$host:80/;"),
        ("listen 80; include uwsgi_params;", 80,
         "listen 8080; port_in_redirect off; include uwsgi_params; uwsgi_param SERVER_PORT 80;"),
    ],
)  # fmt: skip
def test_a_listen_of_nginx_moves(listen: str, port: int, after: str) -> None:
    data = f"server {{ {listen} }}".encode()
    found = nginx_configuration.listens(data)
    assert [one.port for one in found] == [port]
    assert moved(data, found).decode() == f"server {{ {after} }}"


@pytest.mark.parametrize(
    "text",
    [
        "server { listen unix:/run/x.sock; }",
        "server { listen $port; }",
        "server { listen ${PORT}; }",
        "server { listen 80-90; }",
        "server { listen 443 quic; }",
        "server { listen 80; listen 8081; }",
        "server { listen 80; if ($server_port = 80) { return 301 /; } }",
        "server { listen 80; listen 443 ssl; include fastcgi_params; }",
        "server { include listen.conf; }",
        "server { listen 80; port_in_redirect on; }",
        "server { listen 80; location / { content_by_lua_block { ngx.say('}') } } }",
        "server { listen 80; location / { dav_methods PUT; } }",
        "server { listen 80; access_log /var/log/$host.log; }",
        "log_format x $server_port; server { listen 80; }",
        "user root; events {} http { server { listen 80; } }",
        "stream { include stream.d/*.conf; }",
        "listen 80;",
        "server { listen 80;",
        "server { listen 80; } }",
        "server { listen '80; }",
        "{ listen 80; }",
        "{% if x %} server { listen 80; } {% endif %}",
        "server { listen; }",
    ],
)
def test_nginx_configuration_that_is_not_understood(text: str) -> None:
    with pytest.raises(Unknown):
        nginx_configuration.read(text.encode())


def test_other_blocks_are_no_servers() -> None:
    data = b"upstream a { server b:80; }\nmap $x $y { listen 80; default 1; }\nserver { listen 81; }\n"
    assert [one.port for one in nginx_configuration.listens(data)] == [81]


def test_a_stream_server_has_no_redirects() -> None:
    data = b"events {}\nstream {\n    server {\n        listen 53;\n        proxy_pass dns:53;\n    }\n}\n"
    assert moved(data, nginx_configuration.listens(data), b"8053") == data.replace(b"listen 53", b"listen 8053")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a b;", ["a", "b"]),
        (b"a 'b c' \"d\";", ["a", "b c", "d"]),
        (b"a b\\;c;", ["a", "b\\;c"]),
        (b"a ${b}c;", ["a", "${b}c"]),
        (b"a# b;", ["a#", "b"]),
        (b"# a;\na b # c;\n;", ["a", "b"]),
        (b"\xef\xbb\xbfa \xff;", ["a", "\udcff"]),
        (b"location ~ \\.php$ {}", ["location", "~", "\\.php$"]),
    ],
)
def test_words_of_nginx(text: bytes, words: list[str]) -> None:
    (found,) = nginx_syntax.parse(text)
    assert [found.name.text, *found.texts] == words


def test_the_pid_file_moves_only_in_the_main_file() -> None:
    assert nginx_configuration.read(b"server { listen 80; }").changes == ()
    (inserted,) = nginx_configuration.read(b"events {}\nhttp {}\n").changes
    assert inserted.text == b"pid /tmp/nginx.pid;\n"
    (replaced,) = nginx_configuration.read(b"pid /run/nginx.pid;\nevents {}\n").changes
    assert replaced.text == b"/tmp/nginx.pid"
    assert nginx_configuration.read(b"pid /tmp/x.pid;\nevents {}\n").changes == ()


@pytest.mark.parametrize(
    "text", ["user = app", "listen = /run/php.sock", "listen = $PORT", "chroot = /srv", "pid = /run/x", "include = x"]
)
def test_php_fpm_pools_that_are_not_understood(text: str) -> None:
    with pytest.raises(Unknown):
        fpm_configuration.read(f"[www]\n{text}\n".encode())


def test_a_php_fpm_pool() -> None:
    data = b"[www]\r\nuser = www-data ; as ever\r\nlisten = 127.0.0.1:900\r\nslowlog = /srv/slow.log\r\n;listen = 1\r\n"
    found = fpm_configuration.read(data)
    assert [one.port for one in found.listens] == [900]
    assert moved(data, fpm_configuration.listens(data)) == data.replace(b":900", b":8080")
    assert found.files == ("/srv/slow.log",)


@pytest.mark.parametrize(
    "text",
    [
        '<Server><Connector port="${port}"/></Server>',
        "<Server><Connector/></Server>",
        '<Server><Connector port="80"></Server>',
        '<Server><Host appBase="/srv/apps"/></Server>',
        '<!DOCTYPE x [<!ENTITY a "b">]><Server/>',
    ],
)
def test_a_server_xml_that_is_not_understood(text: str) -> None:
    with pytest.raises(Unknown):
        tomcat_configuration.read(text.encode())


def test_a_connector_moves() -> None:
    data = (
        b"<Server port='8005'>\n<!-- <Connector port='81'/> -->\n<Connector redirectPort='443'\n port = '80'/></Server>"
    )
    found = tomcat_configuration.listens(data)
    assert [(one.port, one.line) for one in found] == [(80, 3)]
    assert moved(data, found) == data.replace(b"'80'", b"'8080'")


@pytest.mark.parametrize("server", servers.servers(), ids=lambda one: one.kind)
def test_every_server_is_complete(server: servers.Server) -> None:
    assert server.source
    assert all(one.source for one in server.shipped)
    assert not server.reader or server.reader in READERS
    assert not server.main or server.main in {one.path for one in server.shipped} | set(server.unread or ())
    assert bool(server.user) == bool(server.ids)
    re.compile(server.tags + server.variant_tags)
    for name in server.images:
        facts = image.lookup(name.replace("*", ""))
        assert facts is not None


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("nginx", "nginx"),
        ("docker.io/library/nginx:1.27-alpine", "nginx"),
        ("nginxinc/nginx-unprivileged", None),
        ("ghcr.io/somebody/nginx", None),
        ("php:8.3-fpm-alpine", "php-fpm"),
        ("php:8.3-cli", None),
        ("tomcat:9.0.12", None),
        ("tomcat:9.0.13-jre11", "tomcat"),
        ("tomcat:10.1-jdk21", "tomcat"),
        ("python:3.12", None),
    ],
)
def test_which_images_are_servers(reference: str, kind: str | None) -> None:
    project = project_from_bytes(f"FROM {reference}\n".encode())
    found = server_of(stage_facts(project.dockerfile, 0))
    assert (found.kind if found else None) == kind
