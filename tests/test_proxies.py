"""The readers of Caddyfiles and of HAProxy's configuration: ports with the bytes that move them, and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener import caddy_configuration, caddy_syntax, haproxy_configuration
from hardener.server_reading import NEW_PORT, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.server_reading import Listen


def moved(data: bytes, listens: Sequence[Listen]) -> bytes:
    """The file with every port below 1024 moved; a change that overlaps another fails."""
    changes = {(one.span, one.text, str(8000 + listen.port)) for listen in listens for one in listen.changes}
    result, position = b"", 0
    for span, text, new in sorted(changes, key=lambda one: (one[0].start, one[0].stop)):
        assert span.start >= position
        result += data[position : span.start] + text.replace(NEW_PORT, new.encode())
        position = span.stop
    return result + data[position:]


@pytest.mark.parametrize(
    ("before", "ports", "after"),
    [
        (":80 {\n}\n", {80}, ":8080 {\n}\n"),
        (":80\nroot * /srv\n", {80}, ":8080\nroot * /srv\n"),
        (":8080 {\n}\n", {8080}, ":8080 {\n}\n"),
        ("http://:80, http://x.example:80 {\n}\n", {80}, "{\n\thttp_port 8080\n}\n\nhttp://:8080, http://x.example:8080 {\n}\n"),
        ("x.example {\n}\n", {80, 443}, "{\n\thttp_port 8080\n\thttps_port 8443\n}\n\nx.example {\n}\n"),
        ("# certificates\r\nx.example {\r\n}\r\n", {80, 443},
         "# certificates\r\n{\r\n\thttp_port 8080\r\n\thttps_port 8443\r\n}\r\n\r\nx.example {\r\n}\r\n"),
        ("{\n  debug\n}\nx.example {\n}\n", {80, 443},
         "{\n  http_port 8080\n  debug\n  https_port 8443\n}\nx.example {\n}\n"),
        ("{\n\thttp_port 80\n\thttps_port 443\n}\nx.example {\n}\n", {80, 443},
         "{\n\thttp_port 8080\n\thttps_port 8443\n}\nx.example {\n}\n"),
        ("{\n\thttp_port 8080\n\thttps_port 8443\n}\nx.example {\n}\n", {8080, 8443},
         "{\n\thttp_port 8080\n\thttps_port 8443\n}\nx.example {\n}\n"),
        ("{\n\tauto_https off\n}\nx.example:80 {\n}\n", {80}, "{\n\thttp_port 8080\n\tauto_https off\n}\nx.example:8080 {\n}\n"),
        ("{\n\tservers :443 {\n\t}\n}\nx.example {\n}\n", {80, 443},
         "{\n\thttp_port 8080\n\tservers :8443 {\n\t}\n\thttps_port 8443\n}\nx.example {\n}\n"),
        ("(common) {\n\theader X 80\n}\n:80 {\n\timport common\n}\n", {80},
         "(common) {\n\theader X 80\n}\n:8080 {\n\timport common\n}\n"),
        (':80 {\n\trespond "port 80 } {" 80\n}\n', {80}, ':8080 {\n\trespond "port 80 } {" 80\n}\n'),
        (":80 {\n\trespond <<HTML\n\t\t:80 {\n\t\tHTML 200\n}\n", {80},
         ":8080 {\n\trespond <<HTML\n\t\t:80 {\n\t\tHTML 200\n}\n"),
        (":80,\n:81 {\n}\n", {80, 81}, ":8080,\n:8081 {\n}\n"),
        ("http://x.example {\n}\n", {80}, "{\n\thttp_port 8080\n}\n\nhttp://x.example {\n}\n"),
    ],
)  # fmt: skip
def test_the_sites_of_a_caddyfile_move(before: str, ports: set[int], after: str) -> None:
    found = caddy_configuration.listens(before.encode())
    assert {one.port for one in found} == ports
    assert moved(before.encode(), found).decode() == after
    again = caddy_configuration.listens(after.encode())
    assert not any(one.port < 1024 or one.changes for one in again), "a second run changes it again"


@pytest.mark.parametrize(
    "text",
    [
        "{$SITE} {\n}\n",
        "{$SITE:localhost} {\n}\n",
        ":{$PORT} {\n}\n",
        '{"apps": {}}',
        "import sites/*\n",
        ":80 {\n\timport /etc/caddy/common.conf\n}\n",
        ":80 {\n\treverse_proxy localhost:80\n}\n",
        ":80 {\n\treverse_proxy http://127.0.0.1\n}\n",
        ":80 {\n\tphp_fastcgi unix//run/php.sock\n}\n",
        ":80 {\n\trespond {http.request.local.port}\n}\n",
        "x.example:444 {\n}\n",
        "{\n\thttp_port {$HTTP}\n}\n:80 {\n}\n",
        "{\n\tlayer4 {\n\t}\n}\n:80 {\n}\n",
        "{ debug }\nx.example {\n}\n",
        ":80-90 {\n}\n",
        ":80 {\n",
        ":80 {\n}\n}\n",
        ':80 {\n\trespond "x\n}\n',
        ":80 {\n\trespond <<X\n\ty\n}\n",
    ],
)
def test_a_caddyfile_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Unknown):
        caddy_configuration.listens(text.encode())


@given(st.text(alphabet='{}:80ab. \n\t"`#\\<,$/', max_size=60))
def test_any_caddyfile_is_read_or_refused(text: str) -> None:
    data = text.encode()
    try:
        found = caddy_configuration.listens(data)
    except Unknown:
        return
    after = moved(data, found)
    assert not any(one.port < 1024 for one in caddy_configuration.listens(after))


def test_the_words_of_a_caddyfile_stand_where_they_say() -> None:
    data = b'x.example, y.example {\n\troot * "/srv/a b" # {\n}\n'
    for line in caddy_syntax.parse(data):
        for one in (line, *(line.block or ())):
            for word in one.words:
                assert word.text.encode() in data[word.span.start : word.span.stop]


@pytest.mark.parametrize(
    ("bind", "ports", "after"),
    [
        ("bind *:80", {80}, "bind *:8080"),
        ("bind :80,:443 ssl crt /etc/x.pem alpn h2", {80, 443}, "bind :8080,:8443 ssl crt /etc/x.pem alpn h2"),
        ("bind 0.0.0.0:80 maxconn 80 # 80", {80}, "bind 0.0.0.0:8080 maxconn 80 # 80"),
        ("bind [::]:80 v6only", {80}, "bind [::]:8080 v6only"),
        ("bind :::80 v4v6", {80}, "bind :::8080 v4v6"),
        ("bind ipv4@*:80", {80}, "bind ipv4@*:8080"),
        ('bind "*:80"', {80}, 'bind "*:8080"'),
        ("bind *:8080", {8080}, "bind *:8080"),
        ("bind *:80\n    timeout client 80\n    server a web:80 check", {80},
         "bind *:8080\n    timeout client 80\n    server a web:80 check"),
    ],
)  # fmt: skip
def test_a_bind_of_haproxy_moves(bind: str, ports: set[int], after: str) -> None:
    data = f"frontend all\n    {bind}\n".encode()
    found = haproxy_configuration.listens(data)
    assert {one.port for one in found} == ports
    assert moved(data, found).decode() == f"frontend all\n    {after}\n"


def test_a_listen_line_of_old_haproxy_moves() -> None:
    data = b"listen web :80\n  server a app:80\nbackend b\n  bind *:80\n"
    found = haproxy_configuration.listens(data)
    assert moved(data, found) == b"listen web :8080\n  server a app:80\nbackend b\n  bind *:80\n"


@pytest.mark.parametrize(
    "text",
    [
        "bind *:80\n",
        "global\n  chroot /var/lib/haproxy\n",
        "listen all\n  bind :80-90\n",
        "listen all\n  bind *:${PORT}\n",
        'listen all\n  bind "*:${PORT}"\n',
        "listen all\n  bind /run/web.sock\n",
        "listen all\n  bind abns@web\n",
        "listen all\n  bind :80\n  http-request redirect scheme https if { dst_port 80 }\n",
        "listen all\n  bind :80\n  http-request set-header X-Forwarded-Port %[dst_port]\n",
        "listen all\n  bind :80\n  server a 127.0.0.1:80\n",
        "listen all\n  bind :80\n  source 0.0.0.0 usesrc clientip\n",
    ],
)
def test_a_configuration_of_haproxy_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Unknown):
        haproxy_configuration.listens(text.encode())


def test_haproxy_tells_what_it_writes_and_reads() -> None:
    reading = haproxy_configuration.read(
        b"global\n  stats socket /run/haproxy/admin.sock mode 660\n  pidfile /run/haproxy.pid\n"
        b"listen all\n  bind :443 ssl crt /etc/x.pem\n"
    )
    assert reading.directories == ("/run/haproxy", "/run")
    assert reading.secrets == ("/etc/x.pem",)
