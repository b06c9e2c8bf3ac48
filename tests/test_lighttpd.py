"""The reader of lighttpd's configuration: ports with the bytes that move them, what it writes, and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_proxies import moved

from hardener import lighttpd_configuration, lighttpd_syntax
from hardener.server_reading import Unknown

ROOT = 'server.document-root = "/srv"\n'


@pytest.mark.parametrize(
    ("before", "ports", "after"),
    [
        (ROOT + "server.port = 80\n", {80}, ROOT + "server.port = 8080\n"),
        (ROOT + 'server.port="80"', {80}, ROOT + 'server.port="8080"'),
        (ROOT + "server.port = 8080\n", {8080}, ROOT + "server.port = 8080\n"),
        (ROOT, {80}, "server.port = 8080\n" + ROOT),
        ("# 80\r\n" + ROOT, {80}, "# 80\r\nserver.port = 8080\n" + ROOT),
        (ROOT + 'server.port = 80\n$SERVER["socket"] == ":81" {\n}\n', {80, 81},
         ROOT + 'server.port = 8080\n$SERVER["socket"] == ":8081" {\n}\n'),
        (ROOT + 'server.port = 81\n$SERVER [ "socket" ]=="[::]:443" { ssl.engine = "enable"\n}', {81, 443},
         ROOT + 'server.port = 8081\n$SERVER [ "socket" ]=="[::]:8443" { ssl.engine = "enable"\n}'),
        ('$SERVER["socket"] == "0.0.0.0:80" {\n}\n', {80}, '$SERVER["socket"] == "0.0.0.0:8080" {\n}\n'),
        (ROOT + 'server.port = 80 # 80\nserver.tag = "80 # \\" server.port = 80"\nserver.max-connections = 80\n', {80},
         ROOT + 'server.port = 8080 # 80\nserver.tag = "80 # \\" server.port = 80"\nserver.max-connections = 80\n'),
        (ROOT + 'mimetype.assign = (\n  ".a" => "80", # 80\n  ".b" => "b",\n)\nserver.port = 80\n', {80},
         ROOT + 'mimetype.assign = (\n  ".a" => "80", # 80\n  ".b" => "b",\n)\nserver.port = 8080\n'),
    ],
)  # fmt: skip
def test_the_ports_move(before: str, ports: set[int], after: str) -> None:
    found = lighttpd_configuration.listens(before.encode())
    assert {one.port for one in found} == ports
    after = after.replace("server.port = 8080\n" + ROOT, "server.port = 8080\r\n" + ROOT) if "\r\n" in before else after
    assert moved(before.encode(), found).decode() == after
    again = lighttpd_configuration.listens(after.encode())
    assert not any(one.port < 1024 or one.changes for one in again), "a second run changes it again"


@pytest.mark.parametrize(
    "text",
    [
        "server.port = 80\n",  # the document root, and so perhaps a port, is in another file
        ROOT + 'include "conf.d/port.conf"\n',
        ROOT + 'server.port = 80\ninclude "conf.d/*.conf"\n',
        ROOT + 'server.port = 80\ninclude_shell "cat more.conf"\n',
        ROOT + "server.port = var.port\n",
        ROOT + "server.port = 80 + 1\n",
        ROOT + 'server.port = 80\nserver.bind = "/run/lighttpd.socket"\n',
        ROOT + 'server.port = 80\n$SERVER["socket"] == "/run/lighttpd.socket" {\n}\n',
        ROOT + 'server.port = 80\n$SERVER["socket"] != ":443" {\n}\n',
        ROOT + 'server.port = 80\n$HTTP["host"] == "x.example:80" {\n}\n',
        ROOT + 'ssl.engine = "enable"\n',
        ROOT + 'server.port = 80\nserver.chroot = "/srv"\n',
        ROOT + 'server.port = 80\nserver.modules += ( "mod_magnet" )\n',
        ROOT + 'server.port = 80\nserver.errorlog = "|/usr/bin/logger"\n',
        ROOT + 'server.port = 80\nserver.errorlog = "/dev/console"\n',
        ROOT + 'server.port = 80\nserver.pid-file = env.PID\n',
        ROOT + 'server.port = 80\nfastcgi.server = ( ".php" => (( "socket" => "/tmp/s", "bin-path" => "php-cgi" )) )\n',
        ROOT + "server.port = 80\nunknown.key = 1\n",
        ROOT + 'server.port = 80\n$HTTP["url"] == "/" {\n',
        ROOT + "server.port = '80'\n",
        ROOT + "server.port = (80\n",
        "a = " + 5000 * "(",
    ],
)  # fmt: skip
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(Unknown):
        lighttpd_configuration.read(text.encode())


def test_what_it_writes_and_reads() -> None:
    found = lighttpd_configuration.read(
        b'var.logs = "/var/log/lighttpd"\nserver.document-root = "/srv"\nserver.port = 80\n'
        b'server.errorlog = var.logs + "/error.log"\naccesslog.filename = "/dev/stdout"\n'
        b'server.upload-dirs = ( "/tmp", "/var/cache/lighttpd/uploads" )\nserver.pid-file = "/run/" + "x.pid"\n'
        b'$SERVER["socket"] == ":443" {\n ssl.engine = "enable"\n ssl.pemfile = "/etc/key.pem"\n}\n'
    )
    assert found.files == ("/var/log/lighttpd/error.log",)
    assert found.directories == ("/var/cache/lighttpd/uploads",)
    assert found.secrets == ("/etc/key.pem",)
    assert [one.text for one in found.changes] == [b'"/tmp/lighttpd.pid"']


@given(st.text(alphabet='server.portincluds$[]"=>(){}+,80 \n\\#', max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    data = text.encode()
    try:
        parsed = lighttpd_syntax.parse(data)
    except Unknown as error:
        assert 1 <= error.line <= data.count(b"\n") + 1
        return
    for one in parsed.statements:
        assert data[one.start :].startswith(one.key.encode())
        assert 0 <= one.value.span.start < one.value.span.stop <= len(data)
