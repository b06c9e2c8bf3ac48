"""How each kind of command in ``commands.toml`` is judged.

Every check gets a command and the rule it falls under, and returns why it needs root, or ``None``.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from hardener.command_options import names_in, options_of
from hardener.command_paths import UNKNOWN, first, resolved, unwritable, unwritable_here
from hardener.lazy_pattern import lazy_pattern
from hardener.paths import absolute, below
from hardener.shell_command import Argument, program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hardener.command_paths import Run
    from hardener.command_rules import Rule

PATH_IN_WORD = lazy_pattern(r"(?:^|^-\w|[=:,;])(/[^:,;]*)")
SED_WRITES = lazy_pattern(r"(?<![A-Za-z])[wW]\s+\S|/[gpIi\d]*e\Z")
AWK_WRITES = lazy_pattern(r"system|[>|]|inplace|getline")
PIP_REDIRECTS = frozenset({"-t", "--target", "--prefix", "--root", "--src", "-e", "--editable"})


def check_root(run: Run, rule: Rule) -> str | None:
    """Judge what needs root; ``pip install`` does not in an environment of the user's, or with ``--user``."""
    reason = f"{rule.entry} {rule.table['reason']}"
    if not rule.entry.startswith("pip "):
        return reason
    texts = [one.text or "" for one in run.arguments]
    elsewhere = next((text for text in texts if text.partition("=")[0] in PIP_REDIRECTS), None)
    if elsewhere is not None:
        return f"{UNKNOWN}{rule.entry} {elsewhere}"
    name = run.command.name
    path = resolved(Argument(name, name, run.command.span), run.command) if "/" in name else None
    is_own = path is not None and below(path, run.owned)
    return None if is_own or ("--user" in texts and below(run.home, run.owned)) else reason


def check_work(run: Run, rule: Rule) -> str | None:
    """Judge a tool that writes in its working directory and in HOME, unless an argument says otherwise."""
    refused = rule.table.get("refuse", "").split()
    for one in run.arguments:
        if one.text is None and not rule.table.get("any"):
            return f"{UNKNOWN}{rule.entry} {one.raw}"
        if (one.text or "").partition("=")[0] in refused:
            return f"{rule.entry} {one.text} {rule.table['reason']}"
    if not below(run.home, run.owned):
        return f"{rule.entry} writes in HOME, {run.home}"
    reason = None if rule.table.get("home") else unwritable_here(run)
    if reason is not None:
        return reason
    command = run.command
    for name, value in command.assignments:
        if value is None:
            return f"{UNKNOWN}{rule.entry} with {name}"
    words = [program(command.name), *(one.text or "" for one in command.arguments)]
    return first(given_path(word, run) for word in [*words, *(f"={value}" for _, value in command.assignments)])


def given_path(word: str, run: Run) -> str | None:
    """Return the path in a word that lies outside what the user may write: it might be written."""
    if re.match(r"=?\w[\w+.-]*://", word):
        return None
    paths = PATH_IN_WORD.findall(word)
    if ".." in word:
        paths.append(absolute(word.rpartition("=")[2], run.command.directory or "/"))
    outside = (path for path in paths if not below(posixpath.normpath(path), run.writable))
    return first(f"{run.name} is given {path}" for path in outside)


def check_paths(run: Run, rule: Rule) -> str | None:
    """Judge a program that writes where its arguments say."""
    table, name = rule.table, rule.entry
    for one in run.arguments:
        if one.text is None and one.raw[:1] in ("$", "`", ""):  # without quotes it may be options
            return f"{UNKNOWN}{name} {one.raw or 'with what it reads'}"
    options = options_of(table, without_words(run.arguments, rule))
    if options.unknown is not None:
        return f"{UNKNOWN}{name} {options.unknown}"
    refused = options.names & names_in(table.get("refuse"))
    if refused:
        return f"{UNKNOWN}{name} with option {min(refused)}"
    if name == "sed" and any(SED_WRITES.search(one.shown) for one in run.arguments):
        return f"{UNKNOWN}sed with a command that writes or runs something"

    def has(key: str) -> bool:
        return not options.names.isdisjoint(names_in(table.get(key)))

    role, here = table["operands"], table.get("here", False) or has("here_if")
    if "only" in table and not has("only"):
        role = "none"
    if has("when"):
        role, here = table.get("then", "none"), False
    if options.to:
        role, here = "none", False
    if role == "rest" and has("script"):
        role = "all"
    removed, written = removed_and_written(role, options.words)
    if role in ("last", "second") and len(options.words) < 2:
        here, written = True, ()
    outputs = (one for one in (*options.to, *options.also) if one.text != "-")
    verb = "changes" if table.get("own") else "writes"
    reason = first(unwritable(one, run, "removes") for one in removed)
    reason = reason or first(unwritable(one, run, verb) for one in (*written, *outputs))
    return reason or (unwritable_here(run) if here else None)


def without_words(arguments: Sequence[Argument], rule: Rule) -> list[Argument]:
    """Return the arguments without the words of the rule."""
    words = list(rule.words)
    return [one for one in arguments if not (words and one.text == words[0] and words.pop(0))]


def removed_and_written(role: str, words: tuple[Argument, ...]) -> tuple[tuple[Argument, ...], tuple[Argument, ...]]:
    """Split the plain words into those removed and those written."""
    nothing = words[:0]
    return {
        "none": (nothing, nothing),
        "entries": (words, nothing),
        "move": (words[:-1], words[-1:]),
        "all": (nothing, words),
        "rest": (nothing, words[1:]),
        "first": (nothing, words[:1]),
        "second": (nothing, words[1:2]),
        "last": (nothing, words[-1:]),
    }[role]


def check_find(run: Run) -> str | None:
    """``find`` only reads, but for ``-delete`` and ``-fprint``; ``-exec`` is a command of its own."""
    texts = [one.text or "" for one in run.arguments]
    if any(text.startswith(("-fprint", "-fls")) for text in texts):
        return f"{UNKNOWN}find -fprint"
    if "-delete" not in texts:
        return None
    delete = run._replace(name="find -delete")
    tops = run.arguments[: next(index for index, text in enumerate(texts) if text[:1] in ("-", "(", "!") and text)]
    return first(unwritable(one, delete, "changes") for one in tops) if tops else unwritable_here(delete)


def check_tar(run: Run) -> str | None:
    """``tar`` writes where ``-C`` says when it extracts, and its archive when it creates one."""
    texts = [one.text or "" for one in run.arguments]
    bundles = [text for index, text in enumerate(texts) if re.fullmatch("-[A-Za-z]+" if index else "-?[A-Za-z]+", text)]
    letters = "".join(bundles).replace("-", "")
    long = ("--absolute", "--same-owner", "--preserve", "--to-command", "--use-compress")
    if not set("PIF").isdisjoint(letters) or any(text.startswith(long) for text in texts):
        return f"{UNKNOWN}tar with an option that is not known"
    if "x" in letters or "--extract" in texts or "--get" in texts:
        if re.fullmatch(r"-?[A-Za-z]+C[A-Za-z]*", texts[0]):
            return f"{UNKNOWN}tar {texts[0]}"
        targets = tar_directories(run.arguments)
        return first(unwritable(one, run) for one in targets) if targets else unwritable_here(run)
    archives = [run.arguments[index] for index, text in enumerate(texts[:-1], 1) if re.fullmatch("-?[A-Za-z]*f", text)]
    if "c" in letters and len(archives) == 1:
        return None if archives[0].text == "-" else unwritable(archives[0], run)
    if "t" in letters or "--list" in texts or texts in (["--version"], ["--help"]):
        return None
    return f"{UNKNOWN}tar {texts[0] if texts else ''}".rstrip()


def tar_directories(arguments: Sequence[Argument]) -> list[Argument]:
    """Return the directories that ``tar`` is told to work in."""
    found: list[Argument] = []
    for one, following in zip(arguments, [*arguments[1:], None], strict=True):
        match = re.fullmatch(r"-C(.*)|--directory(?:=(.*))?", one.text or "", re.DOTALL)
        if match and (match[1] or match[2] is not None):
            found.append(one._replace(text=match[1] or match[2]))
        elif match and following is not None:
            found.append(following)
    return found


def check_dd(run: Run) -> str | None:
    """``dd`` writes its ``of=``."""
    targets = (one for one in run.arguments if one.raw.startswith("of="))
    return first(unwritable(one._replace(text=one.text and one.text[3:]), run) for one in targets)


def check_awk(run: Run) -> str | None:
    """``awk`` only reads, unless its program redirects or runs a command."""
    only_reads = all(one.text is not None and not AWK_WRITES.search(one.text) for one in run.arguments)
    return None if only_reads else f"{UNKNOWN}awk"
