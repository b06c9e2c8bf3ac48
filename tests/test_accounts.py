"""The account of a stage: the base image's, the Dockerfile's own, or a new one beside what is taken."""

from __future__ import annotations

import pytest

from hardener.accounts import Account, account_for, family_of, free_name, free_number, made_accounts
from hardener.dockerfile import parse
from hardener.settings import Settings
from hardener.stages import stage_facts

NEW = Account("appuser", "appgroup", 5000, 5000, exists=False)
MAKE = "RUN groupadd --gid 5000 appgroup && useradd --uid 5000 --gid appgroup --create-home appuser"


def facts(*lines: str, base: str = "debian:12"):
    dockerfile = parse("\n".join((f"FROM {base}", *lines, "")).encode())
    return stage_facts(dockerfile, len(dockerfile.stages) - 1)


def account(*lines: str, base: str = "debian:12", **settings) -> Account | None:
    return account_for(facts(*lines, base=base), Settings(**settings))


@pytest.mark.parametrize(
    "lines",
    [
        ("RUN useradd a && useradd b", "COPY --chown=a x /x", "COPY --chown=b y /y"),
        ("COPY --chown=nobody-knows x /x",),
        ("COPY --chown=5000:5000 x /x", "COPY --chown=6000:6000 y /y"),
        ("COPY --chown=ghost:ghost x /x", "RUN chown 5000 /y"),
    ],
)
def test_files_of_several_or_unknown_owners_leave_no_account_for_certain(lines) -> None:
    assert account(*lines) is None


@pytest.mark.parametrize(
    ("lines", "written"),
    [
        ((MAKE, "COPY --chown=5000:5000 x /x"), "5000:5000"),
        ((MAKE, "COPY --chown=appuser:appgroup x /x", "RUN chown 5000:5000 /y"), "5000:5000"),
        ((MAKE, "COPY --chown=appuser x /x", "COPY --chown=5000 y /y"), "5000:5000"),
        (("RUN groupadd -g 7 g && useradd -u 8 -g g u", "COPY --chown=8:7 x /x"), "8:7"),
        (("RUN groupadd -g 7 g && useradd -u 8 -g g u", "COPY --chown=u:g x /x", "RUN chown -R 8:7 /y"), "8:7"),
        (("RUN groupadd -g 7 g && useradd -u 8 -g 7 u", "RUN chown -R u /y"), "8:7"),
        (("RUN addgroup -g 7 g && adduser -D -u 8 -G g u", "RUN chown u:g /y"), "8:7"),
        (("RUN useradd u", "RUN chown u:u /y"), "u"),
        (("COPY --chown=7001:5000 x /x",), "7001:5000"),
        (("COPY --chown=7001:5000 x /x", "RUN chown 7001:5000 /y"), "7001:5000"),
        (("COPY --chown=7001 x /x",), "7001:7001"),
        (("COPY --chown=7001:0 x /x",), "7001:7001"),
        (("ARG U=7001", "COPY --chown=$U:$U x /x"), "7001:7001"),
        (("COPY --chown=0:0 x /x", "COPY --chown=root y /y"), "5000:5000"),
        (("COPY --chown=$WHO x /x",), "5000:5000"),
    ],
)
def test_the_account_that_owns_files_already_is_the_one_to_run_as(lines, written) -> None:
    found = account(*lines)
    assert found is not None
    assert found.written("numeric") == written


def test_a_name_and_its_number_are_one_account_in_either_style() -> None:
    found = account(MAKE, "COPY --chown=appuser:appgroup x /x", "RUN chown 5000:5000 /app", user_style="name")
    assert found is not None
    assert found.written("name") == "appuser:appgroup"
    assert found.written("numeric") == "5000:5000"


@pytest.mark.parametrize(
    ("base", "written"),
    [("scratch", "5000:5000"), ("gcr.io/distroless/static", "65532:65532"), ("debian:12", "5000:5000")],
)
def test_an_image_without_a_tool_has_numbers_only(base, written) -> None:
    assert account(base=base).written("numeric") == written


def test_ids_that_were_asked_for_count_in_distroless_images_too() -> None:
    assert account(base="gcr.io/distroless/static", uid=7001).written("numeric") == "7001:5000"
    assert account(base="scratch", uid=7001, gid=7002, user_style="name").written("name") == "7001:7002"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RUN true", NEW),
        ("RUN useradd --uid 5000 other", NEW._replace(uid=5001, gid=5001)),  # its group has its number
        ("RUN groupadd --gid 5000 other", NEW._replace(gid=5001)),
        ("RUN useradd appuser", NEW._replace(user="appuser2")),
        ("RUN groupadd appgroup", NEW._replace(group="appgroup2")),
        ("RUN useradd -u 5000 appuser && useradd -u 5001 appuser2", NEW._replace(user="appuser3", uid=5002, gid=5002)),
        (MAKE, Account("appuser", "appgroup", 5000, 5000, exists=True)),
        ("RUN useradd --uid 4000 appuser", NEW._replace(user="appuser2")),
    ],
)
def test_a_new_account_goes_round_what_is_taken(line, expected) -> None:
    assert account(line) == expected


@pytest.mark.parametrize("settings", [{"ignore": frozenset({"create_user"})}, {"select": frozenset({"run_as_user"})}])
def test_an_account_that_nobody_will_create_has_no_name(settings) -> None:
    found = account("RUN true", user_style="name", **settings)
    assert found.written("name") == "5000:5000"


@pytest.mark.parametrize(
    ("command", "made"),
    [
        ("true", []),
        ("echo useradd x", []),
        ("useradd", []),
        ("useradd $NAME", []),
        ("useradd x", [("x", None, None, False)]),
        ("useradd -u 1 x", [("x", 1, None, False)]),
        ("useradd --uid=1 --gid g x", [("x", 1, "g", False)]),
        ("useradd -m -s /bin/sh -d /home/y -c 'A B' x", [("x", None, None, False)]),
        ("useradd -r -u 1 -g 2 x", [("x", 1, "2", False)]),
        ("adduser -D -u 1 -G g x", [("x", 1, "g", False)]),
        ("adduser --disabled-password --gecos '' --uid 1 --ingroup g x", [("x", 1, "g", False)]),
        ("adduser -S x", [("x", None, None, False)]),
        ("groupadd -g 2 g", [("g", 2, None, True)]),
        ("addgroup --gid 2 g", [("g", 2, None, True)]),
        ("addgroup -g 2 -S g && adduser -u 1 -S -G g x", [("g", 2, None, True), ("x", 1, "g", False)]),
        ("/usr/sbin/useradd x", [("x", None, None, False)]),
        ("if true; then useradd x; fi", [("x", None, None, False)]),
        ("useradd -u $UID x", [("x", None, None, False)]),
    ],
)
def test_what_a_command_creates(command, made) -> None:
    assert [tuple(one) for one in made_accounts(facts(f"RUN {command}"))] == made


@pytest.mark.parametrize(
    ("base", "line", "family"),
    [
        ("debian:12", "RUN x", "debian"), ("alpine", "RUN x", "alpine"), ("scratch", "COPY a /", "scratch"),
        ("example.com/x:1", "RUN apt-get update", "debian"), ("example.com/x:1", "RUN apk add y", "alpine"),
        ("example.com/x:1", "RUN dnf install y", "shell"), ("example.com/x:1", "RUN make", ""),
    ],
)  # fmt: skip
def test_the_family_of_a_base_image(base, line, family) -> None:
    assert family_of(facts(line, base=base)) == family


def test_the_next_free_name_and_number() -> None:
    assert free_name("a", {}) == "a"
    assert free_name("a", {"a": 1, "a2": None}) == "a3"
    assert free_number(5, {}) == 5
    assert free_number(5, {"a": 5, "b": 6, "c": None}) == 7


@pytest.mark.parametrize("settings", [{"user": "www-data"}, {"uid": 33}, {"group": "staff"}, {"gid": 50}])
def test_a_name_or_id_of_the_system_is_taken(settings) -> None:
    found = account("RUN true", **settings)
    assert (found.user, found.group, found.uid, found.gid) != tuple({**NEW._asdict(), **settings}.values())[:4]
