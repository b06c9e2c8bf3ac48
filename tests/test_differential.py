"""`hardener.dockerfile` reads what BuildKit's own parser reads: keywords, lines, flags, values, exec forms, heredocs."""

from __future__ import annotations

import os
from pathlib import Path

import buildkit_oracle
import pytest
from buildkit_oracle import ALIKE, NOT_JUDGED, REFUSED_BY_BOTH, REFUSED_BY_BUILDKIT, REFUSED_LATER, compare
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(not buildkit_oracle.AVAILABLE, reason="the package dockerfile has no wheel here")

FEATURES = {
    "keywords in any case": "from a AS B\nRun b\nuSER c\n",
    "every instruction": "ARG a=b\nFROM --platform=linux/amd64 a AS b\nMAINTAINER c d\nRUN e\nCMD f\nENTRYPOINT g\n"
    "LABEL h=i j='k l'\nEXPOSE 80 443/tcp\nENV n o  p\nENV q=r s='t u'\nADD v w\nCOPY x y z\nVOLUME /a /b\n"
    "USER c:d\nWORKDIR /e f\nSTOPSIGNAL SIGTERM\nHEALTHCHECK NONE\nSHELL [\"sh\", \"-c\"]\nONBUILD RUN g\n",
    "no arguments": "FROM a\nRUN\nCMD \nUSER\t\r\n",
    "no final newline": "FROM a\nRUN b",
    "byte-order mark": "\ufeffFROM a\n",
    "byte-order mark and directive": "\ufeff# escape=`\nFROM a\nRUN b`\n c\n",
    "CRLF": "# c\r\nFROM a\r\n\r\nRUN b \\\r\n  c\r\nCOPY <<E /\r\nd\r\nE\r\n",
    "mixed line ends": "FROM a\r\nRUN b \\\n c \\\r\n d\nUSER e\r\r\nUSER f\n",
    "lone CR": "FROM a\rAS\rc\nRUN d\re\\\r\nf\n",
    "vertical tab and form feed": "FROM\va\nRUN\fb\vc\f\nRUN d\\\v\nUSER e\n",
    "controls": "FROM a\x1cb\nRUN \x1fc\x1e\n",
    "wide blanks": "\u2003FROM a\u3000\n\xa0# b\nRUN\t\x85c\xa0d\u2028\n\u3000\nUSER e\xa0f\n",
    "no ASCII": "FROM a\n# é\nRUN echo 'ü' \\\n ö\nLABEL a=\U0001f600\n",
    "stand-ins": "FROM a\nRUN \U0010ff41 \U0010ffff\\\\\n",
    "continuation": "FROM a \\\n  AS b\nRUN c\\\nd \\ \t\n e\\\n\\\n \\\n\tf\n",
    "continued keyword": "FR\\\nOM a\nRUN\\\n b\nRU\\\n# c\n\nN\\\n d\n\\\nUSER e\n",
    "comments in a continuation": "FROM a\nRUN b \\\n# c\n  # d \\\n\t#e\n  f # g \\\n h\n",
    "blank lines in a continuation": "FROM a\nRUN b \\\n\n \t\n\v\n  c\nUSER d\n",
    "escaped escape at the end": "FROM a\nRUN b\\\\\nUSER c\\\\\\\nUSER d\n",
    "dangling escape": "FROM a\nRUN b \\",
    "dangling escape and newline": "FROM a\nRUN b \\\n",
    "dangling escape and comment": "FROM a\nRUN b \\\n c \\\n# d\n\n # e\n",
    "dangling escape alone": "FROM a\nRUN b \\\n   \\",
    "escape directive": "# escape=`\nFROM a\nRUN b`\n c\nRUN d\\\nCOPY e `\n  f\nRUN g``\nENV h=i` j\n",
    "directives in any case": "#Syntax = docker/dockerfile:1\n#\tESCAPE\t=\t`\t\nFROM a\nRUN b`\n\n c\n",
    "directive after a comment": "# b\n# escape=`\nFROM a\nRUN b`\nUSER c\\\n d\n",
    "directive after a blank line": "\n# escape=`\nFROM a\nRUN b`\nUSER c\n",
    "unknown directive": "# other=1\n# escape=`\nFROM a\nRUN b`\nUSER c\n",
    "directive twice": "# escape=`\n# escape=`\nFROM a\n",
    "bad directive": "# escape=``\nFROM a\n",
    "flags": "FROM a\nCOPY --link --chown=1:1 --from=b c d\nADD --chmod=755 --checksum=sha256:e f g\n"
    "RUN --mount=type=cache,target=/h --network=none --security=insecure i\nCOPY --parents --exclude=*.j k l\n"
    "HEALTHCHECK --interval=1s --retries=3 CMD m n\nCMD --o p\nENV --q=r s=t\n",
    "flags on several lines": "FROM a\nRUN --mount=type=cache,target=/b \\\n  --mount=type=bind \\\n# c\n  d\n",
    "quoted flags": "FROM a\nCOPY --a=\"b c\" --d='e\\' f' --g=h\\ i --'j' k\nRUN --l='m\\\\' \"n\"\nRUN --o='p q  \n",
    "flags that are none": "FROM a\nCOPY -- --b c\nCOPY -d e\nCOPY --\nCOPY --f --\nCOPY '--g' h\nRUN --i\\\n",
    "flags that are no ASCII": "FROM a\nCOPY --b=é --c=à d e\nCOPY \xa0--f g\nCOPY --h \x85--i j\n",
    "exec forms": 'FROM a\nCMD ["b", "c d"]\nENTRYPOINT []\nRUN [ "e" ,"f" ] \nCOPY --chown=1 ["g h", "i"]\nVOLUME ["/j"]\n'
    'ADD ["k"]\nSHELL ["l", \\\n# m\n "n"]\nHEALTHCHECK CMD ["o", "p"]\nCMD ["\\u00e9\\n\\"\\ud83d\\ude00\\ud800", "é"]\n',
    "exec forms that are none": "FROM a\nCMD ['b']\nCMD [\"c\",]\nCMD [\"d\"\nCMD [\"\\e\"]\nRUN [ -f g ]\nCMD [\"h\ti\"]\n"
    "CMD [NaN]\nUSER [\"j\"]\nENV k=[\"l\"]\nCMD m []\n",
    "exec form without strings": 'FROM a\nCMD ["b", 1]\n',
    "quotes in words": "FROM a\nENV b='c d' e=\"f \\\" g\" h=i\\ j k='l\nLABEL m=\"n \\\n o\" p\\=q=r\nARG s='t u'\nCOPY 'v w' \"x\n",
    "heredoc": "FROM a\nRUN <<EOF\nUSER b\n# c\n\nd \\\nEOF\nUSER e\n",
    "heredoc to the end": "FROM a\nCOPY <<EOF /b\nc\nEOF",
    "heredoc with tabs": "FROM a\nRUN <<-EOF\n\tb\n\t\tEOF\nRUN <<-'EOF'\nEOF \n EOF\n\tEOF\r\n",
    "heredocs on a line": "FROM a\nRUN <<A cat 3<<'B' && <<-\"C\" <<D\nA\nb\n\tA\nB\n\tC\nc\nD\nUSER d\n",
    "heredoc on a later line": "FROM a\nRUN b && \\\n  # <<X\n  cat <<E | \\\n  c\nd\nE\n",
    "heredoc of a copy": 'FROM a\nCOPY --chown=1:1 <<b <<"c d" /e/\nf\nb\ng\nc d\nADD <<h /i\nh\n',
    "heredoc names": "FROM a\nRUN <<'b c'\nb c\nRUN <<d\\ e\nd e\nRUN <<$f\n$f\nRUN <<${g}\n${g}\nRUN <<h;\nh;\nRUN <<\"i'j\"\ni'j\n"
    "RUN <<\"k\\$\\\"\\\\\\l\"\nk$\"\\\\l\nRUN <<m>n\nm>n\nRUN <<é\né\nRUN <<o''p\nop\n",
    "heredoc name with an escaped blank at the end": "FROM a\nRUN <<E\\\xa0\nUSER b\nE\nE\xa0\n",
    "heredoc of an onbuild": "FROM a\nONBUILD RUN <<E\nUSER b\nE\nonbuild \\\n copy <<F /\nF\nUSER c\n",
    "no heredocs": "FROM a\nENV b=<<E\nRUN c<<E\nRUN <<<E\nRUN '<<E'\nRUN \\<<E\nRUN <<\nRUN <<''\nRUN <<- E\nRUN <<A<<B\n"
    'RUN ["<<E"]\nONBUILD ENV b <<E\nUSER <<E\nRUN "a <<E b"\nRUN <<E \'\nRUN <<E "\nRUN <<E ${\nRUN <<E ${a\nRUN <<E ${}\n',
    "heredoc after substitutions": 'FROM a\nRUN $a ${b} ${c:-d} ${e:+"f g"} $$ $1 "${h:-\'}\'}" "\\"" <<E\ni\nE\n',
    "heredoc that is never closed": "FROM a\nRUN <<E\nb\n",
    "heredoc in the continuation at the end": "FROM a\nRUN <<E \\\n\nE\n",
    "escape directive and heredoc": "# escape=`\nFROM a\nRUN b `\n <<E\nc `\nE\nRUN <<'F'\\G\nF\\G\nFG\n",
    "escape directive and heredoc name": "# escape=`\r\nFROM a\r\nRUN <<E\\\r\nUSER b\r\nE\r\n",
    "empty": "",
    "comments alone": "# a\n\n# b\n",
    "longest line": "FROM a\nRUN " + "b" * 65_531 + "\nRUN " + "c" * 65_531,
    "longer line": "FROM a\nRUN " + "b" * 65_532 + "\n",
    "longer line at the end": "FROM a\nRUN " + "b" * 65_532,
    "deep substitution": "FROM a\nRUN " + "${a:-" * 50 + "}" * 50 + " <<E\nE\n",
}  # fmt: skip
ALLOWED = {ALIKE, REFUSED_BY_BOTH, REFUSED_LATER, REFUSED_BY_BUILDKIT}


@pytest.mark.parametrize("feature", FEATURES)
def test_own_files_are_read_alike(feature: str) -> None:
    (found,) = compare([FEATURES[feature].encode()])
    refused = {
        "directive twice", "bad directive", "exec form without strings", "heredoc that is never closed", "empty",
        "heredoc in the continuation at the end", "comments alone", "longer line", "longer line at the end",
    }  # fmt: skip
    expected = REFUSED_BY_BOTH if feature in refused else ALIKE
    assert found.outcome == expected, found.details


# What the judge does not see as `hardener` does, with the reason.  The readings of `hardener` are in test_dockerfile.
LIMITS = {
    "FROM a\nRUN \xff\n": NOT_JUDGED,
    "FROM a\nRUN b\0\n": NOT_JUDGED,
    "FROM a\nHEALTHCHECK CMD\x85 b\n": NOT_JUDGED,
    "\\\n": NOT_JUDGED,
    "FROM a\nENV b\n": REFUSED_BY_BUILDKIT,
    "FROM a\nLABEL b=c d\n": REFUSED_BY_BUILDKIT,
    "FROM a\nRUM b\n": REFUSED_LATER,
    "RUN b\n": REFUSED_LATER,
    "ARG a\n": REFUSED_LATER,
    "FROM a b\n": REFUSED_LATER,
    "FROM a AS 1\n": REFUSED_LATER,
    "FROM a\nONBUILD FROM b\n": REFUSED_LATER,
    "#\u2003escape=`\nFROM a\nRUN b`\n c\n": "any blank may follow the # of a directive",
    "# check=skip=all\n# escape=`\nFROM a\nRUN b`\n c\n": "check= is a directive",
    "FROM a\nRUN << E\nUSER b\nE\n": "blanks after << are skipped",
    "FROM a\nRUN ${b%c} ${d#e} ${f//g/h} <<E\nUSER b\nE\n": "${name%x}, ${name#x} and ${name/x/y} are known",
    'FROM a\nCMD ["b"] c\n': "no exec form where something follows the array",
    'FROM a\nRUN ["b"] <<E\nUSER b\nE\n': "no exec form where something follows the array",
    "# escape=`\nFROM a\nCOPY --b=c`,d e f\n": "flags have the escape character of the file",
    '# check=a\n# escape=`\nFROM a\nRUN b`\n c\nCMD ["b"] c\n': "several changes of BuildKit",
}  # fmt: skip


@pytest.mark.parametrize("text", LIMITS)
def test_the_limits_of_the_judge_are_known(text: str) -> None:
    (found,) = compare([text.encode("latin-1" if "\xff" in text else "utf-8")])
    assert found.outcome == LIMITS[text], found.details


def test_a_crash_of_the_judge_costs_one_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    child = buildkit_oracle._CHILD.replace(
        "for line in sys.stdin:", "for line in sys.stdin:\n    'crash' in line and exit()"
    )
    monkeypatch.setattr(buildkit_oracle, "_CHILD", child)
    verdicts = buildkit_oracle.read([b"FROM a", b"FROM crash", b"FROM", b"FROM crash"])
    assert [verdict and len(verdict.nodes) for verdict in verdicts] == [1, None, 1, None]


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


BLANK = st.sampled_from([" ", " ", " ", "  ", "\t", " \\\n  ", "\\\r\n ", " \\\n# c\n ", " \\\n\n\t", "\v", " \\ \n"])
WORD = st.sampled_from(
    [
        "a",
        "b=c",
        "'d e'",
        '"f \\" g"',
        "h\\ i",
        "$j",
        "${k:-l}",
        "&&",
        "[",
        "]",
        "é",
        "\\\\",
        '["m", "n"]',
        "<",
        "`",
        "#o",
        "-p",
    ]
)
FLAG = st.sampled_from(
    ["--link", "--chown=1:1", "--mount=type=cache,target=/a", "--b='c d'", '--e="f\\"g"', "--h=i\\ j"]
)
KEYWORD = st.sampled_from(
    ["RUN", "run", "COPY", "ADD", "CMD", "USER", "ENV a", "LABEL b=c", "VOLUME", "ONBUILD RUN", "R\\\nUN"]
)
LINE_END = st.sampled_from(["\n", "\n", "\r\n", " \n", "\\\\\n", "\n\n", "\n# comment\n", "\n \t# comment \\\n"])
INSTRUCTION = joined(
    KEYWORD,
    st.lists(joined(BLANK, FLAG), max_size=2).map("".join),
    st.lists(joined(BLANK, WORD), max_size=4).map("".join),
    LINE_END,
)
BODY = st.lists(
    st.sampled_from(["USER a\n", "# b\n", "\n", "\tc \\\n", " EOF\n", "EOF \n", "\\\n", "d\r\n"]), max_size=4
).map("".join)
HEREDOC = st.builds(
    lambda keyword, blank, opener, word, body: f"{keyword}{blank}{opener[0]}{word}\n{body}{opener[1]}\n",
    st.sampled_from(["RUN", "COPY", "add", "ONBUILD RUN"]),
    BLANK,
    st.sampled_from(
        [
            ("<<EOF", "EOF"),
            ("<<-EOF", "\t\tEOF"),
            ("<<'E F'", "E F"),
            ('1<<-"X"', "\tX"),
            ("<<A <<B", "c\nA\nB"),
        ]
    ),
    st.sampled_from(["", " a", " | b \\\n c", " /d", " 'e' \\\n# f"]),
    BODY,
)
HEAD = st.sampled_from(
    ["", "", "# comment\n", "# syntax=docker/dockerfile:1\n", "\ufeff", "# escape=\\\n", "ARG a=b\n", "\n\n"]
)
DOCKERFILE = joined(
    HEAD,
    st.sampled_from(["FROM a\n", "FROM a AS b\r\n", "from --platform=$c a\n", "FROM \\\n a\n"]),
    st.lists(INSTRUCTION | HEREDOC, max_size=6).map("".join),
    st.sampled_from(["", "", "RUN a", "RUN a \\", "RUN a \\\n# b\n", "# a"]),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(DOCKERFILE, min_size=1, max_size=40))
def test_generated_files_are_read_alike(texts: list[str]) -> None:
    for found, text in zip(compare([text.encode() for text in texts]), texts, strict=True):
        assert found.outcome in ALLOWED or found.outcome in buildkit_oracle.REASONS, (text, found)


@pytest.mark.skipif("HARDENER_CORPUS" not in os.environ, reason="HARDENER_CORPUS names no folder of Dockerfiles")
def test_the_corpus_is_read_alike() -> None:
    paths = sorted(path for path in Path(os.environ["HARDENER_CORPUS"]).rglob("*") if path.is_file())
    found = compare([path.read_bytes() for path in paths])
    bad = {path: one for path, one in zip(paths, found, strict=True) if one.outcome not in {*ALLOWED, NOT_JUDGED}}
    assert not {path: one for path, one in bad.items() if one.outcome not in buildkit_oracle.REASONS}
    assert len(bad) <= len(paths) / 100
