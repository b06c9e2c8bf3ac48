"""ARG and ENV values: what the text decides, and what it does not."""

from __future__ import annotations

import pytest

from hardener.dockerfile import parse
from hardener.variables import LONGEST, assignments, dequote, expand

KNOWN = {"A": "1", "EMPTY": "", "UNDECIDED": None, "PATH_": "/a b", "LONG": "x" * LONGEST}


@pytest.mark.parametrize(
    "text",
    ["$B", "${B}", "$UNDECIDED", "${UNDECIDED}", "x$B", "${B", "$", "a$", "${}", "$-", "${A:?gone}", "${A#x}", "${A%%x}",
     "${A/x/y}", "${UNDECIDED:-x}", "${UNDECIDED-x}", "${B:-$A}", "${A:1}", "$LONG$A", "${!A}", "$(id -u)", "`id`$("],
)  # fmt: skip
def test_what_the_text_does_not_decide_is_none(text) -> None:
    assert expand(text, KNOWN) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$A", "1"),
        ("${A}", "1"),
        ("$A$A", "11"),
        ("${A}0", "10"),
        ("x${A}y", "x1y"),
        ("$EMPTY", ""),
        ("${B:-two}", "two"),
        ("${B-two}", "two"),
        ("${B:-}", ""),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY-two}", ""),
        ("${A:-two}", "1"),
        ("${A-two}", "1"),
        ("${A:+set}", "set"),
        ("${A+set}", "set"),
        ("${B:+set}", ""),
        ("${EMPTY:+set}", ""),
        ('"$A"', "1"),
        ("'plain'", "plain"),
        ('"a b"', "a b"),
        ("a\\ b", "a b"),
        ("$PATH_/c", "/a b/c"),
        ("ä$A", "ä1"),
        ("\udcff$A", "\udcff1"),
    ],
)
def test_a_value_is_expanded_and_unquoted(text, value) -> None:
    assert expand(text, KNOWN) == value


@pytest.mark.parametrize(("text", "value"), [("'$A'", "$A"), ("\\$A", "$A"), ("'${A}'x", "${A}x")])
def test_a_protected_dollar_stays_or_is_not_decided(text, value) -> None:
    assert expand(text, KNOWN) in (value, None)


def test_a_value_that_doubles_with_every_line_stops_growing() -> None:
    values: dict[str, str | None] = {"A": "x"}
    for _ in range(64):
        values["A"] = expand("$A$A", values)
    assert values["A"] is None


@pytest.mark.parametrize(
    ("text", "value"), [("", ""), ("a", "a"), ("'a'", "a"), ('"a b"c', "a bc"), ("'a\"b'", 'a"b'), ("a\\\\b", "a\\b")]
)
def test_quotes_and_backslashes_are_consumed(text, value) -> None:
    assert dequote(text) == value


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ENV A 1", {"A": "1"}),
        ("ENV A one two  three", {"A": "one two  three"}),
        ("ENV A=1", {"A": "1"}),
        ("ENV A=1 B=2", {"A": "1", "B": "2"}),
        ("ENV A=\"x y\" B='z'", {"A": "x y", "B": "z"}),
        ("ENV A=", {"A": ""}),
        ("ENV A=$KNOWN B=$NOT", {"A": "k", "B": None}),
        ("ENV A=x=y", {"A": "x=y"}),
        ("ENV A=1 \\\n  B=2", {"A": "1", "B": "2"}),
        ("ENV A=1 B=$A", {"A": "1", "B": None}),
        ("ARG A", {"A": None}),
        ("ARG A=1 B", {"A": "1", "B": None}),
        ("ARG A=", {"A": ""}),
    ],
)
def test_names_and_values_of_one_instruction(line, found) -> None:
    instruction = parse(f"FROM scratch\n{line}\n".encode()).instructions[1]
    assert assignments(instruction, {"KNOWN": "k"}) == found
