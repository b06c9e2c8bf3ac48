"""The php-fpm configuration reader: pools, their sockets, users and logs.

Source: https://www.php.net/manual/en/install.fpm.configuration.php
"""

from __future__ import annotations

import re

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import NEW_PORT, Change, Listen, Reading, Unknown

LINE = lazy_pattern(
    rb"^[ \t]*(?P<key>[A-Za-z_.]+)(?:\[[^\]]*\])?[ \t]*=[ \t]*(?P<value>[^\r\n]*?)[ \t]*\r?$", re.MULTILINE
)
ADDRESS = lazy_pattern(r"(?:(?:\d+(?:\.\d+){3}|\[[0-9A-Fa-f:.]+\]):)?(?P<port>\d{1,5})")
LOGS = ("error_log", "access.log", "slowlog")
# Without root these do nothing, and the pool would run as another user than it does now.
OWN_USERS = ("www-data", "33", "82", "")


def read(data: bytes) -> Reading:
    """Return what one file says.  Raises `Unknown` for anything that wants root or is not understood."""
    listens: list[Listen] = []
    files: list[str] = []
    for match in LINE.finditer(data):
        key = match["key"].decode()
        value = match["value"].decode("utf-8", "replace").partition(";")[0].strip().strip("\"'")
        line = data.count(b"\n", 0, match.start()) + 1
        if "$" in value and key in ("listen", "user", "group", "pid", *LOGS):
            raise Unknown(line, f"{key} is a variable")
        if key in ("user", "group") and value not in OWN_USERS:
            raise Unknown(line, f"its pool has `{key} = {value}`")
        if key in ("chroot", "process.priority", "listen.acl_users", "apparmor_hat") and value:
            raise Unknown(line, f"{key} needs root")
        if key == "pid" and value:
            raise Unknown(line, f"it writes its pid to {value}")
        if key == "include":
            raise Unknown(line, f"what `include = {value}` brings is not followed")
        if key in LOGS and value and not value.startswith(("/proc/self/fd/", "/dev/std", "syslog")):
            files.append(value)
        if key == "listen":
            address = ADDRESS.fullmatch(value)
            if address is None:
                raise Unknown(line, f"it listens on {value}")
            start = data.rindex(address["port"].encode(), match.start("value"), match.end("value"))
            change = Change(Span(start, start + len(address["port"])), NEW_PORT)
            listens.append(Listen(int(address["port"]), line, (change,)))
    return Reading(listens=tuple(listens), files=tuple(files))


def listens(data: bytes) -> tuple[Listen, ...]:
    """Return every TCP port that a file makes php-fpm listen on.  Raises `Unknown`."""
    return read(data).listens
