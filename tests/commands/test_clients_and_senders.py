"""`manage.py smtpclient` and `manage.py sender`: made in a line, listed in a line each, tried at once."""

import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from gateway.listeners import Listener
from mailrelay.models import SenderConfig, SmtpClient
from mailrelay.routing import passwords
from tests.smtp.certificates import write_certificate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run():
    def call(*words):
        out = StringIO()
        call_command(*words, stdout=out)
        return out.getvalue()

    return call


def test_a_client_with_a_login_comes_with_the_settings_to_copy(run, settings, tmp_path):
    settings.SMTP_TLS_CERT_FILE, settings.SMTP_TLS_KEY_FILE = map(str, write_certificate(tmp_path))
    settings.SMTP_LISTENERS = (
        Listener("0.0.0.0", 25, starttls="off"),
        Listener("0.0.0.0", 587, starttls="required"),
        Listener("0.0.0.0", 465, implicit_tls=True),
    )
    said = run(
        "smtpclient", "add", "Printer", "--login", "printer", "--to", "@contoso.test", "--per-minute", "5"
    )
    row = SmtpClient.objects.get(name="Printer")
    assert (row.login, row.allowed_recipients, row.messages_per_minute) == ("printer", "@contoso.test", 5)
    password = re.search(r"password (\w{20})", said)[1]
    assert passwords.matches(password, row.password_hash)
    assert "port 587, encryption STARTTLS" in said and "port 465, encryption SSL/TLS" in said
    assert "port 25" not in said

    again = run("smtpclient", "add", "Printer", "--per-minute", "9")
    row.refresh_from_db()
    assert (row.messages_per_minute, row.login) == (9, "printer")
    assert passwords.matches(password, row.password_hash) and "password as before" in again

    other = re.search(r"password (\w{20})", run("smtpclient", "password", "Printer"))[1]
    row.refresh_from_db()
    assert passwords.matches(other, row.password_hash) and not passwords.matches(password, row.password_hash)


def test_a_password_is_shown_even_where_no_listener_takes_logins(run, settings):
    settings.SMTP_TLS_CERT_FILE = ""
    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 25),)

    said = run("smtpclient", "add", "Printer", "--login", "printer")

    password = re.search(r"user name printer, password (\w{20})", said)[1]
    assert passwords.matches(password, SmtpClient.objects.get(name="Printer").password_hash)
    assert "SMTP_TLS_CERT_FILE" in said and "port 25," not in said


def test_a_client_without_a_login_is_told_where_all_listeners_want_one(run, settings, tmp_path):
    settings.SMTP_TLS_CERT_FILE, settings.SMTP_TLS_KEY_FILE = map(str, write_certificate(tmp_path))
    settings.SMTP_LISTENERS = (Listener("127.0.0.1", 465, implicit_tls=True, auth="required"),)

    said = run("smtpclient", "add", "Rack", "--network", "192.0.2.0/24")

    assert "no user name, no password" in said and "--login" in said


def test_a_client_by_network_needs_no_password(run):
    said = run("smtpclient", "add", "Rack", "--network", "192.0.2.0/24")
    assert "no user name, no password" in said
    assert SmtpClient.objects.get(name="Rack").networks == "192.0.2.0/24"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "Nothing"], "Say what it is known by"),
        (["add", "Wrong", "--network", "192.0.2.1/24"], "has bits beyond its prefix"),
        (["add", "Wrong", "--login", "x", "--from", "not an address"], "is neither an address nor a domain"),
        (["password", "Nobody"], "There is no client Nobody with a login"),
        (["test", "Nobody", "--from", "a@b.test", "--to", "c@d.test"], "There is no active client Nobody"),
        (
            ["test", "--address", "198.51.100.1", "--from", "a@b.test", "--to", "c@d.test"],
            "No client is known",
        ),
    ],
)
def test_what_cannot_be_is_a_sentence(run, words, said):
    with pytest.raises(CommandError, match=said):
        run("smtpclient", *words)
    assert not SmtpClient.objects.exists()


def test_trying_a_client_says_each_step_and_the_rule_that_refuses(run, sender):
    run(
        "smtpclient",
        "add",
        "Rack",
        "--network",
        "192.0.2.0/24",
        "--from",
        "@contoso.test",
        "--to",
        "@contoso.test",
    )
    said = run(
        "smtpclient", "test", "--address", "192.0.2.9", "--from", "a@contoso.test", "--to", "b@contoso.test"
    )
    assert "client: Rack" in said and "sender: printers, through the mailbox gateway@contoso.test" in said
    with pytest.raises(CommandError, match=r"client-from.*add the address or its domain to the client"):
        run("smtpclient", "test", "Rack", "--from", "a@other.test", "--to", "b@contoso.test")
    with pytest.raises(CommandError, match="client-recipient"):
        run("smtpclient", "test", "Rack", "--from", "a@contoso.test", "--to", "b@other.test")


def test_trying_a_client_says_whom_a_name_stands_for(run, sender):
    run(
        *("smtpclient", "add", "Cron", "--network", "192.0.2.0/24", "--default-domain", "contoso.test"),
        *("--alias", "root=a@contoso.test", "--alias", "root=b@contoso.test", "--repeat-minutes", "0"),
    )
    asked = ("smtpclient", "test", "Cron", "--from", "root@contoso.test", "--to")
    assert "RCPT TO:<root>: taken, and goes to a@contoso.test, b@contoso.test" in run(*asked, "root")
    assert "RCPT TO:<smartd>: taken, and goes to smartd@contoso.test" in run(*asked, "smartd")
    assert "RCPT TO:<c@contoso.test>: taken\n" in run(*asked, "c@contoso.test")
    assert SmtpClient.objects.get().repeat_minutes == 0
    assert "default domain contoso.test; aliases root" in run("smtpclient", "list")


def test_the_list_has_a_line_for_each_client_and_never_a_hash(run):
    run("smtpclient", "add", "Printer", "--login", "printer", "--max-size", "5000", "--urgency", "bulk")
    SmtpClient.objects.create(name="Bare", login="bare")
    said = run("smtpclient", "list")
    assert "Printer: login printer | bytes 5000; urgency bulk" in said
    assert "Bare: login bare (no password yet)" in said
    assert "SMTP_ALLOWED_NETWORKS: from 127.0.0.0/8" in said and "scrypt" not in said


def test_a_sender_is_added_to_an_app_that_is_there_and_listed(run, registration):
    run("sender", "add", "billing", "--app", "contoso", "--mailbox", "Billing@contoso.test",
        "--domain", "billing.test", "--default", "--from-policy", "send_as")  # fmt: skip
    row = SenderConfig.objects.get(name="billing")
    assert (row.mailbox.address, row.is_default, row.from_policy) == ("billing@contoso.test", True, "send_as")
    assert run("sender", "list").startswith(
        "billing: @billing.test through billing@contoso.test of contoso (default"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "x", "--app", "nowhere", "--mailbox", "a@b.test"], "there is no app named 'nowhere'"),
        (["add", "x", "--app", "contoso", "--mailbox", "nonsense"], "is not an address"),
        (["test", "nobody", "--to", "a@b.test"], "There is no sender nobody"),
    ],
)
def test_what_a_sender_cannot_be_is_a_sentence(run, registration, words, said):
    with pytest.raises(CommandError, match=said):
        run("sender", *words)


def test_a_test_of_a_sender_never_goes_by_another(run, sender):
    same = SenderConfig.objects.create(name="invoices", mailbox=sender.mailbox)
    with pytest.raises(CommandError, match="goes by another sender than invoices"):
        run("sender", "test", "invoices", "--to", "a@b.test")

    SenderConfig.objects.filter(pk=same.pk).update(active=False)
    with pytest.raises(CommandError, match="invoices takes no mail: it or its app registration"):
        run("sender", "test", "invoices", "--to", "a@b.test")
