"""Threads beside the tasks of a process that delivers: heartbeat, scheduler, tokens, retention."""

from mailrelay.delivery import recording
from mailrelay.delivery.housekeeping import Housekeeper
from mailrelay.delivery.tokens import Keeper
from mailrelay.health import pulse
from mailrelay.notify.alerts import Watch
from mailrelay.notify.failure_notices import Reporter
from mailrelay.outbox.claiming import capacity
from mailrelay.outbox.db import counters
from mailrelay.outbox.db.writer import stop_process_writer
from mailrelay.outbox.operators import environment
from mailrelay.outbox.scheduling.retention import Retainer
from mailrelay.outbox.scheduling.scheduler import Scheduler
from mailrelay.periodic import PeriodicThread
from mailrelay.vocabulary import ManagedBy, Route


def queues() -> tuple[str, ...]:
    """Name the Celery queues that this process can serve."""
    own = (ManagedBy.ADMIN, *([ManagedBy.ENVIRONMENT] if environment.configured() else []))
    return tuple(capacity.queue_of(owner, route) for owner in own for route in Route)


class Heartbeat(PeriodicThread):
    """Says that this process takes work, and what kind, until it is stopped."""

    name = "heartbeat"
    patience = 5.0

    def __init__(self, threads: int, served: tuple[str, ...]) -> None:
        super().__init__()
        self._threads, self._served = threads, served
        self._process = counters.process_name()

    def run_once(self) -> None:
        if not pulse.fault():  # else what is claimed for this process would only wait
            capacity.beat(self._process, self._served, self._threads)

    def at_end(self) -> None:
        capacity.leave(self._process)

    def pause(self) -> float:
        return capacity.HEARTBEAT


class DeliveryServices:
    """Started once the worker takes tasks, stopped when it has ended them."""

    def __init__(self, threads: int, served: tuple[str, ...] | None = None) -> None:
        self._heartbeat = Heartbeat(threads, queues() if served is None else served)
        self._scheduler = Scheduler()
        self._keeper = Keeper()
        self._housekeeper = Housekeeper()
        self._reporter = Reporter()
        self._retainer = Retainer()
        self._alerts = Watch()

    def start(self) -> None:
        recording.ending.clear()
        self._heartbeat.start()
        self._keeper.start()
        self._housekeeper.start()
        self._reporter.start()
        self._retainer.start()
        self._alerts.start()
        self._scheduler.start()

    def retire(self) -> None:
        """Take no more work: nothing is claimed for this process from here on."""
        self._heartbeat.ended.set()
        self._scheduler.stop()
        self._heartbeat.stop()

    def stop(self) -> None:
        """End what is left, once the tasks have ended."""
        self.retire()
        recording.ending.set()
        self._housekeeper.stop()
        self._keeper.stop()
        self._reporter.stop()
        self._retainer.stop()
        self._alerts.stop()
        stop_process_writer()
