"""Rewrites the generated parts of the README: the demo's diff and the table of fixers.

Run it as ``python docs/generate.py``; a test fails where the README is not what it would write.
"""

from __future__ import annotations

import re
from pathlib import Path

from hardener import harden, open_project
from hardener.fixers import FIXERS
from hardener.report import unified_diff

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "fixtures" / "projects" / "flask" / "before"


def fixer_table() -> str:
    """Return the fixers as a Markdown table, from the first sentence and the ``Why:`` of their docstrings."""
    rows = ["| fixer | what it does | why |", "|---|---|---|"]
    for fixer in FIXERS:
        text = re.sub(r"\s+", " ", fixer.__doc__ or "")
        what, _, rest = text.partition(" Why: ")
        why, _, _ = rest.partition(" Safety: ")
        rows.append(f"| `{fixer.__name__}` | {what} | {why[:1].upper()}{why[1:]} |")
    return "\n".join(rows)


def demo() -> str:
    """Return the diff of the demo project as a Markdown block, as ``harden`` shows it."""
    diff = unified_diff(harden(open_project(DEMO / "Dockerfile", DEMO))).decode()
    return f"```diff\n{diff}```"


def generated(readme: str) -> str:
    """Return the README with its generated parts written anew."""
    for name, text in (("demo", demo()), ("fixers", fixer_table())):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, _, rest = readme.partition(begin)
        _, _, tail = rest.partition(end)
        readme = f"{head}{begin}\n{text}\n{end}{tail}"
    return readme


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(generated(file.read_text(encoding="utf-8")), encoding="utf-8")
