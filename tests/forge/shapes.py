"""Writes ``github_shapes.json``: for each kind of answer the least that GitHub's published description allows.

    python tests/forge/shapes.py FOLDER/node_modules/@octokit/openapi/generated/api.github.com.json

The fake forge fills these in.  The names are those that have to be there; the values are empty ones of their types.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KINDS = {
    "repository": "full-repository",
    "pull": "pull-request",
    "pull-simple": "pull-request-simple",
    "user": "simple-user",
    "me": "public-user",
    "organization": "organization-full",
    "comment": "issue-comment",
    "issue": "issue",
    "label": "label",
    "blob": "short-blob",
    "tree": "git-tree",
    "commit": "git-commit",
    "installation": "installation",
    "token": "installation-token",
    "search-item": "issue-search-result-item",
    "app": "integration",
}
FORMATS = {"uri": "https://example.com", "date-time": "2026-01-01T00:00:00Z", "email": "a@example.com"}


def empty(schema: dict[str, Any], spec: dict[str, Any], depth: int = 0) -> Any:
    """Return the least value that a schema takes."""
    if "$ref" in schema:
        return empty(spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]], spec, depth)
    for name in ("allOf", "anyOf", "oneOf"):
        if name in schema:
            return None if schema.get("nullable") else empty(schema[name][0], spec, depth)
    if schema.get("nullable") and depth:
        return None
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        wanted = schema.get("required", ()) if depth < 5 else ()
        known = schema.get("properties", {})
        return {name: empty(known.get(name, {"type": "string"}), spec, depth + 1) for name in wanted}
    if kind == "string":
        return FORMATS.get(schema.get("format", ""), "")
    return {"integer": 1, "number": 1, "boolean": False, "array": []}[kind]


def main(file: str) -> None:
    """Read the description and write the shapes."""
    spec = json.loads(Path(file).read_text(encoding="utf-8"))
    schemas = spec["components"]["schemas"]
    shapes = {kind: empty(schemas[name], spec) for kind, name in KINDS.items()}
    text = json.dumps(
        {"from": f"{spec['info']['title']} {spec['info']['version']}", **shapes}, indent=1, sort_keys=True
    )
    (HERE / "github_shapes.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
