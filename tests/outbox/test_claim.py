"""Claim: every limit to the letter, clients in turn, the urgent first, at the same cost for any backlog."""

from datetime import timedelta

import pytest
from django.db import connection

from mailrelay.models import AppRegistration, Delivery, Mailbox
from mailrelay.outbox.claiming import capacity, claim, leases
from mailrelay.outbox.db import clock
from mailrelay.outbox.result import Result
from mailrelay.outbox.scheduling import scheduler
from mailrelay.outbox.settling import settle
from mailrelay.vocabulary import Outcome, Route, State, Urgency
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def plenty_of_workers(request):
    capacity.forget()
    if "few_workers" not in request.keywords:
        rows.workers()


def claimed(box) -> list[Delivery]:
    ids = [reservation.delivery_id for reservation in claim.claim(box.pk)]
    found = Delivery.objects.in_bulk(ids)
    return [found[pk] for pk in ids]


def finish(delivery: Delivery) -> None:
    """Let a claimed delivery succeed."""
    leases.take(delivery.pk, delivery.token)
    delivery.refresh_from_db()
    attempt = leases.begin(delivery, 10)
    Mailbox.objects.filter(pk=delivery.mailbox_id).update(wake_at=None)
    settle.end_attempt(attempt, Result(Outcome.SENT, "sent"))


def wake_at(box) -> timedelta | None:
    box.refresh_from_db()
    return None if box.wake_at is None else box.wake_at - clock.now()


def test_it_takes_no_more_than_the_mailbox_has_slots():
    box = rows.mailbox(concurrency=4)
    rows.queue(box, 10)

    assert len(claimed(box)) == 4
    assert claimed(box) == []


def test_zero_slots_is_no_limit():
    box = rows.mailbox(concurrency=0)
    rows.queue(box, 10)

    assert len(claimed(box)) == 10


def test_a_settled_delivery_frees_its_slot_and_claims_the_next():
    box = rows.mailbox(concurrency=1)
    rows.queue(box, 2)
    (first,) = claimed(box)

    finish(first)

    assert Delivery.objects.filter(state=State.RESERVED).count() == 1


def test_the_bucket_holds_a_minutes_worth_and_refills_evenly():
    box = rows.mailbox(concurrency=0, messages_per_minute=30)
    rows.queue(box, 60)

    assert len(claimed(box)) == 30
    assert timedelta(seconds=1) < wake_at(box) <= timedelta(seconds=2)
    Mailbox.objects.filter(pk=box.pk).update(tokens_at=clock.now() - timedelta(seconds=6))
    assert len(claimed(box)) == 3


def test_a_clock_that_runs_backwards_earns_nothing():
    box = rows.mailbox(concurrency=0, messages_per_minute=30)
    rows.queue(box, 40)
    claimed(box)
    Mailbox.objects.filter(pk=box.pk).update(tokens_at=clock.now() + timedelta(hours=1))

    assert claimed(box) == []


@pytest.mark.parametrize(
    ("limit", "value", "each", "admitted"),
    [
        ("requests_per_10_minutes", 5, {}, 5),
        ("upload_bytes_per_5_minutes", 4_000, {"size": 1_000}, 3),
        ("recipients_per_day", 10, {"recipients": 3}, 3),
    ],
)
def test_a_window_admits_what_fits_and_opens_when_its_oldest_use_is_over(limit, value, each, admitted):
    box = rows.mailbox(concurrency=0, **{limit: value})
    rows.queue(box, 10, **each)

    assert len(claimed(box)) == admitted
    span = {"requests_per_10_minutes": 600, "upload_bytes_per_5_minutes": 300, "recipients_per_day": 86_400}[
        limit
    ]
    assert timedelta(seconds=span - 1) <= wake_at(box) <= timedelta(seconds=span + 3_600)
    assert claimed(box) == []


def test_a_mail_larger_than_the_whole_window_goes_when_the_window_is_empty():
    box = rows.mailbox(concurrency=0, upload_bytes_per_5_minutes=1_000)
    rows.queue(box, 2, size=50_000)

    assert len(claimed(box)) == 1


def test_what_was_never_published_gives_back_what_it_took():
    box = rows.mailbox(concurrency=0, messages_per_minute=1, requests_per_10_minutes=1)
    rows.queue(box, 1)
    (only,) = claimed(box)

    assert leases.give_back(only.pk, only.token)

    assert len(claimed(box)) == 1


def test_a_registration_caps_all_its_mailboxes_together():
    app = rows.registration(concurrency=3)
    one, other = rows.mailbox("one@x.test", app), rows.mailbox("other@x.test", app)
    rows.queue(one, 2)
    rows.queue(other, 5)

    assert len(claimed(one)) == 2
    assert len(claimed(other)) == 1
    assert capacity.full_registrations() == [app.pk]


@pytest.mark.few_workers
def test_it_claims_no_more_than_live_workers_can_start():
    rows.workers(threads=2)
    box = rows.mailbox(concurrency=0)
    rows.queue(box, 50)

    assert len(claimed(box)) == 2 * capacity.AHEAD


@pytest.mark.few_workers
def test_without_a_worker_nothing_is_claimed_and_the_mailbox_stays_due():
    box = rows.mailbox()
    rows.queue(box, 1)

    assert claimed(box) == []
    assert wake_at(box) <= timedelta(0)


def test_clients_take_turns_whatever_one_of_them_has_queued():
    box = rows.mailbox(concurrency=1)
    rows.queue(box, 1_000, client="a")
    first = claimed(box)[0]
    rows.queue(box, 2, client="b")
    order = [first.client_key]
    for _ in range(5):
        finish(Delivery.objects.get(state=State.RESERVED))
        order.append(Delivery.objects.get(state=State.RESERVED).client_key)

    assert order == ["a", "b", "a", "b", "a", "a"]


@pytest.mark.parametrize(
    ("many", "one"), [(Route.MIME, Route.LARGE), (Route.LARGE, Route.MIME), (Route.LARGE, Route.LARGE)]
)
def test_clients_take_turns_also_where_one_of_them_sends_large_mail(many, one):
    box = rows.mailbox(concurrency=1)
    rows.queue(box, 6, client="b", route=many)
    rows.queue(box, 1, client="a", route=one)
    rows.queue(box, 1, client="c", route=one)

    order = []
    for _ in range(8):
        (delivery,) = claimed(box)
        order.append(delivery.client_key)
        Delivery.objects.filter(pk=delivery.pk).update(state=State.SENT)

    assert order == ["a", "b", "c", "b", "b", "b", "b", "b"]


def test_large_mail_of_a_client_keeps_its_place_among_its_small_mail():
    box = rows.mailbox(concurrency=0)
    first = rows.queue(box, 1)
    large = rows.queue(box, 1, route=Route.LARGE)
    last = rows.queue(box, 1)

    assert [row.pk for row in claimed(box)] == [row.pk for row in first + large + last]


def test_the_urgent_goes_before_the_bulk_and_first_in_first_out_within_a_client():
    box = rows.mailbox(concurrency=0)
    bulk = rows.queue(box, 2, urgency=Urgency.BULK)
    normal = rows.queue(box, 2)
    urgent = rows.queue(box, 1, client="z", urgency=Urgency.URGENT)

    assert [row.pk for row in claimed(box)] == [row.pk for row in [*urgent, *normal, *bulk]]


def test_a_paused_mailbox_waits_for_the_end_of_its_pause():
    until = clock.now() + timedelta(seconds=90)
    box = rows.mailbox(paused_until=until)
    rows.queue(box, 1)

    assert claimed(box) == []
    box.refresh_from_db()
    assert box.wake_at == until


def test_a_slot_whose_request_was_given_up_cools_down_first():
    box = rows.mailbox(concurrency=1)
    rows.queue(box, 2)
    (first,) = claimed(box)
    leases.take(first.pk, first.token)
    first.refresh_from_db()
    attempt = leases.begin(first, 10)

    settle.end_attempt(attempt, Result(Outcome.UNCERTAIN, "no answer"))

    assert claimed(box) == []
    assert timedelta(seconds=50) < wake_at(box) <= timedelta(seconds=61)


def test_a_failing_registration_gives_one_probe_for_all_its_mailboxes():
    app = rows.registration(failing="unreachable", retry_at=clock.now() - timedelta(seconds=1))
    one, other = rows.mailbox("one@x.test", app), rows.mailbox("other@x.test", app)
    rows.queue(one, 5)
    rows.queue(other, 5)

    assert [len(claimed(one)), len(claimed(other)), len(claimed(one))] == [1, 0, 0]
    app.refresh_from_db()
    assert app.retry_at > clock.now() + timedelta(seconds=20)


def test_a_probe_that_is_won_for_nothing_is_anothers_at_once():
    app = rows.registration(failing="unreachable", retry_at=clock.now() - timedelta(seconds=1))
    empty = rows.mailbox("empty@x.test", app, messages_per_minute=1, tokens=0, tokens_at=clock.now())
    able = rows.mailbox("able@x.test", app)
    rows.queue(empty, 1)
    rows.queue(able, 1)

    assert claimed(empty) == []
    assert scheduler._probes(Mailbox.objects.all(), clock.now()) == [able.pk]
    assert len(claimed(able)) == 1


def test_an_inactive_registration_sends_nothing():
    box = rows.mailbox()
    AppRegistration.objects.update(active=False)
    rows.queue(box, 1)

    assert claimed(box) == []


def steps_of_a_claim(box) -> int:
    """Count the instructions of SQLite's machine that one claim takes: a measure that no other load moves."""
    from mailrelay.outbox.claiming.claim import claim_in, lock

    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    connection.ensure_connection()
    connection.connection.set_progress_handler(count, 1)
    try:
        from django.db import transaction

        with transaction.atomic():
            assert claim_in(lock(box.pk), clock.now())
            transaction.set_rollback(True)  # the next must not find it in flight
    finally:
        connection.connection.set_progress_handler(None, 1)
    return steps


def test_a_claim_costs_the_same_with_twenty_times_the_backlog():
    small, large = rows.mailbox("small@x.test", concurrency=1), rows.mailbox("large@x.test", concurrency=1)
    rows.queue(small, 200, client="a")
    rows.queue(large, 4_000, client="a")

    few, many = steps_of_a_claim(small), steps_of_a_claim(large)

    assert many <= few * 1.2


def test_a_claim_costs_the_same_beside_many_paused_mailboxes():
    alone, beside = rows.mailbox("alone@x.test", concurrency=1), rows.mailbox("beside@x.test", concurrency=1)
    (first,) = rows.queue(alone, 1)
    rows.queue(beside, 1)
    rows.copy(first, 60_000)
    few = steps_of_a_claim(alone)

    paused = {"paused_until": clock.now() + timedelta(hours=1), "registration": beside.registration}
    Mailbox.objects.bulk_create(Mailbox(address=f"p{number}@x.test", **paused) for number in range(2_000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # the database knows how many there are, and must not read them all

    assert steps_of_a_claim(beside) <= few * 1.2


def test_a_limit_set_after_much_mail_without_one_starts_with_a_full_bucket():
    box = rows.mailbox(concurrency=0, messages_per_minute=0)
    rows.queue(box, 90)
    while claimed(box):
        pass
    Mailbox.objects.filter(pk=box.pk).update(messages_per_minute=10)
    rows.queue(box, 20)

    assert len(claimed(box)) == 10


def test_parts_of_a_split_message_have_tasks_of_different_names():
    box = rows.mailbox()
    (whole,) = rows.queue(box, 1)
    parts = [rows.queue(box, 1, part=number)[0] for number in (1, 2)]
    Delivery.objects.filter(pk__in=[part.pk for part in parts]).update(message=parts[0].message_id)

    names = [reservation.task_id for reservation in claim.claim(box.pk)]

    split = parts[0].message_id.hex
    assert names == [f"{whole.message_id.hex}.1", f"{split}.1.1", f"{split}.2.1"]
