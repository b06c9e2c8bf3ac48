"""Adds keys and items to a YAML file as bytes: in the style that is there, and nothing else moves.

Where a collection ends is told by the parser's events (an alias has no place of its own in the node tree).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.compose import NODES
from hardener.edit import Edit
from hardener.lazy_pattern import lazy_pattern
from hardener.yaml_documents import TYPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import PurePosixPath

Value = str | tuple[str, ...]

# Text that needs no quotes in a block, as far as it is none of YAML's own words.
PLAIN = lazy_pattern(r"[A-Za-z/][\w/.=:,%+-]*")


class Document(NamedTuple):
    """One YAML file as text, and where the content of each collection ends, by the character at which it starts."""

    path: PurePosixPath
    text: str
    ends: dict[int, int]

    @property
    def newline(self) -> str:
        """The line end of the file's first line."""
        return "\r\n" if self.text[: self.text.find("\n") + 1].endswith("\r\n") else "\n"


@lru_cache(maxsize=64)
def document(path: PurePosixPath, content: bytes) -> Document:
    """Return a file that `yaml` can read; raises ``yaml.YAMLError`` and ``UnicodeDecodeError``."""
    import yaml  # noqa: PLC0415  only where there is something to edit

    text = content.decode("utf-8")
    ends: dict[int, int] = {}
    starts: list[int] = []
    last = 0
    check_aliases(text)
    event: Any
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        begin, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            starts.append(begin)
            last = max(last, end if event.flow_style else last)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            ends.setdefault(starts.pop(), last)
            if end > begin:  # `]` or `}`
                last = end
        elif isinstance(event, yaml.AliasEvent):
            last = end
        elif isinstance(event, yaml.ScalarEvent):
            last = begin + len(text[begin:end].rstrip()) if event.style in ("|", ">") else end
    return Document(path, text, ends)


def check_aliases(text: str) -> None:
    """Raise ``yaml.YAMLError`` for an anchor that holds itself, or that grows without end."""
    import yaml  # noqa: PLC0415

    open_anchors: list[str | None] = []
    sizes: dict[str, int] = {}
    counts = [0]
    event: Any
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            open_anchors.append(event.anchor)
            counts.append(1)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            size, anchor = counts.pop(), open_anchors.pop()
            counts[-1] += size
            if anchor is not None:
                sizes[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            counts[-1] += sizes.get(str(event.anchor), 1)
            if event.anchor in open_anchors or counts[-1] > NODES:
                raise yaml.YAMLError("an anchor holds itself")
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1


def added_keys(file: Document, mapping: Any, keys: Sequence[tuple[str, Value]]) -> Iterator[Edit]:
    """Yield the edit that adds keys after the last one of a mapping node; nothing for an empty mapping.

    A value is a scalar as it shall stand there, or the items of a sequence.
    """
    if not keys or not mapping.value:
        return
    end = file.ends[mapping.start_mark.index]
    if mapping.flow_style:
        pieces = [f"{key}: {flow(value)}" for key, value in keys]
        yield edit(file, end, "".join(f", {piece}" for piece in pieces))
        return
    indent = " " * mapping.value[0][0].start_mark.column
    inner = indent + " " * sequence_indent(file)
    lines: list[str] = []
    for key, value in keys:
        lines += [f"{indent}{key}: {value}"] if isinstance(value, str) else [f"{indent}{key}:"]
        lines += [] if isinstance(value, str) else [f"{inner}- {scalar(item)}" for item in value]
    yield after_line(file, end, lines)


def added_items(file: Document, sequence: Any, items: Sequence[str]) -> Iterator[Edit]:
    """Yield the edit that adds items to a sequence node; nothing for an empty one in block style."""
    if not items:
        return
    if sequence.flow_style:
        end = file.ends[sequence.start_mark.index] if sequence.value else sequence.start_mark.index + 1
        text = ", ".join(scalar(one, in_flow=True) for one in items)
        yield edit(file, end, f", {text}" if sequence.value else text)
        return
    first = sequence.value[0].start_mark.index if sequence.value else None
    if first is None:
        return
    begin = file.text.rfind("\n", 0, first) + 1
    dash = file.text.find("-", begin)
    indent = file.text[begin:dash]
    yield after_line(file, file.ends[sequence.start_mark.index], [f"{indent}- {scalar(one)}" for one in items])


def flow(value: Value) -> str:
    """Return a value in flow style."""
    return value if isinstance(value, str) else f"[{', '.join(scalar(one, in_flow=True) for one in value)}]"


def scalar(item: str, *, in_flow: bool = False) -> str:
    """Return an item of a sequence: as it is, in quotes where it would be anything but this text without them."""
    import json  # noqa: PLC0415  what JSON quotes, YAML reads: https://yaml.org/spec/1.2.2/#12-yaml-and-json

    is_text = PLAIN.fullmatch(item) and not item.endswith(":") and TYPED.fullmatch(item) is None
    return item if is_text and not (in_flow and ("," in item or ":" in item)) else json.dumps(item, ensure_ascii=False)


def after_line(file: Document, end: int, lines: Sequence[str]) -> Edit:
    """Return the edit that puts lines after the line in which the character ``end`` stands."""
    stop = file.text.find("\n", end)
    if stop < 0:
        return edit(file, len(file.text), "".join(f"{file.newline}{line}" for line in lines))
    return edit(file, stop + 1, "".join(f"{line}{file.newline}" for line in lines))


def edit(file: Document, place: int, text: str) -> Edit:
    """Return the insertion of a text at a character."""
    offset = len(file.text[:place].encode())
    return Edit(file.path, offset, offset, text.encode())


def sequence_indent(file: Document) -> int:
    """Return by how much the file indents the items of a sequence below their key: 0 or, mostly, 2."""
    lines = file.text.splitlines()
    for above, line in pairwise(lines):
        if (
            above.rstrip().endswith(":")
            and line.lstrip().startswith("- ")
            and not above.lstrip().startswith(("#", "-"))
        ):
            return max(0, len(line) - len(line.lstrip()) - (len(above) - len(above.lstrip())))
    return 2
