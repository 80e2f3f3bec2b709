"""Senders, app registrations, mailboxes, clients and workers: what can be changed, and what follows."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.console.cells import exact
from mailrelay.models import (
    AppRegistration,
    Delivery,
    Mailbox,
    SenderConfig,
    SmtpClient,
    Worker,
)
from mailrelay.vocabulary import CredentialKind, ManagedBy, Reason, State
from tests.console.asking import add_registration
from tests.console.rows import CLIENT, TENANT, make_message, make_registration, make_sender

pytestmark = pytest.mark.django_db(transaction=True)
ADMIN = "/admin/mailrelay/"
SECRET_COLUMN = re.compile(r'"((next_)?(secret|certificate|certificate_password))"')
SECRET = "Sup3r~secret.value"
#: Where nobody is: what a new row proves itself with is tried before it is stored.
NOWHERE = {"authority_host": "https://127.0.0.1:9", "graph_endpoint": "https://127.0.0.1:9"}


def errors(answer) -> str:
    assert answer.status_code == 200, "the form was taken"
    form = answer.context["adminform"].form
    return " ".join(str(text) for texts in form.errors.values() for text in texts)


def registration_form(**more):
    return {
        "name": "contoso",
        "active": "on",
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "kind": CredentialKind.SECRET,
        "concurrency": "0",
        "authority_host": "https://login.microsoftonline.com",
        "graph_endpoint": "https://graph.microsoft.com",
    } | more


def sender_form(registration, **more):
    return {
        "name": "office",
        "active": "on",
        "registration": registration.pk,
        "mailbox_address": "Office@Contoso.test",
        "from_policy": "rewrite",
        "uncertain_policy": "resend",
        "large_mail": "auto",
        "large_text": "file",
        "invitations": "file",
        "sent_items": "keep",
    } | more


# --- App registrations ---------------------------------------------------------------------------------


def test_a_secret_goes_in_and_never_comes_out(browser, at_nowhere):
    add_registration(browser, registration_form(new_secret=SECRET, **NOWHERE))
    row = AppRegistration.objects.get()
    assert row.secret == SECRET
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM mailrelay_appregistration")
        assert SECRET not in cursor.fetchone()[0]
    for address in (f"{row.pk}/change/", f"{row.pk}/history/", "", f"{row.pk}/delete/"):
        assert SECRET not in browser.get(f"{ADMIN}appregistration/{address}").content.decode(), address
    wrong = browser.post(
        f"{ADMIN}appregistration/add/", registration_form(new_secret="An0ther", client_id="x")
    )
    assert "An0ther" not in wrong.content.decode()
    assert SECRET not in str([(entry.change_message, entry.object_repr) for entry in LogEntry.objects.all()])


def test_a_change_keeps_the_secret_and_its_version(browser, registration):
    browser.post(f"{ADMIN}appregistration/{registration.pk}/change/", registration_form(name="renamed"))
    row = AppRegistration.objects.get()
    assert (row.name, row.secret, row.version) == ("renamed", "stored-secret-value", 1)


def test_another_credential_is_a_new_version_and_held_mail_is_tried_at_once(browser, registration, now):
    later = now + timedelta(hours=1)
    AppRegistration.objects.update(
        failing=Reason.SECRET_EXPIRED, failing_text="Expired.", retry_at=later, token_refused=True
    )
    form = registration_form(kind="certificate", certificate_path="/run/gateway.pem")
    browser.post(f"{ADMIN}appregistration/{registration.pk}/change/", form)
    row = AppRegistration.objects.get()
    assert (row.kind, row.version, row.token_refused) == ("certificate", 2, False)
    assert now <= row.retry_at < later


def test_another_client_id_is_a_new_version_too(browser, registration):
    other = "33333333-3333-3333-3333-333333333333"
    browser.post(f"{ADMIN}appregistration/{registration.pk}/change/", registration_form(client_id=other))
    row = AppRegistration.objects.get()
    assert (row.client_id, row.version, row.secret) == (other, 2, "stored-secret-value")


def test_an_old_form_does_not_undo_what_the_queue_noted_meanwhile(browser, registration, now):
    AppRegistration.objects.update(failing=Reason.UNREACHABLE, failures=7)
    browser.post(f"{ADMIN}appregistration/{registration.pk}/change/", registration_form(name="renamed"))
    with CaptureQueriesContext(connection) as queries:
        browser.post(f"{ADMIN}appregistration/{registration.pk}/change/", registration_form(name="again"))
    written = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert [sql for sql in written if '"failures"' in sql or '"secret"' in sql] == []
    assert AppRegistration.objects.get().failures == 7


def test_a_secret_that_no_key_opens_keeps_nobody_from_the_page(browser, registration, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["bmV3LWtleS1mb3ItdGVzdHMtb25seS0wMDAwMDAwMDA="]
    for address in ("", f"{registration.pk}/change/", f"{registration.pk}/rotation/"):
        assert browser.get(f"{ADMIN}appregistration/{address}").status_code == 200


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tenant_id": "common"}, "names no tenant"),
        ({"tenant_id": "not a tenant"}, "A tenant is a GUID"),
        ({"client_id": "my-app"}, "A client id is a GUID"),
        ({"authority_host": "http://login.microsoftonline.com"}, "https address without a path"),
        ({"graph_endpoint": "https://graph.microsoft.com/v1.0"}, "https address without a path"),
        ({"graph_endpoint": "https://user:pw@graph.microsoft.com"}, "https address without a path"),
        ({"new_secret": ""}, "none is stored"),
        ({"kind": "certificate", "certificate_path": "cert.pem"}, "absolute path of the PEM"),
        ({"kind": "federated"}, "absolute path of the file with the federated token"),
    ],
)
def test_a_wrong_registration_is_refused_with_a_sentence(browser, change, sentence):
    answer = browser.post(f"{ADMIN}appregistration/add/", registration_form(new_secret=SECRET) | change)
    assert sentence in errors(answer)
    assert not AppRegistration.objects.exists()


def test_a_tenant_may_be_a_domain(browser, at_nowhere):
    form = registration_form(new_secret=SECRET, tenant_id="Contoso.onmicrosoft.com", **NOWHERE)
    add_registration(browser, form)
    assert AppRegistration.objects.get().tenant_id == "contoso.onmicrosoft.com"


# --- Senders -------------------------------------------------------------------------------------------


def test_a_sender_makes_its_mailbox(browser, registration):
    form = sender_form(registration, addresses="A@contoso.test, b@contoso.test", domains="@Shop.test")
    browser.post(f"{ADMIN}senderconfig/add/", form)
    row = SenderConfig.objects.get()
    assert (row.mailbox.address, row.mailbox.registration) == ("office@contoso.test", registration)
    assert (row.addresses, row.domains) == ("a@contoso.test\nb@contoso.test", "shop.test")


def test_mail_that_waits_follows_its_sender_to_another_mailbox(browser, registration, sender):
    message = make_message(sender)
    sent = make_message(sender, state=State.SENT)
    form = sender_form(registration, mailbox_address="new@contoso.test")
    answer = browser.post(f"{ADMIN}senderconfig/{sender.pk}/change/", form, follow=True)
    assert Delivery.objects.get(message=message).mailbox.address == "new@contoso.test"
    assert Delivery.objects.get(message=sent).mailbox.address == "office@contoso.test"
    assert "follows to new@contoso.test" in answer.content.decode()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"addresses": "anna"}, "“anna” is not an address"),
        ({"domains": "*.contoso.test"}, "without an asterisk"),
        ({"domains": "contoso"}, "“contoso” is not a domain"),
        ({"mailbox_address": "office"}, "“office” is not an address: write user@example.org."),
        ({"redirect_all_to": "nobody"}, "“nobody” is not an address: write user@example.org."),
        ({"is_default": "on"}, "“first” is the default sender already"),
        ({"addresses": "taken@contoso.test"}, "belongs to the sender “first”"),
        ({"domains": "taken.test"}, "belongs to the sender “first”"),
    ],
)
def test_a_wrong_sender_is_refused_with_a_sentence(browser, registration, change, sentence):
    make_sender(
        registration,
        "first",
        "first@x.test",
        is_default=True,
        addresses="taken@contoso.test",
        domains="taken.test",
    )
    answer = browser.post(f"{ADMIN}senderconfig/add/", sender_form(registration) | change)
    assert sentence in errors(answer)
    assert SenderConfig.objects.count() == 1


def test_a_sender_falls_back_on_another_and_not_in_a_circle(browser, registration):
    first = make_sender(registration, "first", "first@x.test")
    browser.post(f"{ADMIN}senderconfig/add/", sender_form(registration, fallback=first.pk, headers_rule="on"))
    office = SenderConfig.objects.get(name="office")
    assert (office.fallback, office.headers_rule, office.sent_items) == (first, True, "keep")
    form = sender_form(registration, name="first", mailbox_address="first@x.test", fallback=office.pk)
    answer = browser.post(f"{ADMIN}senderconfig/{first.pk}/change/", form)
    assert "“office” falls back on “first” in its turn" in errors(answer)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"from_policy": "own_mailbox"},
            "“office” falls back on this sender, which sends through the mailbox",
        ),
        ({"redirect_all_to": "test@x.test"}, "which does not redirect mail to the same address"),
    ],
)
def test_what_others_fall_back_on_stays_fit_for_it(browser, registration, sender, change, sentence):
    first = make_sender(registration, "first", "first@x.test")
    SenderConfig.objects.filter(pk=sender.pk).update(fallback=first)
    form = sender_form(registration, name="first", mailbox_address="first@x.test") | change
    answer = browser.post(f"{ADMIN}senderconfig/{first.pk}/change/", form)
    assert sentence in errors(answer)


def test_the_environments_sender_gives_the_default_to_one_made_here(browser, registration):
    make_sender(registration, "environment", "env@x.test", is_default=True, managed_by=ManagedBy.ENVIRONMENT)
    browser.post(f"{ADMIN}senderconfig/add/", sender_form(registration, is_default="on"))
    assert list(SenderConfig.objects.filter(is_default=True).values_list("name", flat=True)) == ["office"]


@pytest.mark.parametrize("owner", [ManagedBy.ENVIRONMENT, ManagedBy.FILE])
def test_rows_of_others_are_read_only_with_the_reason(browser, owner):
    registration = make_registration(managed_by=owner)
    sender = make_sender(registration, managed_by=owner)
    for address, form in (
        (f"senderconfig/{sender.pk}", sender_form(registration, name="mine")),
        (f"appregistration/{registration.pk}", registration_form(name="mine")),
        (f"mailbox/{sender.mailbox_id}", {"concurrency": "1", "messages_per_minute": "1"}),
    ):
        text = browser.get(f"{ADMIN}{address}/change/").content.decode()
        assert "cannot be changed here" in text
        assert 'type="password"' not in text
        assert browser.post(f"{ADMIN}{address}/change/", form).status_code == 403
        assert browser.post(f"{ADMIN}{address}/delete/", {"post": "yes"}).status_code == 403
    assert SenderConfig.objects.get().name == "office"


def test_what_has_mail_is_not_deleted_and_the_sentence_says_why(browser, sender):
    make_message(sender)
    mailbox = sender.mailbox
    idle = Mailbox.objects.create(registration=mailbox.registration, address="idle@x.test")
    make_message(sender)
    Delivery.objects.filter(pk=Delivery.objects.last().pk).update(mailbox=idle)
    for address, sentence in (
        (f"senderconfig/{sender.pk}", "messages on record"),
        (f"mailbox/{mailbox.pk}", "a sender uses it"),
        (f"mailbox/{idle.pk}", "messages on record"),
        (f"appregistration/{mailbox.registration_id}", "mailboxes send through it"),
    ):
        answer = browser.post(f"{ADMIN}{address}/delete/", {"post": "yes"}, follow=True)
        assert sentence in answer.content.decode(), address
    assert SenderConfig.objects.exists()
    assert Mailbox.objects.count() == 2


def test_what_has_no_mail_can_be_deleted(browser, sender):
    browser.post(f"{ADMIN}senderconfig/{sender.pk}/delete/", {"post": "yes"})
    browser.post(f"{ADMIN}mailbox/{sender.mailbox_id}/delete/", {"post": "yes"})
    browser.post(f"{ADMIN}appregistration/{sender.mailbox.registration_id}/delete/", {"post": "yes"})
    assert not SenderConfig.objects.exists()
    assert not Mailbox.objects.exists()
    assert not AppRegistration.objects.exists()


# --- Mailboxes -----------------------------------------------------------------------------------------


def test_limits_can_be_changed_without_touching_the_bucket(browser, sender, now):
    Mailbox.objects.update(tokens=3.0, tokens_at=now, paused_until=now + timedelta(hours=1), failures=2)
    form = {"user_id": "", "concurrency": "2", "messages_per_minute": "15"}
    form |= {"requests_per_10_minutes": "10000", "upload_bytes_per_5_minutes": "150000000"}
    form |= {"recipients_per_day": "10000", "recipients_per_message": "500", "max_message_size": "36700160"}
    browser.post(f"{ADMIN}mailbox/{sender.mailbox_id}/change/", form)
    row = Mailbox.objects.get()
    assert (row.concurrency, row.messages_per_minute, row.address) == (2, 15, "office@contoso.test")
    assert (row.tokens, row.failures) == (3.0, 2)
    assert row.paused_until == now + timedelta(hours=1)
    assert row.wake_at is not None


def test_a_mailbox_shows_its_present_use_and_why_it_stands_still(browser, sender, now):
    make_message(sender, state=State.SENDING)
    make_message(sender, state=State.QUEUED)
    Mailbox.objects.update(tokens=7.0, tokens_at=now + timedelta(minutes=5))
    text = browser.get(f"{ADMIN}mailbox/{sender.mailbox_id}/change/").content.decode()
    for said in ("1 of 4 in flight", "7 of 30 left", "1 queued, 0 held"):
        assert said in text, said
    Mailbox.objects.update(paused_until=now + timedelta(minutes=5), pause_text="Microsoft asked for a rest.")
    text = browser.get(f"{ADMIN}mailbox/{sender.mailbox_id}/change/").content.decode()
    assert "Microsoft asked for a rest." in text
    assert "goes on in" in text
    Mailbox.objects.update(blocked=Reason.MAILBOX_UNKNOWN, blocked_text="<b>Correct</b> the address.")
    text = browser.get(f"{ADMIN}mailbox/{sender.mailbox_id}/change/").content.decode()
    assert "&lt;b&gt;Correct&lt;/b&gt; the address." in text


def test_a_mailbox_shows_what_was_learned_of_microsoft_and_when(browser, sender, now):
    page = f"{ADMIN}mailbox/{sender.mailbox_id}/change/"
    text = browser.get(page).content.decode()
    assert "up to 3.0 MiB in one request" in text
    assert "not known yet" in text
    assert "Lowered" not in text

    learned = now - timedelta(days=2)
    Mailbox.objects.update(
        direct_limit=2_200_000,
        direct_limit_learned_at=learned,
        can_draft=True,
        can_read=False,
        access_checked_at=learned,
    )
    text = browser.get(page).content.decode()
    for said in (
        "up to 2.1 MiB in one request",
        f"Lowered 2 d ago, on {exact(learned)}",
        "up to 35.0 MiB, as drafts with uploads",
        f"Found out on {exact(learned)}",
        "Mail.ReadBasic",
    ):
        assert said in text, said


# --- Clients, workers, lists ---------------------------------------------------------------------------


def test_the_word_private_is_written_out(browser):
    form = {
        "name": "printers",
        "active": "on",
        "networks": "private 192.0.2.7",
        "allowed_from": "@contoso.test",
    }
    browser.post(f"{ADMIN}smtpclient/add/", form)
    networks = SmtpClient.objects.get().networks.split()
    assert networks == [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "192.0.2.7",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"networks": "printers"}, "is not a network"),
        ({"networks": "10.0.0.5/8"}, "write 10.0.0.0/8"),
        ({"networks": ""}, "required"),
        ({"networks": "198.51.100.0/24"}, "belongs to the client “first”"),
        ({"allowed_from": "contoso.test"}, "neither an address nor a domain"),
    ],
)
def test_a_wrong_client_is_refused_with_a_sentence(browser, change, sentence):
    SmtpClient.objects.create(name="first", networks="198.51.100.0/24")
    form = {"name": "second", "active": "on", "networks": "192.0.2.0/24"} | change
    assert sentence in errors(browser.post(f"{ADMIN}smtpclient/add/", form))


def test_clients_list_the_networks_of_the_environment(browser):
    assert "127.0.0.0/8" in browser.get(f"{ADMIN}smtpclient/").content.decode()


def test_workers_are_shown_and_cannot_be_touched(browser, now):
    alive = Worker.objects.create(name="a", queues="deliver", capacity=8, started_at=now, seen_at=now)
    Worker.objects.create(
        name="b", queues="deliver", capacity=8, started_at=now, seen_at=now - timedelta(minutes=2)
    )
    text = browser.get(f"{ADMIN}worker/").content.decode()
    assert "Alive" in text
    assert "Silent" in text
    assert browser.get(f"{ADMIN}worker/add/").status_code == 403
    assert browser.post(f"{ADMIN}worker/{alive.pk}/delete/", {"post": "yes"}).status_code == 403


def test_lists_cost_the_same_with_one_row_and_with_many(browser, registration, now):
    def fill(number):
        for n in range(number):
            mine = make_registration(f"app{number}-{n}")
            sender = make_sender(mine, f"s{number}-{n}", f"s{number}-{n}@x.test")
            make_message(sender, state=State.SENDING)
            SmtpClient.objects.create(name=f"c{number}-{n}", networks="192.0.2.1")
            Worker.objects.create(name=f"w{number}-{n}", queues="d", capacity=1, started_at=now, seen_at=now)

    def costs():
        result = {}
        for name in ("senderconfig", "appregistration", "mailbox", "smtpclient", "worker"):
            with CaptureQueriesContext(connection) as queries:
                assert browser.get(f"{ADMIN}{name}/").status_code == 200
            assert not [query for query in queries if SECRET_COLUMN.search(query["sql"])], name
            result[name] = len(queries)
        return result

    fill(1)
    one = costs()
    fill(12)
    assert costs() == one


def test_the_first_page_leads_to_every_screen(browser, reader):
    text = browser.get("/admin/").content.decode()
    for name in ("message", "senderconfig", "mailbox", "appregistration", "smtpclient", "worker"):
        assert f'href="{ADMIN}{name}/"' in text
    less = reader.get("/admin/").content.decode()
    assert f'href="{ADMIN}message/"' in less
    assert "appregistration" not in less
