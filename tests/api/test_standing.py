"""The queue in figures and the senders with what holds them up."""

from datetime import timedelta

import pytest

from mailrelay.models import AppRegistration, Mailbox, SenderConfig
from mailrelay.vocabulary import Reason, State
from tests.api.shapes import conforms, schema_of
from tests.api.tokens import ask, make_token
from tests.console.rows import make_message

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_queue_is_told_in_figures(sender):
    for state in (State.QUEUED, State.QUEUED, State.HELD):
        make_message(sender, state=state)
    answer = ask(make_token("read"), "queue").json()
    assert conforms(answer, schema_of("/queue", "get", 200)), answer
    assert (answer["depth"]["queued"], answer["depth"]["held"], answer["workers"]) == (2, 1, 0)


@pytest.mark.parametrize(
    ("model", "columns", "state"),
    [
        (Mailbox, {}, "open"),
        (Mailbox, {"blocked": Reason.MAILBOX_UNKNOWN, "blocked_text": "No such mailbox."}, "held"),
        (AppRegistration, {"failing": Reason.SECRET_EXPIRED, "failing_text": "The end."}, "no_token"),
        (AppRegistration, {"active": False}, "registration_off"),
        (SenderConfig, {"active": False}, "off"),
    ],
)
def test_a_sender_is_told_with_what_holds_it_up(sender, model, columns, state):
    if columns:
        model.objects.update(**columns)
    answer = ask(make_token("read"), "senders").json()
    assert conforms(answer, schema_of("/senders", "get", 200)), answer
    told = answer["senders"][0]
    assert (told["state"], told["mailbox"]) == (state, "office@contoso.test")
    assert told["text"] == columns.get("blocked_text", columns.get("failing_text", ""))


def test_no_secret_is_told(sender, now):
    AppRegistration.objects.update(secret_expires_on=(now + timedelta(days=9)).date())
    answer = ask(make_token("read"), "senders")
    assert "stored-secret-value" not in answer.content.decode()
    assert "secret" in answer.json()["senders"][0]["credential_ends"]
