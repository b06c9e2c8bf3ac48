"""The pages of the reference, made from the code and the knowledge files each time the site is built."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import tomli

import hardener
from hardener.cli import COMMANDS, command, main
from hardener.fixers import FIXERS

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = Path(hardener.__file__).parent
ADDRESS = re.compile(r"https?://[\w-]+\.[^\s,;)]+[^\s,;).:]")
# `owner/name@commit:path` of a fact's source; braces and globs in the path stand for several files.
AT_COMMIT = re.compile(r"\b(?P<repo>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{7,40})(?P<path>:[\w./-]*\w(?=[\s,;)]|$))?")
HEADINGS = re.compile(r"^ *(Why|Safety|References): ", re.MULTILINE)


def pages() -> dict[str, str]:
    """Return the Markdown of every page by its place below ``docs/``."""
    return {
        "reference/cli.md": command_line(),
        "reference/fixers.md": fixers(),
        "reference/python.md": python(),
        "reference/images.md": images(),
        "reference/stacks.md": stacks(),
        "reference/ports.md": ports(),
        "reference/servers.md": servers(),
    }


def command_line() -> str:
    """Return the page of all commands and options, as their --help has them."""
    lines = ["# Command line", "", "`harden COMMAND --help` prints the same."]
    for name in ("", *COMMANDS):
        found = command(name) if name else main
        context = click.Context(found, info_name=f"harden {name}".rstrip(), max_content_width=100)
        records = [one.get_help_record(context) for one in found.get_params(context)]
        lines += ["", f"## {context.info_name}", "", prose(found.help), "", "```text"]
        lines += [" ".join((context.command_path, *found.collect_usage_pieces(context))), "```", ""]
        lines += table(("option", "what it does"), [(code(one[0]), cell(one[1])) for one in records if one and one[1]])
        if found.epilog:
            lines += ["", "```text", inspect.cleandoc(found.epilog.replace("\b", "")), "```"]
    return "\n".join([*lines, ""])


def prose(text: str | None) -> str:
    """Return a help text as Markdown: what click must not wrap (it begins with a backspace) is shown as it stands."""
    parts = [inspect.cleandoc(part) for part in re.split(r"\n\s*\n", inspect.cleandoc(text or ""))]
    return "\n\n".join(f"```text\n{one[1:].strip()}\n```" if one.startswith("\b") else cell(one) for one in parts)


def cell(text: str) -> str:
    """Return a help text with what Markdown or a table would take for its own made plain."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "&#42;")


def fixers() -> str:
    """Return the page of the fixers: the docstring of each, in the order in which they run."""
    lines = [
        "# Fixers",
        "",
        "In the order in which they run; each sees what the one before it left. `--select` and `--ignore`, `select`",
        "and `ignore` of the configuration, and the comment `# harden: ignore=NAME` take these names.",
    ]
    for fixer in FIXERS:
        text = HEADINGS.sub(r"\n**\1.** ", inspect.getdoc(fixer) or "")
        lines += ["", f"## {fixer.__name__}", "", linked(text)]
    return "\n".join([*lines, ""])


def python() -> str:
    """Return the page of the public names, which mkdocstrings reads from their docstrings."""
    lines = ["# Python", "", *(inspect.getdoc(hardener) or "").splitlines(), ""]
    lines += ["::: hardener.harden_bytes", "    options: {show_root_heading: true}", ""]
    for name, module in sorted(hardener.HOMES.items(), key=lambda one: (not one[0].islower(), one[0])):
        lines += [f"::: hardener.{module}.{name}", "    options: {show_root_heading: true}", ""]
    return "\n".join(lines)


def images() -> str:
    """Return the page of the base images: for each, by its tags, what is known of it, and from where."""
    data = load("images.toml")
    variants = data.pop("variant")
    lines = [
        *wide("Base images"),
        f"What [`hardener/images.toml`](../../hardener/images.toml) knows of {sum(len(one.split()) for one in data)}",
        "names and patterns of images. *plain* works as any user; *already* is not root by default; *drops* starts as",
        "root and gives it up; *server* has a default command that wants root, its paths or a low port; *root* wants",
        "it whatever the command is. Before that stands how users are made (`debian`: useradd, `alpine`: adduser);",
        "behind it, the accounts that an image brings, as `name:uid:gid:home`, and ports below 1024. The first",
        "pattern of tags that fits counts. What is not here is not known, and left alone: [how to add",
        "one](../contributing.md#add-an-image).",
        "",
    ]
    rows = []
    for names, entry in sorted(data.items()):
        kinds = []
        for tag, given in entry.get("tags", {"*": {}}).items():
            if given is False:
                kinds.append(f"{paths(tag.split('|'))}: not known")
                continue
            if isinstance(given, str):
                own = variants.get(given, {"family": given})
            else:
                own = variants.get(given.get("variant"), {}) | given
            facts = entry | own
            kind = facts.get("outcome", "plain") + (f" as {code(facts['user'])}" if facts.get("user") else "")
            known = [*map(code, facts.get("users", ())), *(f"port {one}" for one in facts.get("ports", ()))]
            text = ", ".join((facts.get("family", ""), f"*{kind}*", *known))
            kinds.append(text if tag == "*" and "tags" not in entry else f"{paths(tag.split('|'))}: {text}")
        rows.append(("<br>".join(map(code, names.split())), "<br>".join(kinds), linked(entry["source"])))
    return "\n".join([*lines, *table(("image", "tags, and what is known of them", "source"), rows), ""])


def stacks() -> str:
    """Return the page of frameworks, and of how sources name what they write."""
    written = load("written_paths.toml")
    rows = [(one["name"], code(one["file"]), paths(one["made"]), paths(one["writes"]), linked(one["source"]))
            for one in load("stacks.toml")["stack"]]  # fmt: skip
    forms = [(", ".join(one["endings"]), one["makes"], linked(one["source"])) for one in written["source"]]
    return "\n".join(
        [
            *wide("Stacks"),
            "Frameworks whose build leaves, below the application's folder, what they write again at run time",
            "([`hardener/stacks.toml`](../../hardener/stacks.toml)): the fixer `own_built` gives it to the account.",
            "",
            *table(("framework", "known by", "left by the build", "written at run time", "source"), rows),
            "",
            "## How sources name what they write",
            "",
            "The forms of [`hardener/written_paths.toml`](../../hardener/written_paths.toml), by the ending of the",
            "file; a directory that is named so is made and given to the account (`own_directories`).",
            "",
            *table(("files", "names a", "source"), forms),
            "",
        ]
    )


def ports() -> str:
    """Return the page of what decides a listening port, and of where files of a deployment state one."""
    data = load("ports.toml")
    rows = [(names(one["names"], one.get("after", ())), paths(one.get("options", ())),
             paths(one.get("variables", ())), linked(one["source"])) for one in data["server"]]  # fmt: skip
    literal = [(", ".join(one["languages"]), linked(one["source"])) for one in load("literal_ports.toml")["literal"]]
    lines = [(paths(one["files"]), linked(one["source"])) for one in load("listen_lines.toml")["line"]]
    deployed = [(paths(one["files"]), linked(one["source"])) for one in load("deploy_ports.toml")["use"]]
    return "\n".join(
        [
            *wide("Where a port is decided"),
            "[How a port moves](../ports.md) tells what is done with these.",
            "",
            "## Programs",
            "",
            *table(("program", "options", "variables", "source"), rows),
            "",
            "## Calls in sources",
            "",
            *table(("language", "source"), literal),
            "",
            "## Lines of configuration",
            "",
            *table(("files", "source"), lines),
            "",
            "## Files of a deployment",
            "",
            "A port that one of these states is left to a person, with the line.",
            "",
            *table(("files", "source"), deployed),
            "",
        ]
    )


def servers() -> str:
    """Return the page of official servers, and of what official images need as services of Compose or Kubernetes."""
    kinds = [(kind, paths(one["images"]), str(one.get("why", "")), linked(one["source"]))
             for kind, one in load("servers.toml").items()]  # fmt: skip
    needs = [(names(header.split(), ()), ", ".join(one.get("capabilities", ())) or "none",
              "yes" if one.get("runs_as_user") else "", paths(each["path"] for each in one.get("writes", ())),
              linked(" ".join(value for key, value in one.items() if key.endswith("_source"))))
             for header, one in load("runtime/needs.toml").items()]  # fmt: skip
    return "\n".join(
        [
            *wide("Servers and services"),
            "## Servers that an image is built from",
            "",
            "What `prepare_server` makes work without root",
            "([`hardener/servers.toml`](../../hardener/servers.toml)).",
            "",
            *table(("server", "images", "why it needs preparing", "source"), kinds),
            "",
            "## Official images that run as they are",
            "",
            "What a service needs after `cap_drop: [ALL]`, and all that it writes",
            "([`hardener/runtime/needs.toml`](../../hardener/runtime/needs.toml)).",
            "",
            *table(("image", "capabilities", "works as its own user", "writes", "sources"), needs),
            "",
        ]
    )


def wide(title: str) -> list[str]:
    """Return the head of a page whose tables need the place of the table of contents."""
    return ["---", "hide: [toc]", "---", "", f"# {title}", ""]


def load(name: str) -> dict[str, Any]:
    """Return a knowledge file of the package."""
    return tomli.loads((PACKAGE / name).read_text(encoding="utf-8"))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def code(text: object) -> str:
    """Return a text as code; a ``|`` in it is none of a table's."""
    return f"`{text}`"


def paths(given: Iterable[str]) -> str:
    """Return texts as code, one after the other."""
    return ", ".join(map(code, given))


def names(given: Iterable[str], after: Iterable[str]) -> str:
    """Return names of programs, with the words that must follow."""
    return ", ".join(code(" ".join((name, *after))) for name in given)


def linked(source: str) -> str:
    """Return a source whose addresses, and files of GitHub at a commit, are Markdown links."""

    def at_commit(match: re.Match[str]) -> str:
        path = (match["path"] or "").removeprefix(":")
        kind = f"blob/{match['commit']}/{path}" if path else f"tree/{match['commit']}"
        return f"[{match[0]}](https://github.com/{match['repo']}/{kind})"

    escaped = source.replace("|", "\\|").replace("{", "&#123;").replace("*", "&#42;").replace("<", "&lt;")
    return AT_COMMIT.sub(at_commit, ADDRESS.sub(lambda match: f"<{match[0]}>", escaped))
