"""Large mail: memory and time of both routes through the whole gateway, and of the pieces beneath.

    .venv/bin/python scripts/bench/large.py [--rounds 3] [--quick]

A gateway of its own on SQLite with the bundled sandbox for each size; the memory is the peak of the gateway's
process (VmHWM), the time runs from the first byte of DATA to the sandbox's 202.
"""

import argparse
import base64
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mailrelay.mime.base64stream import Base64Body
from mailrelay.mime.parts import index_source
from mailrelay.mime.source import Windowed
from sandbox import world
from sandbox.client import SandboxProcess
from tests.harness.processes import GatewayProcess, base_environment, manage, send, wait_for_state

MEBIBYTE = 1024 * 1024
LINE = 57  # bytes that make a line of 76 characters


def message(size: int, files: int) -> bytes:
    """Make a mail of about `size` bytes with `files` attachments."""
    noise = random.Random(1).randbytes(LINE * 1000)  # noqa: S311 - the same in each run, keeps no secret
    block = base64.encodebytes(noise).replace(b"\n", b"\r\n")
    content = block * max(1, size // files // len(block))
    head = b"From: app@contoso.test\r\nTo: ann@example.org\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
    start = (
        b"\r\n--b\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    body = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello"
    return head + body + (start + content) * files + b"\r\n--b--\r\n"


def peak(process: GatewayProcess) -> float:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def through_the_gateway(size: int, files: int, rounds: int) -> None:
    data = message(size, files)
    with tempfile.TemporaryDirectory() as folder, SandboxProcess(Path(folder) / "sandbox") as sandbox:
        sandbox.world(limits={"message_bytes": 160 * MEBIBYTE, "upload_bytes": 0})
        environment = base_environment(
            Path(folder) / "data",
            sandbox,
            AZURE_CLIENT_ID=world.SECOND_CLIENT,
            AZURE_CLIENT_SECRET="sandbox-secret-2",  # noqa: S106 - the sandbox's own
            SMTP_MAX_MESSAGE_SIZE=str(160 * MEBIBYTE),
        )
        _raise_the_limit(environment)
        with GatewayProcess(environment) as gateway:
            idle = peak(gateway)
            seconds = []
            for number in range(1, rounds + 1):
                begun = time.monotonic()
                send(gateway.smtp_port, data, timeout=300)
                wait_for_state(environment, {"sent": number}, 300)
                seconds.append(time.monotonic() - begun)
            route = sandbox.deliveries()[-1]["route"]
            print(
                f"{len(data) / 1e6:7.1f} MB  {files:3d} files  route {route:5s}  "
                f"{statistics.median(seconds):6.2f} s  peak {peak(gateway):6.1f} MiB  (idle {idle:.1f})"
            )


def _raise_the_limit(environment: dict[str, str]) -> None:
    manage(environment, "migrate", "--verbosity", "0")
    statement = "from mailrelay.models import Mailbox; Mailbox.objects.update("
    statement += "max_message_size=157286400, upload_bytes_per_5_minutes=0)"
    manage(environment, "shell", "-c", statement)


class Bytes:
    """A message as the windowed index reads it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def measured(name: str, size: int, run: Callable[[], object], rounds: int) -> None:
    seconds = []
    for _ in range(rounds):
        begun = time.process_time()
        run()
        seconds.append(time.process_time() - begun)
    tracemalloc.start()
    run()
    memory = tracemalloc.get_traced_memory()[1] / MEBIBYTE
    tracemalloc.stop()
    middle = statistics.median(seconds)
    speed = size / 1e6 / middle
    print(f"{name:34s} {size / 1e6:7.1f} MB  {middle:6.3f} CPU s  {speed:7.0f} MB/s  {memory:5.1f} MiB")


def drain(body: Base64Body) -> None:
    while body.read(16_384):
        pass


def hostile(count: int) -> dict[str, bytes]:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(count // 40)
    )
    return {
        "index: delimiters only": head + b"--b\r\n" * (count * 5),
        "index: lines that begin with --": head + b"--almost a delimiter\r\n" * (count * 2),
        "index: nested multiparts": nested,
        "index: one header without end": head + b"--b\r\nX: " + b"x" * (count * 20),
        "index: bare CR": head + b"--b\r" * (count * 5),
    }


def pieces(rounds: int) -> None:
    data = message(35 * MEBIBYTE, 10)
    measured(
        "base64 of a message as a stream", len(data), lambda: drain(Base64Body((data,), len(data))), rounds
    )
    measured("index of a message", len(data), lambda: index_source(Windowed(Bytes(data))), rounds)
    for name, made in hostile(100_000).items():
        measured(name, len(made), lambda made=made: index_source(Windowed(Bytes(made))), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the pieces alone")
    options = parser.parse_args()
    pieces(options.rounds)
    if not options.quick:
        for size, files in ((2 * MEBIBYTE, 1), (35 * MEBIBYTE, 10), (145 * MEBIBYTE, 10)):
            through_the_gateway(size, files, options.rounds)


if __name__ == "__main__":
    main()
