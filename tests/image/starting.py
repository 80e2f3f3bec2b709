"""A start as an orchestrator sees it, and what must hold of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.image.containers import Container, drop_caches
from tests.image.figures import Figures
from tests.image.kubelet import Kubelet

HEALTH, READY = 10.0, 30.0  # seconds
ROOM = 20.0  # MiB that stay free at rest
LOOK = 43.0  # seconds: two liveness probes of the mission's manifest


def start(gateway: Container, probes: dict[str, Any], figures: Figures, what: str, *, cold: bool) -> None:
    """Start it under the probes of its manifest, and hold the start against what must be."""
    if cold:
        drop_caches()
    gateway.start()
    with Kubelet(gateway, probes) as kubelet:
        health = gateway.seconds_until("/health", 60)
        ready = gateway.seconds_until("/ready", 60)
        gateway.stay(LOOK - kubelet.age())
    failed = len(kubelet.liveness.failures())
    gateway.note(figures, what, health=seconds(health), ready=seconds(ready), liveness=failed)
    assert health and health <= HEALTH, gateway.logs()
    assert ready and ready <= READY, gateway.logs()
    assert (gateway.killed(), failed) == (0, 0)
    assert gateway.free() >= ROOM


def seconds(value: float | None) -> str:
    return f"{value:.1f}" if value else "never"


@contextmanager
def at_work(gateway: Container, probes: dict[str, Any]) -> Iterator[None]:
    """Probe a container, started if need be, while the block works with it: no probe of its life may fail."""
    if not gateway.name or not gateway.is_up():
        gateway.start()
    assert gateway.seconds_until("/ready", 120), gateway.logs()
    with Kubelet(gateway, probes) as kubelet:
        gateway.kubelet = kubelet
        yield
    assert gateway.is_up()
    assert gateway.killed() == 0
    assert not kubelet.liveness.failures()
