"""Ports below 1024: what states them, what decides them, and that they move everywhere or nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hardener import harden, harden_paths, open_project, ports
from hardener.outcome import Outcome
from hardener.port_facts import Move, Stuck
from hardener.settings import Settings
from hardener.stages import stage_facts

HEAD = b"FROM python:3.12-slim\nWORKDIR /app\nCOPY app.py .\n"


def project(folder: Path, text: str, files: dict[str, bytes] | None = None):
    (folder / ".git").mkdir(exist_ok=True)
    (folder / "app.py").write_bytes(b"print()\n")
    for name, data in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "Dockerfile").write_bytes(HEAD + text.encode())
    return open_project(folder / "Dockerfile")


def moves(one, **settings) -> dict[int, Move | Stuck]:
    return dict(ports.moves(one, stage_facts(one.dockerfile, 0), Settings(**settings)))


def after(folder: Path, text: str, files: dict[str, bytes] | None = None, **settings) -> str:
    """Return the end of the Dockerfile when only the ports have moved, or the reason why they did not."""
    one = project(folder, text, files)
    result = harden(one, Settings(select=frozenset({"move_port"}), **settings))
    if result.stages[0].verdict.outcome is Outcome.MANUAL:
        assert result.changed == {}
        return f"stuck: {result.stages[0].verdict.reason}"
    data = result.after.dockerfile.data
    assert data.startswith(HEAD)
    return data[len(HEAD) :].decode()


GUNICORN = 'CMD ["gunicorn", "-b", "0.0.0.0:80", "app:app"]\n'


@pytest.mark.parametrize(
    "text",
    [
        "EXPOSE 80\nCMD python app.py\n",
        'EXPOSE 80\nCMD ["python", "app.py"]\n',
        "EXPOSE 80/udp\n" + GUNICORN,
        "EXPOSE 80-90\n" + GUNICORN,
        "EXPOSE 80\nEXPOSE 8080\n" + GUNICORN,
        "EXPOSE 80\nHEALTHCHECK CMD check --port 80\n" + GUNICORN,
        "EXPOSE 80\nHEALTHCHECK CMD curl http://example.org:80/\n" + GUNICORN,
        "EXPOSE 22\nEXPOSE 80\n" + GUNICORN,
        'EXPOSE 80\nENTRYPOINT ["./wait", "80"]\n' + GUNICORN,
    ],
)
def test_a_port_that_cannot_move_everywhere_leaves_the_whole_image_alone(text, tmp_path) -> None:
    (tmp_path / "wait").write_bytes(b'#!/bin/sh\nexec "$@"\n')
    assert after(tmp_path, text).startswith("stuck: ")


@pytest.mark.parametrize(
    "text",
    [
        'CMD ["python", "app.py"]\n',
        "EXPOSE 8000\n" + GUNICORN.replace(":80", ":8000"),
        "EXPOSE 1024\n" + GUNICORN.replace(":80", ":1024"),
        'CMD ["gunicorn", "-t", "80", "app:app"]\n',
        'CMD ["gunicorn", "--bind", "unix:/tmp/80", "app:app"]\n',
        'ENV RETRIES=80\nCMD ["python", "app.py"]\n',
        'ENV PORT=80\nCMD ["python", "app.py"]\n',
        'CMD ["python", "app.py", "--workers", "80"]\n',
        '# EXPOSE 80\nCMD ["python", "app.py"]\n',
        'RUN <<EOF\nEXPOSE 80\nEOF\nCMD ["python", "app.py"]\n',
    ],
)
def test_what_is_no_port_below_1024_stays(text, tmp_path) -> None:
    assert after(tmp_path, text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EXPOSE 80\n" + GUNICORN, "EXPOSE 8080\n" + GUNICORN.replace(":80", ":8080")),
        (GUNICORN, GUNICORN.replace(":80", ":8080")),
        ('EXPOSE "80"\n' + GUNICORN, 'EXPOSE "8080"\n' + GUNICORN.replace(":80", ":8080")),
        ("EXPOSE 80/tcp 9000\n" + GUNICORN, "EXPOSE 8080/tcp 9000\n" + GUNICORN.replace(":80", ":8080")),
        ("EXPOSE 80/TCP\n" + GUNICORN, "EXPOSE 8080/TCP\n" + GUNICORN.replace(":80", ":8080")),
        ("EXPOSE 80\nEXPOSE 80\n" + GUNICORN, "EXPOSE 8080\nEXPOSE 8080\n" + GUNICORN.replace(":80", ":8080")),
        (
            "EXPOSE \\\n  80 \\\n  9000\n" + GUNICORN,
            "EXPOSE \\\n  8080 \\\n  9000\n" + GUNICORN.replace(":80", ":8080"),
        ),
        ("CMD gunicorn --bind=:80 app:app\n", "CMD gunicorn --bind=:8080 app:app\n"),
        ("CMD gunicorn -b :80 \\\n  app:app\n", "CMD gunicorn -b :8080 \\\n  app:app\n"),
        ("CMD exec gunicorn -b[::]:80 app:app\n", "CMD exec gunicorn -b[::]:8080 app:app\n"),
        (
            'ENTRYPOINT ["gunicorn"]\nCMD ["-b", ":80", "a:a"]\n',
            'ENTRYPOINT ["gunicorn"]\nCMD ["-b", ":8080", "a:a"]\n',
        ),
        ('CMD ["sh", "-c", "gunicorn -b :80 a:a"]\n', 'CMD ["sh", "-c", "gunicorn -b :8080 a:a"]\n'),
        ('CMD ["uvicorn", "a:a", "--port", "443"]\n', 'CMD ["uvicorn", "a:a", "--port", "8443"]\n'),
        ('CMD ["uvicorn", "a:a", "--port=81"]\n', 'CMD ["uvicorn", "a:a", "--port=8081"]\n'),
        ('CMD ["python", "-m", "http.server", "80"]\n', 'CMD ["python", "-m", "http.server", "8080"]\n'),
        ("ENV PORT=80\nCMD gunicorn -b :$PORT a:a\n", "ENV PORT=8080\nCMD gunicorn -b :$PORT a:a\n"),
        ("ENV PORT 80\nCMD gunicorn -b :${PORT} a:a\n", "ENV PORT 8080\nCMD gunicorn -b :${PORT} a:a\n"),
        ('ENV A=1 PORT="80" B=2\nCMD gunicorn a:a\n', 'ENV A=1 PORT="8080" B=2\nCMD gunicorn a:a\n'),
        (
            "EXPOSE 80\nHEALTHCHECK CMD curl -f http://localhost/ || exit 1\n" + GUNICORN,
            "EXPOSE 8080\nHEALTHCHECK CMD curl -f http://localhost:8080/ || exit 1\n"
            + GUNICORN.replace(":80", ":8080"),
        ),
        (
            'HEALTHCHECK CMD ["curl", "http://127.0.0.1:80/x"]\n' + GUNICORN,
            'HEALTHCHECK CMD ["curl", "http://127.0.0.1:8080/x"]\n' + GUNICORN.replace(":80", ":8080"),
        ),
        ("EXPOSE 80\r\n" + GUNICORN, "EXPOSE 8080\r\n" + GUNICORN.replace(":80", ":8080")),
    ],
)
def test_a_port_moves_in_every_place_at_once(text, expected, tmp_path) -> None:
    assert after(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "pairs", "expected"),
    [
        ("EXPOSE 80\n" + GUNICORN, ((80, 3000),), "EXPOSE 3000\n" + GUNICORN.replace(":80", ":3000")),
        ("EXPOSE 80 8080\n" + GUNICORN, ((80, 8081),), "EXPOSE 8081 8080\n" + GUNICORN.replace(":80", ":8081")),
        ("EXPOSE 80\n" + GUNICORN, ((443, 3000),), "EXPOSE 8080\n" + GUNICORN.replace(":80", ":8080")),
    ],
)
def test_a_port_goes_where_the_settings_say(text, pairs, expected, tmp_path) -> None:
    assert after(tmp_path, text, ports=pairs) == expected


def test_the_new_port_must_be_free(tmp_path) -> None:
    (found,) = moves(project(tmp_path, "EXPOSE 80 8080\n" + GUNICORN)).values()
    assert isinstance(found, Stuck)
    assert "8080" in found.reason
    assert "--port 80=NEW" in found.way_out


def test_two_ports_do_not_land_on_one(tmp_path) -> None:
    text = 'EXPOSE 80 81\nCMD ["gunicorn", "-b", ":80", "-b", ":81", "app:app"]\n'
    one = project(tmp_path, text)
    result = harden(one, Settings(ports=((80, 9000), (81, 9000))))
    assert b"9000 9000" not in result.after.dockerfile.data


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("k8s/deploy.yaml", b"      - containerPort: 80\n"),
        ("k8s/service.yml", b"    targetPort: '80'\n"),
    ],
)
def test_a_caller_outside_keeps_the_port_where_it_is(name, text, tmp_path) -> None:
    reason = after(tmp_path, "EXPOSE 80\n" + GUNICORN, {name: text})
    assert reason.startswith("stuck: ")
    assert name in reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Makefile", b"run:\n\tdocker run -p 8000:80 app\n"),
        ("start.sh", b"docker run --publish=127.0.0.1:8000:80 app:latest\n"),
        ("README.md", b"    docker run -p=8000:80 app\n"),
    ],
)
def test_the_container_side_of_a_run_line_moves(name, text, tmp_path) -> None:
    one = project(tmp_path, "EXPOSE 80\n" + GUNICORN, {name: text})
    changed = {str(path): data for path, (_, data) in harden(one).changed.items()}
    assert changed[name] == text.replace(b":80 ", b":8080 ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("k8s/deploy.yaml", b"      - containerPort: 8000\n"),
        ("README.md", b"docker run -p 8000:80 nginx\n"),
        ("Makefile", b"run:\n\tdocker run -p 80:8000 app\n"),
        ("node_modules/x/run.sh", b"docker run -p 80:80 app\n"),
        ("start.sh", b"sleep 80\n"),
    ],
)
def test_a_file_that_does_not_call_the_port_does_not_keep_it(name, text, tmp_path) -> None:
    assert after(tmp_path, "EXPOSE 80\n" + GUNICORN, {name: text}).startswith("EXPOSE 8080\n")


def test_the_published_port_stays_and_the_container_side_moves(tmp_path) -> None:
    compose = b'services:\n  web:\n    build: .\n    ports: ["80:80"]\n'
    one = project(tmp_path, "EXPOSE 80\n" + GUNICORN, {"compose.yaml": compose})
    result = harden(one)
    changed = {str(path): data for path, (_, data) in result.changed.items()}
    assert changed["compose.yaml"] == compose.replace(b'"80:80"', b'"80:8080"')
    assert b"EXPOSE 8080\n" in changed["Dockerfile"]


def test_another_service_that_calls_it_moves_along(tmp_path) -> None:
    compose = (
        b'services:\n  web:\n    build: .\n    ports: ["80:80"]\n  proxy:\n    image: x\n'
        b"    environment: {UPSTREAM: 'http://web:80'}\n"
    )
    one = project(tmp_path, "EXPOSE 80\n" + GUNICORN, {"compose.yaml": compose})
    changed = {str(path): data for path, (_, data) in harden(one).changed.items()}
    assert changed["compose.yaml"] == compose.replace(b':80"', b':8080"').replace(b"web:80", b"web:8080")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", "# ünï 日本\n".encode()])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_port_in_the_python_program_moves_with_its_very_bytes(mark, newline, tmp_path) -> None:
    source = mark + b"import bottle\nbottle.run(host='0.0.0.0', port=80)  # 80\n".replace(b"\n", newline)
    one = project(tmp_path, 'EXPOSE 80\nCMD ["python", "app.py"]\n', {"app.py": source})
    changed = {str(path): data for path, (_, data) in harden(one).changed.items()}
    assert changed["app.py"] == source.replace(b"port=80", b"port=8080")
    assert b"EXPOSE 8080\n" in changed["Dockerfile"]


@pytest.mark.parametrize(
    ("health", "edited"),
    [
        ("curl http://localhost/", "curl http://localhost:8080/"),
        ("curl localhost:80", "curl localhost:8080"),
        ("curl http://[::1]:80/", "curl http://[::1]:8080/"),
        ("wget -q 'http://0.0.0.0'", "wget -q 'http://0.0.0.0:8080'"),
        ("curl https://localhost/", "curl https://localhost/"),
        ("curl http://localhost:8000/80.html", "curl http://localhost:8000/80.html"),
        ("nc -z localhost 80", None),
    ],
)
def test_the_addresses_of_a_health_check(health, edited, tmp_path) -> None:
    (found,) = moves(project(tmp_path, f"HEALTHCHECK CMD {health}\n" + GUNICORN)).values()
    if edited is None:
        assert isinstance(found, Stuck)
        return
    assert isinstance(found, Move)
    assert f"HEALTHCHECK CMD {edited}\n" in after(tmp_path, f"HEALTHCHECK CMD {health}\n" + GUNICORN)


@pytest.mark.parametrize("count", [0, 30])
def test_a_dockerfile_that_calls_another_image_gets_both_changes(count, tmp_path) -> None:
    (tmp_path / ".git").mkdir()
    texts = {
        "api": 'FROM python:3.12-slim\nENV URL=http://web:80\nCOPY . /app\nCMD ["python", "/app/main.py"]\n',
        "web": "FROM python:3.12-slim\nCOPY . /app\nEXPOSE 80\n" + GUNICORN,
    }
    texts |= {f"other{number}": "FROM scratch\n" for number in range(count)}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(text)
    (tmp_path / "compose.yml").write_text("services:\n  web: {build: web}\n  api: {build: api}\n")
    last: dict[str, bytes] = {}
    for one in harden_paths([tmp_path]):
        last |= {str(path): data for path, (_, data) in one.result.changed.items()}
    assert b"URL=http://web:8080" in last["api/Dockerfile"]
    assert b"USER 5000:5000" in last["api/Dockerfile"]
    assert b"EXPOSE 8080" in last["web/Dockerfile"]
