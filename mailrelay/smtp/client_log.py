"""Remembers clients that connect and mail that is refused, and writes them down off the reply path."""

import itertools
import threading

from mailrelay.outbox.keeping import seen_clients
from mailrelay.outbox.keeping.seen_clients import Refused
from mailrelay.periodic import PeriodicThread
from mailrelay.smtp.replies import Reply, printable

#: Seconds between two batches, and batches between two looks for what is old.
INTERVAL = 10.0
PRUNING = 360
#: Pairs of address and rule that are remembered between two batches; what comes beyond is only logged.
MOST = 500


class ClientLog:
    """What was seen since the last batch. Sessions add to it in their event loop; one thread takes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[int] = set()
        self._refused: dict[tuple[str, str], Refused] = {}

    def seen(self, client_id: int | None) -> None:
        """Note that a client of its own row is here."""
        if client_id is not None:
            with self._lock:
                self._seen.add(client_id)

    def refused(self, address: str, client_name: str, mail_from: str, reply: Reply) -> None:
        """Note a refusal; `client_name` is empty for an address that is nobody's."""
        key = (address[:64], reply.rule[:60])
        texts = (printable(client_name), printable(mail_from), printable(reply.line))
        with self._lock:
            known = self._refused.get(key)
            if known is not None:
                known.client_name, known.mail_from, known.reply = texts
                known.count += 1
            elif len(self._refused) < MOST:
                self._refused[key] = Refused(*key, *texts)

    def take(self) -> tuple[set[int], list[Refused]]:
        """Give all of it, and begin again."""
        with self._lock:
            seen, refused = self._seen, self._refused
            self._seen, self._refused = set(), {}
        return seen, list(refused.values())


class Recorder(PeriodicThread):
    """Writes down what a listener's sessions have seen, and the rest of it at the end."""

    name = "refused-clients"
    interval = delay = patience = INTERVAL

    def __init__(self, seen: ClientLog) -> None:
        super().__init__()
        self._sightings = seen
        self._batches = itertools.count()

    def run_once(self) -> None:
        seen_clients.record(*self._sightings.take())
        if next(self._batches) % PRUNING == 0:
            seen_clients.prune()

    def at_end(self) -> None:
        seen_clients.record(*self._sightings.take())
