"""What the listener refused is listed with its reason, and let in by the person who keeps the clients."""

import re
import smtplib
from ipaddress import ip_address
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.console import allowing
from mailrelay.mime.headers import HeaderBlock
from mailrelay.models import AuditEvent, Refusal, SmtpClient
from mailrelay.outbox.db import clock
from mailrelay.outbox.keeping import seen_clients
from mailrelay.outbox.keeping.seen_clients import Refused
from mailrelay.routing.loading import load
from mailrelay.smtp import policy
from mailrelay.smtp.replies import Reply
from mailrelay.vocabulary import State
from tests.console.rows import make_message
from tests.harness.ports import eventually
from tests.harness.processes import ROOT, mail, manage, rows, send

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/mailrelay/refusal/"
STRANGER = "550 5.7.1 Client 192.0.2.7 may not send through this server"


def refused(
    address="192.0.2.7", rule="client", client="", mail_from="scan@contoso.test", reply=STRANGER, count=1
):
    seen_clients.record([], [Refused(address, rule, client, mail_from, reply, count)])
    return Refusal.objects.get(address=address, rule=rule)


# --- The table -----------------------------------------------------------------------------------------


def test_one_row_counts_for_an_address_and_a_rule():
    refused(count=3)
    row = refused(count=2, mail_from="other@contoso.test")
    refused(address="192.0.2.8")
    refused(rule="size")

    assert (row.count, row.mail_from) == (5, "other@contoso.test")
    assert row.first_at < row.last_at
    assert Refusal.objects.count() == 3


def test_the_table_stays_small_and_forgets_what_is_not_repeated(monkeypatch):
    monkeypatch.setattr(seen_clients, "MOST", 5)
    refused(address="192.0.2.99")
    Refusal.objects.update(last_at=clock.now() - seen_clients.KEPT - clock.seconds(1))
    for number in range(10):
        refused(address=f"198.51.100.{number}")

    assert not Refusal.objects.filter(address="192.0.2.99").exists()
    assert sorted(Refusal.objects.values_list("address", flat=True)) == [
        f"198.51.100.{n}" for n in range(5, 10)
    ]


def test_what_is_old_goes_though_nothing_new_comes():
    refused()
    Refusal.objects.update(last_at=clock.now() - seen_clients.KEPT - clock.seconds(1))

    seen_clients.prune()

    assert not Refusal.objects.exists()


def test_a_burst_of_strangers_does_not_push_out_what_is_known():
    known = refused()
    crowd = [
        Refused(f"2001:db8::{n:x}", "client", "", "", STRANGER) for n in range(seen_clients.MOST_NEW * 3)
    ]
    seen_clients.record([], [*crowd, Refused("192.0.2.7", "client", "", "", STRANGER)])

    assert Refusal.objects.count() == 1 + seen_clients.MOST_NEW
    assert Refusal.objects.get(pk=known.pk).count == 2


# --- The list and what it allows -----------------------------------------------------------------------


def test_an_address_becomes_a_client_of_its_own(browser, db):
    row = refused(count=7000)
    listed = browser.get(LIST).content.decode()
    assert "nobody&#x27;s address" in listed
    assert STRANGER in listed
    page = f"{LIST}{row.pk}/allow/"
    assert "7,000 times" in browser.get(page).content.decode()

    browser.post(page, {"network": "192.0.2.7/32", "client": "", "name": "scanner"})

    client = SmtpClient.objects.get()
    assert (client.name, client.networks) == ("scanner", "192.0.2.7/32")
    assert load().client_for(ip_address("192.0.2.7")).name == "scanner"
    assert not Refusal.objects.exists()
    assert "Allowed 192.0.2.7/32" in AuditEvent.objects.latest("pk").detail


def test_the_network_around_it_joins_a_client_that_is_there(browser, db):
    client = SmtpClient.objects.create(name="floor 3", networks="198.51.100.0/24")
    page = f"{LIST}{refused().pk}/allow/"

    browser.post(page, {"network": "192.0.2.0/24", "client": client.pk, "name": "unused"})

    client.refresh_from_db()
    assert client.networks == "198.51.100.0/24\n192.0.2.0/24"


def test_a_second_press_says_that_it_was_done(browser, db):
    page = f"{LIST}{refused().pk}/allow/"
    form = {"network": "192.0.2.7/32", "client": "", "name": "scanner"}
    browser.post(page, form)
    assert "It was allowed already" in browser.post(page, form, follow=True).content.decode()
    assert SmtpClient.objects.count() == 1


def test_a_network_of_another_client_is_not_taken_from_it(browser, db):
    SmtpClient.objects.create(name="scanner", networks="192.0.2.7/32")
    page = f"{LIST}{refused().pk}/allow/"
    shown = browser.post(page, {"network": "192.0.2.7/32", "client": "", "name": "other"}).content.decode()
    assert "belongs to the client “scanner”" in shown
    assert SmtpClient.objects.count() == 1


@pytest.mark.parametrize("pattern", ["new@contoso.test", "@contoso.test"])
def test_a_from_address_or_its_domain_joins_what_a_client_may_use(browser, db, pattern):
    client = SmtpClient.objects.create(
        name="scanner", networks="192.0.2.7/32", allowed_from="scan@contoso.test"
    )
    row = refused(rule="client-from", client="scanner", mail_from="New@contoso.test", reply="550 5.7.1 no")

    browser.post(f"{LIST}{row.pk}/allow/", {"pattern": pattern})

    client.refresh_from_db()
    assert client.allowed_from.split() == ["scan@contoso.test", pattern]


def rule_of_recipients(where, address="New@Example.org"):
    """A client that may reach one address, and the reply that it gets for another."""
    client = SmtpClient.objects.create(
        name="scanner", networks="192.0.2.7/32", allowed_recipients="boss@contoso.test"
    )
    directory = load()
    known = directory.client_for(ip_address("192.0.2.7"))
    if where == "envelope":
        return client, policy.rcpt_to(load(), known, "192.0.2.7", address, utf8=True)
    resolved = SimpleNamespace(sender=SimpleNamespace(headers_rule=True, name="all"))
    headers = HeaderBlock.parse(f"To: {address}\r\n\r\n".encode())
    return client, policy.recipients(load(), resolved, known, headers, [], 10)


@pytest.mark.parametrize("where", ["envelope", "header"])
@pytest.mark.parametrize("pattern", ["new@example.org", "@example.org"])
def test_a_recipient_or_its_domain_joins_whom_a_client_may_reach(browser, db, pattern, where):
    client, reply = rule_of_recipients(where)
    row = refused(rule=reply.rule, client="scanner", reply=reply.line)
    page = f"{LIST}{row.pk}/allow/"
    assert "Allow scanner to send to new@example.org" in browser.get(page).content.decode()

    browser.post(page, {"pattern": pattern})

    client.refresh_from_db()
    assert client.allowed_recipients.split() == ["boss@contoso.test", pattern]
    known = load().client_for(ip_address("192.0.2.7"))
    assert not isinstance(policy.rcpt_to(load(), known, "192.0.2.7", "New@Example.org", utf8=True), Reply)
    assert f"Allowed {pattern}" in AuditEvent.objects.latest("pk").detail


def test_an_address_that_a_list_would_take_for_several_is_not_offered(browser, db):
    sly = '"x @evil.test "@contoso.test'
    client, reply = rule_of_recipients("envelope", sly)
    for row in (
        refused(rule="client-recipient", client="scanner", reply=reply.line),
        refused(rule="client-from", client="scanner", mail_from=sly),
    ):
        assert browser.post(f"{LIST}{row.pk}/allow/", {"pattern": sly}).status_code == 404
    client.refresh_from_db()
    assert client.allowed_recipients == "boss@contoso.test"


@pytest.mark.parametrize(
    ("rule", "column"), [("client-from", "allowed_from"), ("client-network", "networks")]
)
def test_an_empty_list_that_allows_everything_is_not_made_one_of_a_single_word(browser, db, rule, column):
    client = SmtpClient.objects.create(name="scanner", login="scanner")
    row = refused(rule=rule, client="scanner")
    assert "may do it by now" in browser.get(LIST).content.decode()
    form = {"pattern": "scan@contoso.test", "network": "192.0.2.7/32"}
    assert browser.post(f"{LIST}{row.pk}/allow/", form).status_code == 404
    client.refresh_from_db()
    assert getattr(client, column) == ""


def test_an_address_joins_the_networks_of_the_client_that_came_from_there(browser, db):
    client = SmtpClient.objects.create(name="shop", login="shop", networks="198.51.100.0/24")
    row = refused(rule="client-network", client="shop", reply="550 5.7.1 Client shop may not send from there")
    page = f"{LIST}{row.pk}/allow/"
    assert "Allow shop to send from 192.0.2.7" in browser.get(page).content.decode()
    browser.post(page, {"network": "192.0.2.7/32"})
    client.refresh_from_db()
    assert client.networks.split() == ["198.51.100.0/24", "192.0.2.7/32"]


@pytest.mark.parametrize(
    ("rule", "address", "advice"),
    [
        ("size", "192.0.2.7", "Raise the limit"),
        ("no-sender", "192.0.2.7", "make a sender the default"),
        ("token-client", "192.0.2.7", "Choose an active SMTP client at the API token"),
        ("client", "unknown", "PROXY headers"),
        ("syntax", "192.0.2.7", "its administrator has to fix it"),
    ],
)
def test_where_a_click_mends_nothing_the_page_says_what_to_do(browser, db, rule, address, advice):
    row = refused(address=address, rule=rule, reply="552 5.3.4 Too large")
    listed = browser.get(LIST).content.decode()
    assert "/allow/" not in listed
    assert advice in listed
    assert browser.get(f"{LIST}{row.pk}/allow/").status_code == 404


def test_every_rule_of_the_documents_has_advice_of_its_own_or_a_form():
    table = re.findall(
        r"^\| (`[^|]+`) \| [^|]+ \| [^|]+ \|$", (ROOT / "docs/clients.md").read_text(), re.MULTILINE
    )
    rules = {rule for cell in table for rule in re.findall(r"`([a-z-]+)`", cell)}
    assert {"client", "client-from", "client-recipient", "size", "loop"} <= rules
    forms = {allowing.ADDRESS, allowing.NETWORK, allowing.FROM, allowing.RECIPIENT}
    assert {rule for rule in rules - forms if rule not in allowing.ADVICE} == set()


def test_whoever_may_not_change_clients_is_not_shown_the_way_to_allow(reader, django_user_model):
    user = django_user_model.objects.get(username="reader")
    user.user_permissions.add(Permission.objects.get(codename="view_refusal"))
    refused()
    listed = reader.get(LIST).content.decode()
    assert "/allow/" not in listed
    assert "Who may change clients can allow it here." in listed


def test_whoever_may_not_change_clients_allows_nothing(reader, db):
    row = refused()
    assert reader.get(f"{LIST}{row.pk}/allow/").status_code == 403
    assert reader.post(f"{LIST}{row.pk}/allow/", {"network": "192.0.2.7/32", "name": "x"}).status_code == 403
    assert not SmtpClient.objects.exists()


def test_a_client_shows_when_it_was_seen_what_it_sent_and_what_was_refused(browser, sender):
    client = SmtpClient.objects.create(name="scanner", networks="192.0.2.7/32")
    make_message(sender, state=State.SENT, client=client)
    seen_clients.record([client.pk], [])
    refused(rule="client-from", client="scanner", reply="550 5.7.1 Sender address no")
    for address in ("", f"{client.pk}/change/"):
        shown = browser.get(f"/admin/mailrelay/smtpclient/{address}").content.decode()
        text = "1" if address else "what it sent"
        assert f'/admin/mailrelay/message/?client={client.pk}">{text}</a>' in shown, address
        assert "ago)" in shown or "(now)" in shown, address
    assert "550 5.7.1 Sender address no" in shown
    assert "refusal/?q=scanner" in shown


# --- From the door to the list -------------------------------------------------------------------------


@pytest.mark.parametrize("installation", ["embedded", "on_redis"])
def test_what_the_listener_refuses_and_whom_it_serves_come_to_the_database(request, installation):
    stack = request.getfixturevalue(installation)
    manage(stack.environment, "migrate", "--verbosity", "0")
    manage(
        stack.environment,
        *("smtpclient", "add", "scanner", "--network", "127.0.0.1/32", "--from", "app@contoso.test"),
    )
    listener = stack.listener().start()

    send(listener.smtp_port, mail(1))
    for _ in range(2):
        with pytest.raises((AssertionError, smtplib.SMTPException)):
            send(listener.smtp_port, mail(2), mail_from="else@contoso.test")

    found = "SELECT address, rule, client_name, mail_from, count FROM mailrelay_refusal"
    wanted = [("127.0.0.1", "client-from", "scanner", "else@contoso.test", 2)]
    eventually(lambda: rows(stack.environment, found) == wanted, 60, "the refusal")
    seen = "SELECT COUNT(*) FROM mailrelay_smtpclient WHERE seen_at IS NOT NULL"
    assert rows(stack.environment, seen) == [(1,)]


def test_the_list_asks_for_all_clients_that_it_names_at_once(browser, db):
    def fill(numbers):
        for number in numbers:
            SmtpClient.objects.create(name=f"c{number}", login=f"c{number}", allowed_from="a@contoso.test")
            refused(f"192.0.2.{number}", "client-from", f"c{number}", "b@contoso.test")

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            shown = browser.get(LIST).content.decode()
        assert "smtpclient/" in shown and ">Allow</a>" in shown
        return len(queries)

    fill(range(1, 3))
    few = cost()
    fill(range(3, 20))
    assert cost() == few
