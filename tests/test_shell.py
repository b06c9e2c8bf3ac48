"""What is read out of shell code: refusals first, then commands, words, directories, wrappers, spans."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import pytest

from hardener.edit import Span
from hardener.shell import Command, ShellError, commands, exec_commands, program

VARIABLES = {"HOME": "/home/app", "APP": "/srv/app", "LIST": "curl git", "EMPTY": ""}


def read(code: str, directory: str | None = "/w") -> tuple[Command, ...]:
    return commands(code.encode(), 0, directory, VARIABLES)


def words(command: Command) -> list[str | None]:
    return [command.name, *(argument.text for argument in command.arguments)]


# ---- what is refused, or not known ----


@pytest.mark.parametrize(
    "code",
    [
        "if true; then",
        "echo 'open",
        "a && && b",
        "(a",
        "for x in; do",
        "sh -c 'if'",
        "bash <<E\nif\nE\n",
        "cat <<< x >&1 <<< y )",
    ],
)
def test_code_with_an_error_is_refused(code: str) -> None:
    with pytest.raises(ShellError):
        read(code)


def test_nesting_beyond_the_stack_is_refused() -> None:
    with pytest.raises(ShellError, match="too deeply"):
        read("{ " * 3000 + "a" + "; }" * 3000)


def test_a_long_list_is_no_nesting() -> None:
    assert len(read(" && ".join(["a"] * 3000))) == 3000


@pytest.mark.parametrize(
    "word",
    ["$X", '"$X"', '"${X}/b"', "$(id)", "`id`", '"$(id)"', "*.py", "a?", "[ab]", "{a,b}", "a{1..3}", "$1", '"$@"', "~root/x",
     "$'x'", '$"x"', "${X:-y}", "${APP%/}", "$((1+1))", "$EMPTY/x", "a=~/x", "<(ls)", '"${APP:+x}"'],
)  # fmt: skip
def test_value_known_only_at_run_time(word: str) -> None:
    assert words(read(f"echo {word}")[-1]) == ["echo", None]


@pytest.mark.parametrize(
    "code",
    [
        "X=$(id); echo $X",
        "X=a; read X; echo $X",
        "X=a; X+=b; echo $X",
        "X=a; unset X; echo $X",
        "if t; then X=a; else X=b; fi; echo $X",
        "[ -f y ] && X=a; echo $X",
        "for X in a b; do echo $X; done",
        "X=a; while t; do echo $X; X=b; done",
        "(X=a); echo $X",
        "X=a | t; echo $X",
        "f() { X=b; }; X=a; f; echo $X",
        "X=a; . ./env; echo $X",
        "X=a; sh -c 'echo $X'",
        "sudo sh -c 'echo $APP'",
        "APP=b sh -c 'echo $APP'",
        "X=(a b); echo $X",
        "export X; echo $X",
    ],
)
def test_variable_that_is_not_known(code: str) -> None:
    assert next(words(one) for one in read(code) if one.name == "echo") == ["echo", None]


@pytest.mark.parametrize(
    "code",
    [
        "cd $X; here",
        "cd -; here",
        "cd a b; here",
        "cd a || true; here",
        "cd a || cd b; here",
        "[ -d a ] && cd a; here",
        "if t; then cd a; fi; here",
        "case $x in a) cd a;; b) cd b;; esac; here",
        "for i in 1 2; do here; cd a; done",
        "while t; do cd a; done; here",
        "f() { cd /; }; f; here",
        "f() { here; }",
        ". ./env; here",
        "eval 'cd /'; here",
        "popd; here",
        "su - app -c here",
        "trap here EXIT",
    ],
)
def test_directory_that_is_not_known(code: str) -> None:
    assert next(one for one in read(code) if one.name == "here").directory is None


def test_relative_cd_from_an_unknown_directory_stays_unknown() -> None:
    assert read("cd a; here", None)[-1].directory is None
    assert read("cd /a; here", None)[-1].directory == "/a"


@pytest.mark.parametrize("code", ["sudo -i apt", "sudo -l", "env -C /x a", "env", "exec -l a", "command -v a", "timeout 5",
                                  "xargs -i rm {}", "time -o f a"])  # fmt: skip
def test_wrapper_with_an_option_that_is_not_known_stays_a_command(code: str) -> None:
    (command,) = read(code)
    assert (command.name, command.wrappers) == (code.split(" ")[0], ())


@pytest.mark.parametrize("code", ["sh ./x", "sh -c \"$X\"'a'", "bash <<E\n$X\nE\n", "curl x | sh", "sh -s", "eval a b"])
def test_script_that_is_not_known_leaves_the_shell(code: str) -> None:
    assert read(code)[-1].name in ("sh", "bash", "eval")


# ---- words ----


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a", "a"),
        ("'a b'", "a b"),
        ("'$X `id` *'", "$X `id` *"),
        ('"a b"', "a b"),
        ("a\\ b", "a b"),
        ("a\"b\"'c'", "abc"),
        ('"\\$X \\"q\\" \\n"', '$X "q" \\n'),
        ("\\*", "*"),
        ("a\\\nb", "ab"),
        ('"a\\\nb"', "ab"),
        ("$APP/x", "/srv/app/x"),
        ('"${APP}/x"', "/srv/app/x"),
        ("${APP:-y}", "/srv/app"),
        ('"$LIST"', "curl git"),
        ("~/x", "/home/app/x"),
        ("~", "/home/app"),
        ("'~/x'", "~/x"),
        ("{}", "{}"),
        ("''", ""),
        ("é", "é"),
        ("--a=b,c:d%e@f+g^h!", "--a=b,c:d%e@f+g^h!"),
    ],
)
def test_value_of_a_word(word: str, value: str) -> None:
    (command,) = read(f"echo {word}")
    assert words(command) == ["echo", value]
    assert command.arguments[0].raw == word


def test_unquoted_variable_is_split_into_fields() -> None:
    (command,) = read("apk add $LIST $EMPTY vim")
    assert words(command) == ["apk", "add", "curl", "git", "vim"]
    assert [argument.raw for argument in command.arguments] == ["add", "$LIST", "$LIST", "vim"]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("X=a; echo $X", "a"),
        ("X=a Y=$X; echo $Y", "a"),
        ('X="a b"; echo "$X"', "a b"),
        ("export X=/x; echo $X", "/x"),
        ("X=a; (X=b); echo $X", "a"),
        ("X=a; X=b true; echo $X", "a"),
        ("if t; then X=a; else X=a; fi; echo $X", "a"),
        ("APP=/b; sh -c 'echo $APP'", "/b"),
        ('X=a; sh -c "echo $X"', "a"),
    ],
)
def test_variable_that_is_known(code: str, value: str) -> None:
    assert words(read(code)[-1]) == ["echo", value]


def test_bytes_that_are_not_utf8_survive() -> None:
    (command,) = commands(b"echo \xff '\xfe'")
    assert words(command) == ["echo", "\udcff", "\udcfe"]


# ---- commands ----


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("a; b && c || d | e & f", "a b c d e f"),
        ("(a; b); { c; }", "a b c"),
        ("x $(a `b`)", "a b x"),
        ("x <(a)", "a x"),
        ('echo "$(a "$(b)")"', "a b echo"),
        ("if a; then b; elif c; then d; else e; fi", "a b c d e"),
        ("while a; do b; done; until c; do d; done", "a b c d"),
        ("for i in $(a); do b; done", "a b"),
        ("case $(a) in x) b;; *) c;; esac", "a b c"),
        ("f() { a; }; f", "a f"),
        ("! a && ! b", "a b"),
        ("a # b\nc", "a c"),
        ("a\n\nb", "a b"),
        ("cat <<E\n$(a)\nE\n", "a cat"),
        ("cat <<'E'\n$(a)\nE\n", "cat"),
        ('[ "$(a)" = 0 ] && [[ -f b ]]', "a [ [["),
        ("X=$(a) b", "a b"),
        ("${X:-$(a)} b", "a ${X:-$(a)}"),
        ("exec \"$@\"", '"$@"'),
        ("a \\\n  && b", "a b"),
        ("a > $(b)", "b a"),
        ("a |& b", "a b"),
    ],
)  # fmt: skip
def test_every_command_is_found(code: str, names: str) -> None:
    assert sorted(one.name for one in read(code)) == sorted(names.split(" "))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("a >f 2>>g <h", [("a", [(">", "f"), (">>", "g"), ("<", "h")])]),
        ("2>f a", [("a", [(">", "f")])]),
        ("a &>f; b >&2", [("a", [("&>", "f")]), ("b", [(">&", "2")])]),
        ("> f", [("", [(">", "f")])]),
        ("a && b >f | c", [("a", []), ("b", [(">", "f")]), ("c", [])]),
        ("a | b && c >f", [("a", []), ("b", []), ("c", [(">", "f")])]),
        ("! a >f", [("a", [(">", "f")])]),
        ("{ a; } >f", [("", [(">", "f")]), ("a", [])]),
        ("a && (b) >f", [("a", []), ("", [(">", "f")]), ("b", [])]),
        ("for i in 1; do a; done >f", [("", [(">", "f")]), ("a", [])]),
        ("f() { a; } >f", [("a", []), ("", [(">", "f")])]),
        ("cat <<E >f && a\nx\nE\nb", [("cat", [("<<", "E"), (">", "f")]), ("a", []), ("b", [])]),
        ("sh -c a >f", [("a", []), ("", [(">", "f")])]),
    ],
)
def test_redirects_belong_to_their_command(code: str, expected: list[tuple[str, list[tuple[str, str]]]]) -> None:
    found = [(one.name, [(item.operator, item.target.text) for item in one.redirects]) for one in read(code)]
    assert found == expected


def test_words_after_a_redirect_are_arguments() -> None:
    assert words(read("a && echo >&2 'to stderr' b")[-1]) == ["echo", "to stderr", "b"]


def test_assignments() -> None:
    (command,) = read("A=1 B='x y' C=$Q a")
    assert command.assignments == (("A", "1"), ("B", "x y"), ("C", None))
    assert read("A=1")[0].assignments == (("A", "1"),)


# ---- directories ----


@pytest.mark.parametrize(
    ("code", "directory"),
    [
        ("here", "/w"),
        ("cd a && here", "/w/a"),
        ("cd /a; cd ../b; here", "/b"),
        ("cd && here", "/home/app"),
        ("cd $APP && here", "/srv/app"),
        ("(cd a); here", "/w"),
        ("cd a | t; here", "/w"),
        ("cd a & here", "/w"),
        ("x=$(cd a); here", "/w"),
        ("cd a || exit 1; here", "/w/a"),
        ("if ! cd a; then exit 1; fi; here", "/w/a"),
        ("if t; then cd a; else cd a; fi; here", "/w/a"),
        ("t && cd a && here", "/w/a"),
        ("[ -d a ] && cd a && here", "/w/a"),
        ("cd a && b 2>&1 | c && here", "/w/a"),
        ("a | b | c && cd d >f; here", "/w/d"),
        ("cd a && cat <<E >f\nx\nE\nhere", "/w/a"),
        ("cat <<E && cd a\nx\nE\nhere", "/w/a"),
        ("pushd a; pushd /b; popd; here", "/w/a"),
        ("for i in 1; do (cd /x); done; cd /a; here", "/a"),
        ("sh -c 'cd a'; here", "/w"),
        ("cd a; sh -c here", "/w/a"),
        ("sudo cd a; here", "/w"),
        ("command cd a; here", "/w/a"),
    ],
)
def test_directory_follows_cd(code: str, directory: str) -> None:
    assert read(code)[-1].name == "here"
    assert read(code)[-1].directory == directory


# ---- wrappers ----


@pytest.mark.parametrize(
    ("code", "expected", "wrappers"),
    [
        ("sudo -u x -E a b", ["a", "b"], "sudo"),
        ("sudo A=1 a", ["a"], "sudo"),
        ("/usr/bin/env -i A=1 a", ["a"], "env"),
        ("exec a", ["a"], "exec"),
        ("nohup nice -n 5 a", ["a"], "nohup nice"),
        ("timeout -k 5 10s a b", ["a", "b"], "timeout"),
        ("time a", ["a"], "time"),
        ("stdbuf -oL a", ["a"], "stdbuf"),
        ("sh -c 'a b'", ["a", "b"], "sh"),
        ('bash -euxo pipefail -c "a b"', ["a", "b"], "bash"),
        ("/bin/bash -lc a", ["a"], "bash"),
        ("sudo sh -c 'exec a'", ["a"], "sudo sh exec"),
        ("su app -c 'a b'", ["a", "b"], "su"),
        ("su -c 'a b' app", ["a", "b"], "su"),
        ("eval 'a b'", ["a", "b"], "eval"),
        ("bash -e <<'E'\na b\nE\n", ["a", "b"], "bash"),
        ("xargs -r -n 1 a b", ["a", "b", None], "xargs"),
        ("xargs -I{} a {}", ["a", None, None], "xargs"),
    ],
)
def test_command_behind_a_wrapper(code: str, expected: list[str | None], wrappers: str) -> None:
    command = read(code)[0]
    assert words(command) == expected
    assert command.wrappers == tuple(wrappers.split(" "))


def test_find_runs_commands() -> None:
    find, rm, grep = read("find . -exec rm -rf {} + -exec grep x '{}' \\;")
    assert find.name == "find"
    assert (words(rm), rm.wrappers) == (["rm", "-rf", None], ("find",))
    assert words(grep) == ["grep", "x", None]


@pytest.mark.parametrize(
    ("name", "plain"),
    [("/usr/bin/a", "a"), ("/sbin/a", "a"), ("a", "a"), ("./a", "./a"), ("/app/a", "/app/a")],
)
def test_program(name: str, plain: str) -> None:
    assert program(name) == plain


# ---- spans ----


@pytest.mark.parametrize(
    "code",
    [
        "a 'b c' \"$d\" e\\ f >g",
        "sh -c 'cd x && a b'",
        'sh -c "a b"',
        "bash <<E\na b\nE\n",
        "é && sudo a b",
        "x $(a b)",
    ],
)
def test_spans_are_bytes_of_the_source(code: str) -> None:
    source = code.encode()
    for command in commands(source, 7):
        for argument in (*command.arguments, *(redirect.target for redirect in command.redirects)):
            assert source[argument.span.start - 7 : argument.span.stop - 7].decode() == argument.raw
        assert command.name in source[command.span.start - 7 : command.span.stop - 7].decode()


def test_script_with_escapes_has_the_span_of_its_word() -> None:
    code = 'sh -c "a \\"b\\""'
    (command,) = read(code)
    assert words(command) == ["a", "b"]
    assert {command.span, command.arguments[0].span} == {Span(6, len(code))}


class Word(NamedTuple):
    text: str
    span: Span


def test_exec_form() -> None:
    (command,) = exec_commands((Word("npm", Span(1, 6)), Word("$X *", Span(8, 14))), "/app")
    assert (words(command), command.span, command.directory) == (["npm", "$X *"], Span(1, 14), "/app")
    line = (Word("sh", Span(1, 5)), Word("-c", Span(7, 11)), Word("cd a && exec b", Span(13, 29)))
    cd, b = exec_commands(line, "/app")
    assert (b.name, b.directory, b.wrappers, cd.span) == ("b", "/app/a", ("sh", "exec"), Span(14, 18))
    assert exec_commands(()) == ()
    with pytest.raises(ShellError):
        exec_commands((*line[:2], Word("if", Span(13, 17))))


# ---- cost ----


def test_the_same_body_is_read_once() -> None:
    assert read("a && b") is read("a && b")


def test_import_does_not_load_the_parser() -> None:
    code = "import sys, hardener.shell, hardener.privileges; sys.exit('tree_sitter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
