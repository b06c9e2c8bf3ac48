"""New keys in a YAML mapping that is there, in the file's own style; nothing that stands there changes.

PyYAML's marks locate, and only text is inserted: in block style below the line of the mapping's own key, with the
indentation of its other keys, in flow style behind its brace.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from hardener.lazy_pattern import lazy_pattern
from hardener.yaml_documents import TYPED

# The rest of a line behind a key or a value that ends there: blanks and a comment.
REST = lazy_pattern(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
PLAIN = lazy_pattern(r"[A-Za-z0-9/_][\w./-]*")


class Style(NamedTuple):
    """How a file is written: spaces of one level, of the dash of a list below its key, and its line end."""

    step: int = 2
    dash: int = 0
    newline: str = "\n"


class Inserted(NamedTuple):
    """Text that goes in before a character of the file."""

    at: int
    text: str


class NotPlacedError(Exception):
    """The mapping is written in a way in which no place is certain; the message says which."""


def style_of(text: str, root: Any) -> Style:
    """Return how a document is written, by the first nested mapping and list in block style."""
    step, dash = None, None
    pending = [root]
    while pending and (step is None or dash is None):
        node = pending.pop(0)
        if node.id == "sequence":
            pending += node.value
        if node.id != "mapping":
            continue
        for key, value in node.value:
            here = key.start_mark.column
            if value.id == "mapping" and not value.flow_style and value.value and step is None:
                step = value.value[0][0].start_mark.column - here
            if value.id == "sequence" and not value.flow_style and value.value and dash is None:
                dash = dash_column(text, value) - here
            pending.append(value)
    return Style(step if step and step > 0 else 2, max(dash or 0, 0), "\r\n" if "\r\n" in text else "\n")


def dash_column(text: str, sequence: Any) -> int:
    """Return the column of the dashes of a list in block style."""
    first = sequence.value[0].start_mark.index
    begin = text.rfind("\n", 0, first) + 1
    at = text.rfind("-", begin, first)
    return (at if at >= begin else first) - begin


def key_node(mapping: Any, name: str) -> Any:
    """Return the node of a key of a mapping, ``None`` without it."""
    return next((key for key, _ in mapping.value if key.value == name), None)


def added(text: str, parent_key: Any, mapping: Any, wanted: dict[str, Any], style: Style) -> Inserted:
    """Return the text that puts ``wanted`` into a mapping, as its first keys; ``parent_key`` is the key that holds it.

    Raises `NotPlacedError`.
    """
    if mapping.flow_style:
        return in_flow(text, mapping, wanted)
    if not mapping.value:
        raise NotPlacedError("it is empty")
    column = mapping.value[0][0].start_mark.column
    at = next_line(text, parent_key.end_mark.index)
    if at > mapping.value[0][0].start_mark.index:
        raise NotPlacedError("it begins on the line of its own key")
    return Inserted(at, indented(block(wanted, style), column, style))


def added_after(text: str, mapping: Any, name: str, wanted: dict[str, Any], style: Style) -> Inserted:
    """Return the text that puts ``wanted`` into a mapping behind its key ``name``, whose value is on one line."""
    if mapping.flow_style:
        return in_flow(text, mapping, wanted)
    key, value = next((key, value) for key, value in mapping.value if key.value == name)
    if value.start_mark.line != key.start_mark.line or value.end_mark.line != key.start_mark.line:
        raise NotPlacedError(f"its {name} is not on one line")
    at = line_end(text, value.end_mark.index)
    lead = "" if text[at - 1 : at] == "\n" else style.newline
    return Inserted(at, lead + indented(block(wanted, style), key.start_mark.column, style))


def filled(text: str, key: Any, value: Any, wanted: dict[str, Any], style: Style) -> Inserted:
    """Return the text that makes an empty value (``key:`` with nothing behind it) the mapping ``wanted``."""
    if value.id != "scalar" or value.value or value.style in ("'", '"', "|", ">"):
        raise NotPlacedError("it is no mapping")
    at = line_end(text, key.end_mark.index + 1)
    lead = "" if text[at - 1 : at] == "\n" else style.newline
    return Inserted(at, lead + indented(block(wanted, style), key.start_mark.column + style.step, style))


def appended(text: str, parent_key: Any, sequence: Any, items: list[Any], style: Style) -> Inserted:
    """Return the text that puts more items at the beginning of a list that is there."""
    if sequence.flow_style:
        body = ", ".join(flow(item, is_json(text, sequence)) for item in items)
        if sequence.value:
            return Inserted(sequence.value[0].start_mark.index, f"{body}, ")
        return Inserted(sequence.start_mark.index + 1, body)
    column = dash_column(text, sequence)
    at = next_line(text, parent_key.end_mark.index)
    if at > sequence.value[0].start_mark.index:
        raise NotPlacedError("its list begins on the line of its key")
    return Inserted(at, indented(block_items(items, style), column, style))


def next_line(text: str, index: int) -> int:
    """Return where the line below a key begins; raises where something else stands behind the key."""
    match = re.compile(r"[ \t]*:[ \t]*(?:&\S+[ \t]*)?").match(text, index)
    return line_end(text, match.end()) if match is not None else line_end(text, index)


def line_end(text: str, index: int) -> int:
    """Return the index behind the end of a line of which only blanks and a comment are left."""
    match = REST.match(text, index)
    if match is None:
        raise NotPlacedError("something else stands on its line")
    return match.end()


def indented(lines: list[str], column: int, style: Style) -> str:
    """Return lines as text at a column."""
    return "".join(f"{' ' * column}{line}{style.newline}" for line in lines)


def block(wanted: dict[str, Any], style: Style) -> list[str]:
    """Return a mapping as lines in block style."""
    lines: list[str] = []
    for key, value in wanted.items():
        if isinstance(value, dict) and value:
            lines += [f"{key}:", *(" " * style.step + line for line in block(value, style))]
        elif isinstance(value, list):
            lines += [f"{key}:", *(" " * style.dash + line for line in block_items(value, style))]
        else:
            lines.append(f"{key}: {flow(value, quoted=False)}")
    return lines


def block_items(items: list[Any], style: Style) -> list[str]:
    """Return the items of a list as lines in block style."""
    lines: list[str] = []
    for item in items:
        inner = block(item, style) if isinstance(item, dict) else [flow(item, quoted=False)]
        lines += [f"- {inner[0]}", *(f"  {line}" for line in inner[1:])]
    return lines


def in_flow(text: str, mapping: Any, wanted: dict[str, Any]) -> Inserted:
    """Return the text that puts ``wanted`` behind the brace of a mapping in flow style."""
    body = flow(wanted, is_json(text, mapping))[1:-1]
    if mapping.value:
        return Inserted(mapping.value[0][0].start_mark.index, f"{body}, ")
    return Inserted(mapping.start_mark.index + 1, body)


def is_json(text: str, node: Any) -> bool:
    """Whether the keys of a node in flow style are quoted, as JSON has them."""
    first = text[node.start_mark.index + 1 : node.start_mark.index + 200].lstrip("{[ \t\r\n")
    return first.startswith('"')


def flow(value: Any, quoted: bool) -> str:
    """Return a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key, quoted)}: {flow(one, quoted)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(one, quoted) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    plain = PLAIN.fullmatch(text) is not None and TYPED.fullmatch(text) is None
    return text if plain and not quoted else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
