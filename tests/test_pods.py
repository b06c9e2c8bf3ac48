"""Pods of Kubernetes manifests, beside the fixtures: styles of writing, what is refused, and the self-check."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest
import yaml
from conftest import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from hardener.bulk import Hardened, harden_paths
from hardener.edit import splice
from hardener.pods import insertion, restricted
from hardener.pods.security import Answer, harden_manifest
from hardener.pods.self_check import differs
from hardener.pods.workloads import workloads
from hardener.runtime.needs import Needs, Writable

PATH = PurePosixPath("a.yaml")


KNOWN = Needs(False, "5000:5000", capabilities=(), writes=(Writable("/tmp"), Writable("/data", kept=True)), gains="")


def harden(text: str):
    """Return the text hardened, for a manifest whose images are all known and switched."""
    found = harden_manifest(PATH, text.encode(), lambda path, one: Answer(KNOWN, True, "command" not in one.values))
    after = splice(text.encode(), [edit for one in found for edit in one.edits])
    assert differs(text.encode(), after, found) is None
    return found, after


styles = st.fixed_dictionaries(
    {
        "step": st.integers(1, 5),
        "dash": st.integers(0, 4),
        "newline": st.sampled_from(["\n", "\r\n"]),
        "comments": st.booleans(),
        "final": st.booleans(),
        "context": st.sampled_from([None, "", " {}", " {runAsUser: 7}", "\n", "~runAsUser: 7\n"]),
        "volumes": st.sampled_from([None, "[]", "flow", "block"]),
        "command": st.booleans(),
        "second": st.booleans(),
    }
)


@given(styles)
def test_every_style_of_writing_is_kept_and_a_second_run_changes_nothing(style) -> None:
    step, dash = " " * style["step"], " " * style["dash"]
    comment = " # it's {ours}: &x" if style["comments"] else ""
    lines = ["kind: Pod", "metadata: {name: a}", f"spec:{comment}"]
    container = ["name: web", f"image: web:1{comment}"]
    if style["command"]:
        container += ["command: [a]"]
    if style["context"] is not None and style["context"].startswith("~"):
        container += ["securityContext:", f"{step}runAsUser: 7"]
    elif style["context"] is not None:
        container += [f"securityContext:{style['context'].strip(chr(10))}"]
    if style["volumes"] == "[]":
        container += ["volumeMounts: []"]
        lines += [f"{step}volumes: []"]
    elif style["volumes"] == "flow":
        container += ["volumeMounts: [{name: d, mountPath: /data}]"]
        lines += [f"{step}volumes: [{{name: d, emptyDir: {{}}}}]"]
    elif style["volumes"] == "block":
        container += ["volumeMounts:", f"{dash}- name: d", f"{dash}  mountPath: /data/x"]
        lines += [f"{step}volumes:", f"{step}{dash}- name: d", f"{step}{dash}  persistentVolumeClaim: {{claimName: d}}"]
    for _ in range(1 + style["second"]):
        block = [f"{step}{dash}- {container[0]}", *(f"{step}{dash}  {line}" for line in container[1:])]
        if f"{step}containers:" not in lines:
            lines += [f"{step}containers:"]
        lines += block
        container[0] = "name: second"
    text = style["newline"].join(lines) + (style["newline"] if style["final"] else "")
    found, after = harden(text)
    assert found[0].edits
    again, _ = harden(after.decode())
    assert not any(one.edits for one in again)
    assert after.count(b"\r\n") in (0, after.count(b"\n"))
    plain = workloads(PATH, after)[0]
    assert not restricted.violations(plain.values), plain.values


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("a key more", b"kind: Pod\nspec:\n  x: 1\n  containers: []\n"),
        ("a value changed", b"kind: Job\nspec:\n  containers: []\n"),
        ("no YAML", b"kind: [\n"),
    ],
)
def test_the_self_check_sees_a_difference_that_was_not_meant(wrong: str, text: bytes) -> None:
    assert differs(b"kind: Pod\nspec:\n  containers: []\n", text, ()) is not None


@pytest.mark.parametrize(
    ("pod", "wanted"),
    [
        ("hostNetwork: true", "hostNetwork is true"),
        ("volumes: [{name: a, hostPath: {path: /x}}]", "volume a is a hostPath"),
        ("securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}", "sysctl kernel.msgmax is not a safe one"),
        ("securityContext: {runAsUser: 0}", "runAsUser is 0"),
        ("securityContext: {appArmorProfile: {type: Unconfined}}", "appArmorProfile is Unconfined"),
        ("securityContext: {seLinuxOptions: {type: spc_t}}", "seLinuxOptions has a type, user or role of its own"),
        (
            "containers: [{name: a, ports: [{hostPort: 80}], securityContext: {capabilities: {add: [CAP_SYS_ADMIN]}}}]",
            "container a: capabilities.add has SYS_ADMIN",
        ),
    ],
)
def test_what_restricted_refuses(pod: str, wanted: str) -> None:
    values = yaml.load(pod, Loader=yaml.BaseLoader)
    assert wanted in [str(one) for one in restricted.violations(values)]


@pytest.mark.parametrize(
    ("extra", "left"),
    [
        ("{name: d, hostPath: {path: /srv}}", "/data is a hostPath, which fsGroup does not change"),
        ("{name: d, nfs: {server: a, path: /b}}", "/data is a nfs, which fsGroup does not change"),
    ],
)
def test_a_volume_that_fsgroup_does_not_change_is_told(extra: str, left: str) -> None:
    text = f"""kind: Pod
spec:
  volumes: [{extra}]
  containers:
    - image: web
      volumeMounts: [{{name: d, mountPath: /data}}]
"""
    found, after = harden(text)
    assert b"fsGroup" not in after
    assert any(one.startswith(left) for one in found[0].left)


def test_a_claim_that_the_old_image_wrote_is_given_to_the_group() -> None:
    text = """kind: Pod
spec:
  volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]
  containers:
    - {name: web, image: web, volumeMounts: [{name: d, mountPath: /data}]}
"""
    _, after = harden(text)
    assert yaml.safe_load(after)["spec"]["securityContext"]["fsGroup"] == 5000


def test_manifests_start_from_the_dockerfile_that_is_hardened_before(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    shutil.copytree(FIXTURES / "kubernetes_privileges" / "deployment" / "before" / "k8s", tmp_path / "k8s")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").write_text('FROM python:3.12-slim\nCOPY a.py .\nCMD ["python", "a.py"]\n')
    (tmp_path / "web" / "a.py").write_text("")
    results = [one.result for one in harden_paths([tmp_path]) if isinstance(one, Hardened)]
    assert [unit.outcome for result in results for unit in result.units] == ["hardened"]
    alone = [one.result for one in harden_paths([tmp_path / "k8s" / "web.yaml"]) if isinstance(one, Hardened)]
    assert [unit.outcome for result in alone for unit in result.units] == ["left"]
    assert "runs as root" in alone[0].units[0].text


def test_fsgroup_is_left_out_where_another_container_would_see_its_volume_change() -> None:
    text = """kind: Pod
spec:
  volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]
  containers:
    - {name: web, image: web, volumeMounts: [{name: d, mountPath: /data}]}
    - {name: db, image: other, volumeMounts: [{name: d, mountPath: /var/lib}]}
"""
    found = harden_manifest(
        PATH, text.encode(), lambda path, one: "not known" if one.image == "other" else Answer(KNOWN, True, True)
    )
    assert "fsGroup: container db mounts a volume whose owner and mode would change" in found[0].left
    assert not any(b"fsGroup" in edit.text for edit in found[0].edits)


@pytest.mark.parametrize("text", ["yes", "5000", "1.5", "no", "~", "a: b", "x #y", "", "null", "0x1f"])
def test_what_yaml_would_read_as_something_else_is_quoted(text: str) -> None:
    assert yaml.safe_load(insertion.flow(text, quoted=False)) == text
