"""One-time commands for data that an image wrote as root: which mounts need one, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardener import Settings, harden, open_project
from hardener.migration import Migration, hint, lines

DOCKERFILE = "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\n{}CMD python app.py\n"
MANIFEST = """
kind: Deployment
metadata: {{name: shop}}
spec:
  template:
    spec:
      {security}
      containers:
        - image: {image}
          volumeMounts:
            - {{name: data, mountPath: /srv/data{options}}}
      volumes:
        - name: data
          {volume}
"""
CLAIM = "persistentVolumeClaim: {claimName: shop-data}"


def migrations(folder: Path, dockerfile: str = "", files: dict[str, str] | None = None) -> tuple[Migration, ...]:
    project = folder / "shop"
    (project / ".git").mkdir(parents=True)
    (project / "Dockerfile").write_text(DOCKERFILE.format(dockerfile))
    for name, text in (files or {}).items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    result = harden(open_project(project / "Dockerfile"), Settings())
    (stage,) = result.stages
    assert stage.verdict.outcome.value == "switched", stage.verdict
    return stage.verdict.migrations


def compose(volumes: str, more: str = "") -> dict[str, str]:
    return {"compose.yml": f"services:\n  web:\n    build: .\n    volumes: {volumes}\n{more}"}


@pytest.mark.parametrize(
    ("dockerfile", "files"),
    [
        ("", {}),
        ("VOLUME /tmp\n", {}),
        ("", compose("['data:/data:ro']")),
        ("", compose("['./app.conf:/app/app.conf']")),
        ("", compose("['data:/data']", "    user: '1000:1000'\n")),
        ("", {"k8s/web.yaml": MANIFEST.format(image="nginx", volume=CLAIM, options="", security="")}),
        ("", {"k8s/web.yaml": MANIFEST.format(image="shop", volume="emptyDir: {}", options="", security="")}),
        ("", {"k8s/web.yaml": MANIFEST.format(image="shop", volume=CLAIM, options=", readOnly: true", security="")}),
        (
            "",
            {
                "k8s/web.yaml": MANIFEST.format(
                    image="shop", volume=CLAIM, options="", security="securityContext: {fsGroup: 1}"
                )
            },
        ),
        ("", {"k8s/web.yaml": "{{ if }}" + MANIFEST.format(image="shop", volume=CLAIM, options="", security="")}),
        ("", {"k8s/web.yaml": "image: shop: volumeMounts claimName [" * 9000}),
    ],
)
def test_nothing_has_to_be_done(dockerfile: str, files: dict[str, str], tmp_path: Path) -> None:
    assert migrations(tmp_path, dockerfile, files) == ()


@pytest.mark.parametrize(
    ("dockerfile", "files", "expected"),
    [
        (
            'VOLUME ["/data", "/my logs"]\n',
            {},
            [
                ("volume", "/data", "docker run --rm -u 0 -v VOLUME:/data --entrypoint chown IMAGE -R 5000:5000 /data"),
                (
                    "volume",
                    "/my logs",
                    "docker run --rm -u 0 -v VOLUME:'/my logs' --entrypoint chown IMAGE -R 5000:5000 '/my logs'",
                ),
            ],
        ),
        (
            "VOLUME /data\n",
            compose("['data:/data/', '/cache']"),
            [
                (
                    "compose",
                    "/data",
                    "docker compose run --rm --no-deps --user 0 --cap-add CHOWN --cap-add DAC_OVERRIDE "
                    "--entrypoint chown web -R 5000:5000 /data",
                ),
                ("anonymous", "/cache", "docker compose exec --user 0 web chown -R 5000:5000 /cache"),
            ],
        ),
        (
            "",
            compose("[{type: volume, source: data, target: /data}]", "    cap_drop: [ALL]\n"),
            [
                (
                    "compose",
                    "/data",
                    "docker compose run --rm --no-deps --user 0 --cap-add CHOWN --cap-add DAC_OVERRIDE "
                    "--entrypoint chown web -R 5000:5000 /data",
                )
            ],
        ),
        (
            "",
            {"docker/compose.prod.yml": "services:\n  web:\n    build: ..\n    volumes: ['data:/data']\n"},
            [
                (
                    "compose",
                    "/data",
                    "docker compose -f docker/compose.prod.yml run --rm --no-deps --user 0 --cap-add CHOWN "
                    "--cap-add DAC_OVERRIDE --entrypoint chown web -R 5000:5000 /data",
                )
            ],
        ),
        (
            "",
            {"k8s/base/web.yaml": MANIFEST.format(image="registry/shop:1", volume=CLAIM, options="", security="")},
            [("kubernetes", "/srv/data", "securityContext: {fsGroup: 5000}")],
        ),
    ],
)
def test_the_command_fits_what_mounts_the_data(
    dockerfile: str, files: dict[str, str], expected: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    assert [(one.kind, one.path, one.command) for one in migrations(tmp_path, dockerfile, files)] == expected


def test_the_hint_names_every_path_and_one_command() -> None:
    first = Migration("volume", "/data", "", "Dockerfile:4", "chown it", "when it stands")
    assert hint(()) == ""
    assert hint((first,)) == "data written before in /data belong to root; once: chown it"
    assert hint((first, first._replace(path="/logs"))).endswith("once: chown it (and 1 more, see --verbose)")
    assert list(lines((first,))) == ["Dockerfile:4: /data: chown it  # when it stands"]
