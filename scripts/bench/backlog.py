"""Measures one claim behind a backlog, in units that no other load moves.

SQLite counts the steps of its machine, PostgreSQL the pages of tables and indexes that it looks at.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django
from django.core.management import call_command
from django.db import connection, transaction

PAGES = """
    SELECT SUM(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) FROM pg_statio_user_tables
"""


def prepare(environment: dict[str, str]) -> None:
    """Make the tables of the installation that `environment` names, for this process."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "gateway.settings", **environment}
    django.setup()
    call_command("migrate", verbosity=0)
    from tests.outbox import rows

    rows.workers()


def unit() -> str:
    return "pages" if connection.vendor == "postgresql" else "steps"


def behind(queued: int, *, paused: bool = False) -> int:
    """Return the cost of a claim with `queued` deliveries waiting: its own, or a paused mailbox's."""
    from tests.outbox import rows

    box = rows.mailbox(f"box-{queued}-{paused}@contoso.test", concurrency=1)
    full = rows.mailbox(f"paused-{queued}@contoso.test", **_paused()) if paused else box
    (first,) = rows.queue(full, 1)
    rows.copy(first, queued - 1)
    if paused:
        rows.queue(box, 1000)
    return _claim(box)


def beside(mailboxes: int) -> int:
    """Return the cost of a claim while so many other mailboxes with mail are paused."""
    from mailrelay.models import Mailbox
    from tests.outbox import rows

    box = rows.mailbox(f"beside-{mailboxes}@contoso.test", concurrency=1)
    rows.queue(box, 1000)
    app = box.registration
    others = [
        Mailbox(registration=app, address=f"p{number}-{mailboxes}@contoso.test", **_paused())
        for number in range(mailboxes)
    ]
    for other in Mailbox.objects.bulk_create(others, batch_size=1000)[:1]:
        rows.queue(other, 1)
    return _claim(box)


def _paused() -> dict[str, Any]:
    from mailrelay.outbox.db import clock

    end = clock.now() + timedelta(hours=1)
    return {"paused_until": end, "wake_at": end}


def _claim(box: Any) -> int:
    """Look for what is due and claim for `box`, as a scheduler does; return the cost of both."""
    from mailrelay.models import Mailbox
    from mailrelay.outbox.claiming.claim import claim_in, lock
    from mailrelay.outbox.db import clock
    from mailrelay.outbox.scheduling import scheduler

    Mailbox.objects.filter(pk=box.pk).update(wake_at=clock.now())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")

    def run() -> None:
        with transaction.atomic():
            assert box.pk in scheduler._due(clock.now())  # noqa: SLF001 - what a scheduler asks first
            assert claim_in(lock(box.pk), clock.now())
            transaction.set_rollback(True)  # the next must not find it in flight

    return _pages(run) if connection.vendor == "postgresql" else _steps(run)


def _steps(run: Callable[[], None]) -> int:
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    connection.connection.set_progress_handler(count, 1)
    try:
        run()
    finally:
        connection.connection.set_progress_handler(None, 1)
    return counted


def _pages(run: Callable[[], None]) -> int:
    before = _pages_so_far()
    run()
    return _pages_so_far() - before


def _pages_so_far() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT 1")  # what was counted is told at the end of a transaction
        cursor.execute(PAGES)
        return int(cursor.fetchone()[0])


def main() -> None:
    prepare({})
    behind(10)  # what is only looked up once
    few = behind(1_000)
    costs = {
        "1,000,000 queued": behind(1_000_000),
        "1,000,000 queued behind a paused mailbox": behind(1_000_000, paused=True),
        "10,000 paused mailboxes beside": beside(10_000),
    }
    for what, cost in costs.items():
        verdict = "met" if cost <= 1.2 * few else "missed"
        print(
            f"claim, {connection.vendor}: {few} {unit()} with 1,000 queued, {cost} with {what} "
            f"(bar: the same, {verdict})",
            flush=True,
        )


if __name__ == "__main__":
    main()
