"""What one claim costs SQLite behind a backlog, in steps of its machine, which no other load moves."""

from typing import Any

import django
from django.core.management import call_command
from django.db import connection, transaction

_ready = False


def steps(queued: int) -> int:
    """Return the steps of one claim with `queued` deliveries waiting in a mailbox of its own."""
    _prepare()
    from mailrelay.models import Delivery, Mailbox
    from mailrelay.outbox import clock
    from mailrelay.outbox.claim import claim_in, lock
    from tests.outbox import rows

    box: Mailbox = rows.mailbox(f"box-{queued}@contoso.test", concurrency=1)
    (first,) = rows.queue(box, 1)
    _copy(first, queued - 1)
    assert Delivery.objects.filter(mailbox=box).count() == queued
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    connection.connection.set_progress_handler(count, 1)
    try:
        with transaction.atomic():
            assert claim_in(lock(box.pk), clock.now())
    finally:
        connection.connection.set_progress_handler(None, 1)
    return counted


def _prepare() -> None:
    global _ready  # noqa: PLW0603 - once a process
    if _ready:
        return
    django.setup()
    call_command("migrate", verbosity=0)
    from tests.outbox import rows

    rows.workers()
    _ready = True


def _copy(row: Any, times: int) -> None:
    """Queue the delivery `times` more, as rows of the database's own making: objects would take minutes."""
    names = [field.column for field in row._meta.concrete_fields if not field.primary_key]  # noqa: SLF001
    columns = ", ".join(f'"{name}"' for name in names)
    statement = f"""
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
        INSERT INTO mailrelay_delivery ({columns})
        SELECT {columns} FROM mailrelay_delivery, numbers WHERE mailrelay_delivery.id = %s
    """  # noqa: S608 - columns of our own
    with connection.cursor() as cursor:
        cursor.execute(statement, [times, row.pk])
