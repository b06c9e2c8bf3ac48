"""What one shell command needs: root, or only the directories its user owns; and what it leaves for run time.

The knowledge is data, in ``commands.toml`` beside this module.  A command that is not known there, or has an
argument that is not, counts as one that needs root.
"""

from __future__ import annotations

import posixpath
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.shell import Argument, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hardener.shell import Command

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_UNKNOWN = "is not known to work without root: "
_ALWAYS_WRITABLE = (
    "/tmp",  # noqa: S108  paths of the image, not of this machine
    "/var/tmp",  # noqa: S108
    "/dev/null",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/tty",
    "/dev/fd",
    "/dev/shm",  # noqa: S108
)
_WRITING = frozenset({">", ">>", ">|", "&>", "&>>", "<>", ">&"})


class RuntimeState(NamedTuple):
    """What a build command creates for the running application: why that matters, and the paths if known."""

    reason: str
    paths: tuple[str, ...] = ()


class _Rule(NamedTuple):
    kind: str
    """``root``, ``read``, ``paths`` or ``work``, as the tables are called."""
    entry: str
    words: tuple[str, ...]
    table: Mapping[str, Any]


class _User(NamedTuple):
    """Who runs the command: the directories that are owned, with and without /tmp, and the home directory."""

    owned: tuple[str, ...]
    writable: tuple[str, ...]
    home: str


def root_reason(command: Command, owned: Sequence[str], home: str) -> str | None:
    """Return why ``command`` needs root, as a clause such as "writes /etc/app.conf".

    ``None`` only when it is known to work as an unprivileged user who owns everything below the absolute
    paths ``owned``, ``home`` being the user's home directory (owned only if it is in ``owned``).
    """
    directories = tuple(posixpath.normpath(path) for path in owned)
    user = _User(directories, (*directories, *_ALWAYS_WRITABLE), home)
    if any(wrapper in ("sudo", "doas", "su") for wrapper in command.wrappers):
        return f"{next(one for one in command.wrappers if one in ('sudo', 'doas', 'su'))} needs root"
    for operator, target in command.redirects:
        if operator in _WRITING and not (operator == ">&" and (target.text or "").strip("-").isdigit()):
            reason = _unwritable(target, command, user, "")
            if reason is not None:
                return reason
    if not command.name:
        return None
    name, arguments = _canonical(command)
    rule = _match(_tables()["rules"], name, arguments)
    if rule is not None and rule.kind == "root":
        return _check_root(rule, arguments, command, user)
    reason = _hidden(name, arguments, command, user)
    if reason is not None:
        return reason
    special = _SPECIAL.get(name)
    if special is not None:
        return special(arguments, command, user)
    if rule is None:
        if name in ("env", "exec", "time", "hostname") and not arguments:
            return None
        only = [one.text for one in arguments]
        prints = "/" not in name and "$" not in name and only in (["--version"], ["--help"], ["-version"])
        return None if prints else _UNKNOWN + " ".join([name, *(text for text in only[:1] if text and text[0] != "-")])
    return _CHECKS[rule.kind](rule, arguments, command, user)


def is_certain(reason: str) -> bool:
    """Whether a reason of ``root_reason`` says that root is needed, not only that the need is not known."""
    return not reason.startswith(_UNKNOWN) and not reason.endswith(_tables()["maybe"])


def is_unknown(reason: str) -> bool:
    """Whether a reason of ``root_reason`` only says that nothing is known of the command."""
    return reason.startswith(_UNKNOWN)


def runtime_state(command: Command) -> RuntimeState | None:
    """Return what ``command`` creates that the application is likely to write at run time, or ``None``.

    Told by the names of commands (migrations, ``collectstatic``) and paths (``mkdir logs``, ``touch x.db``).
    """
    name, arguments = _canonical(command)
    tables = _tables()
    paths = [path for path in _made(name, arguments, command) if _is_state(path, tables)]
    if paths:
        return RuntimeState(f"the build makes {', '.join(paths)}, as if for run time", tuple(paths))
    rule = _match(tables["state"], name, arguments)
    if rule is None or (rule.entry == "sqlite3" and not any(one.text and one.text[0] != "-" for one in arguments)):
        return None
    found = _resolved(arguments[0], command) if rule.entry == "sqlite3" else None
    return RuntimeState(rule.table["reason"], (found,) if found else ())


def package_manager(command: Command) -> str | None:
    """Return the family of the package manager that ``command`` runs: apt, apk, dnf, zypper or pacman."""
    family: str | None = _tables()["families"].get(program(command.name))
    return family


_PACKAGE = re.compile(r"([A-Za-z0-9@][\w.+-]*)(?:[=<>~/@].*|:\w+(?:=.*)?)?")


def package_names(command: Command) -> tuple[str, ...]:
    """Return the packages that ``command`` installs from its distribution; versions and variables dropped."""
    for rule in _tables()["install"].get(program(command.name), ()):
        valued = rule.table["values"].split()
        words: list[str] = []
        is_value = False
        for argument in command.arguments:
            text = argument.raw if argument.text is None else argument.text
            if not is_value and not text.startswith("-"):
                words.append(text)
            is_value = not is_value and text in valued
        is_sync = rule.entry != "pacman" or any(one.raw.startswith("-S") for one in command.arguments)
        if tuple(words[: len(rule.words)]) == rule.words and is_sync:
            matches = (_PACKAGE.fullmatch(word) for word in words[len(rule.words) :])
            return tuple(match[1] for match in matches if match is not None)
    return ()


# ---- the tables -------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _tables() -> dict[str, Any]:
    """Read ``commands.toml`` into one index by program for each question."""
    data = tomllib.loads(Path(__file__).with_name("commands.toml").read_text(encoding="utf-8"))
    rules: dict[str, list[_Rule]] = {}
    state: dict[str, list[_Rule]] = {}
    install: dict[str, list[_Rule]] = {}
    for kind in ("root", "read", "work"):
        for table in data[kind]:
            for entry in _entries(table["commands"]):
                _insert(rules, kind, entry, table)
    for entry, table in data["paths"]["commands"].items():
        _insert(rules, "paths", entry, table)
    for table in data["state"]:
        for entry in _entries(table["commands"]):
            _insert(state, "state", entry, table)
    for entry, values in data["packages"]["install"].items():
        _insert(install, "install", entry, {"values": values})
    families = data["packages"]["families"]
    unreadable = sorted(_entries(data["unreadable"]["paths"]), reverse=True)
    return {
        "rules": rules,
        "state": state,
        "install": install,
        "families": {one: family for family, commands in families.items() for one in _entries(commands)},
        "maybe": tuple(table["reason"] for table in data["root"] if table.get("maybe")),
        "unreadable": (
            re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, unreadable))})(?![\w.-])[\w./-]*"),
            unreadable,
        ),
        "directories": frozenset(_entries(data["names"]["directories"])),
        "suffixes": tuple(data["names"]["suffixes"].split()),
        "below": tuple(_entries(data["names"]["below"])),
    }


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",")]


def _insert(index: dict[str, list[_Rule]], kind: str, entry: str, table: Mapping[str, Any]) -> None:
    name, *words = entry.split(" ")
    rules = index.setdefault(name, [])
    rules.append(_Rule(kind, entry, tuple(words), table))
    rules.sort(key=lambda rule: -len(rule.words))


def _match(index: Mapping[str, list[_Rule]], name: str, arguments: Sequence[Argument]) -> _Rule | None:
    """Return the longest rule that fits: its words are the first that are no options, or the first of all."""
    rules = index.get(name)
    if rules is None:
        return None
    texts = [one.text or "" for one in arguments]
    operands = [text for text in texts if text[:1] != "-"]
    for rule in rules:
        words = list(rule.words)
        if not words or words[0][0] != "-":
            fits = words == operands[: len(words)]
        elif len(words) > 1:
            fits = words == texts[: len(words)]
        else:
            fits = bool(texts) and texts[0].startswith(words[0]) and (words[0][1] != "-" or texts[0] == words[0])
        if fits:
            return rule
    return None


def _rest(rule: _Rule, arguments: Sequence[Argument]) -> list[Argument]:
    """Return the arguments without the words of the rule."""
    words = list(rule.words)
    return [one for one in arguments if not (words and one.text == words[0] and words.pop(0))]


_VERSIONED = re.compile(r"(python|pip|php|ruby|gem|pecl|node)(?:-?[\d.]+)")
_ENVIRONMENT = re.compile(r".*/bin/(python|pip)[\d.]*")
_SCRIPTS = re.compile(r"(?:\.?/)?(?:[\w.-]+/)*(?:manage\.py|artisan|bin/(?:rails|rake|console))")


def _canonical(command: Command) -> tuple[str, Sequence[Argument]]:
    """Return a command as the tables name it: ``python3 -m pip`` is pip, ``bundle exec bin/rails`` rails."""
    name, arguments = program(command.name), command.arguments
    texts = [one.text for one in arguments]
    if name == "bundle" and texts[:1] == ["exec"] and len(texts) > 1:
        name, arguments = texts[1] or "", arguments[2:]
        texts = texts[2:]
    versioned = _VERSIONED.fullmatch(name) or _ENVIRONMENT.fullmatch(name)
    name = versioned[1] if versioned else name
    if name == "python" and texts[:2] == ["-m", "pip"]:
        return "pip", arguments[2:]
    if name in ("python", "php", "ruby") and texts and texts[0] and _SCRIPTS.fullmatch(texts[0]):
        last = posixpath.basename(texts[0])
        return ("bin/console" if last == "console" else last), arguments[1:]
    if _SCRIPTS.fullmatch(name):
        last = posixpath.basename(name)
        return ("bin/console" if last == "console" else last), arguments
    return name, arguments


def only_reads(command: Command) -> bool:
    """Whether ``command`` is known to print or read, and no redirection of it writes a file."""
    rule = _match(_tables()["rules"], *_canonical(command))
    writes = any(operator in _WRITING and target.text != "/dev/null" for operator, target in command.redirects)
    return ((rule is not None and rule.kind == "read") or not command.name) and not writes


# ---- paths ------------------------------------------------------------------------------------------------

_GLOB = re.compile(r"([\w./@%+,:=-]*/)?[\w.@%+,:=-]*[*?\[{][\w./@%+,:=*?\[\]{}!^-]*")


def _resolved(argument: Argument, command: Command) -> str | None:
    """Return the absolute path an argument names, a glob as ``*``; ``None`` where not known."""
    path = argument.text
    if path is None:
        if argument.raw[:1] == "{" and "/" in argument.raw:
            return None
        glob = _GLOB.fullmatch(argument.raw)
        if (
            glob is None
            or "{}" in argument.raw
            or ".." in argument.raw
            or "/." in argument.raw
            or argument.raw[0] == "."
        ):
            return None
        path = (glob[1] or "") + "*"
    if not path.startswith("/"):
        if command.directory is None:
            return None
        path = posixpath.join(command.directory, path)
    return "/" + posixpath.normpath(path).lstrip("/")


def _below(path: str, directories: Sequence[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in directories)


def _unwritable(
    argument: Argument, command: Command, user: _User, name: str, *, remove: bool = False, own: bool = False
) -> str | None:
    """Return why the user cannot write the path in an argument, ``None`` when it can.

    To remove a file its directory must be the user's; that of others in /tmp cannot be removed or changed.
    """
    path = _resolved(argument, command)
    does = f"{name} " if name else ""
    verb = "removes" if remove else "changes" if own else "writes"
    if path is None:
        return f"{_UNKNOWN}{does}{verb} {argument.raw or 'what it reads'}"
    if _below(posixpath.dirname(path) if remove else path, user.owned if remove or own else user.writable):
        return None
    return f"{does}{verb} {path}"


def _first(reasons: Iterator[str | None]) -> str | None:
    return next((reason for reason in reasons if reason is not None), None)


def _here(command: Command, user: _User, name: str) -> str | None:
    """Return why the user cannot write in the working directory of the command."""
    if command.directory is None:
        return f"{_UNKNOWN}{name} writes in a directory that is not known"
    return None if _below(command.directory, user.writable) else f"{name} writes in {command.directory}"


_SILENT = frozenset(
    {"echo", "printf", "export", "set", "unset", ":", "true", "false", "test", "[", "[[", "declare", "local"}
)
_RECURSIVE = {"cp": "rRa", "ls": "R", "grep": "rR", "find": "", "du": "", "tar": ""}


def _hidden(name: str, arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    """Return which path the command reads that only root may."""
    pattern, unreadable = _tables()["unreadable"]
    directory = command.directory or "/"
    if pattern.match(directory) and not _below(directory, user.owned):
        return f"{name} works in {directory}"
    if name in _SILENT:
        return None
    sources = [target for operator, target in command.redirects if operator == "<"]
    for text in (
        command.name,
        *(one.raw if one.text is None else one.text for one in (*arguments, *sources)),
    ):
        for match in pattern.finditer(text):
            if not _below(posixpath.normpath(match[0]), user.owned):
                return f"{name} reads {match[0]}"
    if name in _RECURSIVE:
        options = "".join(one.text[1:] for one in arguments if one.text and re.fullmatch("-[A-Za-z]+", one.text))
        if not _RECURSIVE[name] or any(letter in options for letter in _RECURSIVE[name]):
            for one in arguments:
                top = _resolved(one, command) if one.text and one.text[0] in "/." else None
                if top is not None and any(_below(path, [top]) for path in unreadable):
                    return f"{name} reads all of {top}"
    return None


# ---- the checks of the tables -----------------------------------------------------------------------------


def _check_root(rule: _Rule, arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    if rule.entry.startswith("pip "):
        return _pip(rule, arguments, command, user)
    return f"{rule.entry} {rule.table['reason']}"


def _check_read(_rule: _Rule, _arguments: Sequence[Argument], _command: Command, _user: _User) -> str | None:
    return None


def _check_work(rule: _Rule, arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    """Judge a tool that writes in its working directory and in HOME, unless an argument says otherwise."""
    refused = rule.table.get("refuse", "").split()
    for one in arguments:
        if one.text is None and not rule.table.get("any"):
            return f"{_UNKNOWN}{rule.entry} {one.raw}"
        if (one.text or "").partition("=")[0] in refused:
            return f"{rule.entry} {one.text} {rule.table['reason']}"
    if not _below(user.home, user.owned):
        return f"{rule.entry} writes in HOME, {user.home}"
    reason = None if rule.table.get("home") else _here(command, user, rule.entry)
    if reason is not None:
        return reason
    values = [program(command.name), *((one.text or "") for one in command.arguments)]
    for name, value in command.assignments:
        if value is None:
            return f"{_UNKNOWN}{rule.entry} with {name}"
        values.append("=" + value)
    return _first(_elsewhere(value, command, user, rule.entry) for value in values)


_PATH_IN_WORD = re.compile(r"(?:^|^-\w|[=:,;])(/[^:,;]*)")


def _elsewhere(word: str, command: Command, user: _User, name: str) -> str | None:
    """Return the path in a word that lies outside what the user may write: it might be written."""
    if re.match(r"=?\w[\w+.-]*://", word):
        return None
    paths = [match[1] for match in _PATH_IN_WORD.finditer(word)]
    if ".." in word:
        paths.append(posixpath.normpath(posixpath.join(command.directory or "/", word.rpartition("=")[2])))
    for path in paths:
        if not _below(posixpath.normpath(path), user.writable):
            return f"{name} is given {path}"
    return None


def _pip(rule: _Rule, arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    """``pip install`` works in an environment of the user's, and with ``--user``."""
    path = _resolved(Argument(command.name, "", command.span), command) if "/" in command.name else None
    is_own = path is not None and _below(path, user.owned)
    texts = [one.text or "" for one in arguments]
    redirects = ("-t", "--target", "--prefix", "--root", "--src", "-e", "--editable")
    if any(text.partition("=")[0] in redirects for text in texts):
        return f"{_UNKNOWN}{rule.entry} {next(text for text in texts if text.partition('=')[0] in redirects)}"
    if is_own or ("--user" in texts and _below(user.home, user.owned)):
        return None
    return f"{rule.entry} {rule.table['reason']}"


_SED_WRITES = re.compile(r"(?<![A-Za-z])[wW]\s+\S|/[gpIi\d]*e\Z")


class _Parsed(NamedTuple):
    """Arguments of a command in `paths`: options, written values, plain words, and an option not known."""

    options: frozenset[str]
    replacing: tuple[Argument, ...]
    written: tuple[Argument, ...]
    words: tuple[Argument, ...]
    unknown: str | None


def _names(text: str) -> frozenset[str]:
    """Return the options in a list of `paths`: the letters of its first word, and all other words."""
    letters, *long = text.split(" ")
    return frozenset([*letters.replace(".", ""), *long])


def _parse(table: Mapping[str, str], arguments: Sequence[Argument]) -> _Parsed:
    flags = _names(table["flags"]) if "flags" in table else None
    replacing, also = _names(table.get("to", ".")), _names(table.get("also", "."))
    valued = _names(table.get("values", ".")) | replacing | also
    optional = table.get("optional", "")
    options: set[str] = set()
    written: dict[str, list[Argument]] = {"to": [], "also": []}
    words: list[Argument] = []
    queue = list(arguments)[::-1]
    while queue:
        one = queue.pop()
        text = one.text
        if text == "--":
            words += queue[::-1]
            break
        if (text is None and not one.raw.startswith("-")) or (text is not None and (text[:1] != "-" or text == "-")):
            words.append(one)
            continue
        if text is None:
            return _Parsed(frozenset(options), (), (), (), one.raw)
        for name, attached in _options(text, valued, optional):
            if flags is not None and name not in flags and name not in valued and name not in optional:
                return _Parsed(frozenset(options), (), (), (), text)
            options.add(name)
            if name in valued and name not in optional:
                value = one._replace(text=attached) if attached is not None else queue.pop() if queue else one
                if name in replacing or name in also:
                    written["to" if name in replacing else "also"].append(value)
    return _Parsed(frozenset(options), tuple(written["to"]), tuple(written["also"]), tuple(words), None)


def _options(text: str, valued: frozenset[str], optional: str) -> Iterator[tuple[str, str | None]]:
    """Yield the options in one argument with the value attached: ``-xzf``, ``-ofile``, ``--name=value``."""
    if text.startswith("--"):
        name, equals, value = text[2:].partition("=")
        yield name, value if equals else None
        return
    for index, letter in enumerate(text[1:], 1):
        if letter in valued or letter in optional:
            yield letter, text[index + 1 :] or None
            return
        yield letter, None


def _check_paths(rule: _Rule, arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    table, name = rule.table, rule.entry
    parsed = _parse(table, _rest(rule, arguments))
    spread = next((one.raw for one in arguments if one.text is None and one.raw[:1] in ("$", "`", "")), None)
    if spread is not None:  # without quotes it may be options
        return f"{_UNKNOWN}{name} {spread or 'with what it reads'}"
    if parsed.unknown is not None:
        return f"{_UNKNOWN}{name} {parsed.unknown}"
    refused = parsed.options & _names(table.get("refuse", "."))
    if refused:
        return f"{_UNKNOWN}{name} with option {min(refused)}"
    if name == "sed" and any(_SED_WRITES.search(one.raw if one.text is None else one.text) for one in arguments):
        return f"{_UNKNOWN}sed with a command that writes or runs something"
    role = table["operands"]
    if "only" in table and not parsed.options & _names(table["only"]):
        role = "none"
    here = table.get("here", False) or bool(parsed.options & _names(table.get("here_if", ".")))
    if parsed.options & _names(table.get("when", ".")):
        role, here = table.get("then", "none"), False
    if parsed.replacing:
        here = False
        role = role if role in ("move", "entries") else "none"
    words = list(parsed.words)
    if "script" in table and parsed.options & _names(table["script"]):
        role = "all" if role == "rest" else role
    removed, written = _roles(role, words)
    if (role == "last" and len(words) < 2) or (role == "second" and len(words) < 2):
        here, written = True, []
    written += [one for one in (*parsed.replacing, *parsed.written) if one.text != "-"]
    own = bool(table.get("own", False))
    reason = _first(_unwritable(one, command, user, name, remove=True) for one in removed)
    reason = reason or _first(_unwritable(one, command, user, name, own=own) for one in written)
    return reason or (_here(command, user, name) if here else None)


def _roles(role: str, words: list[Argument]) -> tuple[list[Argument], list[Argument]]:
    """Split the plain words into those removed and those written."""
    removed: dict[str, list[Argument]] = {"entries": words, "move": words[:-1]}
    written: dict[str, list[Argument]] = {
        "all": words,
        "rest": words[1:],
        "first": words[:1],
        "second": words[1:2],
        "last": words[-1:],
        "move": words[-1:],
    }
    return removed.get(role, []), list(written.get(role, []))


def _find(arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    """``find`` only reads, but for ``-delete`` and ``-fprint``; ``-exec`` is a command of its own."""
    texts = [one.text for one in arguments]
    if any(text is not None and text.startswith(("-fprint", "-fls")) for text in texts):
        return f"{_UNKNOWN}find -fprint"
    if "-delete" not in texts:
        return None
    stops = [index for index, text in enumerate(texts) if text is not None and text[:1] in ("-", "(", "!")]
    starts = arguments[: stops[0]]
    if not starts:
        return _here(command, user, "find -delete")
    return _first(_unwritable(one, command, user, "find -delete", own=True) for one in starts)


def _tar(arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    """``tar`` writes where ``-C`` says when it extracts, and its archive when it creates one."""
    texts = [one.text or "" for one in arguments]
    letters = "".join(
        text.lstrip("-")
        for index, text in enumerate(texts)
        if re.fullmatch(r"-[A-Za-z]+" if index else r"-?[A-Za-z]+", text)
    )
    if set("PIF") & set(letters) or any(
        text.startswith(("--absolute", "--same-owner", "--preserve", "--to-command", "--use-compress"))
        for text in texts
    ):
        return f"{_UNKNOWN}tar with an option that is not known"
    if "x" in letters or "--extract" in texts or "--get" in texts:
        target = [arguments[index + 1] for index, text in enumerate(texts[:-1]) if text in ("-C", "--directory")]
        target += [
            one._replace(text=text[2:] if text.startswith("-C") else text.partition("=")[2])
            for one, text in zip(arguments, texts, strict=True)
            if (text.startswith("-C") and len(text) > 2) or text.startswith("--directory=")
        ]
        if any(re.fullmatch(r"-?[A-Za-z]+C[A-Za-z]*", text) for text in texts[:1]):
            return f"{_UNKNOWN}tar {texts[0]}"
        if not target:
            return _here(command, user, "tar")
        return _first(_unwritable(one, command, user, "tar") for one in target)
    archives = [index + 1 for index, text in enumerate(texts[:-1]) if re.fullmatch("-?[A-Za-z]*f", text)]
    if "c" in letters and len(archives) == 1:
        archive = arguments[archives[0]]
        return None if archive.text == "-" else _unwritable(archive, command, user, "tar")
    if "t" in letters or "--list" in texts or texts in (["--version"], ["--help"]):
        return None
    return f"{_UNKNOWN}tar {texts[0] if texts else ''}".rstrip()


def _dd(arguments: Sequence[Argument], command: Command, user: _User) -> str | None:
    targets = [one._replace(text=one.text[3:] if one.text else None) for one in arguments if one.raw.startswith("of=")]
    return _first(_unwritable(one, command, user, "dd") for one in targets)


def _awk(arguments: Sequence[Argument], _command: Command, _user: _User) -> str | None:
    """``awk`` only reads, unless its program redirects or runs a command."""
    if any(one.text is None or re.search(r"system|[>|]|inplace|getline", one.text) for one in arguments):
        return f"{_UNKNOWN}awk"
    return None


_CHECKS = {"root": _check_root, "read": _check_read, "paths": _check_paths, "work": _check_work}
_SPECIAL = {"find": _find, "tar": _tar, "dd": _dd, "awk": _awk, "gawk": _awk, "mawk": _awk}


# ---- run-time state ---------------------------------------------------------------------------------------


def _made(name: str, arguments: Sequence[Argument], command: Command) -> Iterator[str]:
    """Yield the paths that the command makes, as far as known."""
    targets = [target for operator, target in command.redirects if operator in (">", ">>", ">|")]
    rule = _match(_tables()["rules"], name, arguments)
    if name in ("mkdir", "touch", "install") and rule is not None:
        parsed = _parse(rule.table, arguments)
        if name != "install" or parsed.options & {"d", "directory"}:
            targets += parsed.words
    for target in targets:
        path = _resolved(target, command)
        if path is not None:
            yield path


def _is_state(path: str, tables: Mapping[str, Any]) -> bool:
    last = posixpath.basename(path)
    is_named = last in tables["directories"] or last.endswith(tables["suffixes"])
    return not _below(path, _ALWAYS_WRITABLE) and (is_named or _below(path, tables["below"]))
