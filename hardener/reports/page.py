"""The frame of a page that stands alone: its style and script are in it, and nothing comes from elsewhere."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from hardener import __version__

FOLDER = Path(__file__).parent
FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<header class="top"><h1>{title}</h1><p>{subtitle}</p>
<button id="theme" type="button" hidden>Light or dark</button></header>
{body}
<footer><p>Made by harden {version}; nothing on this page is loaded from elsewhere.</p></footer>
</main>
<script>
{script}</script>
</body>
</html>
"""


def page(title: str, subtitle: str, body: str, parts: tuple[str, ...]) -> str:
    """Return a page; ``title`` and ``subtitle`` are text, ``body`` is HTML, ``parts`` name the styles and scripts."""
    style = "".join(read(f"{part}.css") for part in ("page", *parts))
    script = "".join(read(f"{part}.js") for part in ("page", *parts))
    return FRAME.format(
        title=escape(title),
        subtitle=escape(subtitle),
        style=style,
        body=body,
        script=script,
        version=escape(__version__),
    )


def read(name: str) -> str:
    """Return one of the files beside this one, ``""`` where a part has no such file."""
    file = FOLDER / name
    return file.read_text(encoding="utf-8") if file.exists() else ""


def badge(outcome: str) -> str:
    """Return an outcome as a coloured word."""
    return f'<span class="badge {escape(outcome)}">{escape(outcome)}</span>'


def linked(text: str) -> str:
    """Return text as HTML, its addresses as links and what stands between backquotes as code."""
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"https?://[^\s,)&<]+", lambda match: f'<a href="{match[0]}">{match[0]}</a>', escaped)


def tiles(found: dict[str, int]) -> str:
    """Return numbers with what they count, without the zeros."""
    rows = "".join(
        f'<li class="{escape(name)}"><b>{number}</b><span>{escape(name)}</span></li>'
        for name, number in found.items()
        if number
    )
    return f'<ul class="tiles">{rows}</ul>' if rows else ""
