"""What each client may: recipients, sizes, messages a minute, connections, urgency, its share of a queue."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from prometheus_client import REGISTRY

from mailrelay.models import Mailbox, SmtpClient
from mailrelay.routing import backlog, passwords
from mailrelay.routing.loading import load
from mailrelay.routing.table import Backlog, Client, RoutingTable
from mailrelay.routing.watch import ConfigurationWatch
from mailrelay.vocabulary import Reason, State, Urgency
from tests.outbox import rows
from tests.smtp.smtp_server import LOOPBACK, SENDER, eventually, sender

MAIL = b"From: a@example.org\r\nPriority: urgent\r\n\r\nhello\r\n"
CLIENT = Client(5, "Monitoring", (ip_network("127.0.0.1/32"),))


@pytest.fixture
def client_door(open_smtp_server):
    def start(**rules):
        options = {name: rules.pop(name) for name in list(rules) if not hasattr(CLIENT, name)}
        return open_smtp_server(RoutingTable((SENDER,), (replace(CLIENT, **rules), LOOPBACK)), **options)

    return start


def begun(talk, *commands):
    return talk.say("EHLO x", "MAIL FROM:<a@example.org>", *commands)


def test_a_client_reaches_its_recipients_and_their_domains_alone(client_door):
    smtp_server = client_door(allowed_recipients=frozenset({"@example.net", "boss@example.com"}))
    with smtp_server.connect() as talk:
        assert begun(talk, "RCPT TO:<Any@Example.NET>").startswith("250 ")
        assert talk.say("RCPT TO:<boss@example.com>").startswith("250 ")
        refused = talk.say("RCPT TO:<clerk@example.com>")
    assert refused.startswith("550") and "Monitoring" in refused and "clerk@example.com" in refused


def test_a_client_may_send_less_than_the_listener_takes(client_door):
    smtp_server = client_door(max_message_size=1000)
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "MAIL FROM:<a@example.org> SIZE=1001").startswith("552 5.3.4 ")
        assert talk.mail(MAIL + b"x" * 998 + b"\r\n").startswith("552 5.3.4 ")
        assert talk.mail(MAIL).startswith("250 ")


def test_messages_a_minute_are_a_bucket(client_door):
    smtp_server = client_door(messages_per_minute=2)
    with smtp_server.connect() as talk:
        assert talk.mail(MAIL).startswith("250 ")
        assert talk.mail(MAIL).startswith("250 ")
        refused = talk.say("MAIL FROM:<a@example.org>")
    assert refused.startswith("450 4.7.1 Client Monitoring ")


def test_a_client_may_have_so_many_connections(client_door):
    smtp_server = client_door(max_connections=1)
    with smtp_server.connect() as one, smtp_server.connect() as two:
        assert begun(one).startswith("250 ")
        assert begun(two).startswith("421 4.7.0 Client Monitoring ")
        assert two.at_end()
    with smtp_server.connect() as three:
        eventually(lambda: len(smtp_server.service.connections.open) == 1)
        assert begun(three).startswith("250 ")


def test_a_client_may_have_more_connections_than_others(client_door):
    smtp_server = client_door(max_connections=3, max_connections_per_client=1)
    with (
        smtp_server.connect(),
        smtp_server.connect(),
        smtp_server.connect(),
        smtp_server.connect(greeting=False) as fourth,
    ):
        assert fourth.reply().startswith("421 4.7.0 ")


def test_the_urgency_of_a_client_wins_over_the_headers_of_its_mail(client_door):
    smtp_server = client_door(urgency=Urgency.BULK)
    with smtp_server.connect() as talk:
        talk.mail(MAIL)
    assert smtp_server.queue.last.urgency is Urgency.BULK
    smtp_server.routing = RoutingTable((SENDER,), (CLIENT,))
    with smtp_server.connect() as talk:
        talk.mail(MAIL)
    assert smtp_server.queue.last.urgency is Urgency.URGENT


def test_mail_that_would_wait_too_long_is_put_off_before_it_is_transferred(open_smtp_server):
    full = Backlog(mailboxes=frozenset({(7, "relay@example.org")}))
    smtp_server = open_smtp_server(RoutingTable((SENDER,), (LOOPBACK,), backlog=full))
    with smtp_server.connect() as talk:
        assert begun(talk, "RCPT TO:<b@example.net>", "DATA").startswith("452 4.3.1 ")


def test_the_header_decides_whose_backlog_counts(open_smtp_server):
    full = Backlog(mailboxes=frozenset({(7, "relay@example.org")}))
    other = sender(id=2, name="other", mailbox_address="other@example.org", is_default=False,
                   addresses=frozenset({"other@example.org"}), mailbox_id=4)  # fmt: skip
    smtp_server = open_smtp_server(RoutingTable((SENDER, other), (LOOPBACK,), backlog=full))
    with smtp_server.connect() as talk:
        assert talk.mail(MAIL).startswith("452 4.3.1 Too much mail of sender relay ")
        assert talk.mail(b"From: other@example.org\r\n\r\nhello\r\n").startswith("250 ")


def test_a_client_that_fills_half_of_a_queue_is_put_off_and_others_are_not(open_smtp_server):
    over = Backlog(clients=frozenset({((7, "relay@example.org"), "Monitoring")}))
    smtp_server = open_smtp_server(RoutingTable((SENDER,), (CLIENT,), backlog=over))
    with smtp_server.connect() as talk:
        refused = begun(talk, "RCPT TO:<b@example.net>", "DATA")
        assert refused.startswith("452") and "client Monitoring" in refused
        smtp_server.routing = replace(smtp_server.routing, clients=(replace(CLIENT, name="Another"),))
        assert talk.say("RSET").startswith("250 ")
        assert talk.mail(MAIL).startswith("250 ")


@pytest.mark.django_db(transaction=True)
def test_the_backlog_is_counted_by_mailbox_and_client(settings):
    settings.DELIVERY_MAX_AGE = 240  # of which a quarter is a minute: the rate is the limit
    crowded = rows.mailbox("crowded@contoso.test", messages_per_minute=4)
    shared = rows.mailbox("shared@contoso.test", messages_per_minute=10)
    unlimited = rows.mailbox("unlimited@contoso.test", messages_per_minute=0)
    rows.queue(crowded, 5, client="a")
    rows.queue(shared, 6, client="a")
    rows.queue(shared, 4, client="b")
    rows.queue(unlimited, 30, client="a")

    found = backlog.measure()

    app = crowded.registration_id
    assert found.mailboxes == {(app, "crowded@contoso.test")}
    assert found.clients == {((app, "crowded@contoso.test"), "a"), ((app, "shared@contoso.test"), "a")}
    shown = {"mailbox": "crowded@contoso.test"}
    assert REGISTRY.get_sample_value("graph_smtp_backlog_full", shown) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("life", "limit", "each"),
    [
        (4 * 86_000, {"recipients_per_day": 20}, {"recipients": 3}),
        (4 * 5_990, {"requests_per_10_minutes": 1}, {}),
        (4 * 86_000, {"upload_bytes_per_5_minutes": 750}, {"size": 18_000}),
    ],
)
def test_the_slowest_limit_of_a_mailbox_is_its_rate(settings, life, limit, each):
    settings.DELIVERY_MAX_AGE = life
    box = rows.mailbox(messages_per_minute=30, **limit)

    rows.queue(box, 4, client="a", **each)
    assert not backlog.measure().mailboxes
    rows.queue(box, 7, client="b", **each)
    found = backlog.measure()

    key = (box.registration_id, box.address)
    assert found.mailboxes == {key} and (key, "b") in found.clients


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("columns", "counts"),
    [
        ({"state": State.DEFERRED}, True),
        ({"state": State.UNCERTAIN}, True),
        ({"state": State.HELD, "reason": Reason.SECRET_EXPIRED}, True),
        ({"state": State.HELD, "reason": Reason.SENDER_PAUSED}, True),
        ({"state": State.HELD, "reason": Reason.BY_HAND}, False),
        ({"state": State.SENT}, False),
    ],
)
def test_what_will_be_sent_before_mail_that_comes_now_is_of_the_backlog(settings, columns, counts):
    settings.DELIVERY_MAX_AGE = 240
    box = rows.mailbox(messages_per_minute=4)
    rows.queue(box, 5, client="a", **columns)

    found = backlog.measure()

    key = (box.registration_id, box.address)
    assert (found.mailboxes, found.clients) == (({key}, {(key, "a")}) if counts else (set(), set()))


@pytest.mark.django_db(transaction=True)
def test_what_is_taken_by_default_is_sent_while_it_lives(settings):
    """Taken up to the backlog, one recipient each: the limits' own arithmetic lets all of it go in time."""
    box = Mailbox(registration=rows.registration(), address="box@contoso.test")
    rates = {limit: getattr(box, limit.column) for limit in backlog.LIMITS}
    life = settings.DELIVERY_MAX_AGE / backlog.AGE_SHARE

    most = backlog._most(rates, life)

    assert backlog._seconds(rates, backlog.Load(most, most)) < settings.DELIVERY_MAX_AGE / 2
    assert backlog._seconds(rates, backlog.Load(most, most)) > life


@pytest.mark.django_db(transaction=True)
def test_counting_reads_what_waits_of_a_mailbox_by_its_index(django_assert_num_queries):
    from django.db import connection

    box = rows.mailbox(messages_per_minute=1)
    rows.mailbox("idle@contoso.test", messages_per_minute=1)
    rows.queue(box, 3)
    with django_assert_num_queries(4):
        backlog.measure()
    by_index = {
        "delivery_claim (mailbox_id=?)": (backlog._SHARES, box.pk, 10),
        "delivery_held (mailbox_id=? AND reason=?)": (backlog._HELD, box.pk, *backlog.FIXED, 10),
        "USING INDEX delivery_due": (backlog._LATER, 10),
    }
    for index, (sql, *values) in by_index.items():
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            assert index in " ".join(str(row) for row in cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_lists_are_compared_by_what_all_spellings_of_an_address_have_in_common():
    rows.sender(rows.mailbox("relay@example.org"), addresses="Desk@example.org", domains="@Shop.example.")
    SmtpClient.objects.create(
        name="Printer", login="printer", allowed_from='"Scan"@example.org. @Shop.example'
    )

    routing = load()

    (of_sender,), client = routing.senders, routing.client_of_login("printer")
    for address in ("desk@example.org", "RELAY@example.org.", '"any"@shop.Example'):
        assert of_sender.serves(address) and routing.sender_for(address) is of_sender
    assert client.may_use("scan@Example.org") and client.may_use("any@shop.example.")
    assert not client.may_use("desk@example.org") and not client.may_use("\u017fcan@example.org")


@pytest.mark.django_db(transaction=True)
def test_a_client_that_is_added_or_changed_counts_without_a_restart():
    watch = ConfigurationWatch()
    try:
        row = SmtpClient.objects.create(name="Printer", login="printer", max_message_size=5000)
        eventually(lambda: watch().client_of_login("PRINTER") is not None)
        row.password_hash, row.urgency = passwords.make("secret"), Urgency.BULK
        row.save()
        eventually(lambda: watch().client_of_login("printer").urgency is Urgency.BULK)
        found = watch().client_of_login("printer")
        assert passwords.matches("secret", found.password_hash) and "scrypt" not in repr(found)
        row.active = False
        row.save()
        eventually(lambda: watch().client_of_login("printer") is None)
    finally:
        watch.stop()
