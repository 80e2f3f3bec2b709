"""The mission's metrics: one number, whichever process is asked, that restarts and retention never lower."""

import threading

import pytest
import requests

from tests.harness.ports import eventually
from tests.harness.processes import mail, manage, rows, send
from tests.health.conftest import ask

SENT, FAILED = "graph_smtp_emails_sent_total", "graph_smtp_emails_failed_total"
REFRESHES, EXPIRY = "graph_smtp_token_refreshes_total", "graph_smtp_token_expiry_timestamp"
FOLD = """
from datetime import timedelta
from mailrelay.models import Counter
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.scheduling import retention
Counter.objects.update(updated_at=clock.now() - timedelta(hours=2))
retention.run()
counters.fold()
"""

RACE = """
import threading
from mailrelay.outbox.db import counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
start, refused = threading.Barrier(8), []
def run():
    start.wait()
    try:
        write(Move.RETAIN, lambda: counters.add(counters.ORPHANS_SWEPT, 5))
    except Exception as error:
        refused.append(error)
threads = [threading.Thread(target=run) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not refused, refused
"""


class Scraper(threading.Thread):
    """Scrapes every process over and over, and remembers each number that was lower than one before."""

    def __init__(self, cluster) -> None:
        super().__init__(daemon=True)
        self.cluster, self.ended = cluster, threading.Event()
        self.highest: dict[tuple[str, str], float] = {}
        self.scrapes, self.falls = 0, []

    def run(self) -> None:
        while not self.ended.wait(0.2):
            for name, process in self.cluster.processes.items():
                try:
                    seen = process.metrics()
                except requests.RequestException:
                    continue
                self.scrapes += 1
                self._compare(name, seen)

    def _compare(self, name, seen) -> None:
        for metric in (SENT, FAILED, REFRESHES):
            value, before = seen.get(metric), self.highest.get((name, metric), 0.0)
            if value is not None:
                if value < before:
                    self.falls.append((name, metric, before, value))
                self.highest[name, metric] = max(value, before)


@pytest.fixture
def scraper(cluster):
    scraper = Scraper(cluster)
    scraper.start()
    yield scraper
    scraper.ended.set()
    scraper.join(30)


def totals(cluster) -> list[tuple]:
    scraped = [process.metrics() for process in cluster.processes.values()]
    return [tuple(metrics.get(name) for name in (SENT, FAILED, REFRESHES)) for metrics in scraped]


def agreed(cluster) -> tuple:
    """Wait until every process tells the same totals; return them."""
    eventually(lambda: len(set(totals(cluster))) == 1 and None not in totals(cluster)[0], what="one number")
    return totals(cluster)[0]


def test_every_process_tells_the_same_totals_and_they_never_fall(cluster, scraper):
    port = cluster.processes["relay"].smtp_port
    for number in range(5):
        send(port, mail(number))
    cluster.wait_for(sent=5)
    cluster.sandbox.fault(
        "sendMail", "status", status=400, code="ErrorInvalidRecipients", message="no such domain", times=1
    )
    send(port, mail("refused"))
    cluster.wait_for(sent=5, failed=1)
    eventually(lambda: agreed(cluster)[:2] == (5.0, 1.0), what="five sent and one failed in every process")
    refreshes = agreed(cluster)[2]
    assert refreshes >= 1

    for process in cluster.processes.values():
        process.stop()
        process.start()
    assert agreed(cluster)[:2] == (5.0, 1.0)
    assert agreed(cluster)[2] >= refreshes

    at_once = dict.fromkeys(("RETENTION_SENT_HOURS", "RETENTION_FAILED_DAYS", "RETENTION_ROWS_DAYS"), "0")
    manage(cluster.environment | at_once, "shell", "--no-imports", "--command", FOLD)
    assert rows(cluster.environment, "SELECT COUNT(*) FROM mailrelay_message") == [(0,)]
    folded = "SELECT value FROM mailrelay_counter WHERE process = '' AND name = 'sent'"
    assert rows(cluster.environment, folded) == [(5,)]
    send(port, mail("after"))
    cluster.wait_for(sent=1)
    eventually(lambda: agreed(cluster)[:2] == (6.0, 1.0), what="the sixth in every process")

    assert scraper.falls == []
    assert scraper.scrapes > 20


def test_threads_that_count_first_at_once_all_count(cluster):
    """On PostgreSQL the second insert of a row would undo the move that it counts."""
    before = cluster.processes["web"].metrics()["graph_smtp_orphans_swept_total"]

    manage(cluster.environment, "shell", "--no-imports", "--command", RACE)

    eventually(
        lambda: cluster.processes["web"].metrics()["graph_smtp_orphans_swept_total"] == before + 40,
        what="all eight",
    )


def test_the_four_names_have_their_types_and_the_expiry_is_a_time(cluster):
    for process in cluster.processes.values():
        text = ask(process, "/metrics").text
        for name in (SENT, FAILED, REFRESHES):
            assert f"# TYPE {name} counter" in text
        assert f"# TYPE {EXPIRY} gauge" in text
        ((expires,),) = rows(
            cluster.environment,
            "SELECT extract(epoch FROM token_expires_at) FROM mailrelay_appregistration",
        )
        assert process.metrics()[EXPIRY] == pytest.approx(float(expires), abs=2)


def test_what_operators_alert_on_is_there(cluster):
    for process in cluster.processes.values():
        metrics = process.metrics()
        assert metrics["graph_smtp_ready"] == 1
        assert metrics["graph_smtp_workers"] == 2
        assert metrics['graph_smtp_queue_depth{state="queued"}'] == 0
        assert metrics["graph_smtp_oldest_queued_seconds"] == 0
        assert metrics["graph_smtp_paused_mailboxes"] == 0


@pytest.mark.parametrize("name", ["web", "gateway"])
def test_pages_are_counted_where_the_web_runs(cluster, name):
    process = cluster.processes[name]
    ask(process, "/admin/login/", 30)

    assert process.metrics()["django_http_requests_before_middlewares_total"] >= 1
