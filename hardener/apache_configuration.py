"""The Apache httpd configuration reader: ports, and everything that a first process without root cannot do.

Sources: https://httpd.apache.org/docs/2.4/mod/mpm_common.html (Listen, PidFile), .../mod/core.html (VirtualHost,
ErrorLog), .../mod/mod_unixd.html (User, Group), .../mod/mod_log_config.html; apache/httpd: server/vhost.c.

A ``<VirtualHost *:80>`` becomes ``<VirtualHost *:*>`` and not ``*:8080``: the port of a virtual host is what Apache
puts into SERVER_PORT and into the redirects that it makes (``ap_get_server_port``; measured: a request of ``/folder``
is sent to ``http://host:8080/folder/``, which nobody publishes).  With any port it stays 80.  A bare ``*`` would take
the port of the main ServerName (``get_addresses``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardener.apache_syntax import Address, Directive, directives, hosts, listened, needs_module
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import NEW_PORT, Change, Listen, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

# What Debian's /etc/apache2/envvars sets, unless the environment does (docker-library/php: 8.4/*/apache/Dockerfile).
DEFAULTS = {
    "APACHE_LOG_DIR": "/var/log/apache2",
    "APACHE_RUN_DIR": "/var/run/apache2",
    "APACHE_LOCK_DIR": "/var/lock/apache2",
    "APACHE_PID_FILE": "/var/run/apache2/apache2.pid",
    "APACHE_RUN_USER": "www-data",
    "APACHE_RUN_GROUP": "www-data",
}
# `#33` and `#82`: Debian's and Alpine's id of www-data.
WORKERS = frozenset(("www-data", "#33", "#82"))
# The image's own before 2021 (docker-library/httpd#205): it owned nothing there either.
FORMER_WORKERS = WORKERS | {"daemon", "#1", "#2"}
# Where the image's first process may write already.
RUN_FOLDERS = ("/var/run/apache2/", "/run/apache2/", "/var/lock/apache2/", "/run/lock/apache2/")
# Directives whose argument is a file that the first process opens or creates.
LOGS = frozenset(
    ("customlog", "errorlog", "transferlog", "globallog", "forensiclog", "secauditlog", "secdebuglog", "jklogfile")
)
STATE = frozenset(("pidfile", "scoreboardfile", "lockfile", "scriptsock", "defaultruntimedir", "coredumpdirectory"))
# Not files, or the container's own output.
NOT_FILES = ("syslog", "/dev/stdout", "/dev/stderr", "/dev/null", "/proc/self/fd/", "/proc/1/fd/")
# Directives that only root can follow (core, mod_unixd, mod_suexec, mpm_itk, mod_ruid2, mod_privileges), or whose
# program the first process starts as root.
ROOT_ALONE = {
    "chrootdir": "it changes its root directory",
    "suexecusergroup": "it runs CGI programs as other users",
    "assignuserid": "it changes its user with each request",
    "assignuseridexpr": "it changes its user with each request",
    "rmode": "it changes its user with each request",
    "vhostuser": "it changes its user with each request",
    "mdomain": "it fetches certificates as root",
    "wsgidaemonprocess": "it starts WSGI processes, maybe as another user",
    "fastcgiserver": "it starts FastCGI processes, maybe as another user",
    "use": "it uses a macro",
    "sslcertificatekeyfile": "it reads a TLS key as root",
    "sslcertificatefile": "it reads a TLS certificate as root",
}
MODULES = {
    "ssl_module": "it serves TLS, whose key it reads as root",
    "mpm_itk_module": "it changes its user with each request",
    "ruid2_module": "it changes its user with each request",
    "suexec_module": "it may run CGI programs as other users",
    "privileges_module": "it changes its privileges with each request",
    "md_module": "it fetches certificates as root",
}
TLS = ("ssl", "gnutls", "nss")
# Modules that make the workers write or run programs: whose files those are depends on the workers' user.
WRITERS = frozenset(("dav_module", "cgi_module", "cgid_module", "fcgid_module", "cache_disk_module", "php_module"))
SELF = lazy_pattern(
    r"(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0):(\d+)\b|https?://(?:localhost|127\.0\.0\.1|\[::1\])(?![\w.:-])"
)


def read(data: bytes, root: str = "/etc/apache2") -> Reading:
    """Return what one file says; relative paths are resolved against ``root``, the image's ServerRoot.

    Raises `Unknown` for anything that is not understood completely.
    """
    found = tuple(one for one in directives(data) if not needs_module(one, TLS))
    for one in found:
        refuse(one)
    refuse_workers(found)
    files = [path for one in found if (path := file_of(one, root)) is not None]
    return Reading(
        listens=tuple(ports(found)),
        hosts=tuple(moved_hosts(found)),
        includes=tuple(includes(found, root)),
        files=tuple(dict.fromkeys(files)),
    )


def read_httpd(data: bytes) -> Reading:
    """Return what one file of the official httpd image says; see `read`."""
    return read(data, "/usr/local/apache2")


def listens(data: bytes) -> tuple[Listen, ...]:
    """Return every TCP port that a file makes Apache listen on.  Raises `Unknown`."""
    return read(data).listens


def refuse(one: Directive) -> None:
    """Raise `Unknown` for a directive that a first process without root, or this reader, cannot deal with."""
    texts = [word.text for word in one.words]
    if one.name in ROOT_ALONE:
        raise Unknown(one.line, f"{ROOT_ALONE[one.name]} ({one.name})")
    if one.name == "loadmodule" and texts and texts[0] in MODULES:
        raise Unknown(one.line, MODULES[texts[0]])
    if one.name in ("sslengine", "sslproxyengine") and texts[:1] != ["off"] and one.name == "sslengine":
        raise Unknown(one.line, "it serves TLS, whose key it reads as root")
    if one.name in ("define", "serverroot") and not is_expected(one, texts):
        raise Unknown(one.line, f"{one.name} {' '.join(texts)} changes what other lines mean")
    match = SELF.search(" ".join(texts)) if one.name not in ("servername", "listen", "virtualhost") else None
    if match is not None and int(match[1] or 80) < 1024:
        raise Unknown(one.line, f"{one.name} calls the server itself at {match[0]}")


def is_expected(one: Directive, texts: list[str]) -> bool:
    """Whether a Define or a ServerRoot leaves paths and ports as they are taken to be."""
    if one.name == "serverroot":
        return texts[:1] in (["/etc/apache2"], ["/usr/local/apache2"])
    return bool(texts) and texts[0] not in DEFAULTS and not (len(texts) > 1 and texts[1].isdecimal())


def refuse_workers(found: tuple[Directive, ...]) -> None:
    """Raise `Unknown` where the workers were another user than the image is to run as."""
    writers = any(one.name == "loadmodule" and one.words and one.words[0].text in WRITERS for one in found)
    accepted = WORKERS if writers else FORMER_WORKERS
    for one in found:
        if one.name in ("user", "group") and one.words:
            name = expanded(one, one.words[0].text)
            if name not in accepted:
                raise Unknown(one.line, f"its workers are `{one.name} {name}`")


def ports(found: tuple[Directive, ...]) -> Iterator[Listen]:
    """Yield the ports of ``Listen``.  Raises `Unknown` for a variable."""
    for one in listened(found):
        line = one.directive.line
        if one.port is None:
            raise Unknown(line, f"Listen {one.word.text} is not a number here")
        if any(word.text.lower() == "https" for word in one.directive.words[1:]):
            raise Unknown(line, "it serves TLS, whose key it reads as root")
        if one.port == 443:
            raise Unknown(line, "it listens on port 443: whether that is TLS is not known")
        yield Listen(one.port, line, (Change(one.span, NEW_PORT),))


def moved_hosts(found: tuple[Directive, ...]) -> Iterator[Listen]:
    """Yield the virtual hosts of a privileged port, which become those of any port.  Raises `Unknown`."""
    for one in hosts(found):
        line = one.directive.line
        if one.variable is not None:
            raise Unknown(line, f"the port of {one.directive.name} {one.word.text} is a variable")
        if one.port is None or one.port >= 1024:
            continue
        if one.port != 80 or one.host not in ("*", "_default_"):
            raise Unknown(line, f"what moves <VirtualHost {one.word.text}> is not certain")
        yield Listen(one.port, line, (Change(one.span, b"*"),))


def includes(found: tuple[Directive, ...], root: str) -> Iterator[str]:
    """Yield the files and globs that are read in place of an Include.  Raises `Unknown` for a variable one."""
    for one in found:
        if one.name in ("include", "includeoptional") and one.words:
            path = resolved(one, one.words[0].text, root)
            yield path
            if "-enabled/*" in path:  # of links into the folder beside it, as a2ensite makes them
                yield path.replace("-enabled/*", "-available/*")


def file_of(one: Directive, root: str) -> str | None:
    """Return the file that a directive makes the first process write, ``None`` without one.

    Raises `Unknown` where it is a program, or state in a place that is not the server's.
    """
    if one.name not in LOGS | STATE or not one.words:
        return None
    text = one.words[0].text
    if text.startswith(("|", "$|", "||")):
        raise Unknown(one.line, f"{one.name} goes to a program that Apache starts as root")
    if text.startswith(NOT_FILES):
        return None
    path = resolved(one, text, root)
    if path.startswith(NOT_FILES):
        return None
    if one.name in LOGS:
        return path
    if not (path + "/").startswith((*RUN_FOLDERS, f"{root}/logs/")):
        raise Unknown(one.line, f"{one.name} writes {path}")
    return None


def resolved(one: Directive, text: str, root: str) -> str:
    """Return a path as Apache takes it.  Raises `Unknown` for a variable."""
    path = expanded(one, text)
    return path if path.startswith("/") else f"{root}/{path}"


def expanded(one: Directive, text: str) -> str:
    """Return a text with the variables of Debian's envvars.  Raises `Unknown` for another one."""
    value = re.sub(r"\$\{(\w+)\}", lambda match: DEFAULTS.get(match[1], match[0]), text)
    if "${" in value:
        raise Unknown(one.line, f"{one.name} {text} is a variable")
    return value


__all__ = ["Address", "listens", "read", "read_httpd"]
