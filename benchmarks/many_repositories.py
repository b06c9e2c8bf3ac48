"""Makes many repositories with history and times ``harden repos`` over them.

    python benchmarks/many_repositories.py FOLDER [--counts 100,500,2000] [--runs 3] [--dask] [--also DIR]

The repositories come from the applications in ``fixtures/projects`` (several stacks), each with names and contents of
its own and five commits; a third have no Dockerfile, as in an organisation.  ``--also`` mixes in clones of public ones.
A row gives the median of the runs: wall and CPU seconds, repositories and Dockerfiles a second, memory at most of the
driver and of its largest worker.  With ``--dask`` the local pool and a LocalCluster of as many workers run in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = ROOT / "fixtures" / "projects"
ENVIRONMENT = {**os.environ, "GIT_AUTHOR_NAME": "Bench", "GIT_AUTHOR_EMAIL": "bench@example.com"}
COMMITS = 5


def make(folder: Path, number: int, projects: list[Path]) -> None:
    """Make one bare repository with history by ``git fast-import``."""
    place = folder / f"team{number % 23}" / f"repository{number}.git"
    if place.exists():
        return
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", place], check=True)
    with_dockerfile = number % 3 != 0
    project = projects[number % len(projects)]
    files = {str(file.relative_to(project)): file.read_bytes() for file in project.rglob("*") if file.is_file()}
    if not with_dockerfile:
        files = {name: data for name, data in files.items() if "dockerfile" not in name.lower()}
    files["NOTES.md"] = f"# Repository {number}\n".encode()
    stream = []
    for step in range(COMMITS):
        part = dict(list(files.items())[step::COMMITS])
        part["HISTORY.md"] = b"line\n" * (step + 1)
        message = f"step {step} of {number}\n".encode()
        stream.append(b"commit refs/heads/main\ncommitter B <b@example.com> %d +0000\n" % (1_700_000_000 + step))
        stream.append(b"data %d\n%s\n" % (len(message), message))
        for name, data in part.items():
            mode = b"100755" if name.endswith(".sh") else b"100644"
            stream.append(b'M %s inline "%s"\ndata %d\n%s\n' % (mode, os.fsencode(name), len(data), data))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=place, input=b"".join(stream), check=True)


def timed(folder: Path, work: Path, *options: str) -> dict[str, float]:
    """Run once and return the figures."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    state = work / "state.sqlite"
    command = [sys.executable, "-m", "hardener", "repos", str(folder), "--patches", str(work / "patches"), "-q"]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--state", str(state), *options], env=ENVIRONMENT)
    driver_mb, ended, status, usage = 0.0, 0, 0, None
    while not ended:
        driver_mb = max(driver_mb, memory_of(process.pid))
        time.sleep(0.05)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    wall = time.perf_counter() - start
    assert os.waitstatus_to_exitcode(status) in (0, 1), status
    done = subprocess.run(
        [sys.executable, "-m", "hardener", "repos", "report", str(state), "--format", "json"],
        stdout=subprocess.PIPE,
        check=True,
    )
    rows = json.loads(done.stdout)["repositories"]
    assert all(one["outcome"] != "pending" for one in rows)
    return {
        "repositories": len(rows),
        "dockerfiles": sum(one["dockerfiles"] for one in rows),
        "failed": sum(one["outcome"] == "failed" for one in rows),
        "changed": sum(one["outcome"] == "changed" for one in rows),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "harden": sum(one["harden_seconds"] for one in rows),
        "driver_mb": driver_mb,
        "worker_mb": max(one["peak_megabytes"] for one in rows),
    }


def memory_of(process: int) -> float:
    """Return the memory that a process has taken at most so far, in MB."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM")), 0.0)


def show(name: str, runs: list[dict[str, float]]) -> dict[str, float]:
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    walls = [run["wall"] for run in runs]
    print(
        f"{name:16} {middle['repositories']:6.0f} repositories {middle['dockerfiles']:6.0f} Dockerfiles "
        f"{middle['changed']:5.0f} changed {middle['failed']:3.0f} failed  "
        f"{middle['wall']:7.1f} s wall ({min(walls):.1f}-{max(walls):.1f}) {middle['cpu']:7.1f} s CPU  "
        f"{middle['repositories'] / middle['wall']:6.1f} repositories/s {middle['dockerfiles'] / middle['wall']:6.1f} "
        f"Dockerfiles/s  {1000 * middle['cpu'] / middle['repositories']:5.1f} ms CPU/repository  "
        f"driver {middle['driver_mb']:.0f} MB, worker {middle['worker_mb']:.0f} MB",
        flush=True,
    )
    return middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--counts", default="100,500,2000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dask", action="store_true", help="compare with a LocalCluster of two workers")
    parser.add_argument("--also", type=Path, help="a folder of repositories to mix in")
    options = parser.parse_args()
    counts = [int(one) for one in options.counts.split(",")]
    projects = sorted(one / "before" for one in PROJECTS.iterdir() if (one / "before").is_dir())
    folders = {}
    for count in counts:
        folder = folders[count] = options.folder / f"repositories-{count}"
        for number in range(count):
            make(folder, number, projects)
        if options.also and not (folder / "also").exists():
            shutil.copytree(options.also, folder / "also", symlinks=True)
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}", flush=True)
    work = options.folder / "work"
    if not options.dask:
        figures: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
        for _ in range(options.runs):
            for count in counts:
                figures[count].append(timed(folders[count], work))
        for count in counts:
            show("local", figures[count])
        return
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        for count in counts:
            pairs: dict[str, list[dict[str, float]]] = {"local": [], "cluster": []}
            for turn in range(options.runs + 1):
                one, other = (
                    timed(folders[count], work, "-j", "2"),
                    timed(folders[count], work, "--scheduler", cluster.scheduler_address),
                )
                if turn:  # the first warms both up
                    pairs["local"].append(one)
                    pairs["cluster"].append(other)
            local, remote = (show(name, runs) for name, runs in pairs.items())
            print(f"overhead of the cluster: {remote['wall'] / local['wall'] - 1:.1%}", flush=True)


if __name__ == "__main__":
    main()
