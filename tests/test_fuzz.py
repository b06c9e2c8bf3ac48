"""The fuzzing targets on inputs that once broke them, and on some new ones; ``python -m tests.fuzz.run`` looks for more."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.run import FIXTURES, HERE, LARGEST, SEEDS
from tests.fuzz.targets import TARGETS

CORPUS = sorted(file for file in (HERE / "corpus").rglob("*") if file.is_file())
WORDS = [
    line[1:-1].encode().decode("unicode_escape").encode("latin-1")
    for line in (HERE / "words.dict").read_text().splitlines()
    if line.startswith('"')
]


def seeds(target: str) -> list[bytes]:
    files = {file for pattern in SEEDS[target] for file in FIXTURES.rglob(pattern) if file.is_file()}
    files |= set((HERE / "corpus" / target).iterdir())
    return [file.read_bytes() for file in sorted(files) if file.stat().st_size <= LARGEST][:60]


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_an_input_of_the_corpus_breaks_nothing(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_fixture_breaks_nothing(target: str, data: st.DataObject) -> None:
    content = data.draw(st.sampled_from(seeds(target)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = min(len(content), start + data.draw(st.integers(0, 12)))
        content = content[:start] + data.draw(st.sampled_from(WORDS) | st.binary(max_size=4)) + content[stop:]
    TARGETS[target](content)
