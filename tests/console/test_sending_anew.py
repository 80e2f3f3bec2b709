"""A message once more, through another sender, to somebody else, and as a line of CSV."""

import csv
import io

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from mailrelay.console import message_actions, message_export
from mailrelay.models import ContentChunk, Delivery, Mailbox, Message, Recipient, SenderConfig, TimelineEntry
from mailrelay.outbox.keeping import content
from mailrelay.vocabulary import Outcome, Reason, State
from tests.console.asking import LIST, WHY, address, answer_to, asked, confirm, press, ticked
from tests.console.rows import make_attempt, make_message, make_sender

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(sender):
    message = make_message(sender, state=State.SENT)
    make_attempt(message, outcome=Outcome.SENT)
    return message


def test_a_resend_warns_and_queues_what_was_sent(browser, sent):
    assert "1 recipient gets a second copy" in browser.get(address(sent, "resend")).content.decode()
    assert Message.objects.get().state == State.SENT
    assert "1 message queued once more." in press(browser, sent, "resend", asked(browser, sent, "resend"))
    row = Delivery.objects.get()
    assert (row.state, row.copies) == (State.QUEUED, 1)
    assert Message.objects.get().state == State.QUEUED
    entry = TimelineEntry.objects.get()
    assert (entry.actor, WHY in entry.text) == ("root", True)


def test_a_resend_pressed_twice_sends_once_even_when_the_first_was_sent_meanwhile(browser, sent):
    form = asked(browser, sent, "resend")
    press(browser, sent, "resend", form)
    assert "left as before" in press(browser, sent, "resend", form)
    make_attempt(sent, 2, outcome=Outcome.SENT)
    Delivery.objects.update(state=State.SENT)
    assert "left as before" in press(browser, sent, "resend", form)
    assert Delivery.objects.get().state == State.SENT
    assert Delivery.objects.get().copies == 1


@pytest.mark.parametrize("name", ["resend", "sender", "forward"])
def test_nothing_is_sent_anew_without_its_content(browser, sender, sent, now, name):
    form = asked(browser, sent, name, sender=sender.pk, recipient="new@example.org")
    Message.objects.update(content_removed_at=now)
    ContentChunk.objects.all().delete()
    assert "content was removed" in press(browser, sent, name, form)
    assert Delivery.objects.get().state == State.SENT
    assert f"/do/{name}/" not in browser.get(f"{LIST}{sent.pk}/change/").content.decode()


def test_a_failed_message_goes_on_through_another_sender(browser, sender):
    other = make_sender(sender.mailbox.registration, "billing", "billing@contoso.test")
    message = make_message(sender, state=State.FAILED, delivery={"reason": Reason.REJECTED, "attempts": 4})
    form = asked(browser, message, "sender", sender=other.pk)
    assert "for the other sender" in press(browser, message, "sender", form)
    row = Delivery.objects.get()
    assert (row.state, row.reason, row.attempts) == (State.QUEUED, "", 0)
    assert (row.sender, row.mailbox) == (other, other.mailbox)
    assert Message.objects.get().sender == other
    assert Mailbox.objects.get(address="billing@contoso.test").wake_at is not None
    assert "billing@contoso.test" in TimelineEntry.objects.get().text
    assert "left as before" in press(browser, message, "sender", form)
    assert TimelineEntry.objects.count() == 1


def test_only_senders_that_are_on_are_offered(browser, sender):
    off = make_sender(sender.mailbox.registration, "off", "off@contoso.test", active=False)
    message = make_message(sender, state=State.HELD)
    press(browser, message, "sender", asked(browser, message, "sender", sender=off.pk))
    assert Delivery.objects.get().sender == sender
    assert SenderConfig.objects.count() == 2


def test_what_may_have_been_sent_is_not_given_to_another_sender(browser, sender):
    message = make_message(sender, state=State.UNCERTAIN)
    press(browser, message, "sender", asked(browser, message, "sender", sender=sender.pk))
    assert Delivery.objects.get().state == State.UNCERTAIN


def test_a_forward_is_a_message_of_its_own_and_made_once(browser, sent):
    ContentChunk.objects.create(content=sent.pk, number=1, data=b"more", created_at=sent.created_at)
    Message.objects.filter(pk=sent.pk).update(size=16)
    form = asked(browser, sent, "forward", recipient="New@example.org")
    assert "1 message forwarded." in press(browser, sent, "forward", form)
    assert "left as before" in press(browser, sent, "forward", form)
    copy = Message.objects.exclude(pk=sent.pk).get()
    assert copy.pk.version == 7
    assert content.read(copy.pk) == content.read(sent.pk)
    assert [row.address for row in Recipient.objects.filter(message=copy)] == ["New@example.org"]
    assert copy.deliveries.get().state == State.QUEUED
    assert Message.objects.get(pk=sent.pk).state == State.SENT
    told = {entry.message_id: entry.text for entry in TimelineEntry.objects.all()}
    assert sent.queue_id in told[copy.pk]
    assert copy.queue_id in told[sent.pk]


def test_a_forward_to_no_address_is_refused_on_the_page(browser, sent):
    answer = browser.post(address(sent, "forward"), asked(browser, sent, "forward", recipient="nobody"))
    assert "valid email address" in answer.content.decode()
    assert Message.objects.count() == 1


def test_sending_anew_needs_its_permission_and_a_forward_that_of_reading_too(reader, sender, sent):
    assert "/do/" not in reader.get(f"{LIST}{sent.pk}/change/").content.decode()
    for name in ("resend", "sender", "forward"):
        assert reader.get(address(sent, name)).status_code == 403
        assert reader.post(address(sent, name), {"why": WHY}).status_code == 403
    user = User.objects.get(username="reader")
    user.user_permissions.add(Permission.objects.get(codename="operate_message"))
    operator = Client()
    operator.force_login(user)
    assert operator.get(address(sent, "resend")).status_code == 200
    assert operator.get(address(sent, "forward")).status_code == 403
    assert operator.get(address(sent, "explode")).status_code == 404
    assert Delivery.objects.get().state == State.SENT


def test_many_are_sent_once_more_and_pressing_twice_makes_no_third_copy(browser, sender):
    rows = [make_message(sender, state=State.SENT) for _ in range(3)]
    for row in rows:
        make_attempt(row, outcome=Outcome.SENT)
    failed = make_message(sender, state=State.FAILED)
    question = ticked(browser, "resend", [*rows, failed])
    assert "3 messages sent already: 3 recipients get a second copy" in question.content.decode()
    answer = confirm(browser, "resend", [*rows, failed])
    assert "3 messages queued once more." in answer
    assert "1 message left as before" in answer
    assert set(Delivery.objects.filter(message__in=rows).values_list("state", "copies")) == {("queued", 1)}
    assert Delivery.objects.get(message=failed).state == State.FAILED


def test_many_go_on_through_another_sender(browser, sender):
    other = make_sender(sender.mailbox.registration, "billing", "billing@contoso.test")
    rows = [make_message(sender, state=state) for state in (State.FAILED, State.HELD, State.SENT)]
    answer = confirm(browser, "sender", rows, sender=other.pk)
    assert "2 messages queued for the other sender." in answer
    assert set(Delivery.objects.filter(sender=other).values_list("message", flat=True)) == {
        rows[0].pk,
        rows[1].pk,
    }


def test_many_are_forwarded_to_one_address_once(browser, sender):
    rows = [make_message(sender, state=State.SENT) for _ in range(2)]
    question = ticked(browser, "forward", rows)
    assert "All 2 go to the one address" in question.content.decode()
    form = answer_to(question, recipient="boss@example.org")
    assert "2 messages forwarded." in ticked(browser, "forward", rows, **form).content.decode()
    assert "2 messages left as before" in ticked(browser, "forward", rows, **form).content.decode()
    assert Recipient.objects.filter(address="boss@example.org").count() == 2


def test_no_more_are_forwarded_at_once_than_can_be_copied(browser, sender):
    rows = [make_message(sender) for _ in range(message_actions.ACTIONS["forward"].most + 1)]
    data = {"action": "forward", "_selected_action": [str(rows[0].pk)], "select_across": "1", "index": "0"}
    answer = browser.post(LIST, data, follow=True).content.decode()
    assert "at most 100 messages at a time; 101 were chosen" in answer


def exported(browser, messages) -> list[dict[str, str]]:
    data = {"action": "export", "_selected_action": [str(message.pk) for message in messages]}
    answer = browser.post(LIST, {**data, "select_across": "0", "index": "0"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_what_is_ticked_is_exported_and_read_in_batches(browser, sender, monkeypatch):
    monkeypatch.setattr(message_export, "BATCH", 2)
    rows = [make_message(sender, recipients=("a@x.org", "b@x.org")) for _ in range(5)]
    same = make_message(sender, created_at=rows[0].created_at)
    make_message(sender)
    lines = exported(browser, [*rows, same])
    assert {line["queue id"] for line in lines} == {row.queue_id for row in [*rows, same]}
    assert len(lines) == 6
    assert lines[0]["recipients"] == "a@x.org b@x.org"


@pytest.mark.parametrize("subject", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")', "\uff1d1+1"])
def test_no_cell_begins_like_a_formula(browser, sender, subject):
    message = make_message(sender, subject=subject)
    assert exported(browser, [message])[0]["subject"] == f"'{subject}"


def test_no_formula_begins_behind_what_parts_cells_elsewhere(browser, sender):
    message = make_message(sender, subject="a;=1+1; -2;b")
    assert exported(browser, [message])[0]["subject"] == "a;'=1+1; '-2;b"
