"""Three roles against every page of the admin, over HTTP: a browser adds nothing to who may open what.

A page that is new here has to be given its readers and its actors before the tests pass.
"""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from mailrelay.console import roles
from mailrelay.console.message_actions import ACTIONS
from mailrelay.models import (
    Alert,
    AlertChannel,
    ApiToken,
    AuditEvent,
    ClientDefaults,
    Refusal,
    SmtpClient,
    Worker,
)
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import Condition, State
from tests.console.rows import make_message, make_registration, make_sender

# Some pages write through the queue's own writer, which sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)

#: V viewer, O operator, A administrator, in this order; empty is nobody, by whatever role.
ALL, OPERATORS, ADMINISTRATORS, NOBODY = "VOA", "OA", "A", ""
ROLES = {"V": roles.VIEWER, "O": roles.OPERATOR, "A": roles.ADMINISTRATOR}
#: Of a screen with Django's own pages: who reads it, who adds, changes and deletes.
SCREENS = {
    "mailrelay_message": (ALL, NOBODY, NOBODY, NOBODY),
    "mailrelay_senderconfig": (ALL, ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "mailrelay_mailbox": (ALL, ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "mailrelay_appregistration": (ALL, ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "mailrelay_smtpclient": (ALL, ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "mailrelay_clientdefaults": (ALL, NOBODY, ADMINISTRATORS, NOBODY),
    "mailrelay_refusal": (ALL, NOBODY, NOBODY, NOBODY),
    "mailrelay_worker": (ALL, NOBODY, NOBODY, NOBODY),
    "mailrelay_alert": (ALL, NOBODY, NOBODY, NOBODY),
    "mailrelay_alertchannel": (ADMINISTRATORS,) * 4,
    "mailrelay_apitoken": (ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "mailrelay_auditevent": (ADMINISTRATORS, NOBODY, NOBODY, NOBODY),
    "auth_user": (ADMINISTRATORS,) * 4,
    "auth_group": (ADMINISTRATORS,) * 4,
}
#: Of the other pages: who may open it, and who may press its button.
PAGES = {
    "message_raw": (OPERATORS, OPERATORS),
    "message_content": (OPERATORS, OPERATORS),
    "message_html": (OPERATORS, OPERATORS),
    "message_attachment": (OPERATORS, OPERATORS),
    **{f"message_action {name}": (OPERATORS, OPERATORS) for name in ACTIONS},
    "senderconfig_work": (ALL, OPERATORS),
    "appregistration_rotation": (ADMINISTRATORS, ADMINISTRATORS),
    "smtpclient_device": (ADMINISTRATORS, ADMINISTRATORS),
    "smtpclient_password": (ADMINISTRATORS, ADMINISTRATORS),
    "refusal_allow": (ADMINISTRATORS, ADMINISTRATORS),
    "alertchannel_test": (NOBODY, ADMINISTRATORS),  # it sends at once
    "auth_user_password_change": (ADMINISTRATORS, ADMINISTRATORS),
}
#: Everybody's own account, and what Django's forms ask for.
OWN = {
    *("index", "login", "logout", "password_change", "password_change_done", "second_factor"),
    *("glossary", "entra", "entra_back", "jsi18n", "autocomplete", "view_on_site", "app_list"),
}


@pytest.fixture
def people(django_user_model) -> dict[str, Client]:
    """A browser for each role, and one for an account that may come in and has none."""
    found = {}
    for letter, role in {**ROLES, "-": ""}.items():
        user = django_user_model.objects.create(username=f"role-{letter}", is_staff=True)
        user.groups.set(Group.objects.filter(name=role))
        found[letter] = Client()
        found[letter].force_login(user)
    return found


@pytest.fixture
def rows() -> dict[str, object]:
    """A row of each screen, by the name of its pages."""
    now = clock.now()
    sender = make_sender(make_registration())
    return {
        "mailrelay_message": make_message(sender, state=State.FAILED),
        "mailrelay_senderconfig": sender,
        "mailrelay_mailbox": sender.mailbox,
        "mailrelay_appregistration": sender.mailbox.registration,
        "mailrelay_smtpclient": SmtpClient.objects.create(name="printer", login="printer"),
        "mailrelay_clientdefaults": ClientDefaults.objects.create(),
        "mailrelay_refusal": Refusal.objects.create(
            address="192.0.2.9", rule="client", reply="550", first_at=now, last_at=now
        ),
        "mailrelay_worker": Worker.objects.create(
            name="w", queues="q", capacity=1, started_at=now, seen_at=now
        ),
        "mailrelay_alert": Alert.objects.create(
            key="k", condition=Condition.HELD, subject="s", began_at=now, seen_at=now
        ),
        "mailrelay_alertchannel": AlertChannel.objects.create(name="c", address="ops@contoso.test"),
        "mailrelay_apitoken": ApiToken.objects.create(name="t"),
        "mailrelay_auditevent": AuditEvent.objects.create(actor="ada", action="signed in"),
        "auth_user": User.objects.create(username="somebody"),
        "auth_group": Group.objects.create(name="Somebody"),
    }


def refused(people: dict[str, Client], address: str, *, post: bool) -> tuple[str, str]:
    """Return who is let in at `address` and who is not, as letters of roles."""
    codes = {
        letter: (browser.post(address) if post else browser.get(address)).status_code
        for letter, browser in people.items()
    }
    assert set(codes.values()) <= {200, 302, 403, 404}, (address, codes)
    out = [letter for letter, code in codes.items() if code == 403]
    return "".join(letter for letter in ROLES if letter not in out), "".join(out)


def test_each_screen_is_read_and_changed_by_its_roles(people, rows):
    for screen, who in SCREENS.items():
        may = dict(zip(("read", "add", "change", "delete"), who, strict=True))
        expected = {
            ("changelist", False): may["read"],
            ("add", False): may["add"],
            ("add", True): may["add"],
            ("change", False): may["read"],
            ("history", False): may["read"],
            ("change", True): may["change"],
            ("delete", False): may["delete"],
            ("delete", True): may["delete"],
        }
        found = {}
        for page, post in expected:
            arguments = [] if page in {"changelist", "add"} else [rows[screen].pk]
            address = reverse(f"admin:{screen}_{page}", args=arguments)
            found[page, post], out = refused(people, address, post=post)
            assert "-" in out, address
        assert found == expected, screen


def test_each_page_is_opened_and_its_button_pressed_by_its_roles(people, rows):
    for page, who in PAGES.items():
        answers = [refused(people, address_of(page, rows), post=post) for post in (False, True)]
        assert tuple(inside for inside, _ in answers) == who, page
        assert all("-" in out for _, out in answers), page


def address_of(page: str, rows: dict[str, object]) -> str:
    name, _, word = page.partition(" ")
    if name == "smtpclient_device":
        return reverse("admin:smtpclient_device")
    row = next(
        row
        for screen, row in rows.items()
        if screen.endswith(name.split("_")[0 if "auth" not in name else 1])
    )
    prefix = "admin:mailrelay_" if name.startswith("message_") else "admin:"
    more = [word] if word else [0] if name == "message_attachment" else []
    return reverse(prefix + name, args=[row.pk, *more])


def test_without_an_account_every_page_leads_to_the_way_in(rows):
    for screen in SCREENS:
        answer = Client().get(reverse(f"admin:{screen}_changelist"))
        assert answer["Location"].startswith("/admin/login/")
    for page in PAGES:
        assert Client().post(address_of(page, rows))["Location"].startswith("/admin/login/")


def test_no_page_is_forgotten():
    django = {
        f"{screen}_{page}"
        for screen in SCREENS
        for page in ("changelist", "add", "change", "delete", "history")
    }
    own = {page.partition(" ")[0] for page in PAGES}
    known = django | own | {f"mailrelay_{name}" for name in own} | OWN
    assert set(names(get_resolver("gateway.urls").url_patterns)) - known == set()


def names(patterns, inside: bool = False):
    """Name the pages of the admin."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from names(pattern.url_patterns, inside or pattern.namespace == "admin")
        elif isinstance(pattern, URLPattern) and inside and pattern.name:
            yield pattern.name
