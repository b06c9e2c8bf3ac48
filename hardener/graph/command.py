"""`harden graph PATH`: a picture of stages, users, owners and ports, before and after, as SVG or as a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePosixPath

    from hardener.bulk import Hardened
    from hardener.graph.model import Picture
    from hardener.pipeline import Result


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["svg", "html"]), help="[default: as FILE ends, else svg]")
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, allow_dash=False, path_type=Path),
    metavar="FILE",
    help="Write it to a file, in one step, and not to standard output.",
)
def command(path: Path, form: str | None, target: Path | None) -> None:
    """Draw the stages of each Dockerfile and what starts its images, before and after; nothing is changed.

    PATH is a Dockerfile or a folder.  The page has nothing from elsewhere; SVG can be shown in a README.
    """
    from hardener.bulk import Hardened, harden_paths  # noqa: PLC0415
    from hardener.graph import svg  # noqa: PLC0415
    from hardener.showing import destination  # noqa: PLC0415
    from hardener.terminal import is_terminal, say  # noqa: PLC0415

    if target is None and is_terminal(sys.stdout):
        raise click.UsageError("a picture is no text: write it to a file, such as --output graph.html")
    found, failed = [], False
    for one in harden_paths([path]):
        if isinstance(one, Hardened):
            found.append(one)
        else:
            failed = True
            say(f"error: {one}")
    pictures = drawn(found)
    if form is None:
        form = "html" if target is not None and target.suffix in (".html", ".htm") else "svg"
    if pictures:
        with destination(target) as out:
            out((as_page(pictures, path) if form == "html" else svg.standalone(pictures)).encode())
    sys.exit(2 if failed else 0)


def drawn(found: Sequence[Hardened]) -> list[Picture]:
    """Return a picture for each Dockerfile, and one for what starts images of others."""
    from hardener.graph.model import Picture, picture  # noqa: PLC0415

    dockerfiles = [one for one in found if one.result.stages]
    starting = [one for one in found if one.result.units]
    pictures: list[Picture] = []
    taken = []
    if starting:
        from hardener.graph.starters import starters  # noqa: PLC0415  yaml is for those who have it

        results: dict[PurePosixPath, Result] = {
            one.result.before.dockerfile_path: one.result
            for one in dockerfiles
            if one.result.before.root == starting[0].result.before.root
        }
        taken = [starter for one in starting for starter in starters(one, results)]
    for one in dockerfiles:
        mine = [starter for starter in taken if starter.dockerfile == one.result.before.dockerfile_path]
        pictures.append(picture(one, mine))
    foreign = tuple(starter.box for starter in taken if starter.dockerfile is None)
    if foreign:
        pictures.append(Picture("Without a Dockerfile here", foreign, ()))
    return pictures


def as_page(pictures: Sequence[Picture], path: Path) -> str:
    """Return the pictures as a page, and the same as a table for who cannot see them."""
    from hardener.graph import svg  # noqa: PLC0415
    from hardener.graph.page import body  # noqa: PLC0415
    from hardener.reports.page import page  # noqa: PLC0415

    return page("Before and after", f"What harden makes of {path}", body(pictures, svg.inline), ("graph",))
