"""Requeue, hold, release, cancel: asked for, confirmed, said; by those who may."""

import pytest
from django.contrib.auth.models import Permission

from mailrelay.models import AuditEvent, Delivery, Message, TimelineEntry
from mailrelay.vocabulary import Reason, State
from tests.console.asking import LIST, WHY, answer_to, asked, press, ticked
from tests.console.rows import make_message

pytestmark = pytest.mark.django_db(transaction=True)


def act(browser, message, name) -> str:
    return press(browser, message, name, asked(browser, message, name))


def state_of(message) -> str:
    return Message.objects.get(pk=message.pk).state


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("requeue", State.FAILED, State.QUEUED, "1 message queued again."),
        ("hold", State.QUEUED, State.HELD, "1 message held."),
        ("release", State.HELD, State.QUEUED, "1 message released."),
        ("cancel", State.HELD, State.CANCELLED, "1 message cancelled."),
        ("requeue", State.UNCERTAIN, State.QUEUED, "1 message queued again."),
        ("hold", State.UNCERTAIN, State.HELD, "1 message held."),
        ("cancel", State.UNCERTAIN, State.CANCELLED, "1 message cancelled."),
        ("hold", State.RESERVED, State.HELD, "1 message held."),
        ("cancel", State.RESERVED, State.CANCELLED, "1 message cancelled."),
    ],
)
def test_one_message_is_acted_on_and_the_actor_is_on_record(browser, sender, name, before, after, said):
    message = make_message(sender, state=before)
    assert said in act(browser, message, name)
    assert state_of(message) == after
    entry = TimelineEntry.objects.get(message=message)
    assert entry.actor == "root"
    assert f"by root: {WHY}." in entry.text
    assert f"why: {WHY}" in AuditEvent.objects.exclude(detail="").latest("pk").detail


def test_a_look_at_the_question_changes_nothing(browser, sender):
    message = make_message(sender, state=State.FAILED)
    answer = browser.get(f"{LIST}{message.pk}/do/cancel/")
    assert answer.status_code == 200
    assert "cannot be undone" in answer.content.decode()
    assert browser.get(f"{LIST}{message.pk}/do/explode/").status_code == 404
    assert state_of(message) == State.FAILED


def test_pressing_twice_does_it_once_and_says_so(browser, sender):
    message = make_message(sender, state=State.FAILED)
    act(browser, message, "requeue")
    assert "left as before" in act(browser, message, "requeue")
    assert TimelineEntry.objects.filter(message=message).count() == 1


def test_a_page_offers_what_makes_sense(browser, sender):
    def offers(state, **columns):
        message = make_message(sender, state=state, **columns)
        text = browser.get(f"{LIST}{message.pk}/change/").content.decode()
        return {name for name in ("requeue", "hold", "release", "cancel") if f"/do/{name}/" in text}

    assert offers(State.QUEUED) == {"hold", "cancel"}
    assert offers(State.DEFERRED) == {"requeue", "hold", "cancel"}
    assert offers(State.HELD) == {"release", "cancel"}
    assert offers(State.FAILED) == {"requeue"}
    assert offers(State.SENT) == set()
    assert offers(State.UNCERTAIN) == {"requeue", "hold", "cancel"}
    assert offers(State.RESERVED) == {"hold", "cancel"}
    assert offers(State.SENDING) == set()


def test_what_may_have_been_sent_is_warned_about(browser, sender):
    doubtful = make_message(sender, state=State.HELD, delivery={"reason": Reason.UNCERTAIN})
    plain = make_message(sender, state=State.HELD, delivery={"reason": Reason.BY_HAND})
    waiting = make_message(sender, state=State.UNCERTAIN, delivery={"reason": Reason.UNCERTAIN})
    assert "may get it twice" in browser.get(f"{LIST}{doubtful.pk}/do/release/").content.decode()
    assert "may get it twice" in browser.get(f"{LIST}{waiting.pk}/do/requeue/").content.decode()
    assert "may get it twice" not in browser.get(f"{LIST}{plain.pk}/do/release/").content.decode()


def test_a_message_without_content_is_not_queued_again(browser, sender, now):
    message = make_message(sender, state=State.FAILED, content_removed_at=now)
    assert "the content was removed" in act(browser, message, "requeue")
    assert state_of(message) == State.FAILED


def test_nothing_is_done_without_a_reason(browser, sender):
    message = make_message(sender, state=State.FAILED)
    form = asked(browser, message, "requeue", why=" ")
    assert "This field is required" in press(browser, message, "requeue", form)
    question = ticked(browser, "requeue", [message])
    more = answer_to(question, why="")
    assert "This field is required" in ticked(browser, "requeue", [message], **more).content.decode()
    assert state_of(message) == State.FAILED


def test_an_answer_to_another_question_does_nothing(browser, sender):
    one, other = (make_message(sender, state=State.FAILED) for _ in range(2))
    press(browser, other, "requeue", asked(browser, one, "requeue"))
    assert state_of(other) == State.FAILED
    press(browser, other, "requeue", asked(browser, other, "requeue", asked="nonsense"))
    assert state_of(other) == State.FAILED


def test_many_messages_are_asked_for_first_and_then_acted_on(browser, sender):
    failed = [make_message(sender, state=State.FAILED) for _ in range(2)]
    sent = make_message(sender, state=State.SENT)
    untouched = make_message(sender, state=State.FAILED)

    question = ticked(browser, "requeue", [*failed, sent], index="0")
    assert "3 messages" in question.content.decode()
    assert {state_of(message) for message in failed} == {State.FAILED}

    form = answer_to(question)
    answer = ticked(browser, "requeue", [*failed, sent], **form).content.decode()
    assert "2 messages queued again." in answer
    assert "1 message left as before" in answer
    assert {state_of(message) for message in failed} == {State.QUEUED}
    assert state_of(untouched) == State.FAILED
    again = ticked(browser, "requeue", [*failed, sent], **form).content.decode()
    assert "3 messages left as before" in again
    assert TimelineEntry.objects.count() == 2


def test_all_that_a_filter_lists_can_be_acted_on(browser, sender):
    failed = [make_message(sender, state=State.FAILED) for _ in range(3)]
    held = make_message(sender, state=State.HELD)
    data = {"action": "requeue", "_selected_action": [str(failed[0].pk)], "select_across": "1"}
    question = browser.post(f"{LIST}?state=failed", {**data, "index": "0"})
    assert 'name="select_across" value="1"' in question.content.decode()
    newer = make_message(sender, state=State.FAILED)
    browser.post(f"{LIST}?state=failed", {**data, **answer_to(question)})
    assert state_of(newer) == State.FAILED, "nobody was asked about it"
    assert {state_of(message) for message in failed} == {State.QUEUED}
    assert state_of(held) == State.HELD


def test_acting_needs_its_permission(reader, sender):
    message = make_message(sender, state=State.FAILED)
    assert "/do/" not in reader.get(f"{LIST}{message.pk}/change/").content.decode()
    assert reader.get(f"{LIST}{message.pk}/do/requeue/").status_code == 403
    assert reader.post(f"{LIST}{message.pk}/do/requeue/").status_code == 403
    form = {"why": WHY, "confirmed": "yes", "asked": f"{message.queue_id}:0", "once": str(message.pk)}
    ticked(reader, "requeue", [message], **form)
    assert state_of(message) == State.FAILED
    user = reader.get(LIST).wsgi_request.user
    user.user_permissions.add(Permission.objects.get(codename="operate_message"))
    ticked(reader, "requeue", [message], **form)
    assert state_of(message) == State.QUEUED


def test_a_foreign_site_cannot_act(root, sender):
    from django.test import Client

    message = make_message(sender, state=State.FAILED)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(root)
    form = asked(strict, message, "requeue")
    assert strict.post(f"{LIST}{message.pk}/do/requeue/", form).status_code == 403
    assert Delivery.objects.get(message=message).state == State.FAILED
