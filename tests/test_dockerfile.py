"""The reader: every byte is accounted for, every fact stands where its span says, every bad file has its sentence."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardener import dockerfile, masking
from hardener.dockerfile import Comment, Dockerfile, Instruction, ParseError, parse
from hardener.edit import Span


def only(text: str | bytes) -> tuple[Dockerfile, Instruction]:
    """Read one instruction that follows a FROM."""
    file = parse(b"FROM a\n" + (text.encode() if isinstance(text, str) else text))
    first, instruction = file.instructions
    assert first.keyword == "FROM"
    return file, instruction


def at(file: Dockerfile, span: Span) -> bytes:
    return file.data[span.start : span.stop]


# ---- where things stand -----------------------------------------------------------------------------------


def test_an_instruction_has_its_lines_its_keyword_and_its_arguments() -> None:
    file = parse(b"# c\n\n  from alpine\t\r\n\nrun  a \\\r\n  b  \r\n")
    start, run = file.instructions
    assert (start.keyword, start.line, start.end_line) == ("FROM", 3, 3)
    assert at(file, start.span) == b"  from alpine\t\r\n"
    assert at(file, start.keyword_span) == b"from"
    assert at(file, start.arguments) == b"alpine"
    assert (run.keyword, run.line, run.end_line) == ("RUN", 5, 6)
    assert at(file, run.arguments) == b"a \\\r\n  b"
    assert run.value == "a   b"
    assert [word.text for word in run.words] == ["a", "b"]


def test_flags_are_split_from_the_arguments() -> None:
    file, copy = only("COPY \\\n --link --chown='1:1 x' \\\n# c\n --from=b a c\n")
    assert [(flag.name, flag.value) for flag in copy.flags] == [
        ("link", None),
        ("chown", "1:1 x"),
        ("from", "b"),
    ]
    assert [at(file, flag.span) for flag in copy.flags] == [b"--link", b"--chown='1:1 x'", b"--from=b"]
    assert copy.flags_stop == file.data.index(b" a c")
    assert copy.value == "a c"
    assert [at(file, word.span) for word in copy.words] == [b"a", b"c"]


@pytest.mark.parametrize(
    ("text", "flags", "value"),
    [
        (
            "RUN --mount=type=cache,target=/a --network=none b",
            ["--mount=type=cache,target=/a", "--network=none"],
            "b",
        ),
        ('COPY --a="b \\" c"d e', ['--a=b " cd'], "e"),
        ("COPY --a=b\\ c d", ["--a=b c"], "d"),
        ("COPY --a='b c", ["--a=b c"], ""),
        ("COPY --a=b\\", ["--a=b"], ""),
        ("COPY -- --a b", [], "--a b"),
        ("COPY --a --", ["--a"], ""),
        ("COPY -a b", [], "-a b"),
        (
            "COPY --exclude=*.md --parents --chmod=755 a b",
            ["--exclude=*.md", "--parents", "--chmod=755"],
            "a b",
        ),
        ("COPY --a=\u00e0b c", ["--a=\udcc3"], "b c"),
        ("COPY --a \xa0\u2003--b c", ["--a"], "--b c"),
        ("COPY \xa0--a b", [], "--a b"),
    ],
)
def test_a_flag_ends_at_a_blank_that_is_neither_quoted_nor_escaped(text: str, flags: list[str], value: str) -> None:
    _, one = only(text)
    assert ["--" + flag.name + ("" if flag.value is None else "=" + flag.value) for flag in one.flags] == flags
    assert one.value == value


def test_without_arguments_a_flag_goes_after_the_keyword() -> None:
    file, run = only("RUN")
    assert run.flags_stop == len(file.data)
    assert run.arguments == Span(run.flags_stop, run.flags_stop)
    assert (run.value, run.words, run.json) == ("", (), None)


def test_quotes_hold_words_together_but_not_in_copy() -> None:
    _, env = only("ENV A='b c' D=\"e \\\" f\" G=h\\ i J='k")
    assert [word.text for word in env.words] == ["A='b c'", 'D="e \\" f"', "G=h\\ i", "J='k"]
    _, arg = only("ARG a=b\u2003c=d\x85 e")
    assert [word.text for word in arg.words] == ["a=b", "c=d", "e"]
    _, copy = only("COPY 'b c' d\\ e /")
    assert [word.text for word in copy.words] == ["'b", "c'", "d\\", "e", "/"]


def test_a_word_may_cross_a_continuation() -> None:
    file, run = only("RUN ec\\\n# comment\n\nho hi\n")
    assert [word.text for word in run.words] == ["echo", "hi"]
    assert at(file, run.words[0].span) == b"ec\\\n# comment\n\nho"


def test_a_keyword_may_cross_a_continuation() -> None:
    file = parse(b"\\\n FR\\\n# c\nOM a\nRUN\\\n  # b\n\n  b\nRU\\\nN #c\nUSER\\\n\n")
    assert [(one.keyword, one.value) for one in file.instructions] == [
        ("FROM", "a"),
        ("RUN", "b"),
        ("RUN", "#c"),
        ("USER", ""),
    ]
    assert at(file, file.instructions[0].keyword_span) == b"FR\\\n# c\nOM"


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ('CMD ["a", "b c"]', ["a", "b c"]),
        ("CMD []", []),
        ('ENTRYPOINT [ "\\u0041\\n" , "\\ud83d\\ude00\\ud800" ] ', ["A\n", "\U0001f600\ufffd"]),
        ('SHELL ["powershell", \\\n# c\n "-c"]', ["powershell", "-c"]),
        ('HEALTHCHECK --interval=1s CMD ["a"]', ["a"]),
        ('COPY --chown=1:1 ["a b", "/"]', ["a b", "/"]),
        ('RUN --mount=type=ssh ["a"]', ["a"]),
        ('VOLUME ["/a"]', ["/a"]),
        ("CMD ['a']", None),
        ('CMD ["a",]', None),
        ('CMD ["a"] b', None),
        ('CMD ["a\\q"]', None),
        ('CMD ["a", NaN]', None),
        ("RUN [ -f a ]", None),
        ("CMD " + "[" * 100_00, None),
        ('ENV a=["b"]', None),
        ('LABEL ["b"] c', None),
        ("CMD a", None),
    ],
)
def test_the_exec_form_is_a_json_array_of_strings(text: str, elements: list[str] | None) -> None:
    _, one = only(text)
    assert (None if one.json is None else [word.text for word in one.json]) == elements


def test_the_span_of_an_element_has_its_quotes() -> None:
    file, cmd = only('CMD [ "a",\\\n "\\u0041" ]')
    assert cmd.json is not None
    assert [at(file, word.span) for word in cmd.json] == [b'"a"', b'"\\u0041"']


def test_onbuild_has_an_inner_instruction() -> None:
    file, onbuild = only("ONBUILD \\\n copy --chown=1:1 <<E [a] /\nb\nE\n")
    inner = onbuild.inner
    assert inner is not None
    assert (inner.keyword, inner.value, inner.line, inner.end_line) == ("COPY", "<<E [a] /", 2, 5)
    assert at(file, inner.keyword_span) == b"copy"
    assert [at(file, flag.span) for flag in inner.flags] == [b"--chown=1:1"]
    assert inner.heredocs == onbuild.heredocs != ()
    assert inner.inner is None
    assert at(file, inner.arguments) == b"<<E [a] /"


# ---- lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("RUN a\\\nUSER b", ["aUSER b"]),
        ("RUN a\\ \t\r\nb", ["ab"]),
        ("RUN a\\\\\nUSER b", ["a\\\\", "b"]),
        ("RUN a\\\\\\\nUSER b", ["a\\\\\\", "b"]),
        ("RUN a\\\v\nUSER b", ["a\\", "b"]),
        ("RUN a\\\r \nUSER b", ["a\\", "b"]),
        ("RUN a \\ \\\nb", ["a \\ b"]),
        ("RUN a\\\n\\\n \\\nb", ["a b"]),
        ("RUN a\\\n  # b \\\n\t#c\n\n \nd", ["ad"]),
        ("RUN a\\\n\xa0# b\n\u2003\nd", ["ad"]),
        ("RUN a \\", ["a"]),
        ("RUN a \\\n  \\", ["a"]),
        ("RUN a \\ \\", ["a \\"]),
        ("RUN a\\\r\\", ["a\\"]),
        ("\\\nRUN a\\\r\\", ["a\\"]),
        ("RUN a \\\n# b\n\n", ["a"]),
        ("RUN a # b \\\nc", ["a # b c"]),
        ("RUN \\\n #a\n b", ["b"]),
        ("RUN a`\nUSER b", ["a`", "b"]),
        ("RUN a\vb\fc\rd", ["a\vb\fc\rd"]),
        ("\xa0RUN\va\u3000", ["a"]),
        ("RUN a \x85\u2028\x1c\xa0", ["a \x85\u2028\x1c"]),
        ("RUN a\x1f\\\nb", ["a\x1fb"]),
        ("RUN a\0b", ["a\0b"]),
        ("RUN \U0010ff41\U0010fffd\\\\", ["\U0010ff41\U0010fffd\\\\"]),
        ("RUN a\n\xa0\n\xa0# b\nUSER b", ["a", "b"]),
    ],
)
def test_lines_are_joined_as_buildkit_joins_them(text: str, values: list[str]) -> None:
    assert [one.value for one in parse(b"FROM a\n" + text.encode()).instructions[1:]] == values


def test_an_escape_directive_changes_the_continuation() -> None:
    file = parse(b"# escape=`\r\nFROM a\r\nRUN a\\\r\nRUN b`\r\n  c\r\nCOPY --a=`b c\\ /\r\nRUN d``\r\n")
    assert [one.value for one in file.instructions] == ["a", "a\\", "b  c", "c\\ /", "d``"]
    assert file.escape == "`"
    assert file.instructions[3].flags[0].value == "b"
    assert file.shell_source(file.instructions[2]) == b"b \\\n  c"


@pytest.mark.parametrize(
    ("head", "directives"),
    [
        ("#escape=`\n", {"escape": "`"}),
        (" \t# \tESCAPE\t = \\ \r\n", {"escape": "\\"}),
        (
            "# syntax=a b\n# check=skip=all\n# escape=`\n",
            {"syntax": "a b", "check": "skip=all", "escape": "`"},
        ),
        ("\ufeff#escape=`\n", {"escape": "`"}),
        ("# syntax= \n", {"syntax": ""}),
        ("\n# escape=`\n", {}),
        ("# comment\n# escape=`\n", {}),
        ("# other=1\n# escape=`\n", {}),
        ("# escape\xa0=`\n", {}),
        ("# escape=\n", {}),
        ("FROM a\n# escape=`\n", {}),
    ],
)
def test_directives_are_the_first_lines(head: str, directives: dict[str, str]) -> None:
    file = parse(
        head.encode() + b"FROM a\nRUN a`\n b\n" if directives.get("escape") == "`" else head.encode() + b"FROM a"
    )
    assert file.directives == directives
    assert file.escape == directives.get("escape", "\\")
    assert file.comments[: len(directives)] == tuple(
        Comment(line, text.strip("\ufeff \t\r#")) for line, text in enumerate(head.split("\n")[: len(directives)], 1)
    )


def test_comments_are_found_outside_heredocs() -> None:
    file = parse(b"#a\nFROM b\nRUN <<E \\\n \t#  c \r\n cat\n# d\nE\n#\xff\n# e")
    assert file.comments == (Comment(1, "a"), Comment(4, "c"), Comment(8, "\udcff"), Comment(9, "e"))


def test_bytes_that_are_no_text_survive() -> None:
    file = parse(b"FROM a\n# \xff\nRUN \xff\xc3\\\n\xa9 \xfe\n")
    run = file.instructions[1]
    assert run.value.encode("utf-8", "surrogateescape") == b"\xff\xc3\xa9 \xfe"
    assert [at(file, word.span) for word in run.words] == [b"\xff\xc3\\\n\xa9", b"\xfe"]


def test_a_byte_order_mark_belongs_to_no_instruction() -> None:
    file = parse(b"\xef\xbb\xbfFROM a")
    assert file.instructions[0].span == Span(3, 9)
    assert file.instructions[0].keyword == "FROM"
    assert file.line_of(0) == 1


# ---- heredocs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "heredocs"),
    [
        ("RUN <<EOF\na\nEOF\n", [("EOF", b"<<EOF", b"a\n", True, False)]),
        ("RUN <<EOF\nEOF", [("EOF", b"<<EOF", b"", True, False)]),
        ("RUN <<-EOF\n\ta\n\t\tEOF\r\n", [("EOF", b"<<-EOF", b"\ta\n", True, True)]),
        ("RUN <<EOF\n\tEOF\nEOF \nEOF\n", [("EOF", b"<<EOF", b"\tEOF\nEOF \n", True, False)]),
        ("RUN <<'E F' cat\nE F\n", [("E F", b"<<'E F'", b"", False, False)]),
        ('COPY <<-"E" /a\nE\n', [("E", b'<<-"E"', b"", False, True)]),
        ('RUN <<"E\\"\\$\\a"\nE"$\\a\n', [('E"$\\a', b'<<"E\\"\\$\\a"', b"", False, False)]),
        ("RUN <<E\\ F\nE F\n", [("E F", b"<<E\\ F", b"", True, False)]),
        ("RUN <<E$F${G}$$\nE$F${G}$$\n", [("E$F${G}$$", b"<<E$F${G}$$", b"", True, False)]),
        ("ADD <<a <<b /\n1\na\n2\nb\n", [("a", b"<<a", b"1\n", True, False), ("b", b"<<b", b"2\n", True, False)]),
        ("RUN 3<<E cat\nE\n", [("E", b"3<<E", b"", True, False)]),
        ("RUN cat <<E >a\nE\n", [("E", b"<<E", b"", True, False)]),
        ("RUN a \\\n# c\n <<E \\\n b\nE\n", [("E", b"<<E", b"", True, False)]),
        ("RUN \u00e9 <<\u00e9\n\u00e9\n", [("\u00e9", "<<\u00e9".encode(), b"", True, False)]),
        ("RUN << E\nE\n", [("E", b"<< E", b"", True, False)]),
        ("RUN <<\t-E\n-E\n", [("-E", b"<<\t-E", b"", True, False)]),
        ("ONBUILD RUN <<E\nUSER a\nE\n", [("E", b"<<E", b"USER a\n", True, False)]),
        ("RUN ${a:-}} } ${a#b} ${a%\\}} ${a/b/c} ${a//b/c} ${1} ${@} <<E\nE\n", [("E", b"<<E", b"", True, False)]),
        ('RUN "${a:-"b c"}\\n$d" <<E\nE\n', [("E", b"<<E", b"", True, False)]),
        ("RUN [a] <<E\nE\n", [("E", b"<<E", b"", True, False)]),
        ('RUN ["a"] <<E\nE\n', [("E", b"<<E", b"", True, False)]),
        ("RUN echo $((1 << 2))", []),
        ("RUN << 2 << E\nE\n", [("E", b"<< E", b"", True, False)]),
        ("RUN a<<E", []),
        ("RUN <<<E", []),
        ("RUN <<A<<E", []),
        ("RUN '<<E'", []),
        ("RUN \\<<E", []),
        ('RUN <<""', []),
        ("RUN <<\ufeff", []),
        ("RUN <<E\\\xa0\nE\xa0\n", [("E\xa0", b"<<E\\\xc2\xa0", b"", True, False)]),
        ('RUN ["<<E"] \xa0', []),
        ("RUN <<- E", []),
        ("RUN <<", []),
        ("RUN <<E 'a", []),
        ('RUN <<E "a', []),
        ('RUN <<E "$', []),
        ("RUN <<E ${", []),
        ("RUN <<E ${}", []),
        ("RUN <<E ${a", []),
        ("RUN <<E ${a^}", []),
        ("RUN <<E ${a:", []),
        ("RUN <<E ${a:#b}", []),
        ("RUN <<E ${a-b", []),
        ("ENV a <<E", []),
        ("ONBUILD ENV a <<E", []),
        ('RUN ["<<E"]', []),
        ('COPY ["a", " <<E "]', []),
    ],
)  # fmt: skip
def test_heredocs_are_found_where_buildkit_finds_them(
    text: str, heredocs: list[tuple[str, bytes, bytes, bool, bool]]
) -> None:
    file, one = only(text)
    assert [
        (heredoc.name, at(file, heredoc.span), at(file, heredoc.body), heredoc.expand, heredoc.strip_tabs)
        for heredoc in one.heredocs
    ] == heredocs
    assert one.span.stop == len(file.data)
    if heredocs:
        assert one.heredocs[-1].stop == len(file.data)


def test_a_name_that_ends_with_a_backslash_is_closed_without_it() -> None:
    file = parse(b"# escape=`\r\nFROM a\r\nRUN <<E\\\r\nUSER b\r\nE\r\n")
    assert [(one.keyword, one.end_line) for one in file.instructions] == [("FROM", 2), ("RUN", 5)]


def test_a_heredoc_hides_what_looks_like_instructions() -> None:
    file = parse(b"FROM a\nRUN <<E\nUSER root\n\\\n# c\nE\nUSER b\n")
    assert [(one.keyword, one.line, one.end_line) for one in file.instructions] == [
        ("FROM", 1, 1),
        ("RUN", 2, 6),
        ("USER", 7, 7),
    ]
    assert file.instructions[1].arguments.stop == file.data.index(b"\nUSER root")


# ---- stages -----------------------------------------------------------------------------------------------


def test_stages_know_what_they_are_built_from() -> None:
    file = parse(
        b"ARG A=1\nARG B\nFROM --platform=$BUILDPLATFORM a:1 as Base\nRUN b\n"
        b"FROM BASE\nFROM 'base' AS other\nFROM later\nFROM x AS later\nFROM other@sha256:1 AS base\nFROM base\n"
    )
    assert [one.value for one in file.global_args] == ["A=1", "B"]
    assert [(stage.index, stage.name, stage.base, stage.parent) for stage in file.stages] == [
        (0, "base", "a:1", None),
        (1, None, "BASE", 0),
        (2, "other", "base", 0),
        (3, None, "later", None),
        (4, "later", "x", None),
        (5, "base", "other@sha256:1", None),
        (6, None, "base", 5),
    ]
    assert [stage.platform for stage in file.stages[:2]] == ["$BUILDPLATFORM", None]
    assert [one.keyword for one in file.stages[0].instructions] == ["FROM", "RUN"]
    assert file.stages[0].from_.value == "a:1 as Base"


# ---- the file as a whole ----------------------------------------------------------------------------------


def test_line_ends_are_those_of_the_place() -> None:
    file = parse(b"FROM a\r\nUSER b\nUSER c\r\nUSER d")
    assert file.newline == b"\r\n"
    assert [file.newline_at(offset) for offset in (0, 6, 7, 8, 15, 21, 24, 29)] == [
        b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n",
    ]  # fmt: skip
    assert [file.line_of(offset) for offset in (0, 7, 8, 14, 15, len(file.data))] == [1, 1, 2, 2, 3, 4]
    assert parse(b"FROM a\nUSER b\r\n").newline == b"\n"
    assert parse(b"FROM a").newline_at(3) == b"\n"
    assert parse(b"FROM a\n").line_of(7) == 1


def test_files_are_equal_when_their_bytes_are() -> None:
    assert parse(b"FROM a") is parse(b"FROM a")
    assert parse.__wrapped__(b"FROM a") == parse(b"FROM a") != parse(b"FROM b")
    assert len({parse(b"FROM a"), parse.__wrapped__(b"FROM a")}) == 1


def test_shell_source_keeps_every_offset() -> None:
    file, run = only("RUN a \\ \r\n  # c \\\n\n \xa0\n\t b \\\n\\\n&& c\\\n\td\n")
    source = file.shell_source(run)
    assert source.replace(b" ", b"") == b"a\\\n\tb\\\n\\\n&&c\\\n\td"
    assert len(source) == run.arguments.stop - run.arguments.start
    for command in (b"a", b"b", b"&&", b"c\\", b"d"):
        offset = run.arguments.start + source.index(command)
        assert file.data[offset:].startswith(command)


# ---- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file has no instruction; begin with FROM"),
        ("\ufeff", 1, "the file has no instruction; begin with FROM"),
        ("# a\n\n", 1, "the file has no instruction; begin with FROM"),
        ("\n\\", 2, "nothing is continued here; remove the line"),
        ("FROM a\n\\\n\n # b\n", 2, "nothing is continued here; remove the line"),
        ("ARG a\n\nARG b\n", 3, "the file has no FROM; add one after this line"),
        ("ARG a\nRUN b\nFROM c", 2, "RUN stands before the first FROM, where only ARG may; move it"),
        ("FROM a\nRUM b", 2, "unknown instruction RUM; correct it, or put # before it"),
        ("FROM a\nCOMMENT b", 2, "unknown instruction COMMENT; correct it, or put # before it"),
        ("FROM a\nRUN\xa0b", 2, "unknown instruction RUN\xa0B; correct it, or put # before it"),
        ("FROM a\nONBUILD RUM b", 2, "unknown instruction RUM; correct it, or put # before it"),
        ("FROM a\nONBUILD", 2, "ONBUILD triggers nothing; add an instruction or remove it"),
        ("FROM a\nONBUILD ONBUILD RUN b", 2, "ONBUILD cannot trigger ONBUILD; remove it"),
        ("FROM a\nonbuild from b", 2, "ONBUILD cannot trigger FROM; remove it"),
        ("FROM", 1, "FROM takes an image, or an image AS a name; write it so"),
        ("FROM a b c", 1, "FROM takes an image, or an image AS a name; write it so"),
        ("FROM {{ base }}", 1, "FROM takes an image, or an image AS a name; write it so"),
        ("FROM a AS 1b", 1, "1b cannot name a stage; use letters, digits, - _ . and a letter first"),
        ("FROM a\nCMD [1]", 2, "an exec form takes strings only; quote every element"),
        ("FROM a\nONBUILD CMD [null]", 2, "an exec form takes strings only; quote every element"),
        ('FROM a\nHEALTHCHECK CMD ["a", {}]', 2, "an exec form takes strings only; quote every element"),
        ("FROM a\nRUN b && \\\n cat <<EOF\nc\n", 3, "heredoc <<EOF is never closed; add a line with EOF"),
        ("FROM a\nRUN <<-'E F'\nEF", 2, "heredoc <<E F is never closed; add a line with E F"),
        ("FROM a\nRUN <<E\\\r\xa0\nE\n", 2, "heredoc <<E\r is never closed; add a line with E\r"),
        ("FROM a\nRUN <<E <<F\nF\nE\n", 2, "heredoc <<F is never closed; add a line with F"),
        ("# escape=x\nFROM a", 1, "the escape directive takes a backslash or a backtick; write one"),
        ("#syntax=a\n# Syntax=b\nFROM a", 2, "the directive syntax= stands here a second time; remove one of them"),
        ("FROM a\nRUN " + "b" * 65_532, 2, "the line has 65,536 bytes and BuildKit takes 65,535; split it"),
        ("FROM a\nRUN <<E " + "${a:-" * 5_000, 2, "substitutions in substitutions go too deep; take some apart"),
    ],
)  # fmt: skip
def test_what_buildkit_refuses_is_refused_in_one_sentence(text: str, line: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text.encode())
    assert (caught.value.line, caught.value.message, str(caught.value)) == (line, message, message)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_its_name(encoding: str) -> None:
    with pytest.raises(ParseError, match="the file is UTF-16; save it as UTF-8"):
        parse("\ufeffFROM a\n".encode(encoding))


def test_the_longest_line_is_read() -> None:
    for end in (b"", b"\n"):
        _, run = only(b"RUN " + b"b" * 65_531 + end)
        assert len(run.value) == 65_531


def test_two_readers_that_disagree_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockerfile, "scan", lambda data: masking.scan(data)._replace(view=b"FROM \\\na\n"))
    with pytest.raises(ParseError, match="the end of the instruction is in doubt"):
        parse.__wrapped__(b"FROM a\n")


@pytest.mark.parametrize(
    "data",
    [
        b"FROM a\nRUN " + b"b" * 10_000_000,
        b"FROM a\nRUN " + (b"b" * 60_000 + b" \\\n") * 100,
        b"FROM a\n" + b"RUN << 2\n" * 5_000,
        b"FROM a\nRUN" + b" <<E" * 10_000 + b"\nE" * 10_000,
        b"FROM a\nRUN << " + b"<" * 60_000,
        b"FROM a\nCMD [" + b'"b",' * 16_000 + b"]",
        b"FROM a\nENV " + b'"b\\' * 20_000,
        b"# " + b"a = " * 16_000 + b"\nFROM a",
        b"FROM a\n" + b" " * 65_000 + b"\nRUN " + b"\\ " * 30_000,
        b"FROM a\nCOPY " + b"--a " * 16_000 + b"b c",
        b"FROM a\nRUN a \\\n" + b"b \\\n" * 100_000,
    ],
    ids=range(11),
)
def test_no_input_takes_quadratic_time(data: bytes) -> None:
    start = time.process_time()
    try:
        file = parse.__wrapped__(data)
    except ParseError:
        pass
    else:
        assert file.instructions[-1].words
        assert file.instructions[-1].flags is not None
        assert file.shell_source(file.instructions[-1])
    assert time.process_time() - start < 8


# ---- properties -------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    "FROM a\n|RUN b|COPY <<E /|ADD |USER c|ONBUILD |ENV a=b |CMD [\"a\"]|--x=y |--link |\\\n|\\\r\n|\\|`|\n|\n|\r\n|\r|# d|#|"
    " |\t|\v|\x1c|\xa0|\u2028|\udcff|\udcc3|\udca9|\U0010ff5c|\0|<<E|<< E|<<-'E'|\nE\n|\n\tE\n|'|\"|${a:-b}|[|]|é|\\\\\n"
    "|# escape=`\n|\ufeff".split("|")
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, max_size=30), st.booleans())
def test_any_bytes_are_read_whole_or_refused(pieces: list[str], sound: bool) -> None:
    data = ("FROM a\n" * sound + "".join(pieces)).encode("utf-8", "surrogateescape")
    try:
        file = parse.__wrapped__(data)
    except ParseError as error:
        assert 1 <= error.line <= max(1, data.count(b"\n") + 1)
        assert "\n" not in error.message
        return
    position = 0
    for one in file.instructions:
        check_gap(data[position : one.span.start])
        assert file.line_of(one.span.start) == one.line
        assert file.line_of(one.span.stop - 1) == one.end_line
        check_instruction(file, one)
        position = one.span.stop
    check_gap(data[position:])
    assert file.instructions == (
        *file.global_args,
        *(one for stage in file.stages for one in stage.instructions),
    )


def check_gap(gap: bytes) -> None:
    """Between instructions there are whole lines, blank or comments."""
    for line in gap.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        assert masking.without_indent(line)[:1] in {b"", b"#"}


def check_instruction(file: Dockerfile, one: Instruction) -> None:
    """Every span of an instruction says what its text says."""
    data = file.data
    assert one.span.start == 0 or data[: one.span.start].endswith((b"\n", b"\xef\xbb\xbf"))
    assert one.span.stop == len(data) or data[: one.span.stop].endswith(b"\n")
    stop = one.heredocs[0].body.start if one.heredocs else one.span.stop
    assert joined(file, one.keyword_span).decode().upper() == one.keyword
    assert one.span.start <= one.keyword_span.start < one.keyword_span.stop <= one.flags_stop
    assert one.flags_stop <= one.arguments.start <= one.arguments.stop <= stop
    assert joined(file, one.arguments).decode("utf-8", "surrogateescape") == one.value
    for word in one.words:
        assert joined(file, word.span).decode("utf-8", "surrogateescape") == word.text
    for flag in one.flags:
        assert joined(file, flag.span).startswith(b"--")
    for element in one.json or ():
        assert joined(file, element.span)[:1] + joined(file, element.span)[-1:] == b'""'
    for heredoc in one.heredocs:
        assert b"<<" in joined(file, heredoc.span)
        assert data[heredoc.body.stop : heredoc.stop].strip(b"\t\r\n") == heredoc.name.encode(
            "utf-8", "surrogateescape"
        )
    assert len(file.shell_source(one)) == one.arguments.stop - one.arguments.start
    if one.inner is not None:
        check_instruction(file, one.inner)


def joined(file: Dockerfile, span: Span) -> bytes:
    """Return the bytes of a span without its continuations, found line by line."""
    first, *lines = file.data[span.start : span.stop].split(b"\n")
    lines = [first, *(line for line in lines if masking.without_indent(line)[:1] not in {b"", b"#"})]
    parts = [masking.continued(line, file.escape.encode()) for line in lines[:-1]]
    assert None not in parts
    return b"".join(part or b"" for part in parts) + lines[-1]
