"""The probes of a kubelet: their delay, period and time-out, and whether it would restart the container."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

from tests.image.containers import Container, get


@dataclass(frozen=True)
class Answer:
    after: float  # seconds since the start of the container
    status: int | None  # None: no answer in time
    seconds: float


@dataclass
class Probe:
    """One probe of a manifest, with Kubernetes' defaults for what it does not say."""

    path: str
    port: int
    delay: float
    period: float
    timeout: float
    threshold: int
    answers: list[Answer] = field(default_factory=list)

    @classmethod
    def of(cls, words: dict[str, Any]) -> "Probe":
        return cls(
            path=words["httpGet"]["path"],
            port=words["httpGet"]["port"],
            delay=words.get("initialDelaySeconds", 0),
            period=words.get("periodSeconds", 10),
            timeout=words.get("timeoutSeconds", 1),
            threshold=words.get("failureThreshold", 3),
        )

    def ask(self, address: str, begun: float) -> None:
        asked = time.monotonic()
        status = get(address, self.port, self.path, self.timeout)
        self.answers.append(Answer(asked - begun, status, time.monotonic() - asked))

    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]


class Kubelet:
    """Probes a container from its start until the end of the block."""

    def __init__(self, container: Container, probes: dict[str, dict[str, Any]]) -> None:
        self.address, self.begun = container.address, container.begun
        self.liveness, self.readiness = (Probe.of(probes[kind]) for kind in ("liveness", "readiness"))
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(probe,), daemon=True)
            for probe in (self.liveness, self.readiness)
        ]

    def age(self) -> float:
        """Return the seconds since the start of the container."""
        return time.monotonic() - self.begun

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self, probe: Probe) -> None:
        due = self.begun + probe.delay
        while due < time.monotonic():
            due += probe.period
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            probe.ask(self.address, self.begun)
            due += probe.period
