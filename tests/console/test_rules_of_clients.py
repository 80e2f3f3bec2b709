"""Default domain, aliases and repeated mail, as people enter them for a client and for all."""

import pytest

from mailrelay.models import ClientDefaults, SmtpClient
from mailrelay.routing.loading import load
from tests.console.test_configuration import ADMIN

pytestmark = pytest.mark.django_db(transaction=True)


def test_aliases_are_entered_and_shown_as_a_name_a_line(browser):
    form = {
        "name": "cron",
        "active": "on",
        "networks": "192.0.2.7",
        "aliases": "Root: admin@contoso.test\nbackup: root, ops@contoso.test",
        "default_domain": "@Contoso.test",
        "repeat_minutes": "0",
    }
    browser.post(f"{ADMIN}smtpclient/add/", form)
    row = SmtpClient.objects.get()
    assert row.aliases == {"root": ["admin@contoso.test"], "backup": ["root", "ops@contoso.test"]}
    assert (row.default_domain, row.repeat_minutes) == ("contoso.test", 0)
    page = browser.get(f"{ADMIN}smtpclient/{row.pk}/change/").content.decode()
    assert "root: admin@contoso.test\nbackup: root, ops@contoso.test</textarea>" in page
    browser.post(f"{ADMIN}smtpclient/{row.pk}/change/", form | {"aliases": "", "repeat_minutes": ""})
    row.refresh_from_db()
    assert (row.aliases, row.repeat_minutes) == ({}, None)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"aliases": "root admin@contoso.test"}, "“root” stands before any name"),
        ({"aliases": "root: a@b@c"}, "neither a name with a colon nor an address"),
        ({"default_domain": "nowhere"}, "is not a domain"),
        ({"repeat_minutes": "-1"}, "“-1” is too small: the least is 0."),
    ],
)
def test_wrong_rules_of_all_clients_are_refused_with_a_sentence(browser, change, sentence):
    row = ClientDefaults.objects.create()
    answer = browser.post(f"{ADMIN}clientdefaults/{row.pk}/change/", change)
    assert sentence in answer.content.decode()


def test_the_rules_of_all_clients_are_one_row_that_is_there_at_the_first_look(browser):
    for _ in range(2):
        assert "All clients" in browser.get(f"{ADMIN}clientdefaults/").content.decode()
    row = ClientDefaults.objects.get()
    change = {"aliases": "root: admin@contoso.test", "default_domain": "contoso.test", "repeat_minutes": "3"}
    browser.post(f"{ADMIN}clientdefaults/{row.pk}/change/", change)
    found = load().defaults
    assert (found.default_domain, found.aliases, found.repeat_minutes) == (
        "contoso.test",
        {"root": ["admin@contoso.test"]},
        3,
    )
    assert browser.get(f"{ADMIN}clientdefaults/add/").status_code == 403
