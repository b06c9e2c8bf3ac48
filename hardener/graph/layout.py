"""Where boxes and arrows of a picture are: columns from left to right, each thing right of all that it is made from.

A Dockerfile names nothing before it is there, so its stages are in an order already; a layout program (Graphviz and its
like) would be a second installation beside pip's for what these few lines do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.graph.model import Arrow, Box, Picture

WIDTHS = {"base": 190, "stage": 306, "starter": 316}
HEAD, ROW, NOTE, FOOT = 48, 20, 17, 10
GAP_X, GAP_Y = 64, 22
ABREAST = 3
# Characters of a note in one line of a box, and lines of it.
NOTE_WIDTH, NOTE_LINES = 42, 3


class Placed(NamedTuple):
    """One box at its place, in pixels; ``notes`` are the lines of its notes."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    notes: tuple[str, ...]


class Line(NamedTuple):
    """One arrow from the right side of a box to the left side of another, in pixels."""

    arrow: Arrow
    start: tuple[float, float]
    stop: tuple[float, float]


class Layout(NamedTuple):
    """A picture with places: its size, its boxes, its arrows."""

    width: float
    height: float
    boxes: tuple[Placed, ...]
    lines: tuple[Line, ...]


def layout(picture: Picture) -> Layout:
    """Return the places of everything in a picture; (0, 0) is its top left corner."""
    depths = depths_of(picture) if picture.arrows else abreast(picture)
    columns: dict[int, list[Box]] = {}
    for box in picture.boxes:
        columns.setdefault(depths[box.name], []).append(box)
    placed: dict[str, Placed] = {}
    x, height = 0.0, 0.0
    for depth in sorted(columns):
        boxes = sorted(columns[depth], key=lambda box: middle_of_sources(picture, placed, box))
        y = 0.0
        for box in boxes:
            notes = tuple(line for note in box.notes for line in broken(note))
            tall = HEAD + ROW * len(box.rows) + (NOTE * len(notes) + 4 if notes else 0) + FOOT
            placed[box.name] = Placed(box, x, y, WIDTHS[box.kind], tall, notes)
            y += tall + GAP_Y
        height = max(height, y - GAP_Y)
        x += max(WIDTHS[box.kind] for box in boxes) + GAP_X
    centred = centre(list(placed.values()), height) if picture.arrows else list(placed.values())
    lines = tuple(joined(picture.arrows, {one.box.name: one for one in centred}))
    return Layout(x - GAP_X, height, tuple(centred), lines)


def depths_of(picture: Picture) -> dict[str, int]:
    """Return the column of each box, counted from 0: one more than that of the last thing that it is made from."""
    depths = dict.fromkeys((box.name for box in picture.boxes), 0)
    for _ in picture.boxes:
        for arrow in picture.arrows:
            depths[arrow.target] = max(depths[arrow.target], depths[arrow.source] + 1)
    last = max(depths.values())
    for box in picture.boxes:
        if box.kind == "starter" and any(one.kind != "starter" for one in picture.boxes):
            depths[box.name] = last
    return depths


def abreast(picture: Picture) -> dict[str, int]:
    """Return the columns of boxes that have nothing to do with each other: beside each other, a few in a row."""
    return {box.name: number % ABREAST for number, box in enumerate(picture.boxes)}


def middle_of_sources(picture: Picture, placed: dict[str, Placed], box: Box) -> float:
    """Return the mean height of what a box is made from, so that arrows cross less."""
    found = [placed[arrow.source] for arrow in picture.arrows if arrow.target == box.name and arrow.source in placed]
    return sum(one.y + one.height / 2 for one in found) / len(found) if found else 0.0


def centre(placed: Sequence[Placed], height: float) -> list[Placed]:
    """Return the boxes with each column in the middle of the picture's height."""
    bottoms: dict[float, float] = {}
    for one in placed:
        bottoms[one.x] = max(bottoms.get(one.x, 0), one.y + one.height)
    return [one._replace(y=one.y + (height - bottoms[one.x]) / 2) for one in placed]


def joined(arrows: Sequence[Arrow], placed: dict[str, Placed]) -> list[Line]:
    """Return the arrows with their ends, spread along the left side of a box that several lead to."""
    lines = []
    for arrow in arrows:
        source, target = placed[arrow.source], placed[arrow.target]
        into = sorted((one for one in arrows if one.target == arrow.target), key=lambda one: placed[one.source].y)
        step = min(18.0, (target.height - 20) / max(len(into), 1))
        offset = (into.index(arrow) - (len(into) - 1) / 2) * step
        leave = 0.75 if arrow.kind == "start" else 0.5  # apart from those that lead to other stages
        start = (source.x + source.width, source.y + source.height * leave)
        lines.append(Line(arrow, start, (target.x, target.y + target.height / 2 + offset)))
    return lines


def broken(note: str) -> list[str]:
    """Return a note as a few short lines."""
    import textwrap  # noqa: PLC0415  only pictures with notes

    lines = textwrap.wrap(f"\u2013 {note}", NOTE_WIDTH)
    if len(lines) <= NOTE_LINES:
        return lines
    return [*lines[: NOTE_LINES - 1], shortened(" ".join(lines[NOTE_LINES - 1 :]), NOTE_WIDTH)]


def shortened(text: str, most: int) -> str:
    """Return text of at most that many characters, its end left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\u2026"
