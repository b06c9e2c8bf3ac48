"""`harden ci github|gitlab`: shows or writes the pipeline that checks and scans the images of a repository."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardener.ci.versions import INSTALL


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("service", type=click.Choice(["github", "gitlab"]))
@click.argument("path", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--in-place", is_flag=True, help="Write the files; without it a diff is shown that `git apply` takes.")
@click.option("--check", is_flag=True, help="Only say what is missing; exit 1 if anything is.")
@click.option(
    "--install", metavar="SPEC", default=INSTALL, help="What pip installs in CI to have harden.", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(service: str, path: Path, install: str, *, in_place: bool, check: bool, quiet: bool) -> None:
    """Add a pipeline that runs `harden --check` and scans every image with Trivy.

    PATH is a folder of a repository.  A step that scans an image already is recognised, in the files of whatever CI
    service, and nothing is added to it.  GitHub gets a workflow of its own; GitLab a file that .gitlab-ci.yml includes.
    """
    from hardener import terminal  # noqa: PLC0415
    from hardener.ci import plan  # noqa: PLC0415
    from hardener.project import UnsafePath, project_root  # noqa: PLC0415

    root = project_root(path.absolute())
    try:
        planned = plan.plan(root, service, install)
    except plan.RefusedError as error:
        terminal.say(f"error: {error}")
        sys.exit(2)
    for line in () if quiet else planned.lines:
        terminal.say(line)
    try:
        if in_place:
            plan.write(root, planned.files)
        elif not check:
            terminal.output(terminal.coloured(plan.diff(root, planned.files)))
    except (OSError, UnsafePath) as error:
        terminal.say(f"error: {error}; nothing more was written")
        sys.exit(2)
    sys.exit(int(check and bool(planned.files)))
