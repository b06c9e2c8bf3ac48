"""What a fixer did to a folder of Dockerfiles, with BuildKit's own parser (PyPI ``dockerfile``) as the judge.

Static only: whether an image still builds and runs is for the engine to say.  ``table`` takes the files before, after
one run and after two more, and counts for each row of the table how many files it is true of.
"""

from __future__ import annotations

import collections
import multiprocessing
import re
from typing import Any, NamedTuple

KNOWN = frozenset(
    "FROM RUN CMD LABEL MAINTAINER EXPOSE ENV ADD COPY ENTRYPOINT VOLUME USER WORKDIR ARG ONBUILD STOPSIGNAL HEALTHCHECK "
    "SHELL".split()
)
# Accounts that base images ship; one of another name or base has to be created.
SHIPPED = {
    "nobody": "^(?!scratch)",
    "daemon": "^(?!scratch)",
    "www-data": "php|debian|ubuntu|nginx|httpd|python|node|wordpress",
    "nonroot": "distroless|chainguard|cgr.dev|wolfi",
    "app": "dotnet",
    **{name: name for name in ("node", "nginx", "postgres", "redis", "bun", "deno", "gradle", "jenkins")},
}
WINDOWS = re.compile(r"windows|nanoserver|servercore", re.IGNORECASE)
# Steps that only root can do, found in the text of a RUN.
ROOT_STEP = re.compile(
    r"(?:^|[;&|\s])(?:apt-get|apt|apk|yum|dnf|microdnf|zypper|pacman)\s+(?:-\S+\s+)*(?:update|install|add|upgrade|-S)"
    r"|(?:^|[;&|\s])(?:useradd|adduser|groupadd|addgroup|update-ca-certificates)\b"
)
PRIVILEGED = re.compile(r"\b(?:\d{1,3}|10[01]\d|102[0-3])\b(?!\d)")
HEREDOC = re.compile(r"(?ms)<<-?[\"']?(\w+)[\"']?[^\n]*\n(.*?)^\s*\1\s*$")

# The rows, in the order of the table.  DAMAGE must be 0; the others tell what was done.
DAMAGE = (
    "output that BuildKit refuses",
    "USER that nobody created",
    "USER on scratch or Windows that cannot be",
    "USER in a stage that nobody starts",
    "USER written twice in a row",
    "root's step after the new USER",
    "FROM line changed",
    "heredoc's body changed",
    "comment lost",
    "blank line lost",
    "CRLF flattened",
    "final newline lost",
    "byte order mark lost",
    "every EXPOSE deleted",
    "CMD, ENTRYPOINT or HEALTHCHECK lost",
    "second run changes it again",
    "third run changes it again",
    "file that BuildKit refuses was changed",
)
FACTS = (
    "non-root after",
    "switched from root to another user",
    "explicit USER root switched",
    "switched: user or group created",
    "switched: privileged EXPOSE kept",
    "switched: USER is numeric",
    "privileged EXPOSE moved",
    "--chown added",
)


class Instruction(NamedTuple):
    """One instruction as BuildKit reads it."""

    keyword: str
    flags: tuple[str, ...]
    value: tuple[str, ...]
    text: str


Parsed = list[Instruction] | None


def parse(data: bytes) -> Parsed:
    """Return the instructions, ``None`` where BuildKit would refuse the file."""
    import dockerfile  # noqa: PLC0415  it is loaded in the child process only, which it may kill

    try:
        commands = dockerfile.parse_string(data.decode("utf-8"))
    except (dockerfile.GoParseError, UnicodeDecodeError, ValueError):
        return None
    found = [Instruction(one.cmd.upper(), tuple(one.flags), tuple(one.value), one.original or "") for one in commands]
    first = next((one.keyword for one in found if one.keyword != "ARG"), "")
    return found if first == "FROM" and all(one.keyword in KNOWN and arity(one) for one in found) else None


def arity(one: Instruction) -> bool:
    """Whether an instruction has as many arguments as BuildKit's second step wants."""
    if one.keyword == "FROM":
        return len(one.value) in (1, 3)
    if one.keyword in ("USER", "WORKDIR", "STOPSIGNAL"):
        return len(one.value) == 1
    if one.keyword == "HEALTHCHECK":
        return bool(one.value) and one.value[0].upper() in ("NONE", "CMD")
    return True


def parse_all(contents: list[bytes]) -> list[Parsed]:
    """Parse each content in another process: on odd input the parser may end its process."""
    results: list[Parsed] = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1000) as pool:
        for data in contents:
            try:
                results.append(pool.apply_async(parse, (data,)).get(timeout=20))
            except Exception:  # noqa: BLE001  whatever ended it: it was not accepted
                results.append(None)
    return results


class Image:
    """The stages of one Dockerfile."""

    def __init__(self, instructions: list[Instruction]) -> None:
        self.stages: list[list[Instruction]] = []
        for one in instructions:
            if one.keyword == "FROM":
                self.stages.append([])
            if self.stages:
                self.stages[-1].append(one)
        self.names = {
            stage[0].value[2].lower(): index for index, stage in enumerate(self.stages) if len(stage[0].value) > 2
        }

    def chain(self, index: int) -> list[int]:
        """Return a stage and the stages that it is built FROM, the lowest first."""
        found = [index]
        while (name := self.stages[found[0]][0].value[0].lower()) in self.names and self.names[name] < found[0]:
            found.insert(0, self.names[name])
        return found

    def base(self, index: int) -> str:
        """Return the image that a stage is built FROM in the end."""
        return self.stages[self.chain(index)[0]][0].value[0]

    def user(self, index: int) -> str | None:
        """Return the USER that a stage ends with."""
        users = [one.value[0] for at in self.chain(index) for one in self.stages[at] if one.keyword == "USER"]
        return users[-1] if users else None

    def exposed(self, index: int) -> list[str]:
        return [word for one in self.stages[index] if one.keyword == "EXPOSE" for word in one.value]

    def exists(self, index: int, user: str) -> bool:
        """Whether a user is a number, shipped with the base, or made in the chain."""
        name = user.partition(":")[0]
        if name.isdigit() or "$" in name or (name in SHIPPED and re.search(SHIPPED[name], self.base(index))):
            return True
        steps = (
            one.text for at in self.chain(index) for one in self.stages[at] if one.keyword in ("RUN", "COPY", "ADD")
        )
        text = " ".join(steps)
        return re.search(r"useradd|adduser|/etc/passwd", text) is not None and name in text


def is_root(user: str | None) -> bool:
    """Whether a USER is root; none is, as far as the Dockerfile tells."""
    name = (user or "").partition(":")[0]
    return name in ("", "root") or (name.isdigit() and int(name) == 0)


class Versions(NamedTuple):
    """One file before, after one run, after two, after three; and how BuildKit reads the first two."""

    before: bytes
    after: bytes
    second: bytes
    third: bytes
    parsed_before: Parsed
    parsed_after: Parsed


def judge(one: Versions) -> set[str]:
    """Return the rows that are true of one file."""
    before, after = one.before, one.after
    if one.parsed_before is None:
        return {"file that BuildKit refuses was changed"} if before != after else set()
    found = set()
    if one.second != after:
        found.add("second run changes it again")
    if one.third != one.second:
        found.add("third run changes it again")
    if one.parsed_after is None:
        return found | {"output that BuildKit refuses"}
    return found | bytes_lost(before, after) | steps_broken(Image(one.parsed_before), Image(one.parsed_after))


def bytes_lost(before: bytes, after: bytes) -> set[str]:
    """Return what a rewrite lost of the file as people wrote it."""
    found = set()
    if not is_subsequence(comments(before), comments(after)):
        found.add("comment lost")
    if before.replace(b"\r", b"").count(b"\n\n") > after.replace(b"\r", b"").count(b"\n\n"):
        found.add("blank line lost")
    if (
        b"\r\n" in before
        and before.count(b"\r\n") == before.count(b"\n")
        and after.count(b"\r\n") != after.count(b"\n")
    ):
        found.add("CRLF flattened")
    if before.endswith(b"\n") and not after.endswith(b"\n"):
        found.add("final newline lost")
    if before.startswith(b"\xef\xbb\xbf") and not after.startswith(b"\xef\xbb\xbf"):
        found.add("byte order mark lost")
    return found


def steps_broken(before: Image, after: Image) -> set[str]:
    """Return the rows that are true of what the instructions say."""
    found = set()
    if [stage[0].value for stage in before.stages] != [stage[0].value for stage in after.stages]:
        found.add("FROM line changed")
    if len(before.stages) != len(after.stages):
        return found
    texts = [[one.text for stage in image.stages for one in stage] for image in (before, after)]
    if not is_subsequence(heredocs(texts[0]), heredocs(texts[1])):
        found.add("heredoc's body changed")
    last = len(after.stages) - 1
    for keyword in ("CMD", "ENTRYPOINT", "HEALTHCHECK"):
        counts = [sum(one.keyword == keyword for one in image.stages[last]) for image in (before, after)]
        if counts[1] < counts[0]:
            found.add("CMD, ENTRYPOINT or HEALTHCHECK lost")
    if before.exposed(last) and not after.exposed(last):
        found.add("every EXPOSE deleted")
    started = set(after.chain(last))
    for index in range(last + 1):
        old, new = before.user(index), after.user(index)
        if new == old or is_root(new):
            continue
        assert new is not None
        base = after.base(index)
        if (base == "scratch" and not new.partition(":")[0].isdigit()) or WINDOWS.search(base):
            found.add("USER on scratch or Windows that cannot be")
        elif not after.exists(index, new):
            found.add("USER that nobody created")
        own = [one.value for one in after.stages[index] if one.keyword == "USER"]
        if index not in started and own != [one.value for one in before.stages[index] if one.keyword == "USER"]:
            found.add("USER in a stage that nobody starts")
        if root_step_as_user(before, after, index):
            found.add("root's step after the new USER")
    users = [[one.value for one in image.stages[last] if one.keyword == "USER"] for image in (before, after)]
    if users[0] != users[1] and any(a == b for a, b in zip(users[1], users[1][1:], strict=False)):
        found.add("USER written twice in a row")
    return found | what_was_done(before, after, last)


def root_step_as_user(before: Image, after: Image, index: int) -> bool:
    """Whether a step that installs packages or makes accounts was root's and is not any more."""

    def users(image: Image) -> dict[str, str | None]:
        user, found = None, {}
        for at in image.chain(index):
            for one in image.stages[at]:
                user = one.value[0] if one.keyword == "USER" else user
                if one.keyword == "RUN":
                    found[one.text] = user
        return found

    old = users(before)
    return any(
        not is_root(user) and is_root(old.get(text)) and ROOT_STEP.search(text) and "sudo" not in text
        for text, user in users(after).items()
    )


def what_was_done(before: Image, after: Image, last: int) -> set[str]:
    """Return the rows that are no damage."""
    found = set()
    old, new = before.user(last), after.user(last)
    if not is_root(new):
        found.add("non-root after")
    flags = [sum(f.startswith("--chown") for one in image.stages[last] for f in one.flags) for image in (before, after)]
    if flags[1] > flags[0]:
        found.add("--chown added")
    ports = [[port for port in image.exposed(last) if PRIVILEGED.match(port)] for image in (before, after)]
    if ports[0] and not ports[1] and after.exposed(last):
        found.add("privileged EXPOSE moved")
    if is_root(old) and not is_root(new):
        found.add("switched from root to another user")
        if old is not None:
            found.add("explicit USER root switched")
        if ports[1]:
            found.add("switched: privileged EXPOSE kept")
        if all(part.isdigit() for part in (new or "").split(":")):
            found.add("switched: USER is numeric")
        made = [
            sum(bool(re.search(r"useradd|adduser|/etc/passwd", one.text)) for stage in image.stages for one in stage)
            for image in (before, after)
        ]
        if made[1] > made[0]:
            found.add("switched: user or group created")
    return found


def comments(data: bytes) -> list[bytes]:
    return [line.strip() for line in data.split(b"\n") if line.lstrip().startswith(b"#")]


def heredocs(texts: list[str]) -> list[Any]:
    return HEREDOC.findall("\n".join(text for text in texts if "<<" in text))


def is_subsequence(few: list[Any], many: list[Any]) -> bool:
    """Whether all of ``few`` are in ``many``, in their order."""
    rest = iter(many)
    return all(one in rest for one in few)


def table(before: list[bytes], runs: list[list[bytes]]) -> tuple[int, collections.Counter[str]]:
    """Return how many files BuildKit accepts, and how many files each row is true of.

    ``runs`` has the contents after one, two and three runs, each in the order of ``before``.
    """
    parsed, after = parse_all(before), parse_all(runs[0])
    counts: collections.Counter[str] = collections.Counter()
    for versions in zip(before, *runs, parsed, after, strict=True):
        counts.update(judge(Versions(*versions)))
    return sum(one is not None for one in parsed), counts
