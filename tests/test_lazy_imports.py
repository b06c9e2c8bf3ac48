"""What a project does not need is not imported: LibCST for one without Python to change, grammars for one without their language."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hardener.cli import COMMANDS

ROOT = Path(__file__).parent.parent

FILES = {
    "node": {
        "Dockerfile": 'FROM node:20\nWORKDIR /app\nCOPY . .\nEXPOSE 80\nCMD ["node", "server.js"]\n',
        "server.js": "require('http').createServer(() => 0).listen(80);\n",
        "tool.py": "print(80)\n",
    },
    "python-command": {
        "Dockerfile": 'FROM python:3.12\nCOPY . .\nEXPOSE 80\nCMD ["uvicorn", "app:app", "--port", "80"]\n',
        "app.py": "app = None\n",
    },
    "python-high": {
        "Dockerfile": 'FROM python:3.12\nCOPY . .\nEXPOSE 8000\nCMD ["python", "app.py"]\n',
        "app.py": "import app2\napp2.run(port=8000)\n",
    },
    "python-source": {
        "Dockerfile": 'FROM python:3.12\nCOPY . .\nEXPOSE 80\nCMD ["python", "app.py"]\n',
        "app.py": "from flask import Flask\nFlask('app').run(port=80)\n",
    },
    "nginx": {
        "Dockerfile": "FROM nginx:1.27\nCOPY site /usr/share/nginx/html\nEXPOSE 80\n",
        "site/index.html": "80\n",
    },
    "go": {
        "Dockerfile": "FROM golang:1.22\nWORKDIR /src\nCOPY . .\nRUN go build -o /web .\nEXPOSE 80\nCMD ['/web']\n".replace("'", '"'),
        "go.mod": "module web\n",
        "main.go": 'package main\n\nimport "net/http"\n\nfunc main() { http.ListenAndServe(":80", nil) }\n',
    },
}  # fmt: skip
NEEDED = {
    "node": {"tree_sitter_typescript"},
    "python-command": set(),
    "python-high": set(),
    "python-source": {"libcst"},
    "nginx": set(),
    "go": {"tree_sitter_go"},
}
WATCHED = ("libcst", "tree_sitter_typescript", "tree_sitter_javascript", "tree_sitter_go", "yaml", "unidiff")
# The reader: every file needs its patterns, some millions of times.
EAGER = {"hardener.lexing", "hardener.masking", "hardener.dockerfile"}
PROGRAM = """
import sys
from pathlib import Path
from hardener.bulk import Hardened, harden_paths
results = list(harden_paths([Path(sys.argv[1])]))
assert all(isinstance(one, Hardened) and one.result.changed for one in results), results
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""


@pytest.mark.parametrize("kind", FILES)
def test_only_what_a_project_needs_is_imported(kind: str, tmp_path: Path) -> None:
    for name, text in FILES[kind].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), *WATCHED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == NEEDED[kind]


HEAVY = (
    "libcst", "yaml", "tree_sitter_typescript", "tree_sitter_go", "unidiff", "pathspec", "github", "gitlab", "requests",
    "distributed", "dask", "asyncio", "multiprocessing", "concurrent.futures", "sqlite3", "http.client", "ssl",
)  # fmt: skip
SHELL = ("tree_sitter", "tree_sitter_bash")
PLAIN = 'import hardener; hardener.harden_bytes(b"FROM python:3.12\\nRUN pip install x\\nCMD [\\"python\\"]\\n")'


def loaded(program: str, *names: str) -> set[str]:
    """Return which of the modules a program has imported at its end."""
    ending = "; import sys; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program + ending, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["hardener", "hardener.cli", *(module for module, _ in COMMANDS.values())])
def test_a_command_imports_nothing_heavy_at_its_start(module: str) -> None:
    """So that --help, and a mistyped option, are answered at once."""
    assert loaded(f"import {module}", *HEAVY, *SHELL) == set()


def test_a_single_dockerfile_needs_nothing_but_a_reader_of_shell() -> None:
    assert loaded(PLAIN, *HEAVY) == set()


# What only Compose files, servers, ports that move, tools below /root and single languages need.
SPECIAL = (
    "compose_owners", "compose_port_edits", "compose_scalars", "compose_service", "own_images", "repository",
    "server_files", "server_needs", "server_setup", "server_variants",
    "kubernetes_ports", "port_edits", "port_permission", "references", "run_lines", "inherited_ports",
    "root_moves", "jvm_settings", "literal_patterns", "node_source", "python_source", "go_source",
)  # fmt: skip


def test_a_usual_image_needs_none_of_what_few_images_need(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM python:3.12\nWORKDIR /app\nCOPY . .\nCMD ["python", "app.py"]\n')
    (tmp_path / "app.py").write_text("print(1)\n")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), *(f"hardener.{name}" for name in SPECIAL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    for name in SPECIAL:  # a module of that name is there
        assert (ROOT / "hardener" / f"{name}.py").is_file()


def test_help_and_version_need_the_command_line_alone() -> None:
    program = "import sys, hardener.cli; print(*(name for name in sys.modules if name.startswith('hardener')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["hardener", "hardener.cli"]


COUNT = """
import re, sys
compiled = []
real = re.compile
def counted(pattern, flags=0):
    frame = sys._getframe(1)
    if frame.f_globals["__name__"] == "hardener.lazy_pattern":  # one whose method was asked for
        frame = frame.f_back
    if frame.f_code.co_name == "<module>" and frame.f_globals["__name__"].startswith("hardener"):
        compiled.append(f"{frame.f_globals['__name__']}:{frame.f_lineno}")
    return real(pattern, flags)
re.compile = counted
import hardener.bulk, hardener.cli, hardener.repository, hardener.pods.manifests, hardener.runtime.deployment
print(*compiled, sep="\\n")
"""


def test_no_pattern_is_compiled_by_an_import() -> None:
    """A few that every file needs may be: they are cheaper when they are not lazy."""
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    assert {line.partition(":")[0] for line in done.stdout.split()} <= EAGER, done.stdout
