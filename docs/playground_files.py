"""What the playground loads from the site itself: the packages that are plain Python, and the examples."""

from __future__ import annotations

import io
import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
# The others come from Pyodide's distribution: they are compiled for it.
PACKAGES = ("hardener", "click", "dockerfile_parse", "pathspec", "unidiff")
EXAMPLES = {
    "Flask behind gunicorn": "projects/flask",
    "Express on Alpine": "projects/express",
    "Rails in two stages": "pipeline/rails-in-two-stages",
    "A front end behind nginx": "projects/nginx-spa",
    "PHP under Apache": "projects/php-apache-notes",
    "Kubernetes": "move_port/kubernetes-all-places",
}


def packages() -> bytes:
    """Return an archive of the packages; the same files give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name in PACKAGES:
            spec = find_spec(name)
            if spec is None or spec.origin is None:
                raise SystemExit(f"docs/playground_files.py: {name} is not installed")
            folder = Path(spec.origin).parent
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    place = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}")
                    place.compress_type = zipfile.ZIP_DEFLATED
                    target.writestr(place, path.read_bytes())
    return archive.getvalue()


def examples() -> str:
    """Return the example projects as JSON: name, then path and text of every file."""
    found = {}
    for name, case in EXAMPLES.items():
        folder = FIXTURES / case / "before"
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files.sort(key=lambda path: path.name != "Dockerfile")
        found[name] = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}
    return json.dumps(found)
