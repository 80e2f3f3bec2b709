"""Three roles against every screen, and the list of what they did."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from mailrelay.console import roles
from mailrelay.models import AuditEvent
from mailrelay.models.people import RecordIsFinalError
from mailrelay.vocabulary import State
from tests.console.asking import WHY, asked
from tests.console.rows import make_message

pytestmark = pytest.mark.django_db(transaction=True)

SCREENS = (
    "message",
    "senderconfig",
    "mailbox",
    "appregistration",
    "smtpclient",
    "refusal",
    "worker",
    "alert",
)
EVERYBODY = {roles.VIEWER, roles.OPERATOR, roles.ADMINISTRATOR}
ADMINISTRATORS = {roles.ADMINISTRATOR}
#: Who gets 200 from a screen; everybody else is refused.
MATRIX = {
    **{f"admin:mailrelay_{name}_changelist": EVERYBODY for name in SCREENS},
    "admin:index": EVERYBODY,
    "admin:second_factor": EVERYBODY,
    "admin:mailrelay_senderconfig_add": ADMINISTRATORS,
    "admin:mailrelay_appregistration_add": ADMINISTRATORS,
    "admin:mailrelay_smtpclient_add": ADMINISTRATORS,
    "admin:mailrelay_alertchannel_changelist": ADMINISTRATORS,
    "admin:mailrelay_alertchannel_add": ADMINISTRATORS,
    "admin:mailrelay_auditevent_changelist": ADMINISTRATORS,
    "admin:mailrelay_apitoken_changelist": ADMINISTRATORS,
    "admin:mailrelay_apitoken_add": ADMINISTRATORS,
    "admin:auth_user_changelist": ADMINISTRATORS,
    "admin:auth_user_add": ADMINISTRATORS,
    "admin:auth_group_changelist": ADMINISTRATORS,
}


@pytest.fixture
def people(django_user_model):
    """A browser for each role."""
    roles.ensure()
    found = {}
    for name in (*EVERYBODY, "nobody"):
        user = django_user_model.objects.create(username=name.lower(), is_staff=True)
        user.groups.set(Group.objects.filter(name=name))
        found[name] = Client()
        found[name].force_login(user)
    return found


@pytest.mark.parametrize(("screen", "allowed"), MATRIX.items())
def test_each_screen_opens_to_its_roles(people, screen, allowed):
    got = {name for name, browser in people.items() if browser.get(reverse(screen)).status_code == 200}
    assert got - {"nobody"} == allowed
    assert ("nobody" in got) == (screen in {"admin:index", "admin:second_factor"})


@pytest.mark.parametrize("action", ["requeue", "hold", "release", "cancel"])
def test_messages_are_acted_on_by_operators_and_administrators(people, sender, action):
    message = make_message(sender, state=State.FAILED)
    address = reverse("admin:mailrelay_message_action", args=[message.pk, action])
    form = asked(people["Operator"], message, action)
    codes = {name: browser.post(address, form).status_code for name, browser in people.items()}
    assert codes == {"Viewer": 403, "nobody": 403, "Operator": 302, "Administrator": 302}


def test_content_is_read_by_operators_and_administrators(people, sender):
    message = make_message(sender)
    address = reverse("admin:mailrelay_message_raw", args=[message.pk])
    codes = {name: browser.get(address).status_code for name, browser in people.items()}
    assert {name for name, code in codes.items() if code == 403} == {"Viewer", "nobody"}


def test_migrating_makes_the_roles_and_sets_them_right_again():
    group = Group.objects.get(name=roles.VIEWER)
    before = set(group.permissions.values_list("codename", flat=True))
    group.permissions.set(Group.objects.get(name=roles.ADMINISTRATOR).permissions.all())
    call_command("migrate", verbosity=0)
    assert set(group.permissions.values_list("codename", flat=True)) == before
    assert before == {f"view_{name}" for name in (*SCREENS, "clientdefaults")}


def test_changes_and_looks_are_on_record_and_refusals_too(people, sender):
    message = make_message(sender, state=State.FAILED)
    page = reverse("admin:mailrelay_message_change", args=[message.pk])
    raw = reverse("admin:mailrelay_message_raw", args=[message.pk])
    act = reverse("admin:mailrelay_message_action", args=[message.pk, "requeue"])
    people["Viewer"].get(page)
    people["Viewer"].get(raw)
    people["Operator"].post(act, asked(people["Operator"], message, "requeue"))
    people["Viewer"].get(reverse("admin:mailrelay_message_changelist"))
    told = AuditEvent.objects.exclude(action="signed in").order_by("pk")
    done = f"requeue; why: {WHY}; messages: {message.queue_id}:0"
    assert [(row.actor, row.action, row.target, row.detail, row.status) for row in told] == [
        ("viewer", "look mailrelay_message_change", str(message.pk), "", 200),
        ("viewer", "look mailrelay_message_raw", str(message.pk), "", 403),
        ("operator", "look mailrelay_message_action", str(message.pk), "requeue", 200),
        ("operator", "change mailrelay_message_action", str(message.pk), done, 302),
    ]


def test_a_change_of_settings_names_the_fields_and_no_values(people):
    people["Administrator"].post(
        reverse("admin:mailrelay_smtpclient_add"),
        {"name": "printer", "active": "on", "networks": "192.0.2.7/32", "allowed_from": "", "urgency": ""},
    )
    entry = AuditEvent.objects.get(action="change mailrelay_smtpclient_add")
    assert (entry.actor, entry.status) == ("administrator", 302)
    assert "printer" in entry.detail
    assert "192.0.2.7" not in entry.detail


def test_many_messages_at_once_are_each_named(people, sender):
    rows = [make_message(sender, state=State.FAILED) for _ in range(2)]
    ids = [str(row.pk) for row in rows]
    address = reverse("admin:mailrelay_message_changelist")
    people["Operator"].post(address, {"action": "requeue", "_selected_action": ids, "confirmed": "yes"})
    entry = AuditEvent.objects.get(action="change mailrelay_message_changelist")
    assert entry.detail == " ".join(["requeue", *ids])


def test_what_is_done_to_all_that_a_list_shows_is_on_record_with_the_list(people, sender):
    row = make_message(sender, state=State.FAILED)
    address = reverse("admin:mailrelay_message_changelist") + "?state=failed"
    data = {"action": "export", "_selected_action": [str(row.pk)], "select_across": "1", "index": "0"}
    assert people["Operator"].post(address, data).status_code == 200
    entry = AuditEvent.objects.get(action="change mailrelay_message_changelist")
    assert entry.detail == f"export all of ?state=failed {row.pk}"


def test_nothing_of_the_list_can_be_changed_or_removed(browser):
    entry = AuditEvent.objects.create(actor="ada", action="signed in")
    for attempt in (
        entry.save,
        entry.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(actor="x"),
    ):
        with pytest.raises(RecordIsFinalError):
            attempt()
    assert browser.get(reverse("admin:mailrelay_auditevent_delete", args=[entry.pk])).status_code == 403
    assert browser.get(reverse("admin:mailrelay_auditevent_add")).status_code == 403
    assert "ada" in browser.get(reverse("admin:mailrelay_auditevent_changelist")).content.decode()
