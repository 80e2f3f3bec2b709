"""A device is made in two fields, and its settings are shown once."""

import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry

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


def form_of(browser, page=NEW) -> dict[str, str]:
    """What the page hands to its button."""
    shown = browser.get(page).content.decode()
    return {"once": unescape(re.search(r'name="once" value="([^"]+)"', shown)[1])}


def make(browser, name="Printer, floor 3", networks="") -> str:
    return browser.post(NEW, {"name": name, "networks": networks, **form_of(browser)}).content.decode()


def password_in(page: str) -> str:
    (password,) = re.findall(r'<dd class="mono">([A-Za-z0-9]{20})</dd>', page)
    return password


def test_without_an_address_it_gets_a_login_whose_password_fits(browser, with_tls):
    page = make(browser)
    row = SmtpClient.objects.get()
    password = password_in(page)
    assert (row.name, row.login, row.networks) == ("Printer, floor 3", "printer-floor-3", "")
    assert passwords.matches(password, row.password_hash)
    assert password not in row.password_hash
    for word in ("mail.example.org", "587", "STARTTLS", "printer-floor-3"):
        assert f">{word}</dd>" in page


def test_the_password_is_shown_once_and_recorded_nowhere(browser, with_tls):
    answer = browser.post(NEW, {"name": "Printer", "networks": "", **form_of(browser)})
    password = password_in(answer.content.decode())
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


@pytest.mark.parametrize("networks", ["", "192.0.2.7"])
def test_pressing_twice_makes_one_device_and_shows_the_same_settings(browser, with_tls, settings, networks):
    settings.SMTP_LISTENERS += listeners("smtp://192.0.2.1:25?starttls=off")
    form = {"name": "Printer", "networks": networks, **form_of(browser)}
    first, second = (browser.post(NEW, form).content.decode() for _ in range(2))
    facts = [re.findall(r"<dd[^>]*>(.*?)</dd>", page) for page in (first, second)]
    assert facts[0] == facts[1]
    assert "Settings of Printer" in second
    assert SmtpClient.objects.count() == 1
    assert LogEntry.objects.count() == 1
    if not networks:
        assert passwords.matches(password_in(second), SmtpClient.objects.get().password_hash)


def test_another_press_of_the_same_name_is_told_where_a_password_is_made(browser, with_tls):
    make(browser, "Printer")
    said = make(browser, "Printer")
    assert "There is a client of this name already. On its own page it gets a new password." in said
    assert SmtpClient.objects.count() == 1


def test_a_page_that_was_open_for_long_is_pressed_once_more(browser, with_tls, monkeypatch):
    form = {"name": "Printer", "networks": "", **form_of(browser)}
    monkeypatch.setattr("mailrelay.console.sealing.LIFETIME", -1.0)
    said = browser.post(NEW, form).content.decode()
    assert "press the button once more" in said and not SmtpClient.objects.exists()
    monkeypatch.undo()
    form["once"] = unescape(re.search(r'name="once" value="([^"]+)"', said)[1])
    assert "Settings of Printer" in browser.post(NEW, form).content.decode()


# --- Another password ----------------------------------------------------------------------------------


@pytest.fixture
def printer(db):
    kept = passwords.make("as before")
    return SmtpClient.objects.create(name="Printer", login="printer", password_hash=kept)


def test_a_new_password_is_made_and_shown_once_with_the_settings(browser, with_tls, printer):
    change = f"/admin/mailrelay/smtpclient/{printer.pk}/change/"
    page = re.search(r'href="([^"]+)">New password', browser.get(change).content.decode())[1]
    form = form_of(browser, page)
    assert passwords.matches("as before", SmtpClient.objects.get().password_hash)

    answer = browser.post(page, form)

    password = password_in(answer.content.decode())
    assert passwords.matches(password, SmtpClient.objects.get().password_hash)
    assert "no-store" in answer["Cache-Control"]
    for word in ("mail.example.org", "587", "STARTTLS", "printer"):
        assert f">{word}</dd>" in answer.content.decode()
    again = browser.post(page, form).content.decode()
    assert password_in(again) == password
    later = browser.get(change).content.decode() + browser.get(page).content.decode()
    assert password not in later + str([*AuditEvent.objects.values(), *LogEntry.objects.values()])
    assert AuditEvent.objects.filter(detail__contains="New password").exists()


def test_the_press_of_an_old_page_undoes_no_newer_password(browser, with_tls, printer):
    page = f"/admin/mailrelay/smtpclient/{printer.pk}/password/"
    old = form_of(browser, page)
    newer = password_in(browser.post(page, form_of(browser, page)).content.decode())
    told = browser.post(page, old, follow=True).content.decode()
    assert "No password was made: this one was changed meanwhile" in told
    assert passwords.matches(newer, SmtpClient.objects.get().password_hash)


def test_a_password_is_shown_where_no_listener_takes_it(browser, settings, printer):
    settings.SMTP_LISTENERS = listeners("smtp://127.0.0.1:25?starttls=off")
    page = f"/admin/mailrelay/smtpclient/{printer.pk}/password/"
    shown = browser.post(page, form_of(browser, page)).content.decode()
    assert passwords.matches(password_in(shown), SmtpClient.objects.get().password_hash)
    assert "No listener serves clients with a login" in shown


def test_nobody_else_makes_a_password_and_no_client_without_a_login_gets_one(browser, reader, printer):
    page = f"/admin/mailrelay/smtpclient/{printer.pk}/password/"
    form = form_of(browser, page)
    assert reader.post(page, form).status_code == 403
    by_network = SmtpClient.objects.create(name="erp", networks="192.0.2.9")
    change = f"/admin/mailrelay/smtpclient/{by_network.pk}/"
    assert browser.get(f"{change}password/").status_code == 403
    assert "New password" not in browser.get(f"{change}change/").content.decode()
    assert passwords.matches("as before", SmtpClient.objects.get(pk=printer.pk).password_hash)


# --- Its form ------------------------------------------------------------------------------------------


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
    form = {"name": "Printer", "active": "on", "login": row.login, "allowed_from": "@example.org"}
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


def test_all_that_a_client_may_is_on_its_form(browser, db):
    row = SmtpClient.objects.create(name="shop", networks="192.0.2.7", allowed_recipients="@example.org")
    page = f"/admin/mailrelay/smtpclient/{row.pk}/change/"
    assert "@example.org" in browser.get(page).content.decode()
    limits = {"max_message_size": "5000", "messages_per_minute": "7", "max_connections": ""}
    form = {"name": "shop", "active": "on", "networks": "192.0.2.7", "login": "", "allowed_recipients": ""}
    assert browser.post(page, form | limits).status_code == 302
    row.refresh_from_db()
    assert (row.allowed_recipients, row.max_message_size, row.messages_per_minute) == ("", 5000, 7)
    assert row.max_connections == 0


def test_a_user_name_is_given_once_and_asks_for_a_password(browser, db):
    SmtpClient.objects.create(name="other", login="Shop")
    row = SmtpClient.objects.create(name="shop", networks="192.0.2.7")
    page = f"/admin/mailrelay/smtpclient/{row.pk}/change/"
    form = {"name": "shop", "active": "on", "networks": ""}
    assert "“other” logs in with this name" in browser.post(page, form | {"login": "shop"}).content.decode()
    told = browser.post(page, form | {"login": "web-shop"}, follow=True).content.decode()
    assert "It has no password yet" in told
    assert "A network is required" in browser.post(page, form | {"login": ""}).content.decode()
    assert SmtpClient.objects.get(pk=row.pk).login == "web-shop"
