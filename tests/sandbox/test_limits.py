"""The limits of an app registration on a mailbox, and how a 429 looks."""

import email.utils
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.limits import SlidingWindow
from tests.sandbox.graph_client import GATEWAY, Graph, error, mail, wait_until

MESSAGE = "Application is over its MailboxConcurrency limit."


class Held:
    """Requests that the sandbox has applied and answers only when `release` is called."""

    def __init__(self, sandbox, count, mailbox=GATEWAY):
        self.sandbox = sandbox
        sandbox.fault("sendMail", "slow_response", seconds=600, times=count)
        self.pool = ThreadPoolExecutor(count)
        self.answers = [self.pool.submit(self.send, mailbox) for _ in range(count)]
        wait_until(lambda: sandbox.stats()["in_flight"] == count)

    def send(self, mailbox):
        return Graph(self.sandbox).send(mail(sender=""), mailbox=mailbox, timeout=300).status_code

    def release(self):
        self.sandbox.clear_faults()
        answers = [answer.result() for answer in self.answers]
        self.pool.shutdown()
        return answers


def test_four_at_a_time_pass_and_the_fifth_is_throttled(graph, sandbox):
    held = Held(sandbox, 4)
    refused = graph.send()
    assert error(refused) == (429, "ApplicationThrottled")
    assert refused.json()["error"]["message"] == MESSAGE
    assert refused.headers["Retry-After"] == "2"
    assert held.release() == [202] * 4
    stats = sandbox.stats()
    assert stats["throttled"] == 1
    assert max(stats["max_concurrency"].values()) == 5
    assert len(sandbox.deliveries()) == 4


def test_a_slot_is_free_again_when_the_answer_arrives(graph):
    assert {graph.send().status_code for _ in range(12)} == {202}


@pytest.mark.parametrize(("scope", "status"), [("mailbox", 202), ("app", 429)])
def test_another_mailbox_has_slots_of_its_own_unless_the_limit_is_per_app(graph, sandbox, scope, status):
    sandbox.world(limits={"concurrency": 1, "concurrency_scope": scope})
    held = Held(sandbox, 1)
    assert graph.send(mail(sender=""), mailbox="shared@contoso.test").status_code == status
    assert held.release() == [202]


def test_requests_in_ten_minutes_are_limited_and_refused_ones_count_too(graph, sandbox):
    sandbox.world(limits={"requests": 3})
    answers = [graph.send() for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
    assert 590 <= int(answers[-1].headers["Retry-After"]) <= 600


def test_bytes_in_five_minutes_are_limited(graph, sandbox):
    sandbox.world(limits={"upload_bytes": 100_000})
    assert graph.send(mail(body="x" * 60_000)).status_code == 202
    response = graph.send(mail(body="x" * 60_000))
    assert error(response) == (429, "ApplicationThrottled")
    assert 290 <= int(response.headers["Retry-After"]) <= 300
    assert graph.send(mail(body="x" * 1000)).status_code == 202


def throttled(graph, sandbox, style):
    sandbox.world(limits={"requests": 1, "requests_window": 100, "retry_after": style})
    graph.send()
    return graph.send().headers.get("Retry-After")


def test_retry_after_can_be_fractional(graph, sandbox):
    whole, dot, fraction = throttled(graph, sandbox, "fractional").partition(".")
    assert (dot, len(fraction)) == (".", 3)
    assert int(whole) <= 100


def test_retry_after_can_be_an_http_date(graph, sandbox):
    assert email.utils.parsedate_to_datetime(throttled(graph, sandbox, "http-date"))


def test_retry_after_can_be_absent(graph, sandbox):
    assert throttled(graph, sandbox, "absent") is None


def test_a_limit_of_zero_is_none(graph, sandbox):
    sandbox.world(limits={"requests": 0, "upload_bytes": 0, "concurrency": 0, "messages_per_minute": 0})
    assert {graph.send().status_code for _ in range(40)} == {202}
    assert sandbox.deliveries()[-1]["delayed_seconds"] == 0


@pytest.mark.parametrize("seconds", [300, 600])
def test_a_sliding_window_lets_amounts_go_as_they_age(seconds):
    window = SlidingWindow(seconds)
    window.add(1000, 5)
    window.add(1000 + seconds / 2, 3)
    assert window.total(1000 + seconds / 2) == 8
    assert window.seconds_until(1000 + seconds / 2, 3) == pytest.approx(seconds / 2)
    assert window.total(1000 + seconds + 1) == 3
    assert window.total(1000 + 2 * seconds) == 0
