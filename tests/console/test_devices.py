"""A device is made in two fields, and its settings are shown once."""

import re

import pytest

from gateway.listeners import listeners
from mailrelay.models import AuditEvent, SmtpClient
from mailrelay.routing import passwords

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "/admin/mailrelay/smtpclient/device/"


@pytest.fixture
def with_tls(settings):
    # Only its presence counts here: nothing listens.
    settings.SMTP_TLS_CERT_FILE = "listener.pem"
    settings.SMTP_HOSTNAME = "mail.example.org"
    settings.SMTP_LISTENERS = listeners("smtp://0.0.0.0:587?starttls=required&auth=required")


def make(browser, name="Printer, floor 3", networks="") -> str:
    return browser.post(NEW, {"name": name, "networks": networks}).content.decode()


def test_without_an_address_it_gets_a_login_whose_password_fits(browser, with_tls):
    page = make(browser)
    row = SmtpClient.objects.get()
    (password,) = re.findall(r'<dd class="mono">([A-Za-z0-9]{20})</dd>', page)
    assert (row.name, row.login, row.networks) == ("Printer, floor 3", "printer-floor-3", "")
    assert passwords.matches(password, row.password_hash)
    assert password not in row.password_hash
    for word in ("mail.example.org", "587", "STARTTLS", "printer-floor-3"):
        assert f">{word}</dd>" in page


def test_the_password_is_shown_once_and_recorded_nowhere(browser, with_tls):
    answer = browser.post(NEW, {"name": "Printer", "networks": ""})
    (password,) = re.findall(r'<dd class="mono">([A-Za-z0-9]{20})</dd>', answer.content.decode())
    assert "no-store" in answer.headers["Cache-Control"]
    row = SmtpClient.objects.get()
    later = browser.get(f"/admin/mailrelay/smtpclient/{row.pk}/change/").content.decode()
    assert password not in later + browser.get(NEW).content.decode()
    entry = AuditEvent.objects.get(action="change smtpclient_device")
    assert "Printer" in entry.detail
    assert password not in entry.detail


def test_with_an_address_it_sends_without_a_password(browser, settings):
    settings.SMTP_LISTENERS = listeners("smtp://192.0.2.1:25?starttls=off")
    page = make(browser, networks="192.0.2.7")
    row = SmtpClient.objects.get()
    assert (row.networks, row.login, row.password_hash) == ("192.0.2.7", "", "")
    assert ">192.0.2.1</dd>" in page
    assert ">none</dd>" in page


def test_pressing_twice_makes_one_device(browser, with_tls):
    make(browser)
    assert "already" in make(browser)
    assert SmtpClient.objects.count() == 1


def test_names_that_read_alike_get_logins_of_their_own(browser, with_tls):
    make(browser, "Printer 1")
    make(browser, "printer-1")
    assert set(SmtpClient.objects.values_list("login", flat=True)) == {"printer-1", "printer-1-2"}


def test_an_address_of_another_client_is_refused(browser):
    SmtpClient.objects.create(name="erp", networks="192.0.2.7/32")
    assert "belongs to the client “erp”" in make(browser, networks="192.0.2.7")
    assert SmtpClient.objects.count() == 1


def test_a_login_is_not_made_where_no_listener_takes_one(browser, settings):
    settings.SMTP_TLS_CERT_FILE = ""
    settings.SMTP_LISTENERS = listeners("smtp://127.0.0.1:25")
    assert "No listener takes a user name" in make(browser)
    assert not SmtpClient.objects.exists()


def test_a_client_with_a_login_is_edited_without_a_network(browser, with_tls):
    make(browser)
    row = SmtpClient.objects.get()
    form = {"name": "Printer", "active": "on", "networks": "", "allowed_from": "@example.org", "urgency": ""}
    answer = browser.post(f"/admin/mailrelay/smtpclient/{row.pk}/change/", form)
    assert answer.status_code == 302
    after = SmtpClient.objects.get()
    assert (after.allowed_from, after.login, after.password_hash) == (
        "@example.org",
        row.login,
        row.password_hash,
    )


def test_who_may_not_add_clients_makes_no_device(reader):
    assert reader.get(NEW).status_code == 403
    assert reader.post(NEW, {"name": "x", "networks": ""}).status_code == 403
