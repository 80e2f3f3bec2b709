"""Ports that nobody else uses."""

import socket
import time


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
