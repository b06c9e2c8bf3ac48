"""Which names and settings say that a program writes to an absolute path; the words are in ``written_paths.toml``."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

from hardener.lazy_pattern import lazy_pattern
from hardener.paths import SHARED, below
from hardener.shell_words import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMENT = lazy_pattern(rb"\s*(?:#|//|\*|/\*)")
DATABASES = (".db", ".sqlite", ".sqlite3", ".db3")
DIRECTORIES = ("DIR", "DIRECTORY", "FOLDER", "ROOT", "LOCATION", "PATH")
WORD = lazy_pattern(r"(?<=[a-z0-9])(?=[A-Z])")
SETTING = lazy_pattern(
    rb"(?:^|[{,])[ \t-]*[\"']?(?P<name>[A-Za-z][\w.:-]*?)[\"']?[ \t]*[:=][ \t]*[\"']?"
    rb"(?:\$\{[\w.-]+:)?(?P<path>/[\w./-]+)(?=[\s\"',}]|$)",
    re.MULTILINE,
)
PARENT = lazy_pattern(rb"(?P<indent>[ \t]*)(?:\[(?P<section>[\w.]+)\]|[\"']?(?P<key>[\w.-]+)[\"']?\s*:\s*\{?\s*$)")
MAXIMUM_SETTINGS = 200


class Written(NamedTuple):
    """A place that is written: an absolute path, ``directory``, ``file`` or ``database``, and where that is said."""

    path: str
    makes: str
    where: str


@lru_cache(maxsize=1)
def knowledge() -> dict[str, Any]:
    """Return ``written_paths.toml``; expressions are compiled where one is needed (`re` keeps them)."""
    tables = tomli.loads(Path(__file__).with_name("written_paths.toml").read_text(encoding="utf-8"))
    for one in (*tables["url"], *tables["source"], *tables["relative"]):
        one["pattern"] = one["pattern"].encode()
        one["may"] = tuple(word.encode() for word in one.get("may", ()))
        one["endings"] = tuple(one.get("endings", ()))
    tables["settings"]["trees"] = tuple(tables["settings"]["trees"])
    tables["settings"]["hosts"] = tuple(tables["settings"]["hosts"])
    return tables


def of_value(name: str, value: str, where: str) -> Iterator[Written]:
    """Yield the place that a variable of the environment names, as a path or as a database URL."""
    if "/" not in value:
        return
    url = re.search(knowledge()["url"][0]["pattern"], encode(value))
    if url is not None:
        yield Written(clean(url["path"]), "database", where)
    elif value.startswith("/") and not any(mark in value for mark in ":$"):
        yield from of_variable(name, value, where)


def of_variable(name: str, value: str, where: str) -> Iterator[Written]:
    """Yield the place that a variable names, where its name says that it is one to write to."""
    table = knowledge()["env"]
    if not re.search(table["names"], name) or re.search(table["not"], name):
        return
    makes = "directory"
    if re.search(table["files"], value) or name.endswith(("FILE", "FILENAME")):
        makes = "database" if value.endswith(DATABASES) else "file"
    yield Written(posixpath.normpath(value), makes, where)


def of_setting(name: str, path: str, where: str, *, both: bool = False) -> Iterator[Written]:
    """Yield the place that a setting names, where its key, or the place, says that it is written; ``both``: only then.

    ``name`` is the key with those above it, in any case and with any separator.
    """
    table = knowledge()["settings"]
    key = re.sub(r"[^A-Z0-9]+", "_", WORD.sub("_", name).upper())
    said = (re.search(table["keys"], key) is not None, below(path, table["trees"]))
    if not (all(said) if both else any(said)) or re.search(table["not"], key) or below(path, table["hosts"]):
        return
    if re.search(knowledge()["env"]["files"], path) or key.endswith(("FILE", "FILENAME", "NAME")):
        yield Written(path, "database" if path.endswith(DATABASES) else "file", where)
    elif key.endswith(DIRECTORIES) or posixpath.dirname(path) in SHARED:
        yield Written(path, "directory", where)
    else:  # either: with the directory above it, the program can make both
        yield Written(path, "file", where)


def in_settings(name: str, data: bytes) -> Iterator[Written]:
    """Yield what one settings file says is written; not of a Kubernetes manifest, whose paths are not the image's."""
    if b"apiVersion:" in data:
        return
    for match in islice(SETTING.finditer(data), MAXIMUM_SETTINGS):
        start = data.rfind(b"\n", 0, match.start("name")) + 1
        if not COMMENT.match(data, start):
            keys = (*keys_above(data, start), match["name"])
            text = b"_".join(keys).decode("latin-1")
            yield from of_setting(text, clean(match["path"]), f"{name}:{line_of(data, match.start('path'))}")


def keys_above(data: bytes, start: int) -> Iterator[bytes]:
    """Yield the key, or the section's name, above the line that begins at an offset, by its indentation."""
    lines = data[:start].splitlines()
    indentation = len(data[start:]) - len(data[start:].lstrip(b" \t"))
    for line in reversed(lines):
        key = PARENT.match(line)
        if key is not None and (len(key["indent"]) < indentation or key["section"]):
            yield key["section"] or key["key"]
            return


def line_of(data: bytes, offset: int) -> int:
    """Return the line (1-based) of an offset."""
    return data.count(b"\n", 0, offset) + 1


def clean(path: bytes) -> str:
    """Return a path as text, normalised."""
    return "/" + posixpath.normpath(path.decode("latin-1")).lstrip("/")
