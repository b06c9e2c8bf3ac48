"""What a configuration file tells of base images: ``[images."registry.corp/base"]``, checked key by key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hardener.accounts import DIALECTS, WITHOUT_SHELL
from hardener.image import ImageFacts, KnownUser, assigned, with_common
from hardener.lazy_pattern import lazy_pattern
from hardener.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

FAMILIES = (*sorted({*DIALECTS, *WITHOUT_SHELL}), "windows", "unknown")
OUTCOMES = ("plain", "already", "drops", "server", "root")
USER = lazy_pattern(r"[\w.-]+(?::[\w.-]+)?", re.ASCII)
ACCOUNT = lazy_pattern(r"[a-z_][\w.-]*\$?:\d{1,10}:\d{1,10}:/[^\s:]*", re.ASCII)
VARIABLE = lazy_pattern(r"[A-Za-z_]\w*=[^\n]*", re.ASCII)
IMAGE = lazy_pattern(r"[\w.*?\[\]/:@-]+", re.ASCII)


def is_one_of(*allowed: str) -> Callable[[Any], bool]:
    """Return a check for one of some words."""
    return lambda value: isinstance(value, str) and value in allowed


def is_line(value: Any) -> bool:
    """Whether a value is one line of text."""
    return isinstance(value, str) and value != "" and value.isprintable()


def is_path(value: Any) -> bool:
    """Whether a value is an absolute path of an image."""
    return is_line(value) and value.startswith("/")


def is_list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a check for a list of values."""
    return lambda value: isinstance(value, list) and all(map(check, value))


# For each key, its check and what it wants, in words; the meaning is that of `ImageFacts`.
KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "family": (is_one_of(*FAMILIES), f"one of {', '.join(FAMILIES)}"),
    "user": (lambda value: isinstance(value, str) and (value == "" or USER.fullmatch(value) is not None), "a USER"),
    "users": (
        is_list_of(lambda value: isinstance(value, str) and ACCOUNT.fullmatch(value) is not None),
        "a list of name:uid:gid:home",
    ),
    "ports": (is_list_of(lambda value: type(value) is int and 0 < value < 1024), "a list of ports below 1024"),
    "outcome": (is_one_of(*OUTCOMES), f"one of {', '.join(OUTCOMES)}"),
    "reason": (is_line, "one line of text"),
    "way_out": (is_line, "one line of text"),
    "writable": (is_list_of(is_path), "a list of absolute paths"),
    "has_cmd": (lambda value: type(value) is bool, "true or false"),
    "home": (is_path, "an absolute path"),
    "variables": (
        is_list_of(lambda value: isinstance(value, str) and VARIABLE.fullmatch(value) is not None),
        "a list of NAME=value",
    ),
    "source": (is_line, "one line of text"),
}


def images_from(table: Any, where: str) -> tuple[tuple[str, ImageFacts], ...]:
    """Return configured images as ``(glob, facts)``, the longest glob first.

    Raises ``ConfigurationError`` for the first thing that does not fit; ``where`` begins its message.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where} has to be a table of images, not {table!r}")
    found = [(glob, facts_from(entry, f'{where}."{glob}"', glob)) for glob, entry in table.items()]
    return tuple(sorted(found, key=lambda one: (-len(one[0]), one[0])))


def facts_from(entry: Any, where: str, glob: str) -> ImageFacts:
    """Return the facts of one configured image; raises ``ConfigurationError``."""
    if IMAGE.fullmatch(glob) is None:
        raise ConfigurationError(f"{where} is no image name; it may have a tag, and * in both")
    if not isinstance(entry, dict):
        raise ConfigurationError(f'{where} has to be a table such as {{ family = "debian" }}, not {entry!r}')
    values: dict[str, Any] = {"source": "configuration"}
    for key, value in entry.items():
        name = key.replace("-", "_")
        if name not in KEYS:
            raise ConfigurationError(f"{where} has an unknown key '{key}'; known: {', '.join(KEYS)}")
        check, wanted = KEYS[name]
        if not check(value):
            raise ConfigurationError(f"{where}: '{key}' wants {wanted}, not {value!r}")
        values[name] = value
    if "family" not in values:
        raise ConfigurationError(f"{where} wants a 'family': {KEYS['family'][1]}")
    return checked(values, where)


def checked(values: dict[str, Any], where: str) -> ImageFacts:
    """Return the facts of values that fit by themselves; raises ``ConfigurationError`` where they contradict."""
    outcome, user = values.get("outcome"), values.get("user", "")
    if outcome is None and user not in ("", "root", "0"):
        values["outcome"] = outcome = "already"
    if outcome == "already" and user in ("", "root", "0"):
        raise ConfigurationError(f"{where}: 'outcome' already wants the 'user' that it runs as")
    if outcome in ("server", "root") and "reason" not in values:
        raise ConfigurationError(f"{where}: 'outcome' {outcome} wants a 'reason', one line of text")
    values["users"] = tuple(
        KnownUser(name, int(uid), int(gid), home)
        for name, uid, gid, home in (text.split(":") for text in values.get("users", ()))
    )
    for key in ("ports", "writable"):
        values[key] = tuple(values.get(key, ()))
    values["variables"] = assigned(values.get("variables", ()))
    return ImageFacts(**with_common(values))
