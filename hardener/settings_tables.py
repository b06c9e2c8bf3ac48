"""Settings files in YAML or TOML as one flat table: the path of every value, the value, and its bytes in the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli

from hardener.edit import Span
from hardener.lazy_pattern import lazy_pattern
from hardener.server_reading import Unknown
from hardener.yaml_documents import has_too_many

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEPEST = 30
MOST = 5000
# A header or a key of TOML whose parts are plain or quoted: `[entryPoints."web".http]`, `address = ":80"`.
KEY = r"[\w-]+|\"[^\"\n]*\"|'[^'\n]*'"
HEADER = lazy_pattern(rf"^[ \t]*\[[ \t]*((?:{KEY})(?:[ \t]*\.[ \t]*(?:{KEY}))*)[ \t]*\][ \t]*(?:#.*)?$")
PAIR = lazy_pattern(rf"^[ \t]*((?:{KEY})(?:[ \t]*\.[ \t]*(?:{KEY}))*)[ \t]*=[ \t]*(?P<value>\"[^\"\\\n]*\"|'[^'\n]*')")


class Entry(NamedTuple):
    """One value: its path in lower case, its text, the bytes where it stands (with its quotes), and the line.

    ``span`` is ``None`` where it is not one plain or quoted word in one line, or nobody knows.  Items of lists have
    their position in the path; an empty table or list is an entry with an empty text.
    """

    path: tuple[str, ...]
    text: str
    span: Span | None
    line: int


def entries(data: bytes) -> tuple[Entry, ...]:
    """Return the values of a file, YAML or TOML.  Raises `Unknown` for what is neither, or more than one document."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unknown(1, "it is not UTF-8") from None
    try:
        tables = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return tuple(from_yaml(data, text))
    return tuple(from_toml(data, tables))


def from_toml(data: bytes, tables: dict[str, Any]) -> Iterator[Entry]:
    """Yield the values of a TOML file, with the bytes of those strings that stand alone in a line."""
    places: dict[tuple[str, ...], tuple[Span, int]] = {}
    table: tuple[str, ...] = ()
    offset = 0
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.decode("utf-8", "surrogateescape")
        if line.lstrip().startswith("[["):
            table = ("[[",)  # items of a list: nothing in there is located
        elif (header := HEADER.match(line)) is not None:
            table = parts(header[1])
        elif (pair := PAIR.match(line)) is not None:
            begin, stop = (len(line[:at].encode("utf-8", "surrogateescape")) for at in pair.span("value"))
            places[(*table, *parts(pair[1]))] = (Span(offset + begin, offset + stop), number)
        offset += len(raw) + 1
    for path, value in flat(tables, ()):
        span, number = places.get(path, (None, 1))
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        yield Entry(path, shown, span if isinstance(value, str) else None, number)


def parts(key: str) -> tuple[str, ...]:
    """Return the parts of a dotted key of TOML, in lower case."""
    return tuple(one.strip("\"'").lower() for one in re.findall(KEY, key))


def flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and value of everything below a value of TOML."""
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        yield path, value
    elif not value:
        yield path, ""
    else:
        for key, inner in pairs:
            yield from flat(inner, (*path, str(key).lower()))


def from_yaml(data: bytes, text: str) -> Iterator[Entry]:
    """Yield the values of a YAML file.  Raises `Unknown` for one that is no single mapping."""
    import yaml  # noqa: PLC0415  only projects with such a file pay for it

    if has_too_many(data):
        raise Unknown(1, "it has too many settings")
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0)
        raise Unknown(line + 1, "it is neither YAML nor TOML") from error
    if not isinstance(root, yaml.MappingNode):
        raise Unknown(1, "it has no settings")
    prefix = len(data) - len(text.encode("utf-8"))
    for count, (path, node) in enumerate(nodes(root, (), 0)):
        if count > MOST:
            raise Unknown(1, "it has too many settings")
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            yield Entry(path, "", None, line)
            continue
        begin = prefix + len(text[: node.start_mark.index].encode("utf-8"))
        stop = prefix + len(text[: node.end_mark.index].encode("utf-8"))
        plain = data[begin:stop].strip(b"\"'") == node.value.encode("utf-8") and node.style in ("", None, "'", '"')
        yield Entry(path, node.value, Span(begin, stop) if plain else None, line)


def nodes(node: Any, path: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and node of every scalar, empty mapping and empty list below a node of YAML."""
    if depth > DEEPEST:
        raise Unknown(node.start_mark.line + 1, "it is nested too deep")
    inner = getattr(node, "value", ())
    if isinstance(inner, str) or not inner:
        yield path, node
        return
    for position, one in enumerate(inner):
        if isinstance(one, tuple):
            if not isinstance(one[0].value, str) or one[0].value == "<<":
                raise Unknown(one[0].start_mark.line + 1, "one of its keys is not a plain word")
            yield from nodes(one[1], (*path, one[0].value.lower()), depth + 1)
        else:
            yield from nodes(one, (*path, str(position)), depth + 1)
