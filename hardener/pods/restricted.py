"""What keeps a pod from the Pod Security Standard *restricted*, as the API server judges it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ ; the checks have its names and its order.
Values are plain data with scalars as their text (`hardener.compose.plain`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hardener.manifest_ports import items, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BASELINE_CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    )
)  # fmt: skip
VOLUMES = frozenset(
    (
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
        "image", "name",
    )
)  # fmt: skip
SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    )
)  # fmt: skip
SELINUX_TYPES = frozenset(("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"))
LISTS = ("initContainers", "containers")


class Violation(NamedTuple):
    """One reason: the container's name (``""``: the pod), the field as people write it, and what stands there."""

    container: str
    field: str
    found: str

    def __str__(self) -> str:
        where = f"container {self.container}: " if self.container else ""
        return f"{where}{self.field} {self.found}".rstrip()


def violations(pod: Mapping[str, Any], annotations: Mapping[str, Any] | None = None) -> tuple[Violation, ...]:
    """Return everything in a pod's spec that *restricted* refuses; nothing where it passes."""
    found = [*of_pod(pod, annotations or {})]
    for name in LISTS:
        for container in items(pod.get(name)):
            found += of_container(container, table(pod.get("securityContext")))
    return tuple(found)


def of_pod(pod: Mapping[str, Any], annotations: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield what the pod itself says that is refused."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key) == "true":
            yield Violation("", key, "is true")
    context = table(pod.get("securityContext"))
    if table(context.get("windowsOptions")).get("hostProcess") == "true":
        yield Violation("", "windowsOptions.hostProcess", "is true")
    for volume in items(pod.get("volumes")):
        for kind in set(volume) - VOLUMES:
            yield Violation("", f"volume {volume.get('name')}", f"is a {kind}")
    for sysctl in items(context.get("sysctls")):
        if sysctl.get("name") not in SYSCTLS:
            yield Violation("", f"sysctl {sysctl.get('name')}", "is not a safe one")
    yield from of_confinement("", context)
    if context.get("runAsUser") == "0":
        yield Violation("", "runAsUser", "is 0")
    for key, value in annotations.items():
        if key.startswith("container.apparmor.security.beta.kubernetes.io/") and value == "unconfined":
            yield Violation(key.rpartition("/")[2], "AppArmor", "is unconfined")


def of_container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield what one container says, or does not say, that is refused; ``pod`` is the pod's security context."""
    name = str(container.get("name") or "")
    own = table(container.get("securityContext"))
    capabilities = table(own.get("capabilities"))
    if own.get("privileged") == "true":
        yield Violation(name, "privileged", "is true")
    for port in items(container.get("ports")):
        if str(port.get("hostPort") or "0") != "0":
            yield Violation(name, "hostPort", f"is {port['hostPort']}")
    if own.get("procMount") not in (None, "Default"):
        yield Violation(name, "procMount", f"is {own['procMount']}")
    yield from of_confinement(name, own)
    if own.get("allowPrivilegeEscalation") != "false":
        yield Violation(name, "allowPrivilegeEscalation", "is not false")
    is_non_root = own.get("runAsNonRoot", pod.get("runAsNonRoot"))
    if is_non_root != "true":
        yield Violation(name, "runAsNonRoot", "is not true")
    if own.get("runAsUser") == "0":
        yield Violation(name, "runAsUser", "is 0")
    profile = table(own.get("seccompProfile")) or table(pod.get("seccompProfile"))
    if profile.get("type") not in ("RuntimeDefault", "Localhost"):
        yield Violation(name, "seccompProfile", "is not RuntimeDefault")
    if "ALL" not in plain_list(capabilities.get("drop")):
        yield Violation(name, "capabilities.drop", "is without ALL")
    for added in plain_list(capabilities.get("add")):
        if added != "NET_BIND_SERVICE":
            yield Violation(name, "capabilities.add", f"has {added}")


def of_confinement(name: str, context: Mapping[str, Any]) -> Iterator[Violation]:
    """Yield where AppArmor, SELinux or seccomp are set to what is refused."""
    if table(context.get("appArmorProfile")).get("type") == "Unconfined":
        yield Violation(name, "appArmorProfile", "is Unconfined")
    if table(context.get("seccompProfile")).get("type") == "Unconfined":
        yield Violation(name, "seccompProfile", "is Unconfined")
    options = table(context.get("seLinuxOptions"))
    if str(options.get("type") or "") not in SELINUX_TYPES or options.get("user") or options.get("role"):
        yield Violation(name, "seLinuxOptions", "has a type, user or role of its own")


def plain_list(value: Any) -> list[str]:
    """Return the texts of a value that should be a list of them, capabilities without ``CAP_`` in upper case."""
    return [str(one).upper().removeprefix("CAP_") for one in value] if isinstance(value, list) else []
