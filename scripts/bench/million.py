"""The other process of `scripts.bench.console`: makes the messages, asks for the pages, prints JSON."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import django
from django.core.management import call_command
from django.db import connection

from scripts.bench.measuring import cpu_seconds

LIST = "/admin/mailrelay/message/"
#: Milliseconds between two messages: a million of them are the mail of a month.
STEP = 2592
BATCH = 50_000
#: The code of every fiftieth attempt.
FREQUENT = "ErrorInvalidRecipients"

_MESSAGES = """
    INSERT INTO mailrelay_message (id, created_at, client_id, client_address, client_name, mail_from,
        header_from, subject, message_id, message_id_key, from_key, sender_id, size, recipient_count, state,
        state_at, report)
    SELECT {id}, {at}, CASE WHEN n % 3 = 0 THEN NULL ELSE 1 + n % 10 END, '192.0.2.' || (n % 200), 'printer',
        CASE WHEN n % 10 = 0 THEN 'Bounce' || (n % 1000) || '@contoso.test' ELSE {sender} END, {sender},
        {word} || ' no ' || n || ' of the printer in room ' || (n % 500),
        'm' || n || '.x@printer', 'm' || n || '.x@printer', {sender}, 1 + n % 20,
        CASE WHEN n % 100 = 0 THEN 1000000 + n * 7 % 29000000 ELSE 4000 + n % 90000 END, 1,
        CASE WHEN n > {last} - 2000 THEN 'queued' WHEN n % 50 = 0 THEN 'failed' WHEN n % 1000 = 7 THEN 'held'
             WHEN n % 1000 = 9 THEN 'uncertain' ELSE 'sent' END, {at}, ''
    FROM {numbers}
"""
_SENDER = "CASE WHEN n % 2 = 0 THEN 'erp@contoso.test' ELSE 'user' || (n % 997) || '@contoso.test' END"
_WORD = (
    "CASE n % 7 WHEN 0 THEN 'Invoice' WHEN 1 THEN 'Order' WHEN 2 THEN 'Your order has been shipped' "
    "WHEN 3 THEN 'Backup report' WHEN 4 THEN 'Alert: disk' WHEN 5 THEN 'Scan' ELSE 'Délivery note' END"
)
_DELIVERIES = """
    INSERT INTO mailrelay_delivery (id, message_id, sender_id, mailbox_id, created_at, state, reason, size,
        recipient_count, route, urgency, client_key, attempts, crashes, claims, part, copies, lease_owner,
        last_error)
    SELECT n, {id}, 1 + n % 20, 1 + n % 20, {at}, {state}, '', 4000, 1, 'mime', 1, 'c', 0, 0, 1, 0, 0, '', ''
    FROM {numbers} JOIN mailrelay_message m ON m.id = {id}
"""
_RECIPIENTS = """
    INSERT INTO mailrelay_recipient (message_id, delivery_id, address, address_key)
    SELECT {id}, n, {address}, {address} FROM {numbers}
"""
_ADDRESS = "CASE WHEN n % 2 = 0 THEN 'all@example.org' ELSE 'p' || (n % 200003) || '@example.org' END"
_ATTEMPTS = """
    INSERT INTO mailrelay_sendlog (message_id, delivery_id, number, route, started_at, outcome, blame, reason,
        graph_code, enhanced_status, request_id, client_request_id, sentence, advice, reply, worker, draft_id,
        draft_complete)
    SELECT {id}, n, 1, 'mime', {at}, 'sent', '', '',
        CASE WHEN n % 5000 = 0 THEN 'ErrorSendAsDenied' WHEN n % 50 = 0 THEN 'ErrorInvalidRecipients'
             ELSE '' END, '', {request}, '', '', '', '', 'w', '', {false}
    FROM {numbers}
"""


def main() -> None:
    messages, rounds = int(sys.argv[1]), int(sys.argv[2])
    django.setup()
    call_command("migrate", verbosity=0)
    from mailrelay.models import Message

    if not Message.objects.exists():
        _build(messages)
    print(json.dumps(_times(messages, rounds)))


# --- The messages --------------------------------------------------------------------------------------


def _build(messages: int) -> None:
    started = time.monotonic()
    _few()
    for first in range(1, messages + 1, BATCH):
        _insert(first, min(first + BATCH - 1, messages), messages)
    if connection.vendor == "postgresql":
        _execute("SELECT setval(pg_get_serial_sequence('mailrelay_delivery', 'id'), %s)", messages)
    _say(f"made {messages:,} messages in {time.monotonic() - started:.0f} s")
    started = time.monotonic()
    from mailrelay.outbox.db.failpoints import Move
    from mailrelay.outbox.db.writer import write
    from mailrelay.outbox.keeping import subject_index

    while write(Move.RETAIN, subject_index.fill, durable=False):
        pass
    _say(f"filled in their subjects in {time.monotonic() - started:.0f} s")
    if connection.vendor == "postgresql":
        _execute("VACUUM ANALYZE")  # as its autovacuum does in time; SQLite has nothing of the kind


def _few() -> None:
    """Make what there are few of: senders, mailboxes, clients."""
    from mailrelay.models import SmtpClient
    from tests.outbox import rows

    for number in range(1, 21):
        rows.sender(rows.mailbox(f"box{number}@contoso.test"))
    for number in range(1, 11):
        SmtpClient.objects.create(name=f"client {number}")


def _insert(first: int, last: int, messages: int) -> None:
    values = _dialect(first, last) | {"sender": _SENDER, "word": _WORD, "address": _ADDRESS, "last": messages}
    from django.db import transaction

    with transaction.atomic():
        for statement in (_MESSAGES, _DELIVERIES, _RECIPIENTS, _ATTEMPTS):
            _execute(statement.format(**values))


def _dialect(first: int, last: int) -> dict[str, str]:
    """Write numbers, ids of version 7, times and request-ids as the database does."""
    begin = int(time.time() * 1000) // 86_400_000 * 86_400_000 - 30 * 86_400_000
    state = {"state": "m.state"}
    if connection.vendor == "sqlite":
        counted = f"SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}"  # noqa: S608 - numbers
        numbers = f"(WITH RECURSIVE s(n) AS ({counted}) SELECT n FROM s)"  # noqa: S608 - likewise
        return state | {
            "numbers": numbers,
            "id": f"printf('%012x7%03x8%015x', {begin} + n * {STEP}, n % 4096, n)",
            "at": f"strftime('%Y-%m-%d %H:%M:%f', ({begin} + n * {STEP}) / 1000.0, 'unixepoch') || '000'",
            "request": "printf('%08x-1111-4222-8333-%012x', n, n)",
            "false": "0",
        }
    hexed = "lpad(to_hex({}), {}, '0')".format
    parts = (hexed(f"{begin} + n * {STEP}", 12), hexed("n % 4096", 3), hexed("n", 15))
    return state | {
        "numbers": f"(SELECT n::bigint FROM generate_series({first}, {last}) n) AS s",  # noqa: S608 - numbers
        "id": "({} || '7' || {} || '8' || {})::uuid".format(*parts),
        "at": f"to_timestamp(({begin} + n * {STEP}) / 1000.0)",
        "request": f"{hexed('n', 8)} || '-1111-4222-8333-' || {hexed('n', 12)}",
        "false": "false",
    }


def _execute(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def _say(text: str) -> None:
    print(f"{connection.vendor}: {text}", file=sys.stderr, flush=True)


# --- The pages -----------------------------------------------------------------------------------------


def _times(messages: int, rounds: int) -> dict[str, tuple[list[float], float]]:
    from django.contrib.auth.models import User
    from django.test import Client

    user, _ = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(user)
    found: dict[str, tuple[list[float], float]] = {}
    for name, address, queries in _pages(messages):
        browser.get(address, queries(0))
        asked = [queries(number) for number in range(1, rounds + 1)]
        before = _cpu()
        times = [_time(browser, address, query) for query in asked]
        found[name] = (times, _cpu() - before)
        _say(f"{name}: {sorted(times)[rounds // 2] * 1000:.0f} ms")
    return found


def _cpu() -> float:
    """Processor seconds of this process, and of its backend of PostgreSQL with what that starts."""
    own = time.process_time()
    if connection.vendor != "postgresql":
        return own
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return own + cpu_seconds(cursor.fetchone()[0])


def _time(browser: Any, address: str, query: dict[str, str]) -> float:
    started = time.perf_counter()
    answer = browser.get(address, query)
    assert answer.status_code == 200, answer.status_code
    return time.perf_counter() - started


def _pages(messages: int) -> Iterator[tuple[str, str, Callable[[int], dict[str, str]]]]:
    """Yield the name of each page, its address, and its query by the number of the round."""
    from mailrelay.models import Message, SendLog

    def spread(number: int) -> int:
        return 1 + (number * 48_271 + 7) % messages

    def some(number: int) -> Message:
        return Message.objects.get(message_id_key=f"m{spread(number)}.x@printer")

    def search(text: Callable[[int], str]) -> Callable[[int], dict[str, str]]:
        return lambda number: {"q": text(number)}

    yield "Overview", "/admin/", lambda _: {}
    yield "List, the newest", LIST, lambda _: {}
    yield "Message-ID", LIST, search(lambda n: f"<M{spread(n)}.X@printer>")
    yield "Queue id", LIST, search(lambda n: some(n).queue_id)
    yield "request-id", LIST, search(lambda n: SendLog.objects.get(message=some(n)).request_id)
    yield "Recipient", LIST, search(lambda n: f"p{(spread(n) | 1) % 200_003}@example.org")
    yield "Recipient of every other mail", LIST, search(lambda _: "all@example.org")
    yield "From", LIST, search(lambda n: f"user{spread(n) % 997}@contoso.test")
    yield "From of every other mail", LIST, search(lambda _: "ERP@contoso.test")
    yield "MAIL FROM", LIST, search(lambda n: f"bounce{n * 10}@contoso.test")
    yield "Client's address", LIST, search(lambda n: f"192.0.2.{n}")
    yield "Subject, a rare word", LIST, search(lambda n: str(spread(n)))
    yield "Subject, two words", LIST, search(lambda n: f"inv {spread(n) % 500}")
    yield "Subject, a word of all", LIST, search(lambda _: "print")
    yield "Subject, a word of every seventh", LIST, search(lambda _: "invoice")
    for state in ("failed", "held", "sent", "attention"):
        yield f"State {state}", LIST, lambda _, state=state: {"state": state}  # type: ignore[misc]
    yield "Sender", LIST, lambda n: {"sender": str(1 + n % 20)}
    yield "Client", LIST, lambda n: {"client": str(n % 10)}
    yield "Graph code", LIST, lambda _: {"code": "ErrorSendAsDenied"}
    yield "Size", LIST, lambda _: {"size": "10"}
    yield "Time", LIST, lambda _: {"since": "30d"}
    yield "Sender, held", LIST, lambda n: {"sender": str(1 + n % 20), "state": "held"}
    yield "Recipient of every other, failed", LIST, lambda _: {"q": "all@example.org", "state": "failed"}
    yield (
        "Size, client, uncertain",
        LIST,
        lambda n: {"size": "3", "client": str(n % 10), "state": "uncertain"},
    )
    yield "Older than a week, sent", LIST, lambda _: {"state": "sent", "created_at__lte": _days_ago(7)}
    yield "A day, four weeks ago", LIST, lambda n: _day(26 + n % 3)
    yield "That day, failed", LIST, lambda n: {"state": "failed", **_day(26 + n % 3)}
    yield (
        "That day, a recipient of every other",
        LIST,
        lambda n: {"q": "all@example.org", **_day(26 + n % 3)},
    )
    yield "That day, a code of every fiftieth", LIST, lambda n: {"code": FREQUENT, **_day(26 + n % 3)}


def _day(ago: int) -> dict[str, str]:
    return {"from": _days_ago(ago), "until": _days_ago(ago - 1)}


def _days_ago(days: int) -> str:
    from datetime import timedelta

    from mailrelay.outbox.db import clock

    return (clock.now() - timedelta(days=days)).isoformat()


if __name__ == "__main__":
    main()
