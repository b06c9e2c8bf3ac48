"""Proof that a manifest differs in just what was meant: the parsed difference is exactly the changes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.pods.security import Hardening


def differs(before: bytes, after: bytes, hardenings: Sequence[Hardening]) -> str | None:
    """Return what is wrong with an edited manifest, ``None`` where its data are the old ones with the changes made."""
    import yaml  # noqa: PLC0415  only projects with manifests pay for it

    try:
        # It makes text, lists and tables only.  libyaml's takes tabs, as kubectl does; PyYAML's own does not.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        old, new = list(yaml.load_all(before, Loader=loader)), list(yaml.load_all(after, Loader=loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return f"it cannot be read any more: {str(error).splitlines()[0]}"
    meant = copy.deepcopy(old)
    for one in hardenings:
        for change in one.changes:
            place = meant[one.workload.number]
            for step in change.steps:
                place = place[step]
            merge(place, as_text(change.values))
    return None if new == meant else "it would differ in more, or in less, than what was meant"


def merge(place: dict[str, Any], values: dict[str, Any]) -> None:
    """Merge ``values`` into a table: tables into tables, lists in front of lists."""
    for key, value in values.items():
        there = place.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            merge(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            place[key] = [*value, *there]
        else:
            place[key] = value


def as_text(value: Any) -> Any:
    """Return data with every scalar as the text that YAML has for it."""
    if isinstance(value, dict):
        return {str(key): as_text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_text(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
