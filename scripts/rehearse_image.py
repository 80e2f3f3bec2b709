"""Follow docker/Dockerfile step by step without a container engine, then start what it made as pods start it.

Usage, as root on Linux: python scripts/rehearse_image.py FOLDER [build | mission | restricted] …

Each stage is an overlay over this machine's own root in FOLDER, so that the instructions change nothing
outside it: RUN runs there, COPY copies there. Then the image's entry point starts with its user and its
variables, in a network of its own:
`mission` as under a manifest without a securityContext: an engine's default capabilities, a writable root;
`restricted` as under ours: no capabilities, no new privileges, a read-only root, ports from 0 for everybody.
What differs from a container: the base (this machine's Debian and Python), cgroups, seccomp.
"""

import ctypes
import fcntl
import json
import shlex
import shutil
import signal
import smtplib
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What containerd and Docker leave a container by default.
DEFAULT_CAPABILITIES = (
    "chown,dac_override,fsetid,fowner,mknod,net_raw,setgid,setuid,setfcap,setpcap,net_bind_service,"
    "sys_chroot,kill,audit_write"
)
ADDRESS = "10.9.8.7"  # a private network, as the pods' is
PATIENCE = 120.0  # seconds


@dataclass
class Stage:
    """One FROM of the Dockerfile: its instructions, and where its root is."""

    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Image:
    """What the last stage says about its start."""

    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def parse(text: str) -> list[Stage]:
    """Read a Dockerfile of the few instructions that ours has."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, rest = line.split(None, 1)
        if word == "FROM":
            stages.append(Stage(rest.split()[-1] if " AS " in rest else "final"))
        elif stages:
            stages[-1].instructions.append((word, rest))
    return stages


def mount_overlay(folder: Path, name: str) -> Path:
    """Mount the root of a stage over this machine's; it ends with this mount namespace."""
    base = folder / name
    for part in ("upper", "work", "root"):
        (base / part).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir=/,upperdir={base / 'upper'},workdir={base / 'work'}"
    run("mount", "-t", "overlay", "overlay", "-o", options, str(base / "root"))
    root = base / "root"
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    run("mount", "--bind", "/dev", str(root / "dev"))
    run("mount", "-t", "tmpfs", "tmpfs", str(root / "tmp"))
    return root


def run(*command: str, **more: object) -> None:
    subprocess.run((program(command[0]), *command[1:]), check=True, **more)  # type: ignore[call-overload]


def program(name: str) -> str:
    """Find a program by this process's PATH, not by the image's."""
    return shutil.which(name) or name


def build(folder: Path) -> Image:
    """Carry out every instruction of every stage."""
    roots: dict[str, Path] = {}
    image = Image()
    for stage in parse((ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")):
        image = Image(environment={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"})
        root = roots[stage.name] = mount_overlay(folder, stage.name)
        for word, rest in stage.instructions:
            print(f"{stage.name}: {word} {rest[:90]}", flush=True)
            follow(word, rest, image, root, roots)
    (folder / "image.json").write_text(json.dumps(vars(image)), encoding="utf-8")
    return image


def follow(word: str, rest: str, image: Image, root: Path, roots: dict[str, Path]) -> None:
    if word == "RUN":
        shell = f"cd {image.workdir} && {rest}"
        environment = image.environment | {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
        run("chroot", str(root), "/bin/sh", "-c", shell, env=environment)
    elif word == "COPY":
        copy(rest.split(), image, root, roots)
    elif word == "ENV":
        image.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    elif word == "WORKDIR":
        image.workdir = rest
        (root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif word == "USER":
        image.user = rest
    elif word in {"ENTRYPOINT", "CMD"}:
        setattr(image, "entrypoint" if word == "ENTRYPOINT" else "command", json.loads(rest))
    elif word not in {"ARG", "LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}:
        raise SystemExit(f"{word} is an instruction that this rehearsal does not know")


def copy(words: list[str], image: Image, root: Path, roots: dict[str, Path]) -> None:
    origin = ROOT
    if words[0].startswith("--from="):
        origin = roots[words.pop(0).removeprefix("--from=")]
    *sources, target = words
    into = root / str(Path(image.workdir) / target).lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        # Into a folder keeps the name; a folder or a file of its own name replaces it.
        place = into / path.name if target.endswith("/") and path.is_file() else into
        if path.is_dir():
            ignore = shutil.ignore_patterns("__pycache__") if origin == ROOT else None
            shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True, ignore=ignore)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)


def own_network() -> None:
    """Bring loopback up in this network namespace, with an address beyond loopback beside it."""
    with socket.socket() as any_socket:
        address = struct.pack("16sH2s4s8s", b"lo:1", socket.AF_INET, b"", socket.inet_aton(ADDRESS), b"")
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14s", b"lo", 0x1 | 0x40, b""))  # SIOCSIFFLAGS, up
        fcntl.ioctl(any_socket, 0x8916, address)  # SIOCSIFADDR


def privileges(image: Image, *, restricted: bool) -> list[str]:
    """Take this process's root away as the runtime does."""
    user, group = image.user.split(":")
    keep = "" if restricted else ",".join(f"+{name}" for name in DEFAULT_CAPABILITIES.split(","))
    bounding = "-all" + (f",{keep}" if keep else "")
    words = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    words += ["--inh-caps=-all", "--ambient-caps=-all", f"--bounding-set={bounding}"]
    return [*words, *(["--no-new-privs"] if restricted else [])]


def start(folder: Path, regime: str) -> None:
    """Start the entry point under a regime, send it a mail, ask its probes, and end it by SIGTERM."""
    image = Image(**json.loads((folder / "image.json").read_text(encoding="utf-8")))
    restricted = regime == "restricted"
    own_network()
    root = mount_overlay(folder, "final")
    low = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if restricted:
        low.write_text("0", encoding="ascii")  # the safe sysctl of our overlays
        data = root / "data"
        run("mount", "-t", "tmpfs", "-o", "mode=0770,uid=10001,gid=0", "tmpfs", str(data))
        run("mount", "-o", "remount,ro", str(root))
    assert restricted or int(low.read_text(encoding="ascii")) > 25, "port 25 would be anybody's here"
    # The sandbox stands for Microsoft, in the same network; the page says what it delivered.
    environment = image.environment | {"SANDBOX_PAGE_PORT": "8025", "SENDER_MESSAGES_PER_MINUTE": "0"}
    words = [*privileges(image, restricted=restricted), *image.entrypoint, *image.command, "--sandbox"]
    process = subprocess.Popen(
        [program("chroot"), str(root), *words], env=environment, cwd=root, stdin=subprocess.DEVNULL
    )
    try:
        prove(process, root, image)
    finally:
        if process.poll() is None:
            process.kill()
    print(f"{regime}: port 25 and 8080 served as {image.user}, a mail delivered, an orderly end", flush=True)


def prove(process: "subprocess.Popen[bytes]", root: Path, image: Image) -> None:
    wait_for(process, lambda: get("http://127.0.0.1:8080/health") == b'{"status": "ok"}\n', "/health")
    wait_for(process, lambda: get("http://127.0.0.1:8080/ready") is not None, "/ready")
    with smtplib.SMTP(ADDRESS, 25, "client.test", timeout=30) as client:
        client.sendmail("app@contoso.test", ["ann@example.org"], "Subject: rehearsal\r\n\r\nhello\r\n")
    wait_for(process, lambda: b"rehearsal" in (get("http://127.0.0.1:8025/") or b""), "delivery")
    assert b"css" in (get("http://127.0.0.1:8080/admin/login/") or b""), "the admin has no style sheet"
    health = ["/app/docker/healthcheck.sh"]
    run("chroot", str(root), *privileges(image, restricted=True), *health, env=image.environment)
    process.send_signal(signal.SIGTERM)
    assert process.wait(45) == 0, f"ended with {process.returncode}"


def get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - addresses of this file
            body: bytes = answer.read()
            return body
    except OSError:
        return None


def wait_for(process: "subprocess.Popen[bytes]", condition: object, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{what} did not come; the process ended with {process.poll()}")
        time.sleep(0.1)


def in_namespaces(folder: str, step: str) -> None:
    """Run one step in namespaces of its own, which take every mount and process with them."""
    flags = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    flags += [] if step == "build" else ["--net"]
    run("unshare", *flags, sys.executable, __file__, "--inside", folder, step)


def main(words: list[str]) -> None:
    if words[:1] == ["--inside"]:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        build(Path(words[1])) if words[2] == "build" else start(Path(words[1]), words[2])
        return
    folder = Path(words[0]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for step in words[1:] or ["build", "mission", "restricted"]:
        in_namespaces(str(folder), step)


if __name__ == "__main__":
    main(sys.argv[1:])
