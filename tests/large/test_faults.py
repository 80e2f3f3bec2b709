"""What goes wrong on the large route before the sending: nothing is sent, nothing is left behind."""

import pytest

from mailrelay.outbox.settling import request_size
from mailrelay.vocabulary import Outcome, Reason, State
from tests.delivery.office import fresh, log, timeline
from tests.large.mails import MEBIBYTE, files, parsed, with_files


def arrived(office):
    (delivery,) = office.sandbox.deliveries()
    return parsed(office.sandbox.raw(delivery["seq"]))


def open_drafts(office) -> int:
    return office.sandbox.stats()["drafts"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset_mid_body"},
        {"kind": "reset_before_body"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500, "json": False},
        {"kind": "throttled", "retry_after": "0"},
        {"kind": "accept_then_status", "status": 504},
        {"kind": "reset_after_accept"},
        {"kind": "expire_session"},
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}",
)
def test_an_upload_that_breaks_goes_on_where_graph_has_it(writer, queued, fault):
    message = with_files([9 * MEBIBYTE])
    writer.sandbox.fault("upload", **fault, skip=1)
    delivery = queued(message)

    writer.work()

    assert fresh(delivery).state == State.SENT, delivery.last_error
    assert files(arrived(writer)) == files(message)
    assert [entry.outcome for entry in log(delivery)] == [Outcome.SENT]
    assert open_drafts(writer) == 0


def test_only_what_graph_does_not_have_is_uploaded_again(writer, queued):
    writer.sandbox.fault("upload", "accept_then_status", status=504)
    queued(with_files([9 * MEBIBYTE]))

    writer.work()

    ranges = [line for line in writer.requests("upload") if line["method"] == "PUT"]
    assert len(ranges) == 3
    assert all(line["decision"] in ("applied", "faulted") for line in ranges)


@pytest.mark.parametrize("other", [False, True])
def test_an_upload_is_resumed_in_either_spelling_of_what_is_expected(writer, queued, other):
    writer.sandbox.world(behaviour={"other_upload_spelling": other})
    writer.sandbox.fault("upload", "reset_after_accept")
    delivery = queued(with_files([9 * MEBIBYTE]))

    writer.work()

    assert fresh(delivery).state == State.SENT
    puts = [line for line in writer.requests("upload") if line["method"] == "PUT"]
    assert len(puts) == 3


def test_the_end_of_a_file_without_an_answer_begins_all_anew(writer, queued):
    message = with_files([4 * MEBIBYTE])
    writer.sandbox.fault("upload", "reset_after_accept", skip=1)
    delivery = queued(message)

    writer.work()
    assert fresh(delivery).state == State.DEFERRED
    assert open_drafts(writer) == 0
    writer.later(60)

    assert fresh(delivery).state == State.SENT
    assert files(arrived(writer)) == files(message)


def test_an_upload_that_never_gets_on_is_put_off_and_its_draft_removed(writer, queued):
    writer.sandbox.fault("upload", "status", status=500, times=None)
    delivery = queued(with_files([4 * MEBIBYTE]))

    writer.work()

    assert fresh(delivery).state == State.DEFERRED
    assert open_drafts(writer) == 0
    assert writer.sandbox.deliveries() == []


def test_a_draft_that_graph_denies_is_put_off_and_whole_mail_goes_on(writer, queued):
    writer.sandbox.fault("messages", "status", status=403, code="ErrorAccessDenied", times=None)
    delivery = queued(with_files([4 * MEBIBYTE]))
    small = writer.one()

    writer.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.DEFERRED, Reason.CONSENT_MISSING)
    assert "Mail.ReadWrite" in delivery.last_error
    assert fresh(writer.mailbox).can_draft is False
    assert fresh(small).state == State.SENT


def test_a_mail_beyond_the_mailbox_limit_fails_with_its_reason(writer, queued):
    writer.sandbox.world(limits={"message_bytes": 3 * MEBIBYTE})
    delivery = queued(with_files([4 * MEBIBYTE]))

    writer.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.FAILED, Reason.TOO_LARGE)
    assert open_drafts(writer) == 0


def test_an_expired_token_is_renewed_between_two_steps(writer, queued):
    writer.sandbox.fault("messages", "token_expired", skip=1)
    delivery = queued(with_files([4 * MEBIBYTE, 2 * MEBIBYTE]))

    writer.work()

    assert fresh(delivery).state == State.SENT


@pytest.mark.parametrize("where", ["messages", "upload", "send"])
def test_a_busy_graph_is_waited_for_and_the_mailbox_rests(writer, queued, where):
    writer.sandbox.fault(where, "throttled", retry_after="1")
    delivery = queued(with_files([4 * MEBIBYTE]))

    writer.work()

    assert fresh(delivery).state == State.SENT
    assert len(writer.sandbox.deliveries()) == 1
    assert open_drafts(writer) == 0


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_whole_message_falls_over_to_the_large_route_and_lowers_the_limit(writer, queued, status):
    writer.sandbox.world(limits={"request_bytes": 3 * MEBIBYTE}, behaviour={"oversize_status": status})
    message = with_files([2 * MEBIBYTE])
    delivery = queued(message, route="mime")

    writer.work()

    assert fresh(delivery).state == State.SENT
    assert [(entry.route, entry.outcome) for entry in log(delivery)] == [
        ("mime", Outcome.TOO_LARGE),
        ("large", Outcome.SENT),
    ]
    assert files(arrived(writer)) == files(message)
    assert fresh(writer.mailbox).direct_limit == 2_200_000
    assert "draft" in timeline(delivery)


def test_the_silent_200_falls_over_too_and_the_next_mail_knows_better(writer, queued):
    writer.sandbox.world(behaviour={"silent_200_above": 2_293_760})
    first, second = (queued(with_files([2 * MEBIBYTE]), route="mime") for _ in range(2))

    writer.work()

    assert fresh(first).state == fresh(second).state == State.SENT
    assert len(writer.sandbox.deliveries()) == 2
    assert [entry.route for entry in log(second)] == ["large"]


def test_an_application_without_drafts_fails_what_graph_finds_too_large(writer, queued):
    writer.sandbox.world(behaviour={"silent_200_above": 2_293_760})
    delivery = queued(with_files([2 * MEBIBYTE]), route="mime")
    type(writer.mailbox).objects.update(can_draft=False)

    writer.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.FAILED, Reason.TOO_LARGE)
    assert fresh(writer.mailbox).direct_limit == 2_200_000


def test_a_learned_limit_is_forgotten_after_a_month(writer, queued):
    writer.sandbox.world(behaviour={"silent_200_above": 2_293_760})
    queued(with_files([2 * MEBIBYTE]), route="mime")
    writer.work()
    assert fresh(writer.mailbox).direct_limit_learned_at is not None
    request_size.forget_old()
    assert fresh(writer.mailbox).direct_limit == 2_200_000

    writer.later(31 * 86_400)
    request_size.forget_old()

    fresh(writer.mailbox)
    assert (writer.mailbox.direct_limit, writer.mailbox.direct_limit_learned_at) == (3_145_728, None)


def test_a_learned_limit_is_forgotten_once_more_is_taken_whole(writer, queued):
    """Who has no other route tries the larger mail all the same."""
    writer.sandbox.world(behaviour={"silent_200_above": 2_293_760})
    queued(with_files([2 * MEBIBYTE]), route="mime")
    writer.work()
    type(writer.mailbox).objects.update(can_draft=False)
    writer.sandbox.world(behaviour={"silent_200_above": 0})
    small, delivery = writer.one(), queued(with_files([2 * MEBIBYTE]), route="mime")

    writer.work()

    assert fresh(small).state == fresh(delivery).state == State.SENT
    assert [entry.route for entry in log(delivery)] == ["mime"]
    fresh(writer.mailbox)
    assert (writer.mailbox.direct_limit, writer.mailbox.direct_limit_learned_at) == (3_145_728, None)


def test_a_limit_that_somebody_set_is_never_forgotten(writer, queued):
    type(writer.mailbox).objects.update(direct_limit=1_000_000, can_draft=False)
    delivery = queued(with_files([MEBIBYTE]), route="mime")

    writer.work()
    request_size.forget_old()

    assert fresh(delivery).state == State.SENT
    assert fresh(writer.mailbox).direct_limit == 1_000_000
