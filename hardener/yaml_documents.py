"""YAML files as nodes, read once for all who ask, and as a user is told of them: a refusal with its line."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hardener.dockerfile import ParseError
from hardener.lazy_pattern import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

# What no YAML file that people write comes near.  libyaml's binding recurses in C: a file of nothing but opening
# brackets ends the process.
OPENERS = 5000
# What YAML 1.1 reads as something else than text.
TYPED = lazy_pattern(r"(?i)(?:true|false|yes|no|on|off|null|y|n|[\d.].*)")
LONE_RETURN = lazy_pattern(rb"\r(?!\n)")


def has_too_many(data: bytes) -> bool:
    """Whether a file has more lists and tables than people write: it must not be given to a YAML reader."""
    return sum(data.count(one) for one in (b"[", b"{", b"- ", b"? ")) > OPENERS


@lru_cache(maxsize=16)
def documents(data: bytes) -> tuple[Any, ...]:
    """Return the documents of a YAML file as nodes, ``None`` for an empty one; raises ``ParseError``."""
    import yaml  # noqa: PLC0415  only projects with YAML pay for it

    if has_too_many(data):
        raise ParseError(0, f"is not read: it has more than {OPENERS} lists and tables")
    try:
        return tuple(yaml.compose_all(data.decode("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except UnicodeDecodeError as error:
        raise ParseError(0, "is not UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ParseError(mark.line + 1 if mark is not None else 0, "is no YAML that can be read") from error
    except (RecursionError, ValueError) as error:
        raise ParseError(0, "is nested too deeply") from error


def readable(data: bytes) -> tuple[Any, ...]:
    """Return what `documents` does, none where the file cannot be read."""
    try:
        return documents(data)
    except ParseError:
        return ()


def only_document(data: bytes) -> Any:
    """Return the node of a file with one document, ``None`` where it is empty, has several, or cannot be read."""
    found = readable(data)
    return found[0] if len(found) == 1 else None


def check_readable(data: bytes) -> None:
    """Raise ``ParseError`` for bytes that are no UTF-8, no YAML, have a key twice in one table, or lines with CR alone.

    Compose and Kubernetes (since 1.25) refuse a key that stands twice, and readers that do not take either the first
    or the last of both: https://yaml.org/spec/1.2.2/#3213-node-comparison
    """
    nodes = documents(data)
    if (lone := LONE_RETURN.search(data)) is not None:
        line = data.count(b"\n", 0, lone.start()) + 1
        raise ParseError(line, "ends a line with a carriage return alone, which readers take in two ways; use LF")
    for node in nodes:
        for key, fault in wrong_keys(node):
            raise ParseError(key.start_mark.line + 1, fault)


def wrong_keys(root: Any) -> Iterator[tuple[Any, str]]:
    """Yield the keys below ``root`` that Compose and Kubernetes do not take, and what is wrong with each."""
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if node is None or id(node) in seen:  # empty, or an alias
            continue
        seen.add(id(node))
        if node.id == "sequence":
            pending += node.value
        elif node.id == "mapping":
            there: set[str] = set()
            for key, value in node.value:
                if key.id != "scalar":
                    yield key, "has a list or a table as a key, as a template has before it is filled in; use text"
                elif key.value in there:
                    yield key, f"has the key '{key.value}' twice in one table; keep one"
                there.add(str(key.value))
                pending.append(value)
