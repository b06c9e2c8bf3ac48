"""A repository's own template for pull requests, with what is known put under its headings.

What nobody but a person can say (checklists, issue numbers) stays as the template has it: a box that the bot ticked
would be a lie.
"""

from __future__ import annotations

import re

HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$|^\*\*([^*\n]+)\*\*:?\s*$", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
DESCRIPTION = re.compile(r"descri|summary|what|change|propos|overview|purpose|details|about", re.IGNORECASE)
TESTS = re.compile(r"test|verif|valid", re.IGNORECASE)
SIGN_OFF = re.compile(
    r"^(\s*[-*] )\[ \](?=[^\n]*(?:sign(?:ed)?[ -]?off|\bDCO\b|certificate of origin))", re.IGNORECASE | re.MULTILINE
)


def filled(template: str, part: str, *, signed_off: bool) -> str:
    """Return the template with the bot's ``part`` under its first heading for a description, or on top of it.

    Headings about tests point to the part's own section.  A box for the sign-off is ticked where there is one.
    """
    text = COMMENT.sub("", template.replace("\r\n", "\n")).strip("\n")
    if not text.strip():
        return part
    if signed_off:
        text = SIGN_OFF.sub(r"\1[x]", text)
    headings = [(one.end(), one[2] or one[3]) for one in HEADING.finditer(text)]
    place = next((end for end, name in headings if DESCRIPTION.search(name) and not TESTS.search(name)), None)
    tests = next((end for end, name in headings if TESTS.search(name) and is_empty(text, end)), None)
    inserts = [(place, f"\n\n{part}\n")] if place is not None else []
    inserts += [(tests, '\n\nSee "What was verified?" in the description.\n')] if tests is not None else []
    for end, addition in sorted(inserts, reverse=True):
        text = f"{text[:end]}{addition}{text[end:]}"
    return text if place is not None else f"{part}\n\n---\n\n{text}"


def is_empty(text: str, start: int) -> bool:
    """Whether nothing stands between ``start`` and the next heading."""
    following = HEADING.search(text, start)
    return not text[start : following.start() if following else len(text)].strip()
