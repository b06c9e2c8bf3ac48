"""Mutate real Dockerfiles and compare how `hardener` and BuildKit's own parser read them.

    python benchmarks/fuzz_reader.py FOLDER --inputs 100000 --seed 1

Every file of the folder is a seed.  Prints how many inputs both read alike, and for the others how many by reason;
exits 1 where there is a difference without a known reason.  Needs the package ``dockerfile``.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import buildkit_oracle  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LARGEST_SEED = 6_000  # bytes; larger files take time and hold nothing that smaller ones do not
BATCH = 5_000
SNIPPETS = (
    b"\\",
    b"\\\\",
    b"`",
    b"\\ ",
    b"\\\t",
    b"\\\n",
    b"\\\r\n",
    b"`\n",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\n \n",
    b" ",
    b"\t",
    b"\v",
    b"\f",
    b"\x1c",
    b"\x1f",
    "\x85".encode(),
    "\xa0".encode(),
    "\u2028".encode(),
    "\u3000".encode(),
    "é".encode(),
    "\U0010ff41".encode(),
    b"\xef\xbb\xbf",
    b"#",
    b"# ",
    b"\n#",
    b" #",
    b"\n# c\\\n",
    b'"',
    b"'",
    b"$",
    b"${",
    b"}",
    b"${a:-b}",
    b"${a%b}",
    b"<",
    b"<<",
    b"<<<",
    b"<<EOF",
    b"<<-EOF",
    b'<<"EOF"',
    b"<<'E O F'",
    b"<< EOF",
    b"<<- EOF",
    b"0<<EOF",
    b"<<E\\OF",
    b"<<$EOF",
    b"\nEOF\n",
    b"\n\tEOF\n",
    b"EOF",
    b"-",
    b"--",
    b" --",
    b"--a=b ",
    b"--a='b c' ",
    b"--link ",
    b'--a="b',
    b"[",
    b"]",
    b'["a", "b"]',
    b'["a\\u0041\\n"]',
    b"[1]",
    b",",
    b"=",
    b"RUN ",
    b"run ",
    b"COPY ",
    b"ADD ",
    b"ONBUILD ",
    b"onbuild run <<EOF\n",
    b"HEALTHCHECK CMD ",
    b"HEALTHCHECK NONE",
    b"SHELL ",
    b"FROM a\n",
    b"FROM a AS b\n",
    b"ENV a=b c='d e' ",
    b"ENV a b c\n",
    b"LABEL a=b\\ c\n",
    b"ARG a=b",
    b"USER ",
    b"WORKDIR ",
)
DIRECTIVES = (
    b"# escape=`\n", b"# escape=\\\n", b"#escape = `\r\n", b"# syntax=docker/dockerfile:1\n", b"# check=skip=all\n",
    b"# ESCAPE=`\n", b"#\tescape\t=\t`\t\n", b"# other=1\n", b"\n", b"# comment\n", b"\xef\xbb\xbf", b" # escape=`\n",
)  # fmt: skip


def insert(data: bytes, rng: random.Random) -> bytes:
    """Put a snippet anywhere."""
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(SNIPPETS) + data[at:]


def insert_at_line_end(data: bytes, rng: random.Random) -> bytes:
    """Put a snippet at the end of a line."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] += rng.choice(SNIPPETS)
    return b"\n".join(lines)


def insert_at_word(data: bytes, rng: random.Random) -> bytes:
    """Put a snippet where a word begins or ends."""
    places = [at for at in range(1, len(data)) if (data[at] in b" \n") != (data[at - 1] in b" \n")]
    at = rng.choice(places or [0])
    return data[:at] + rng.choice(SNIPPETS) + data[at:]


def insert_line(data: bytes, rng: random.Random) -> bytes:
    """Put a snippet on a line of its own."""
    lines = data.split(b"\n")
    lines.insert(rng.randint(0, len(lines)), rng.choice(SNIPPETS))
    return b"\n".join(lines)


def wrap_in_heredoc(data: bytes, rng: random.Random) -> bytes:
    """Open a heredoc at the end of a line and close it some lines later."""
    lines = data.split(b"\n")
    first = rng.randrange(len(lines))
    last = min(len(lines), first + rng.randint(1, 6))
    opener, terminator = rng.choice(
        (
            (b" <<EOF", b"EOF"),
            (b" <<-EOF", b"\t\tEOF"),
            (b' <<"A B" cat', b"A B"),
            (b" 3<<'X' <<Y", b"X\nY"),
            (b" << EOF", b"EOF"),
        )
    )
    lines.insert(last, terminator + rng.choice((b"", b"\r", b" ")))
    lines[first] += opener
    return b"\n".join(lines)


def change_lines(data: bytes, rng: random.Random) -> bytes:
    """Delete, double, swap or indent a line."""
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(4)
    if way == 0:
        del lines[one]
    elif way == 1:
        lines.insert(other, lines[one])
    elif way == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one] = rng.choice((b" ", b"\t", b"\xc2\xa0", b"\r")) + lines[one]
    return b"\n".join(lines)


def delete(data: bytes, rng: random.Random) -> bytes:
    """Take out some bytes."""
    at = rng.randint(0, len(data))
    return data[:at] + data[at + rng.choice((1, 1, 1, 2, 5, 40)) :]


def cut(data: bytes, rng: random.Random) -> bytes:
    """End the file anywhere."""
    return data[: rng.randint(0, len(data))]


def change_ends(data: bytes, rng: random.Random) -> bytes:
    """Change line endings: all, some, or the last one."""
    way = rng.randrange(3)
    if way == 0:
        return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if way == 1:
        return b"".join(line + rng.choice((b"\n", b"\r\n", b"\r\r\n")) for line in data.split(b"\n"))
    return data.rstrip(b"\n") + rng.choice((b"", b"\\", b" \\", b"\\\n", b"\\\n\n", b"\\\n# c", b"\\\n \\\n", b"\r"))


def add_directives(data: bytes, rng: random.Random) -> bytes:
    """Begin with parser directives and their look-alikes."""
    return b"".join(rng.choices(DIRECTIVES, k=rng.randint(1, 3))) + data


def continue_lines(data: bytes, rng: random.Random) -> bytes:
    """Make lines go on, with a backslash or a backtick."""
    end = rng.choice((b"\\\n", b" \\\n", b"\\ \t\n", b"`\n", b"\\\r\n", b" \\\n\n", b"\\\n  # c\n"))
    parts = data.split(b"\n")
    return b"".join(part + (end if rng.random() < 0.2 else b"\n") for part in parts)


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    insert, insert, insert_at_line_end, insert_at_line_end, insert_at_word, insert_at_word, insert_line, wrap_in_heredoc,
    wrap_in_heredoc, change_lines, change_lines, delete, cut, change_ends, add_directives, continue_lines,
)  # fmt: skip


def mutants(seeds: Sequence[bytes], rng: random.Random) -> Iterator[bytes]:
    """Yield inputs without end."""
    while True:
        data = rng.choice(seeds)
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
            data = rng.choice(MUTATIONS)(data, rng)
        yield data


def main() -> int:
    """Fuzz, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs that both read alike")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="folder for the inputs without a reason")
    options = parser.parse_args()
    seeds = [
        data
        for path in sorted(options.folder.rglob("*"))
        if path.is_file() and 0 < len(data := path.read_bytes()) <= LARGEST_SEED
    ]
    source = mutants(seeds, random.Random(options.seed))
    counts: Counter[str] = Counter()
    unexplained = 0
    while counts[buildkit_oracle.ALIKE] < options.inputs:
        batch = [next(source) for _ in range(BATCH)]
        for data, result in zip(batch, buildkit_oracle.compare(batch), strict=True):
            counts[result.outcome] += 1
            if result.outcome == buildkit_oracle.UNEXPLAINED:
                unexplained += 1
                print(f"{data!r}\n  {result.details}")
                if options.save:
                    options.save.mkdir(exist_ok=True)
                    (options.save / f"{unexplained:04}").write_bytes(data)
    for outcome, count in counts.most_common():
        print(f"{count:8,}  {outcome}")
    print(f"{sum(counts.values()):8,}  in all, from {len(seeds)} seeds")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
