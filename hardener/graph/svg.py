"""A layout as SVG: text that can be searched and copied, colours for light and dark, boxes that keys reach."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING

from hardener.graph.layout import HEAD, NOTE, ROW, layout, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.graph.layout import Layout, Line, Placed
    from hardener.graph.model import Picture, Row

PAD, TITLE, LEGEND = 24, 40, 34
# Of a monospaced letter of 12 px; wide enough for the fonts that browsers take.
LETTER = 7.3
LABEL = 11
LIGHT = {
    "ink": "#1b2330", "soft": "#5a6675", "line": "#c6ced9", "paper": "#ffffff", "back": "#f4f6f9", "ok": "#1a7f4b",
    "quiet": "#64748b", "warn": "#9a6700", "bad": "#c0312b", "note": "#2563a8",
}  # fmt: skip
DARK = {
    "ink": "#e4e9f0", "soft": "#9aa6b6", "line": "#3d4858", "paper": "#171d27", "back": "#0f141c", "ok": "#4cc38a",
    "quiet": "#94a3b8", "warn": "#e3b341", "bad": "#ff7b72", "note": "#79b8ff",
}  # fmt: skip
KINDS = {
    "switched": "ok", "hardened": "ok", "prepared": "note", "already": "quiet", "manual": "warn", "left": "warn",
    "danger": "bad",
}  # fmt: skip
STYLE = Template("""\
.back { fill: $back; } .box { fill: $paper; stroke: $line; stroke-width: 1.2; } .stripe { fill: $line; }
.title { fill: $ink; font: 600 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; } .path { fill: $ink; font: 600 17px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.soft { fill: $soft; font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; } .value, .label { fill: $ink; font: 12px ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; } .label { fill: $soft; }
.old { fill: $bad; text-decoration: line-through; } .new { fill: $ok; font-weight: 700; } .arrow { fill: $soft; }
.edge { fill: none; stroke: $soft; stroke-width: 1.6; } .copy { stroke-dasharray: 6 4; } .start { stroke: $note; } .head { fill: $soft; } .head.start { fill: $note; stroke: none; }
g[tabindex]:focus { outline: none; } g[tabindex]:focus .box { stroke: $note; stroke-width: 3; }
""")
OUTCOME = Template(".$name .stripe { fill: $colour; } .$name .outcome { fill: $colour; font-weight: 700; }\n")
LEGEND_ITEMS = (("from", "FROM"), ("copy", "COPY --from"), ("start", "started by"))


def standalone(pictures: Sequence[Picture]) -> str:
    """Return one SVG file with all pictures, one below the other; dark where its reader's system is dark."""
    dark = "".join(f"  {line}\n" for line in style(DARK).splitlines())
    return document(pictures, f"{style(LIGHT)}@media (prefers-color-scheme: dark) {{\n{dark}}}\n") + "\n"


def inline(pictures: Sequence[Picture]) -> str:
    """Return an SVG element for a page whose style has the colours as variables."""
    return document(pictures, style({name: f"var(--{name})" for name in LIGHT}))


def style(colours: dict[str, str]) -> str:
    """Return the style sheet in some colours."""
    return STYLE.substitute(colours) + "".join(
        OUTCOME.substitute(name=name, colour=colours[kind]) for name, kind in KINDS.items()
    )


def document(pictures: Sequence[Picture], css: str) -> str:
    """Return the SVG element."""
    layouts = [layout(one) for one in pictures]
    width = max((one.width for one in layouts), default=300) + 2 * PAD
    y = float(PAD + LEGEND)
    parts = []
    for picture, found in zip(pictures, layouts, strict=True):
        parts.append(f'<text class="path" x="{PAD}" y="{y + 14}">{text(picture.title)}</text>')
        parts.append(f'<g transform="translate({PAD} {y + TITLE})">{drawn(found)}</g>')
        y += TITLE + found.height + PAD * 1.5
    told = "; ".join(one.title for one in pictures)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{y:g}" viewBox="0 0 {width:g} {y:g}" '
        f'role="group" aria-label="Stages, users, owners and ports before and after: {text(told)}">'
        f"<style>\n{css}</style>"
        f'<rect class="back" width="100%" height="100%"/>{legend()}{"".join(parts)}</svg>'
    )


def legend() -> str:
    """Return what the arrows and colours mean."""
    x, parts = float(PAD), []
    for kind, label in LEGEND_ITEMS:
        parts.append(f'<path class="edge {kind}" d="M{x:g} {PAD} h34"/>{head(x + 34, PAD, kind)}')
        parts.append(f'<text class="soft" x="{x + 44:g}" y="{PAD + 4}">{label}</text>')
        x += 54 + 7 * len(label) + 22
    parts.append(
        f'<text class="value" x="{x:g}" y="{PAD + 4}"><tspan class="old">before</tspan> <tspan class="arrow">\u2192</tspan> '
        '<tspan class="new">after</tspan></text>'
    )
    return "".join(parts)


def drawn(found: Layout) -> str:
    """Return arrows and, over them, boxes."""
    return "".join(map(edge, found.lines)) + "".join(map(box, found.boxes))


def edge(line: Line) -> str:
    """Return one arrow."""
    (x1, y1), (x2, y2) = line.start, line.stop
    bend = max(32.0, (x2 - x1) / 2)
    kind = line.arrow.kind
    curve = f"M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2 - 6:g} {y2:g}"
    return f'<path class="edge {kind}" d="{curve}"/>{head(x2, y2, kind)}'


def head(x: float, y: float, kind: str) -> str:
    """Return the head of an arrow that ends at a place."""
    return f'<path class="head {kind}" d="M{x:g} {y:g} l-9 -4.5 v9 z"/>'


def box(one: Placed) -> str:
    """Return one box with its rows and notes; what is too long for it is whole in its title."""
    told = one.box
    letters = int((one.width - 28) / LETTER)
    outcome = f'<tspan class="outcome">{told.outcome}</tspan>' if told.outcome else ""
    join = " \u00b7 " if told.outcome and told.subtitle else ""
    subtitle = shortened(told.subtitle, int((one.width - 40) / 6.6) - len(told.outcome))
    parts = [
        f'<rect class="box" width="{one.width:g}" height="{one.height:g}" rx="7"/>',
        f'<rect class="stripe" width="5" height="{one.height:g}" rx="2.5"/>',
        f'<text class="title" x="16" y="21">{text(shortened(told.title, int((one.width - 28) / 8)))}</text>',
        f'<text class="soft" x="16" y="38">{outcome}{join}{text(subtitle)}</text>',
    ]
    parts += [row(line, HEAD + 14 + ROW * number, letters) for number, line in enumerate(told.rows)]
    y = HEAD + ROW * len(told.rows) + 14
    parts += [
        f'<text class="soft" x="16" y="{y + NOTE * number}">{text(note)}</text>'
        for number, note in enumerate(one.notes)
    ]
    whole = "\n".join([f"{told.title} {told.subtitle} {told.outcome}".strip(), *map(words, told.rows), *told.notes])
    return (
        f'<g class="{told.outcome}" transform="translate({one.x:g} {one.y:g})" tabindex="0" role="group" '
        f'aria-label="{text(whole)}"><title>{text(whole)}</title>{"".join(parts)}</g>'
    )


def words(line: Row) -> str:
    """Return a row as a sentence."""
    return f"{line.label}: {line.before}" + (f", then {line.after}" if line.after != line.before else "")


def row(line: Row, y: float, letters: int) -> str:
    """Return one row: its label, its value, and where it changes the value before."""
    changes = line.before != line.after
    rest = letters - (len(line.before) + 3 + len(line.after) if changes else len(line.after))
    label = (
        line.label if len(line.label) <= max(rest - 1, LABEL) else "\u2026" + line.label[-max(rest - 2, LABEL - 1) :]
    )
    room = letters - max(len(label) + 1, LABEL)
    if changes:
        kept = shortened(line.before, max(room - 3 - len(line.after), 6))
        after = shortened(line.after, max(room - 3 - len(kept), 6))
        value = f'<tspan class="old">{text(kept)}</tspan><tspan class="arrow"> \u2192 </tspan><tspan class="new">{text(after)}</tspan>'
    else:
        value = text(shortened(line.after, room))
    x = 16 + LETTER * max(len(label) + 1, LABEL)
    return f'<text class="label" x="16" y="{y:g}">{text(label)}</text><text class="value" x="{x:g}" y="{y:g}">{value}</text>'


def text(value: str) -> str:
    """Return text for SVG; what XML cannot hold is U+FFFD."""
    clean = "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in value)
    return escape(clean.encode("utf-8", "replace").decode("utf-8"))
