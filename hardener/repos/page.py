"""The report as one HTML page without anything from elsewhere: plots, and a table that is searched as one types."""

from __future__ import annotations

import json
import time
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from hardener import __version__
from hardener.repos.summary import KINDS, OUTCOMES

if TYPE_CHECKING:
    from collections import Counter

    from hardener.repos.summary import Summary

MOST_BARS = 12
LABEL, WIDTH, ROW = 190, 420, 24
FIELDS = (
    "key",
    "name",
    "team",
    "outcome",
    "reason",
    "dockerfiles",
    "files",
    "commit",
    "branch",
    "patch",
    "pull_request",
    "pull_request_state",
    "pull_request_outcome",
    "pull_request_reason",
)


def page(found: Summary) -> str:
    """Return the page.  Everything of a repository is text in it: escaped, or JSON that no script can end."""
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    total = sum(found.kinds.values())
    left_alone = {reason: {"manual": count} for reason, count in found.reasons.most_common(MOST_BARS)}
    return template.substitute(
        version=escape(__version__),
        made=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        total=f"{total:,}",
        images=f"{sum(found.outcomes.values()):,}",
        pulls=escape(", ".join(f"{number:,} {name}" for name, number in found.pulls.most_common())),
        pulls_shown="" if found.pulls else "hidden",
        tiles="".join(tile(kind, found.kinds[kind], total) for kind in KINDS if found.kinds[kind]),
        images_plot=bars({"all images": found.outcomes}, OUTCOMES, "Images by outcome"),
        teams_plot=bars(found.teams, KINDS, "Repositories by team"),
        bases_plot=bars(found.bases, OUTCOMES, "Images by base image"),
        reasons_plot=bars(left_alone, OUTCOMES, "Images left alone by reason", wide=True),
        data=data(found),
    )


def tile(kind: str, count: int, total: int) -> str:
    """Return one number of the head of the page, which filters the table."""
    share = f"{count / total:.0%}" if total else ""
    return (
        f'<button class="tile {kind}" data-kind="{kind}" aria-pressed="false"><b>{count:,}</b>'
        f"<span>{kind}</span><small>{share}</small></button>"
    )


def bars(
    groups: dict[str, Counter[str]] | dict[str, dict[str, int]],
    names: tuple[str, ...],
    title: str,
    *,
    wide: bool = False,
) -> str:
    """Return stacked bars as SVG, the largest first; the rest together in the last."""
    ordered = sorted(groups.items(), key=lambda one: (-sum(one[1].values()), one[0]))
    rows = [(name, dict(counts)) for name, counts in ordered[:MOST_BARS]]
    rest = ordered[MOST_BARS:]
    if rest:
        rows.append((f"{len(rest)} more", {one: sum(counts.get(one, 0) for _, counts in rest) for one in names}))
    most = max((sum(counts.values()) for _, counts in rows), default=0)
    if not most:
        return ""
    label = 430 if wide else LABEL
    width = 660 if wide else WIDTH
    parts = []
    for index, (name, counts) in enumerate(rows):
        top = index * ROW
        limit = int(label / 7.6)
        short = name if len(name) <= limit else name[: limit - 1] + "…"
        parts.append(
            f'<text x="{label - 8}" y="{top + 16}" text-anchor="end"><title>{escape(name)}</title>'
            f"{escape(short)}</text>"
        )
        left = float(label)
        for one in names:
            count = counts.get(one, 0)
            if count:
                size = (width - label + 160) * count / most
                parts.append(
                    f'<rect class="{one}" x="{left:.1f}" y="{top + 4}" height="{ROW - 8}" width="{max(size, 1.5):.1f}">'
                    f"<title>{escape(name)}: {count:,} {one}</title></rect>"
                )
                left += max(size, 1.5)
        parts.append(f'<text x="{left + 6:.1f}" y="{top + 16}" class="number">{sum(counts.values()):,}</text>')
    used = [one for one in names if any(counts.get(one) for _, counts in rows)]
    legend = "".join(f'<span><i class="{one}"></i>{one}</span>' for one in used)
    return (
        f"<figure{' class=wide' if wide else ''}><figcaption>{escape(title)}"
        f'<span class="legend">{legend}</span></figcaption>'
        f'<svg viewBox="0 0 {width + 220} {len(rows) * ROW}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def data(found: Summary) -> str:
    """Return the rows of the table as JSON inside a script element, which no text in it can end."""
    rows = [
        {
            **{name: one[name] for name in FIELDS},
            "images": [[each["path"], each["stage"], each["base"], each["outcome"], each["reason"], each["way_out"]]
                       for each in one["images"]],
            "errors": one["errors"] + one["notes"],
        }
        for one in found.repositories
    ]  # fmt: skip
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
