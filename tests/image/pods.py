"""A pod of a manifest as arguments of `docker run`: what a kubelet makes of the same lines."""

import os
from pathlib import Path
from typing import Any

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def size_of(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def cores_of(quantity: str) -> float:
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def arguments(pod: dict[str, Any], secrets: dict[str, str], folder: Path) -> list[str]:
    """Return options of `docker run` for the one container of a pod; its volumes are folders in `folder`."""
    (container,) = pod["containers"]
    words = [*limits(container["resources"]["limits"])]
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        words += ["--env", f"{variable['name']}={variable.get('value', secrets.get(reference))}"]
    words += context(pod.get("securityContext", {}), container.get("securityContext", {}))
    for mount in container.get("volumeMounts", []):
        words += ["--volume", f"{volume(pod, mount['name'], folder)}:{mount['mountPath']}"]
    return words


def limits(resources: dict[str, str]) -> list[str]:
    """Return memory and processor time; no swap, as a kubelet gives none."""
    memory = str(size_of(os.environ.get("IMAGE_TEST_MEMORY", resources["memory"])))
    return [f"--memory={memory}", f"--memory-swap={memory}", f"--cpus={cores_of(resources['cpu'])}"]


def context(pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
    words: list[str] = []
    if "runAsUser" in pod:
        words += ["--user", f"{pod['runAsUser']}:{pod.get('runAsGroup', 0)}"]
    if "fsGroup" in pod:
        words += ["--group-add", str(pod["fsGroup"])]
    for sysctl in pod.get("sysctls", []):
        words += ["--sysctl", f"{sysctl['name']}={sysctl['value']}"]
    words += ["--read-only"] if container.get("readOnlyRootFilesystem") else []
    for name in container.get("capabilities", {}).get("drop", []):
        words += ["--cap-drop", name]
    if container.get("allowPrivilegeEscalation") is False:
        words += ["--security-opt", "no-new-privileges:true"]
    return words


def volume(pod: dict[str, Any], name: str, folder: Path) -> Path:
    """Make a volume as a kubelet mounts it: root's, for the group of the pod to write."""
    path = folder / name
    if not path.exists():
        path.mkdir(parents=True)
        group = pod.get("securityContext", {}).get("fsGroup")
        if group:
            os.chown(path, 0, group)
            path.chmod(0o2777 if name == "tmp" else 0o2775)
    return path


def probes(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (container,) = pod["containers"]
    return {kind: container[f"{kind}Probe"] for kind in ("liveness", "readiness")}
