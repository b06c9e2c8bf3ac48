"""The account a stage gets: one it has already, or a new one with fixed ids."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hardener import privileges, servers
from hardener.pragmas import is_ignored
from hardener.stages import is_root
from hardener.variables import expand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardener.servers import Server
    from hardener.settings import Settings
    from hardener.shell import Command
    from hardener.stages import StageFacts

# How each family of distributions makes a group and a user with fixed ids.  Sources: BusyBox `adduser --help`
# (Alpine, Wolfi), shadow's groupadd(8) and useradd(8) (Debian, RHEL, SUSE, Arch), passwd(5) and group(5) where an
# image has a shell but no tool for it (UBI minimal, Amazon Linux).
BUSYBOX = ("addgroup -g {gid} {group}", "adduser -D -u {uid} -G {group} {user}")
SHADOW = ("groupadd --gid {gid} {group}", "useradd --uid {uid} --gid {group} --create-home {user}")
FILES = (
    "echo '{group}:x:{gid}:' >> /etc/group",
    "echo '{user}:x:{uid}:{gid}::/home/{user}:/bin/sh' >> /etc/passwd",
    "mkdir -p /home/{user}",
    "chown {uid}:{gid} /home/{user}",
)
DIALECTS = {
    "alpine": BUSYBOX, "wolfi": BUSYBOX, "debian": SHADOW, "rhel": SHADOW, "suse": SHADOW, "arch": SHADOW,
    "shell": FILES,
}  # fmt: skip
# What a distribution brings: Debian's base-passwd (https://sources.debian.org/src/base-passwd/3.6.4/passwd.master/ and
# group.master); the others have much the same, and a name or an id too many here does no harm.
SYSTEM_USERS: dict[str, int | None] = {
    "root": 0, "daemon": 1, "bin": 2, "sys": 3, "sync": 4, "games": 5, "man": 6, "lp": 7, "mail": 8, "news": 9,
    "uucp": 10, "proxy": 13, "www-data": 33, "backup": 34, "list": 38, "irc": 39, "nobody": 65534,
}  # fmt: skip
SYSTEM_GROUPS: dict[str, int | None] = {
    "root": 0, "daemon": 1, "bin": 2, "sys": 3, "adm": 4, "tty": 5, "disk": 6, "lp": 7, "mail": 8, "news": 9,
    "uucp": 10, "man": 12, "proxy": 13, "kmem": 15, "dialout": 20, "fax": 21, "voice": 22, "cdrom": 24,
    "floppy": 25, "tape": 26,
    "sudo": 27, "audio": 29, "dip": 30, "www-data": 33, "backup": 34, "operator": 37, "list": 38, "irc": 39, "src": 40,
    "shadow": 42, "utmp": 43, "video": 44, "sasl": 45, "plugdev": 46, "staff": 50, "games": 60, "users": 100,
    "nogroup": 65534,
}  # fmt: skip
# Images without a shell: nothing can be created there, numbers are all there is.
WITHOUT_SHELL = frozenset(("scratch", "distroless"))
# Distroless images bring this account, with a home (GoogleContainerTools/distroless, common/variables.bzl).
DISTROLESS_ID = 65532


# The family of distributions that a package manager belongs to, for base images that are not known by name.
FAMILY_OF_MANAGER = {"apt": "debian", "apk": "alpine", "dnf": "shell", "zypper": "suse", "pacman": "arch"}


class Account(NamedTuple):
    """A user and its group; ids are ``None`` where only the names are known, names where only the ids are."""

    user: str | None
    group: str | None
    uid: int | None
    gid: int | None
    exists: bool
    """Whether the image has it without our doing."""

    def written(self, style: str) -> str:
        """Return the text for ``USER`` and ``--chown=``: ids by default, names with ``style`` ``"name"``."""
        if self.user and (style == "name" or self.uid is None):
            return f"{self.user}:{self.group}" if self.group else self.user
        return f"{self.uid}:{self.gid}"


@lru_cache(maxsize=256)
def family_of(facts: StageFacts) -> str:
    """Return the family of the base image, by name or by the package manager its RUN steps use, else ``""``."""
    if facts.image is not None and facts.image.family != "unknown":
        return facts.image.family
    managers = {privileges.package_manager(command) or "" for _, command in facts.run_commands}
    families = {FAMILY_OF_MANAGER[one] for one in managers if one in FAMILY_OF_MANAGER}
    return families.pop() if len(families) == 1 else ""  # `apk add x || apt-get install x` tells nothing


class Made(NamedTuple):
    """One account or group that the Dockerfile's own commands make."""

    name: str
    number: int | None
    group: str | None
    is_group: bool


def made_accounts(facts: StageFacts) -> tuple[Made, ...]:
    """Return the users and groups that the RUN steps of a stage's chain create, in order."""
    return tuple(one for _, command in facts.run_commands for one in made_by(command))


def made_by(command: Command) -> Iterator[Made]:
    """Yield what one command creates, for ``useradd``, ``adduser``, ``groupadd`` and ``addgroup``."""
    tool = command.name.rpartition("/")[2]
    if tool == "echo":
        yield from entries_added(command)
    if tool not in ("useradd", "adduser", "groupadd", "addgroup"):
        return
    is_group = tool in ("groupadd", "addgroup")
    number_flags = ("-g", "--gid") if is_group else ("-u", "--uid")
    group_flags = () if is_group else ("-G", "--ingroup", "-g", "--gid")
    # Options that take a word, of shadow, Debian's adduser and BusyBox together.
    with_value = {
        "-u", "--uid", "-g", "--gid", "-G", "--ingroup", "--groups", "-h", "--home", "-d", "--home-dir", "-s",
        "--shell", "-c", "--comment", "--gecos", "-k", "--skel", "-p", "--password", "-b", "--base-dir", "-K",
        "--key", "-e", "--expiredate", "-f", "--inactive",
    }  # fmt: skip
    words = [argument.text for argument in command.arguments]
    number: int | None = None
    group: str | None = None
    names: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word is None or not word.startswith("-"):
            names.append(word or "")
            continue
        flag, equals, value = word.partition("=")
        following: str | None = value
        if not equals and flag in with_value:
            # BusyBox `-h DIR` and Debian's adduser `--home DIR` take a word; a missing one is a mistake anyway.
            following = words[position] if position < len(words) else None
            position += 1
        if flag in number_flags and following and following.isdecimal():
            number = int(following)
        elif flag in group_flags and following:
            group = following if group is None or flag in ("-g", "--gid") else group
    if names and names[0]:
        yield Made(names[0], number, group, is_group)


def entries_added(command: Command) -> Iterator[Made]:
    """Yield the account or group that an ``echo ... >> /etc/passwd`` (or ``/etc/group``) adds; see passwd(5)."""
    files = {target.text for operator, target in command.redirects if operator == ">>"}
    fields = (command.arguments[0].text or "").split(":") if command.arguments else []
    if "/etc/group" in files and len(fields) == 4 and fields[2].isdecimal():
        yield Made(fields[0], int(fields[2]), None, is_group=True)
    if "/etc/passwd" in files and len(fields) == 7 and fields[2].isdecimal():
        yield Made(fields[0], int(fields[2]), fields[3], is_group=False)


def owners_named(facts: StageFacts) -> dict[str, frozenset[str]]:
    """Return the non-root owners that the chain gives files to, each with the groups that are named with it.

    They stand in ``--chown=`` and in the ``chown`` of a RUN; a name and its number are two owners here.
    """
    owners: set[str] = set()
    for step in facts.steps:
        if step.instruction.keyword in ("COPY", "ADD"):
            owners |= {flag.value for flag in step.instruction.flags if flag.name == "chown" and flag.value}
    for _, command in facts.run_commands:
        if command.name == "chown":
            plain = [word.text for word in command.arguments if not (word.text or "").startswith("-")]
            owners |= {plain[0]} if plain and plain[0] else set()
    expanded = {expand(owner, facts.variables) or "" for owner in owners}
    pairs = sorted(owner.partition(":")[::2] for owner in expanded if owner and not is_root(owner))
    return {user: frozenset(group for one, group in pairs if one == user and group) for user, _ in pairs}


def account_for(facts: StageFacts, settings: Settings, *, is_server: bool = False) -> Account | None:
    """Return the account a stage will run as; ``None`` where no account can be named for certain.

    In this order: the base image's own default user where the Dockerfile only went back to root; the own account
    of an official server image; the one account that the Dockerfile itself gives files to; the numbers where
    nothing can be created; else a new one, next to whatever ids and names are taken.  ``is_server`` tells that the
    base image's own server is what runs.
    """
    image = facts.image
    if image is not None and image.user and not is_root(image.user):
        name, _, group = image.user.partition(":")
        if name.isdecimal() and (group or name).isdecimal():
            return known_account(facts, name) or Account(None, None, int(name), int(group or name), exists=True)
        return known_account(facts, name)  # a name without ids is not enough: Kubernetes wants numbers
    server = servers.server_of(facts)
    made = made_accounts(facts)
    owners = owners_named(facts)
    if server is not None and server.user and (is_server or not server.same_workers):
        own = server_account(facts, server)
        # Where the application writes, an owner of its own would be another user than the server's workers.
        others = owners.keys() - {server.user, str(own.uid) if own is not None else ""}
        return own if server.only_reads or not others else None
    if owners:
        accounts = {own_account(facts, made, owner, groups) for owner, groups in owners.items()}
        return accounts.pop() if len(accounts) == 1 else None
    family = family_of(facts)
    if family == "distroless" and (settings.uid, settings.gid) == (5000, 5000):
        return Account(None, None, DISTROLESS_ID, DISTROLESS_ID, exists=True)
    if family in WITHOUT_SHELL:
        return Account(None, None, settings.uid, settings.gid, exists=True)
    account = free_account(facts, made, settings)
    if account.exists or creates(facts, settings):
        return account
    return account._replace(user=None, group=None)  # a name that nobody creates must not be written


def server_account(facts: StageFacts, server: Server) -> Account | None:
    """Return the own account of an official server image, whose workers run as it already."""
    numbers = (server.ids or {}).get(family_of(facts), "")
    uid, _, gid = numbers.partition(":")
    if not (uid.isdecimal() and gid.isdecimal()):
        return None
    return Account(server.user, server.user, int(uid), int(gid), exists=True)


def creates(facts: StageFacts, settings: Settings) -> bool:
    """Whether `create_user` may add to a stage: neither an option nor a comment switches it off."""
    dockerfile = facts.steps[0].dockerfile if facts.steps else None
    line = facts.stage.instructions[0].line
    return settings.runs("create_user") and not (dockerfile and is_ignored(dockerfile, line, "create_user"))


def known_account(facts: StageFacts, name: str) -> Account | None:
    """Return an account of the base image by its name or its uid."""
    for user in facts.image.users if facts.image else ():
        if name in (user.name, str(user.uid)):
            return Account(user.name, None, user.uid, user.gid, exists=True)
    return None


def own_account(
    facts: StageFacts, made: tuple[Made, ...], owner: str, groups: frozenset[str] = frozenset()
) -> Account | None:
    """Return the account that the Dockerfile prepared and never used, ``None`` if it is nowhere to be found.

    ``groups`` are those that files are given to together with ``owner``; they count for a number without a name.
    """
    if owner.isdecimal() and not any(one.name == owner and not one.is_group for one in made):
        by_number = [one for one in made if not one.is_group and one.number == int(owner)]
        if by_number:
            return own_account(facts, made, by_number[0].name)
        gids = {int(group) for group in groups if group.isdecimal()} - {0}  # the group of root is no one's own
        own_gid = gids.pop() if len(gids) == 1 else int(owner)
        return known_account(facts, owner) or Account(None, None, int(owner), own_gid, exists=True)
    for one in made:
        if one.name == owner and not one.is_group:
            gid = one.number
            if one.group is not None:
                gid = group_number(made, one.group)
            if one.number is not None and gid is not None:
                return Account(owner, one.group or owner, one.number, gid, exists=True)
            return Account(owner, None, None, None, exists=True)
    return known_account(facts, owner)


def group_number(made: tuple[Made, ...], name: str) -> int | None:
    """Return the id that the Dockerfile gave a group; a number is its own."""
    if name.isdecimal():
        return int(name)
    return next((one.number for one in made if one.is_group and one.name == name), None)


def free_account(facts: StageFacts, made: tuple[Made, ...], settings: Settings) -> Account:
    """Return the configured account, moved to the next free id or name where the image has that one already.

    An account of the configured name (or that name and a digit) with ids fixed from the configured ones upwards
    serves as it is: it is what an earlier run made.
    """
    for one in made:
        gid = group_number(made, one.group) if one.group else None
        ours = one.name.removeprefix(settings.user) if one.name.startswith(settings.user) else "-"
        if one.is_group or ours.strip("0123456789") or one.number is None or gid is None:
            continue
        if one.number >= settings.uid and gid >= settings.gid:
            return Account(one.name, one.group, one.number, gid, exists=True)
    users = SYSTEM_USERS | {one.name: one.number for one in made if not one.is_group}
    # Making a user makes a group of its name and number too, where the Dockerfile names no other.
    groups = SYSTEM_GROUPS | {one.name: one.number for one in made if one.is_group or one.group is None}
    for known in facts.image.users if facts.image else ():
        users[known.name] = known.uid
        groups[known.name] = known.gid
    if facts.image is not None and facts.image.inherited is not None:
        users |= dict(facts.image.inherited.reserved)
        groups |= dict(facts.image.inherited.reserved)
    return Account(
        free_name(settings.user, users),
        free_name(settings.group, groups),
        free_number(settings.uid, users),
        free_number(settings.gid, groups),
        exists=False,
    )


def free_name(name: str, taken: dict[str, int | None]) -> str:
    """Return ``name``, or ``name2``, ``name3``, ... where it is taken."""
    candidate, count = name, 1
    while candidate in taken:
        count += 1
        candidate = f"{name}{count}"
    return candidate


def free_number(number: int, taken: dict[str, int | None]) -> int:
    """Return ``number`` or the next one above it that is not taken."""
    while number in taken.values():
        number += 1
    return number
