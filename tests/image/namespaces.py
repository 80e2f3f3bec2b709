"""Namespaces that take with them what an engine leaves behind: mounts, processes, networks, rules."""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Where an engine writes whatever its options say: sockets of its shims, its key, its plugins.
WRITTEN_BY_THE_ENGINE = ("/run/containerd", "/run/docker", "/etc/docker", "/opt/containerd")


@contextmanager
def places_of_the_engine() -> Iterator[None]:
    """Make the folders that `cover_places` mounts over, and take away those that were not there before."""
    made = [path for path in map(Path, WRITTEN_BY_THE_ENGINE) if not path.exists()]
    for path in made:
        path.mkdir(parents=True)
    try:
        yield
    finally:
        for path in made:
            path.rmdir()


def inside(command: list[str], *, network: bool, **more: object) -> subprocess.CompletedProcess:
    """Run a command of this package in a mount and a process namespace, if so with a network of its own."""
    flags = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *(["--net"] if network else [])]
    prepare = [sys.executable, "-m", "tests.image.namespaces", "net" if network else "-"]
    return subprocess.run(
        ["unshare", *flags, *prepare, *command], check=False, preexec_fn=_end_with_this_process, **more
    )


def _end_with_this_process() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@contextmanager
def bridge(name: str) -> Iterator[None]:
    """Make a bridge that nothing is connected to, for the time of the block."""
    with socket.socket() as any_socket:
        with suppress(FileExistsError):  # a run before was killed
            fcntl.ioctl(any_socket, 0x89A0, name.encode() + b"\0")  # SIOCBRADDBR
        try:
            yield
        finally:
            # It may go when it is down: an engine has brought it up.
            fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14s", name.encode(), 0, b""))  # SIOCSIFFLAGS
            fcntl.ioctl(any_socket, 0x89A1, name.encode() + b"\0")  # SIOCBRDELBR


def cover_places() -> None:
    for path in WRITTEN_BY_THE_ENGINE:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)


def loopback_up() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14s", b"lo", 0x1 | 0x40, b""))  # SIOCSIFFLAGS, up


def why_not() -> str:
    """Say what this machine lacks for an engine of the tests' own, or nothing."""
    if sys.platform != "linux" or os.getuid() != 0:
        return "an engine needs Linux and root"
    programs = ("dockerd", "docker", "containerd", "runc", "iptables", "mmdebstrap", "unshare")
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = [name for name in programs if not shutil.which(name, path=path)]
    if missing:
        return f"{', '.join(missing)} missing; Debian's packages docker.io, iptables, mmdebstrap have them"
    probe = ["unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        return "this kernel lets nobody here make namespaces and mounts"
    return ""


def main(words: list[str]) -> None:
    """Prepare the namespaces, and go on as the command in them."""
    cover_places()
    if words[0] == "net":
        loopback_up()
    os.execvp(words[1], words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
