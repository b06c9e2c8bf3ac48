"""Looks for an input that breaks a target, led by the code that each input reaches (atheris, libFuzzer).

    pip install -e '.[fuzz]'
    python -m tests.fuzz.run reader --inputs 200000 [--seed 1] [--keep DIR]

Starts from ``corpus/TARGET`` and the fixtures.  New inputs that reach new code are kept in ``--keep``; an input that
breaks the target is printed and written to ``crash-*`` in the current folder: make it small, mend the fault, and put
the input into ``corpus/TARGET``, where ``tests/test_fuzz.py`` runs it for ever.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FIXTURES = HERE.parent.parent / "fixtures"
LARGEST = 4096  # bytes
SEEDS = {
    "reader": ("*Dockerfile*",),
    "hardening": ("*Dockerfile*",),
    "shell": ("*.sh",),
    "compose": ("*compose*.y*ml",),
    "kubernetes": ("k8s/*.y*ml", "deploy/*.y*ml", "deployment*.y*ml"),
    "configuration": ("hardener.toml", "pyproject.toml"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=SEEDS)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()

    import atheris

    with atheris.instrument_imports(include=["hardener"]):
        from tests.fuzz.targets import TARGETS

    kept = options.keep or Path(tempfile.mkdtemp(prefix="hardener-corpus-"))
    kept.mkdir(parents=True, exist_ok=True)
    seeds = Path(tempfile.mkdtemp(prefix="hardener-seeds-"))
    files = {file for pattern in SEEDS[options.target] for file in FIXTURES.rglob(pattern) if file.is_file()}
    for number, file in enumerate(sorted(files)):
        if file.stat().st_size <= LARGEST:
            shutil.copyfile(file, seeds / str(number))
    corpus = HERE / "corpus" / options.target
    arguments = [
        f"-runs={options.inputs}",
        f"-seed={options.seed}",
        f"-max_len={LARGEST}",
        f"-dict={HERE / 'words.dict'}",
        "-timeout=60",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        *map(str, (kept, corpus, seeds)),
    ]
    atheris.Setup([sys.argv[0], *arguments], TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
