"""The files of one commit, laid out in a folder for the hardener: no checkout, so nothing of it can run or lead out.

Git's checkout would apply filters, line endings and hooks, and write where a hostile tree says.  Here every name is
checked, every file is made by this program, and what no fixer reads (pictures, archives, data, packages of others)
stands there as a file that is too large to be read, at no cost.
"""

from __future__ import annotations

import errno
import os
import posixpath
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hardener.discovery import is_dockerfile_name
from hardener.project import READ_LIMIT
from hardener.repos.git import GitError, git
from hardener.repos.local import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

# A repository beyond these is not laid out; the largest public ones have a tenth of it (chromium: 460,000 files).
MOST_FILES = 1_000_000
MOST_BYTES = 512 * 1024 * 1024
BATCH_FILES, BATCH_BYTES = 2000, 32 * 1024 * 1024
DEEPEST = 200
SKIPPED_FOLDERS = frozenset(("node_modules", "vendor", ".venv", "venv", "__pycache__", "site-packages"))
# What is never text that decides how an image runs.
DATA_ENDINGS = frozenset((
    ".7z", ".a", ".ai", ".avi", ".avif", ".bin", ".bmp", ".bz2", ".class", ".csv", ".dat", ".dll", ".dylib", ".eot",
    ".eps", ".exe", ".flac", ".gif", ".gz", ".h5", ".heic", ".icns", ".ico", ".ipynb", ".jar", ".jpeg", ".jpg",
    ".ko", ".lib", ".map", ".mkv", ".mov", ".mp3", ".mp4", ".npy", ".npz", ".o", ".obj", ".ogg", ".onnx", ".otf",
    ".parquet", ".pb", ".pdf", ".pkl", ".png", ".pptx", ".psd", ".pt", ".pyc", ".rar", ".snap", ".so", ".sqlite",
    ".svg", ".tar", ".tgz", ".tif", ".tiff", ".tsv", ".ttf", ".wasm", ".wav", ".webm", ".webp", ".whl", ".woff",
    ".woff2", ".xls", ".xlsx", ".xz", ".zip", ".zst",
))  # fmt: skip
# What the file system answers where a name is taken or is none for it; a full disk is another matter.
NO_PLACE = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
SYMLINK, FILE, EXECUTABLE = "120000", "100644", "100755"


class Entry(NamedTuple):
    """One file of a tree: Git's mode, object id, size in bytes (-1 where it is not here) and path (/-separated)."""

    mode: str
    oid: str
    size: int
    path: str


@dataclass
class Snapshot:
    """What was laid out: the tree's files by path, and one line for each thing that was left out."""

    entries: dict[str, Entry] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def tree(git_dir: Path, commit: str, *, sizes: bool) -> Iterator[Entry]:
    """Yield the files of a commit's tree.

    ``sizes`` asks for them too; not in a clone without blobs, where git would fetch every one.
    """
    words = ("-l",) if sizes else ()
    for record in git("ls-tree", "-r", "-z", *words, "--full-tree", commit, git_dir=git_dir).split(b"\0"):
        if record:
            head, _, path = record.partition(b"\t")
            mode, kind, oid, *size = head.decode("ascii").split()
            if kind == "blob":
                yield Entry(mode, oid, int(size[0]) if size and size[0].isdecimal() else -1, os.fsdecode(path))


def has_dockerfile(entries: Iterable[Entry]) -> bool:
    """Whether one of the files is taken for a Dockerfile."""
    return any(is_dockerfile_name(posixpath.basename(one.path)) for one in entries)


def is_wanted(entry: Entry) -> bool:
    """Whether a fixer may read the file: it is no data by its name, of a readable size, and nobody else's package."""
    if entry.size > READ_LIMIT or entry.mode not in (FILE, EXECUTABLE, SYMLINK):
        return False
    *folders, name = entry.path.split("/")
    if is_dockerfile_name(name):
        return True
    return posixpath.splitext(name)[1].lower() not in DATA_ENDINGS and not SKIPPED_FOLDERS.intersection(folders)


def is_safe_path(path: str) -> bool:
    """Whether a path of a tree names a file below the folder, outside ``.git``, that a file system can hold."""
    parts = path.split("/")
    return (
        0 < len(parts) <= DEEPEST
        and len(os.fsencode(path)) < 3000
        and all(part not in ("", ".", "..") and len(os.fsencode(part)) <= 250 for part in parts)
        and not any(part.lower().rstrip(" .") == ".git" or part.lower() == "git~1" for part in parts)
    )


def lay_out(git_dir: Path, entries: Sequence[Entry], folder: Path, origin: str) -> Snapshot:
    """Write the files of a tree into the empty ``folder`` and say what was left out.

    Content comes from the objects of ``git_dir``.  ``origin`` is the URL that the fixers may read the owner's name
    from.  Raises ``GitError`` and ``OSError``.
    """
    found = Snapshot()
    if len(entries) > MOST_FILES:
        raise GitError(f"it has {len(entries):,} files, more than {MOST_FILES:,}")
    (folder / ".git").mkdir()  # the root of a repository, for the fixers; no git is ever run in it
    (folder / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {origin}\n', "utf-8", "surrogateescape")
    placeholder = folder / ".git" / "unread"
    placeholder.touch()
    os.truncate(placeholder, READ_LIMIT + 1)
    safe = [one for one in entries if is_safe_path(one.path)]
    if len(safe) < len(entries):
        odd = next(one.path for one in entries if not is_safe_path(one.path))
        found.notes.append(f"{len(entries) - len(safe)} files have unsafe or too long paths: {shown(odd)[:80]}")
    wanted: dict[str, list[Entry]] = {}
    for one in safe:
        if is_wanted(one):
            wanted.setdefault(one.oid, []).append(one)
    links: list[tuple[Entry, bytes]] = []
    absent: list[Entry] = []
    for oid, data in blobs(git_dir, {oid: group[0].size for oid, group in wanted.items()}):
        for one in wanted.pop(oid):
            if data is None:
                absent.append(one)
                continue
            if one.mode == SYMLINK:
                links.append((one, data))
            else:
                place(folder, one, data, found)
    if absent:
        more = f" and {len(absent) - 1} more are" if len(absent) > 1 else " is"
        found.notes.append(f"{shown(absent[0].path)[:80]}{more} not in this copy of the repository, and not read")
    unread = [one for one in safe if one.mode in (FILE, EXECUTABLE) and one.path not in found.entries]
    for one in unread:
        place(folder, one, placeholder, found)
    # Links last: until here no name on the way to a file can be one.
    for one, target in links:
        link(folder, one.path, os.fsdecode(target), found)
    for one, _ in links:  # a chain of links may lead out although none of them does
        if os.path.islink(folder / one.path) and not is_below(folder / one.path, folder):
            os.unlink(folder / one.path)
    return found


def place(folder: Path, entry: Entry, content: bytes | Path, found: Snapshot) -> None:
    """Make one file: with its bytes, or as a hard link to a file that is too large to be read."""
    file = folder / entry.path
    try:
        os.makedirs(file.parent, exist_ok=True)
        if isinstance(content, bytes):
            with open(file, "xb") as stream:
                stream.write(content)
        else:
            stand_in(content, file)
        if entry.mode == EXECUTABLE and isinstance(content, bytes):
            os.chmod(file, 0o755)  # noqa: S103  as Git checks it out
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        found.notes.append(f"{shown(entry.path)[:80]} is in the way of another file of that name, or no name for one")
    else:
        found.entries[entry.path] = entry


def stand_in(placeholder: Path, file: Path) -> None:
    """Put a file that is there and too large to be read at ``file``."""
    try:
        os.link(placeholder, file)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        with open(file, "xb"):  # too many links of one file
            os.truncate(file, READ_LIMIT + 1)


def link(folder: Path, path: str, target: str, found: Snapshot) -> None:
    """Make a symbolic link if it stays in the folder; one that leads out is noted where it is a Dockerfile."""
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    outside = target.startswith("/") or resolved == ".." or resolved.startswith("../") or "\0" in target
    if outside or resolved.split("/")[0].lower() == ".git" or not is_below((folder / path).parent, folder):
        if is_dockerfile_name(posixpath.basename(path)):
            found.notes.append(f"{shown(path)} is a symbolic link to {shown(target)[:80]}, outside the repository")
        return
    with suppress(OSError):  # something of that name is there
        os.makedirs((folder / path).parent, exist_ok=True)
        os.symlink(target, folder / path)


def is_below(file: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, links followed."""
    return os.path.realpath(file).startswith(os.path.realpath(folder))


def blobs(git_dir: Path, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes | None]]:
    """Yield object id and content of blobs, as far as a fixer reads so much; ``None`` for one that is not there.

    ``sizes`` has the bytes of each, -1 where that is not known.  They are read in pieces, to bound the memory.
    """
    budget = MOST_BYTES
    for batch in batches(sizes):
        asked = "".join(f"{oid}\n" for oid in batch).encode("ascii")
        output = git("cat-file", "--batch", "--buffer", git_dir=git_dir, stdin=asked)
        position = 0
        while position < len(output):
            end = output.index(b"\n", position)
            words = output[position:end].split()
            position = end + 1
            if words[-1] == b"missing":
                yield words[0].decode("ascii"), None
            elif len(words) == 3:
                size = int(words[2])
                if size <= min(READ_LIMIT, budget):
                    budget -= size
                    yield words[0].decode("ascii"), output[position : position + size]
                position += size + 1


def batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the object ids in groups of at most `BATCH_FILES` and about `BATCH_BYTES`."""
    group: list[str] = []
    total = 0
    for oid, size in sizes.items():
        if group and (len(group) >= BATCH_FILES or total + size > BATCH_BYTES):
            yield group
            group, total = [], 0
        group.append(oid)
        total += max(size, 0)
    if group:
        yield group
