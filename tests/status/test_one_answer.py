"""Admin, `mailq show` and the API give the same answer about one row, and it is the right one."""

from datetime import timedelta
from html import unescape

import pytest

from mailrelay.cli import message_details
from mailrelay.models import Worker
from mailrelay.outbox.keeping import message_state
from mailrelay.status import deliveries, senders, workers
from mailrelay.vocabulary import Reason, Scope, State, UncertainPolicy
from tests.api.tokens import ask, make_token
from tests.console.rows import make_attempt, make_message

pytestmark = pytest.mark.django_db

LATER = timedelta(minutes=7)
EXPIRED = {"failing": Reason.SECRET_EXPIRED, "failing_text": "The secret has expired."}
FULL = {"blocked": Reason.MAILBOX_FULL, "blocked_text": "The mailbox is full."}
HOLD, FAIL = {"uncertain_policy": UncertainPolicy.HOLD}, {"uncertain_policy": UncertainPolicy.FAIL}
READ, NO_READ = {"can_read": True}, {"can_read": False}


def just_now(now):
    """What a mailbox has used of a limit just now."""
    return [[int(now.timestamp()), 1000]]


#: State, columns of delivery, mailbox, registration and sender, whether a worker is alive; what is said.
ROWS = {
    "no worker": ("queued", {}, {}, {}, {}, False, "none that serves the queue deliver is running"),
    "its turn": ("queued", {}, {}, {}, {}, True, "It waits its turn: office@contoso.test sends"),
    "no token": ("queued", {}, {}, EXPIRED, {}, True, "gets no token. Next try:"),
    "no token, no worker": ("queued", {}, {}, EXPIRED, {}, False, "The secret has expired."),
    "mailbox blocked": ("queued", {}, FULL, {}, {}, True, "The mailbox office@contoso.test cannot send."),
    "registration off": ("queued", {}, {}, {"active": False}, {}, True, "“contoso” is switched off."),
    "paused by Microsoft": ("queued", {}, {"paused_until": LATER}, {}, {}, True, "is paused. Resumes:"),
    "pause that is over": ("queued", {}, {"paused_until": -LATER}, {}, {}, True, "It waits its turn"),
    "uploads used up": (
        "queued",
        {},
        {"upload_bytes_per_5_minutes": 900, "upload_window": just_now},
        {},
        {},
        True,
        "used up its limit of 900 bytes sent to Microsoft in 5 minutes. Goes on:",
    ),
    "requests used up": (
        "queued",
        {},
        {"requests_per_10_minutes": 900, "request_window": just_now},
        {},
        {},
        True,
        "used up its limit of 900 requests in 10 minutes. Goes on:",
    ),
    "recipients used up": (
        "queued",
        {},
        {"recipients_per_day": 1000, "recipient_window": just_now},
        {},
        {},
        True,
        "used up its limit of 1,000 recipients in 24 hours. Goes on:",
    ),
    "assigned": ("reserved", {}, {}, {}, {}, True, "assigned to a worker"),
    "under way": (
        "sending",
        {"lease_owner": "host:1"},
        {},
        {},
        {},
        True,
        "The worker host:1 is sending it now.",
    ),
    "deferred": (
        "deferred",
        {"next_attempt_at": LATER},
        {},
        {},
        {},
        True,
        "It will be tried again. Next try:",
    ),
    "held, asked": ("uncertain", {}, READ, {}, HOLD, True, "cannot be found out, it is held for a person."),
    "fails, asked": ("uncertain", {}, READ, {}, FAIL, True, "cannot be found out, it fails."),
    "resent, asked": ("uncertain", {}, READ, {}, {}, True, "cannot be found out, it is sent once more."),
    "resent": (
        "uncertain",
        {},
        NO_READ,
        {},
        {},
        True,
        "sent once more, unless an answer still comes. Next try:",
    ),
    "copy used up": ("uncertain", {"copies": 1}, READ, {}, {}, True, "found out, it is held for a person."),
    "copy used up, unasked": ("uncertain", {"copies": 1}, NO_READ, {}, {}, True, "not sent a second time."),
    "copy allowed": ("uncertain", {"copies": 1, "copy_allowed": True}, NO_READ, {}, {}, True, "once more"),
    "unasked, hold": ("uncertain", {}, NO_READ, {}, HOLD, True, "It is held for a person: it is not sent"),
    "policy of another version": (
        "uncertain",
        {},
        NO_READ,
        {},
        {"uncertain_policy": "newer"},
        True,
        "held for a person",
    ),
    "by hand": ("held", {"reason": Reason.BY_HAND}, {}, {}, {}, True, "Held until a person releases"),
    "broken": ("held", {"reason": Reason.SECRET_EXPIRED}, {}, {}, {}, True, "It is then sent automatically."),
    "sender off": ("held", {"reason": Reason.SENDER_INACTIVE}, {}, {}, {}, True, "“office” is switched off."),
    "sender paused": (
        "held",
        {"reason": Reason.SENDER_PAUSED},
        {},
        {},
        {},
        True,
        "resumes the sender “office”.",
    ),
    "crashed": ("held", {"reason": Reason.POISON}, {}, {}, {}, True, "Look at the content"),
    "sent": ("sent", {}, {}, {}, {}, True, "Microsoft accepted it for delivery."),
    "failed": ("failed", {"last_error": "No such user."}, {}, {}, {}, True, "No such user."),
    "cancelled": ("cancelled", {}, {}, {}, {}, True, "Cancelled before it was sent."),
}


def change(row, now, columns) -> None:
    for name, value in columns.items():
        given = value(now) if callable(value) else value
        setattr(row, name, now + given if isinstance(given, timedelta) else given)
    row.save()


def flat(text: str) -> str:
    return " ".join(unescape(text).split())


@pytest.mark.parametrize("name", ROWS)
def test_every_printer_says_what_happens_next(name, browser, sender, now):
    state, delivery, mailbox, registration, of_sender, alive, expected = ROWS[name]
    timed = {"next_attempt_at": now + LATER} if state == "uncertain" else {}
    change(sender.mailbox, now, mailbox)
    change(sender.mailbox.registration, now, {"retry_at": LATER, **registration})
    change(sender, now, of_sender)
    if alive:
        Worker.objects.create(name="w", queues="deliver", capacity=4, started_at=now, seen_at=now)
    message = make_message(sender, state=State(state))
    change(message.deliveries.get(), now, {**timed, **delivery})
    (row,) = deliveries.chosen(message=message)

    status = deliveries.of_delivery(row, now, workers.served_queues(now))

    page = browser.get(f"/admin/mailrelay/message/{message.pk}/change/").content.decode()
    shown = flat(page.partition('class="panel headline"')[2].partition("</header>")[0])
    told = flat("\n".join(message_details.told(message.pk)))
    (given,) = ask(make_token(Scope.READ), f"messages/{message.queue_id}").json()["deliveries"]
    assert expected in status.text(str)
    step = status.next_step if status.next_at else ""
    for part in filter(None, (status.sentence, status.reason, status.todo, step)):
        assert part in shown, part
        assert part in told, part
    assert (given["state"], given["status"]) == (
        state,
        {
            "sentence": status.sentence,
            "reason": status.reason,
            "todo": status.todo,
            "next_step": status.next_step,
            "next_at": status.next_at.isoformat() if status.next_at else None,
        },
    )


def test_a_draft_of_the_last_attempt_is_asked_though_sent_items_are_not(sender, now):
    change(sender.mailbox, now, NO_READ)
    message = make_message(sender, state=State.UNCERTAIN)
    make_attempt(message, draft_id="AAMk")
    (row,) = deliveries.chosen(message=message)

    assert "Microsoft is asked what became of it" in deliveries.of_delivery(row, now).sentence


#: Columns of sender, mailbox and registration; the state, and what the reason names.
SENDERS = {
    "open": ({}, {}, {}, "open", []),
    "off": ({"active": False}, {}, {}, "off", []),
    "paused": (
        {"paused_by": "ann", "pause_reason": "Holiday."},
        {},
        {},
        "paused_by_hand",
        ["by ann: Holiday."],
    ),
    "paused, secret expired": (
        {"paused_by": "ann", "pause_reason": "Holiday."},
        {},
        EXPIRED,
        "paused_by_hand",
        ["by ann: Holiday.", "Also: The app registration “contoso” gets no token. The secret has expired."],
    ),
    "registration off": ({}, {}, {"active": False}, "registration_off", []),
    "no token": ({}, {}, EXPIRED, "no_token", ["The secret has expired."]),
    "no token, mailbox full": ({}, FULL, EXPIRED, "no_token", ["The secret has expired."]),
    "mailbox full": ({}, FULL, {}, "held", ["The mailbox is full."]),
    "slowed down": ({}, {"paused_until": LATER, "pause_text": "Wait."}, {}, "paused", ["Wait."]),
}
BADGES = {"open": "Open", "paused_by_hand": "Paused", "registration_off": "App registration off"}
BADGES |= {"no_token": "No token", "held": "Held", "paused": "Mailbox paused"}


@pytest.mark.parametrize("name", SENDERS)
def test_overview_and_api_say_the_same_of_a_sender(name, browser, sender, now):
    of_sender, mailbox, registration, state, reasons = SENDERS[name]
    paused = {"paused_at": now} if "paused_by" in of_sender else {}
    change(sender.mailbox, now, mailbox)
    change(sender.mailbox.registration, now, registration)
    change(sender, now, {**of_sender, **paused})

    status = senders.of_sender(sender, now)

    (given,) = ask(make_token(Scope.READ), "senders").json()["senders"]
    overview = flat(browser.get("/admin/").content.decode())
    assert status.state == given["state"] == state
    assert status.reason == given["text"]
    assert all(reason in status.reason for reason in reasons)
    if state in BADGES:
        assert f">{BADGES[state]}</span>" in overview
    if paused:
        assert status.reason in overview


def test_every_page_counts_the_same_workers(browser, sender, now):
    from mailrelay.diagnosis import workers as examined
    from mailrelay.health import figures

    for name, age in (("alive", 0), ("silent", workers.SILENCE + 5)):
        Worker.objects.create(
            name=name, queues="deliver", capacity=1, started_at=now, seen_at=now - timedelta(seconds=age)
        )

    assert [worker.name for worker in workers.alive(now)] == ["alive"]
    assert figures.gather().workers == 1
    assert "1 alive" in browser.get("/admin/").content.decode()
    assert "1 alive for the queue deliver" in next(iter(examined.needed())).sentence


def test_a_message_with_a_part_in_flight_has_one_state_everywhere(browser, sender):
    message = make_message(sender, state=State.SENDING)
    message_state.message(message.pk, message.created_at)
    listed = browser.get("/admin/mailrelay/message/").content.decode()

    assert "State sending" in flat("\n".join(message_details.told(message.pk)))
    assert ">Sending</span>" in listed
