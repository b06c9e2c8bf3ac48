"""The matrix of ``docs/ports.md``: no kind of place without a fixture that moves it and one that leaves it."""

from __future__ import annotations

import pytest
from test_docs import ROOT, generator

GENERATOR = generator()


@pytest.mark.parametrize("row", GENERATOR.port_matrix.rows(), ids=lambda row: f"{row.part}: {row.kind}")
def test_every_place_has_a_case_that_moves_and_one_that_stays(row) -> None:
    assert row.moves, f"no fixture moves {row.kind}"
    assert row.stays, f"no fixture leaves something of {row.kind} as it is"


def test_the_page_shows_what_the_fixtures_say() -> None:
    page = (ROOT / "docs" / "ports.md").read_text(encoding="utf-8")
    assert GENERATOR.generated(page) == page, "run: python docs/generate.py"
