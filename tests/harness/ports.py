"""Ports that nobody else uses."""

import random
import socket
import time
from pathlib import Path

LOWEST = 10_000


def free_port() -> int:
    """Return a port below those that the system gives to clients: it is still free after a restart."""
    end = _first_of_clients()
    while True:
        port = random.SystemRandom().randrange(LOWEST, end) if end > LOWEST else 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]


def _first_of_clients() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 49_152  # elsewhere, as IANA has it


def wait_for_port(port: int, timeout: float = 60.0) -> None:
    """Return once something accepts on `port`; AssertionError after `timeout` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listened on port {port} within {timeout} s")


def eventually(condition, timeout: float = 60.0, what: str = "the condition"):
    """Return the first true value of `condition()`; AssertionError with its last value after `timeout`."""
    end = time.monotonic() + timeout
    value = condition()
    while not value:
        assert time.monotonic() < end, f"{what} did not come true within {timeout} s; last seen: {value!r}"
        time.sleep(0.05)
        value = condition()
    return value
