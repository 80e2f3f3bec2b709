"""How the database goes about what the console looks for. Run as a program it prints this as JSON."""

import json
import sys
from datetime import UTC, datetime, timedelta

import django

END = datetime.now(UTC)
STRETCH = {"after": END - timedelta(days=2), "before": END}
#: What is looked for, and the indexes that must serve it.
LOOKED_FOR = {
    "Message-ID": ({"text": "<abc@printer>"}, ("message_message_id",)),
    "From": ({"text": "a@contoso.test"}, ("message_from",)),
    "MAIL FROM": ({"text": "a@contoso.test"}, ("message_mail_from",)),
    "recipient": ({"text": "a@contoso.test"}, ("recipient_address",)),
    "client address": ({"text": "192.0.2.7"}, ("message_client",)),
    "request-id": ({"text": "cef03c6b-79be-453c-89d8-7fc13dcebd0f"}, ("attempt_request_id",)),
    "subject": ({"text": "scan room"}, ("subject_words", "VIRTUAL TABLE INDEX")),
    "state": ({"states": ("failed", "held")}, ("message_state",)),
    "sender": ({"sender": 1}, ("message_sender",)),
    "client": ({"client": 1}, ("message_client_row",)),
    "no client": ({"client": 0}, ("message_client_row",)),
    "Graph code": ({"graph_code": "ErrorX"}, ("attempt_graph_code",)),
    "bounced later": ({"bounced": True}, ("non_delivery_received",)),
    "size": ({"least_size": 10 * 1024 * 1024}, ("message_large",)),
    "time": (STRETCH, ("message_created",)),
    "state, in a stretch": ({"states": ("failed",)} | STRETCH, ("message_state",)),
    "recipient, in a stretch": ({"text": "a@contoso.test"} | STRETCH, ("recipient_address",)),
    "Graph code, in a stretch": ({"graph_code": "ErrorX"} | STRETCH, ("attempt_graph_code",)),
}


def plans(name: str) -> list[str]:
    """Return the plan of each statement that looks for `name`, its parameters bound as they were."""
    from django.db import connection

    from mailrelay.console.message_search import Criteria, find

    statements = []

    def note(execute, sql, parameters, many, context):
        statements.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        find(Criteria(**LOOKED_FOR[name][0]))
    with connection.cursor() as cursor:
        return [_plan(cursor, sql, parameters) for sql, parameters in statements]


def _plan(cursor, sql, parameters) -> str:
    from django.db import connection

    if connection.vendor == "postgresql":
        # The tables are empty: whatever an index can serve, it shall.
        cursor.execute("SET enable_seqscan = off")
    cursor.execute(
        f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}", parameters
    )
    return "\n".join(str(row[-1]) for row in cursor.fetchall())


def main() -> None:
    django.setup()
    json.dump({name: plans(name) for name in LOOKED_FOR}, sys.stdout)


if __name__ == "__main__":
    main()
