"""A task that one process of all hosts does at a time: a row that the first process holds for a while."""

from datetime import timedelta

from django.db.models import Q

from mailrelay.models import Lease
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write


def take(name: str, holder: str, seconds: float, patience: float = 0.0) -> bool:
    """Hold `name` for `seconds` from now; False while another holds it, or did `patience` ago.

    Raises OutboxError and DatabaseError.
    """

    def run() -> bool:
        now = clock.now()
        columns = {"holder": holder, "until": now + timedelta(seconds=seconds)}
        free = Q(holder=holder) | Q(until__lte=now - timedelta(seconds=patience))
        if Lease.objects.filter(free, pk=name).update(**columns):
            return True
        # A row that is new is nobody's yet: the longer patience waits for the first holder as well.
        start = columns if not patience else {"holder": "", "until": now}
        _, made = Lease.objects.get_or_create(pk=name, defaults=start)
        return made and not patience

    return write(Move.REGISTER, run, durable=False)


def give_back(name: str, holder: str) -> None:
    """Let another have `name` at once."""
    held = Lease.objects.filter(pk=name, holder=holder)
    write(Move.REGISTER, lambda: held.update(until=clock.now()), durable=False)
