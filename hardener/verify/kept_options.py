"""Options of ``harden verify`` that a project keeps in its configuration: the table ``[verify]``.

Its keys are the options' names without ``--``; what may be given several times is a list.  The command line wins.
What belongs to a machine is not the project's to say, and files are below the project: it may be somebody else's.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hardener.settings import ConfigurationError, settings_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OF_THE_MACHINE = ("engine", "build-network", "publish-address")
PATHS = ("context", "compose")


def options_from(value: Any, where: str) -> tuple[tuple[str, Any], ...]:
    """Return the table ``verify`` as values by parameter's name; raises ``ConfigurationError``."""
    if not isinstance(value, dict):
        raise ConfigurationError(f'{where} wants a table, as [verify] with probe = ["http://localhost:8000/"]')
    known = parameters()
    found: dict[str, Any] = {}
    for key, given in value.items():
        name = key.replace("_", "-")
        if name not in known:
            raise ConfigurationError(f"{where}: unknown key '{key}'; known: {', '.join(sorted(known))}")
        if name in PATHS and any(
            str(one).startswith("/") or ".." in PurePosixPath(str(one)).parts
            for one in (given if isinstance(given, list) else [given])
        ):
            raise ConfigurationError(f"{where}, '{key}' wants a path below the project, not {given!r}")
        found[str(known[name].name)] = checked(known[name], given, f"{where}, '{key}'")
    return tuple(found.items())


def parameters() -> dict[str, click.Option]:
    """Return the options that may be kept, by name: those that say how things are built, run and asked."""
    from hardener.verify.command import run_options  # noqa: PLC0415  it imports this module

    function = run_options(lambda: None)
    options: list[click.Option] = function.__click_params__
    found = {option.opts[-1].removeprefix("--"): option for option in options}
    return {name: option for name, option in found.items() if name not in OF_THE_MACHINE}


def checked(option: click.Option, given: Any, where: str) -> Any:
    """Return a value as the option would have it; raises ``ConfigurationError``."""
    fits = isinstance(given, list) if option.multiple else isinstance(given, bool) if option.is_flag else (
        isinstance(given, str | int | float) and not isinstance(given, bool)
    )  # fmt: skip
    if not fits:
        kind = "a list" if option.multiple else "true or false" if option.is_flag else "one value"
        raise ConfigurationError(f"{where} wants {kind}, not {given!r}")
    try:
        if option.multiple:
            return tuple(option.type.convert(one, option, None) for one in given)
        return option.type.convert(given, option, None)
    except click.BadParameter as error:
        raise ConfigurationError(f"{where}: {error.message}") from error


def with_kept(context: click.Context, path: Path, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's options, with what the project keeps for those that were not given."""
    folder = (path if path.is_dir() else path.parent).absolute()
    kept = dict(settings_for(folder, overrides).verify)
    default = ParameterSource.DEFAULT
    return {
        key: kept[key] if key in kept and context.get_parameter_source(key) is default else value
        for key, value in context.params.items()
        if key != "path"
    }
