"""Rewrites what is generated: the diffs that pages show, the table of fixers, ``left-alone.md`` and ``modules.md``.

Run it as ``python docs/generate.py``; a test fails where a file is not what it would write.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import port_matrix

from hardener.bulk import Hardened, harden_paths
from hardener.decision import LATER_QUESTIONS
from hardener.fixers import FIXERS
from hardener.graph.command import drawn
from hardener.graph.svg import standalone
from hardener.processes import knowledge
from hardener.reasons import QUESTIONS
from hardener.root_tools import knowledge as knowledge_of_tools

ROOT = Path(__file__).resolve().parent.parent
FOUR_STAGES = ROOT / "fixtures" / "pipeline" / "four-stages" / "before"


# The parts of the package, in the order in which a run meets them; the first pattern that fits a module counts.
AREAS = (
    (
        "The command, and many files at once",
        (
            "__main__ cli completion terminal showing settings needs discovery bulk pipeline changed_lines report "
            "markdown writing __init__"
        ),
    ),
    (
        "Reading a Dockerfile without losing a byte",
        "edit lexing masking dockerfile variables stages lines pragmas lazy_pattern",
    ),
    (
        "Reading shell, and what its commands need",
        "shell* command_* privilege* packages runtime_state tool_directories",
    ),
    (
        "The project around it",
        (
            "project small_files paths context repository* directories homes compose* yaml_documents kubernetes* fly "
            "host_network manifest_* *_runs run_lines own_images image_names build_commands"
        ),
    ),
    ("Base images", "image image_overlay bases local_bases inherited inspection"),
    (
        "What a container starts",
        "processes start_scripts script_modes handed_commands package_scripts procfiles supervisor provenance",
    ),
    ("What it writes", "*_directories stacks written_* relative_writes unpacked hazards migration user_steps"),
    ("Tools below /root", "root_tools root_home root_links root_mentions root_moves"),
    ("Servers: of official images, and of a distribution", "server* *_syntax *_configuration settings_tables"),
    (
        "Ports: who decides one",
        "listening literal_* program_sources source_* shared_sources copied_sources start_files",
    ),
    ("Ports: readers of sources", "go_* node_* python_* jvm_settings"),
    ("Ports: moving one everywhere", "port* own_addresses own_sources deploy_ports references inherited_ports"),
    ("Deciding", "outcome reasons base_reasons start_reasons decision accounts placement root_entrypoint"),
)


def module_map() -> str:
    """Return the page of the package's modules, each with the first sentence of its docstring, by parts."""
    left = {file.stem: first_sentence(file) for file in sorted((ROOT / "hardener").glob("*.py"))}
    lines = [
        "# The modules",
        "",
        "<!-- written by docs/generate.py -->",
        "",
        "The fixers are in `hardener/fixers/`, one file each; [What it does](fixers.md) has their table. What they ask",
        "is here, in the order in which a run meets it. Knowledge is in TOML files beside the modules that read it.",
    ]
    for title, patterns in AREAS:
        names = [name for pattern in patterns.split() for name in left if fnmatchcase(name, pattern)]
        lines += ["", f"## {title}", ""]
        lines += [f"- `{name}`: {left.pop(name)}" for name in dict.fromkeys(names)]
    if left:
        raise SystemExit(f"docs/generate.py: AREAS has no part for {', '.join(left)}")
    for package in sorted((ROOT / "hardener").glob("*/__init__.py")):
        folder = package.parent
        if folder.name == "fixers":
            continue
        lines += ["", f"## `hardener/{folder.name}/`: {first_sentence(package)}", ""]
        files = (file for file in sorted(folder.glob("*.py")) if file != package)
        lines += [f"- `{folder.name}.{file.stem}`: {first_sentence(file)}" for file in files]
    return "\n".join([*lines, ""])


def first_sentence(file: Path) -> str:
    """Return the first sentence of a module's docstring."""
    text = re.sub(r"\s+", " ", ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")
    return re.split(r"(?<=\.) ", text, maxsplit=1)[0]


def fixer_table() -> str:
    """Return the fixers as a Markdown table, from the first sentence and the ``Why:`` of their docstrings."""
    rows = ["| fixer | what it does | why |", "|---|---|---|"]
    for fixer in FIXERS:
        text = re.sub(r"\s+", " ", fixer.__doc__ or "")
        what, _, rest = text.partition(" Why: ")
        why, _, _ = rest.partition(" Safety: ")
        rows.append(f"| `{fixer.__name__}` | {what} | {why[:1].upper()}{why[1:]} |")
    return "\n".join(rows)


def shown(case: str) -> str:
    """Return what `harden . --diff` prints for a project below ``fixtures/``: the patch, then what it says."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")  # a copy: here, the whole repository would be read as its surroundings
        shutil.copytree(ROOT / "fixtures" / case / "before", project)
        command = [sys.executable, "-m", "hardener", ".", "--diff"]
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    return f"```diff\n{done.stdout}```\n\n```text\n{done.stderr}```"


def picture() -> str:
    """Return the picture of a Dockerfile of four stages, as ``harden graph`` draws it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "four"
        shutil.copytree(FOUR_STAGES, root)
        found = [one for one in harden_paths([root]) if isinstance(one, Hardened)]
        return standalone(drawn([one._replace(name=Path(one.name).relative_to(root).as_posix()) for one in found]))


def linked(source: str) -> str:
    """Return a source with its addresses as Markdown links."""
    return re.sub(r"https?://[^\s,)]+", lambda match: f"<{match[0]}>", source)


def root_tools() -> list[dict[str, Any]]:
    """Return the tools of ``root_tools.toml``, each with what it is told by."""
    tables = knowledge_of_tools()["tool"]
    return [{**one, "what": one.get("commands") or one.get("addresses") or one["shown"]} for one in tables]


def left_alone() -> str:
    """Return the page of everything that is not switched, from the questions and ``processes.toml``."""
    lines = [
        "# What is left alone, and why",
        "",
        "<!-- written by docs/generate.py -->",
        "",
        "An image that is `manual` or `already` keeps every byte. These are the questions, in the order in which they",
        "are asked; the first that answers decides, and the answer names the line and the way out.",
        "",
    ]
    for number, question in enumerate((*QUESTIONS, *LATER_QUESTIONS), 1):
        text = re.sub(r"\s+", " ", question.__doc__ or "").strip()
        lines.append(f"{number}. **{question.__name__.replace('_', ' ')}**: {linked(text)}")
    for title, table, subject in (
        ("Programs that are not simply started as another user", knowledge()["program"], "names"),
        ("Packages whose programs need root", knowledge()["package"], "names"),
        ("Build steps that leave what is needed below /root, unless a variable moves it", root_tools(), "what"),
    ):
        lines += ["", f"## {title}", "", "| what | why | way out | source |", "|---|---|---|---|"]
        for one in table:
            names = one[subject]
            what = ", ".join(names) if isinstance(names, list) else names.replace("|", ", ")
            words = " ".join(one.get("words", ()))
            row = (f"{what} {words}".rstrip(), one["reason"], one["way_out"], linked(one["source"]))
            lines.append(f"| {' | '.join(row)} |")
    lines += [
        "",
        "Base images have their own reasons in `hardener/images.toml`: servers that start as root, databases that",
        "drop root by themselves, init systems, development containers. A script that an entrypoint starts is read,",
        "and what it does as root (`chown`, `usermod`, writing below /etc) counts like a program above; one that uses",
        f"{', '.join('`' + name + '`' for name in sorted(knowledge()['drops']['names']))} is `already`.",
        "",
    ]
    return "\n".join(lines)


PARTS = re.compile(
    r"<!-- (?P<kind>harden|fixers|matrix)(?P<of>[^>]*): begin -->\n.*?<!-- (?P=kind)(?P=of): end -->", re.DOTALL
)


def generated(page: str) -> str:
    """Return a page with its generated parts written anew: `harden CASE`, `fixers`, `matrix`, from begin to end."""

    def written(match: re.Match[str]) -> str:
        name = f"{match['kind']}{match['of']}"
        tables = {"fixers": fixer_table, "matrix": port_matrix.table}
        text = tables[match["kind"]]() if match["kind"] in tables else shown(match["of"].strip())
        return f"<!-- {name}: begin -->\n{text}\n<!-- {name}: end -->"

    return PARTS.sub(written, page)


def pages() -> list[Path]:
    """Return the pages that have generated parts."""
    return [
        page
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
        if PARTS.search(page.read_text(encoding="utf-8"))
    ]


if __name__ == "__main__":
    for file in pages():
        file.write_text(generated(file.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "graph.svg").write_text(picture(), encoding="utf-8")
    (ROOT / "docs" / "modules.md").write_text(module_map(), encoding="utf-8")
    (ROOT / "docs" / "left-alone.md").write_text(left_alone(), encoding="utf-8")
