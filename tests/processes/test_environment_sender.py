"""The four variables as a sender: made once, following the newest start, held while they are gone."""

import threading
from uuid import uuid4

import pytest
from django.db import connection

from mailrelay.models import AppRegistration, Delivery, Mailbox, Message, SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.operators import environment
from mailrelay.vocabulary import ManagedBy, Reason, State
from tests.harness.ports import eventually
from tests.harness.processes import Relay, mail, manage, rows, send

MISSION = {
    "AZURE_TENANT_ID": "contoso.example",
    "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_CLIENT_SECRET": "the-secret-of-the-environment",
    "SENDER_EMAIL": "Relay@contoso.example",
}
GONE = dict.fromkeys(MISSION, "")


@pytest.fixture
def start(transactional_db, settings):
    """Do what a start does with these variables."""

    def start(**variables):
        for name, value in (MISSION | variables).items():
            setattr(settings, name, value)
        environment.upsert()
        return SenderConfig.objects.select_related("mailbox__registration").get(
            managed_by=ManagedBy.ENVIRONMENT
        )

    return start


def waiting(sender, state=State.QUEUED, **columns) -> Delivery:
    now = clock.now()
    about = {"id": uuid4(), "created_at": now, "state_at": now, "client_address": "127.0.0.1"}
    message = Message.objects.create(**about, sender=sender, size=10, recipient_count=1)
    return Delivery.objects.create(
        message=message, sender=sender, mailbox=sender.mailbox, created_at=now, state=state, **columns
    )


def test_a_start_makes_one_default_sender(start):
    first, again = start(), start()

    assert first.pk == again.pk
    assert (first.name, first.mailbox.address, first.is_default) == (
        "environment",
        "relay@contoso.example",
        True,
    )
    assert AppRegistration.objects.count() == Mailbox.objects.count() == 1


def test_no_secret_is_stored(start):
    start()

    assert AppRegistration.objects.get().secret == ""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert MISSION["AZURE_CLIENT_SECRET"] not in str(cursor.fetchall())


def test_waiting_mail_follows_a_new_mailbox_and_what_is_done_stays(start):
    old = start()
    queued, deferred = waiting(old), waiting(old, State.DEFERRED)
    held, sent = waiting(old, State.HELD, reason=Reason.MAILBOX_UNKNOWN), waiting(old, State.SENT)

    new = start(SENDER_EMAIL="other@contoso.example")

    assert new.pk == old.pk and new.mailbox_id != old.mailbox_id
    at_new = set(Delivery.objects.filter(mailbox=new.mailbox).values_list("pk", flat=True))
    assert at_new == {queued.pk, deferred.pk, held.pk}
    assert Delivery.objects.get(pk=sent.pk).mailbox_id == old.mailbox_id
    assert Mailbox.objects.get(pk=new.mailbox_id).wake_at is not None


def test_gone_variables_hold_the_mail_and_returning_ones_release_it(start):
    delivery = waiting(start())

    start(**GONE)
    configuration_holds.reconcile()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == (State.HELD, Reason.SENDER_INACTIVE)
    assert "switched off" in delivery.last_error
    assert not SenderConfig.objects.filter(active=True).exists()

    start()
    configuration_holds.reconcile()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == (State.QUEUED, Reason.NONE)


def test_the_mailbox_has_another_name_for_graph_as_long_as_the_variable_says_so(start):
    assert start().mailbox.graph_user == "relay@contoso.example"

    named = start(SENDER_MAILBOX="old.name@contoso.example").mailbox
    assert (named.address, named.graph_user) == ("relay@contoso.example", "old.name@contoso.example")

    assert start(SENDER_MAILBOX="").mailbox.graph_user == "relay@contoso.example"


def test_mail_goes_through_a_mailbox_that_graph_knows_by_another_name(embedded):
    embedded.environment |= {"SENDER_EMAIL": "renamed@contoso.test"}
    listener = embedded.start()
    send(listener.smtp_port, mail(1))
    embedded.wait_for(held=1)
    (said,) = rows(embedded.environment, "SELECT last_error FROM mailrelay_delivery")
    assert "SENDER_MAILBOX" in said[0]
    listener.stop()

    listener.start(SENDER_MAILBOX="old.name@contoso.test")

    embedded.wait_for(sent=1)
    (copy,) = embedded.delivered()
    assert copy["mailbox"] == "renamed@contoso.test"


def test_a_default_sender_of_people_stays_the_default(start):
    app = AppRegistration.objects.create(name="contoso", tenant_id="t", client_id="c", secret="s")
    box = Mailbox.objects.create(registration=app, address="people@contoso.example")
    SenderConfig.objects.create(name="people", mailbox=box, is_default=True)

    assert start().is_default is False


def test_a_name_that_people_have_taken_is_theirs(start):
    app = AppRegistration.objects.create(name="environment", tenant_id="t", client_id="c", secret="s")
    box = Mailbox.objects.create(registration=app, address="people@contoso.example")
    SenderConfig.objects.create(name="environment", mailbox=box)

    sender = start()

    assert (sender.name, sender.mailbox.registration.name) == ("environment-2", "environment-2")


def test_a_start_with_the_same_variables_keeps_the_credential_and_what_is_known_of_it(start):
    """Tokens are kept by version: Entra ID may be down while the relay is restarted."""
    app = start().mailbox.registration
    AppRegistration.objects.update(token_succeeded_at=clock.now(), token_expires_at=clock.now())

    again = start().mailbox.registration
    assert again.version == app.version and again.token_succeeded_at is not None

    other = start(AZURE_CLIENT_ID="33333333-3333-3333-3333-333333333333").mailbox.registration
    assert other.version == app.version + 1
    assert other.token_succeeded_at is other.token_expires_at is None


def test_migrations_that_are_taken_back_are_not_followed(start):
    start()
    SenderConfig.objects.update(active=False)

    environment.after_migrate(plan=[(object(), True)])
    assert not SenderConfig.objects.filter(active=True).exists()

    environment.after_migrate(plan=[(object(), False)])
    assert SenderConfig.objects.filter(active=True).exists()


def test_two_relays_that_start_at_once_make_one_sender(on_redis):
    manage(on_redis.environment | GONE, "migrate", "--verbosity", "0")
    assert rows(on_redis.environment, "SELECT COUNT(*) FROM mailrelay_senderconfig") == [(0,)]

    relays = [Relay(on_redis.environment) for _ in range(2)]
    threads = [threading.Thread(target=relay.start) for relay in relays]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [relay.get("/health") for relay in relays] == [200, 200]
        assert rows(on_redis.environment, "SELECT name, active FROM mailrelay_senderconfig") == [
            ("environment", True)
        ]
    finally:
        for relay in relays:
            relay.stop()


def test_a_worker_without_the_variables_never_takes_the_mail(on_redis):
    on_redis.migrate()
    listener = on_redis.listener().start()
    bare = on_redis.worker(**GONE).start()
    ((queues,),) = eventually(lambda: rows(on_redis.environment, "SELECT queues FROM mailrelay_worker"))
    assert "deliver" in queues.split(",") and "environment" not in queues

    for number in range(10):
        send(listener.smtp_port, mail(number))
    # A claim would be the first step, and each is counted on its row for good.
    eventually(lambda: bare.metrics().get('graph_smtp_queue_depth{state="queued"}') == 10)
    assert rows(on_redis.environment, "SELECT DISTINCT state, claims FROM mailrelay_delivery") == [
        ("queued", 0)
    ]

    on_redis.worker().start()
    on_redis.wait_for(sent=10)

    bare_names = rows(on_redis.environment, "SELECT name FROM mailrelay_worker WHERE queues = %s", queues)
    attempts = rows(on_redis.environment, "SELECT DISTINCT worker FROM mailrelay_sendlog")
    assert len(bare_names) == len(attempts) == 1 and bare_names != attempts


def test_a_restart_without_the_variables_holds_and_one_with_them_sends(embedded):
    listener = embedded.start()
    embedded.sandbox.stop()
    send(listener.smtp_port, mail(1))
    listener.stop()

    listener.start(**GONE)
    embedded.wait_for(held=1)
    found = rows(embedded.environment, "SELECT reason FROM mailrelay_delivery")
    assert found == [("sender_inactive",)]
    listener.stop()

    embedded.sandbox.start()
    listener.start()
    embedded.wait_for(sent=1)
    secret = embedded.environment["AZURE_CLIENT_SECRET"].encode()
    folder = listener.log.parent
    assert [path for path in folder.glob("gateway.sqlite3*") if secret in path.read_bytes()] == []
