"""What RUN steps write into files: the text that comes out, at the bytes of the Dockerfile that write it."""

from __future__ import annotations

import pytest

from hardener import dockerfile, written_files
from hardener.stages import stage_facts


def piece(run: str) -> written_files.Piece | None:
    data = f"FROM debian\n{run}\n".encode()
    (step,) = stage_facts(dockerfile.parse(data), 0).steps
    found = [written_files.piece(step, command) for command in step.commands or ()]
    one = next((found for found in found if found is not None), None)
    if one is not None:
        assert len(data[one.start : one.start + len(one.text)]) == len(one.text)
    return one


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("RUN echo 'listen 80;' > /f", b"listen 80;"),
        ('RUN echo -e "a\\n\\tlisten 80;" >> /f', b"a \n  listen 80;"),
        ('RUN printf "a \\$uri \\"b\\";\\n" > /f', b'a  $uri  "b "; \n'),
        ('RUN echo "server { \\\n  listen 80; \\\n}" > /f', b"server {     listen 80;   }"),
        ("RUN cat > /f <<'E'\nlisten $80;\nE", b"listen $80;\n"),
        ("RUN mkdir /x && cat <<E >> /f\nlisten 80;\nE", b"listen 80;\n"),
    ],
)
def test_what_is_written(run: str, text: bytes) -> None:
    found = piece(run)
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize(
    "run",
    [
        "RUN echo listen 80 > /f",
        "RUN echo 'a' 'b' > /f",
        "RUN echo 'listen 80;'",
        'RUN echo "listen $PORT;" > /f',
        "RUN printf 'listen %s;' 80 > /f",
        "RUN printf 'location ~ \\.php$ {}' > /f",
        "RUN echo 'a' | tee /f > /g",
        'RUN echo "a \\\n# a comment\n b" > /f',
        "RUN cat a > /f",
        "RUN cat > /f <<E\nlisten $PORT;\nE",
        "RUN cat > /f <<E && cat > /g <<X\na\nE\nb\nX",
        "RUN <<E\ncat > /f <<X\nlisten 80;\nX\nE",
    ],
)
def test_what_is_not_certain(run: str) -> None:
    assert piece(run) is None
