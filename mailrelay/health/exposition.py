"""The durable totals and the queue's figures as Prometheus metrics: the same from every process."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mailrelay.health import pulse
from mailrelay.health.figures import Figures
from mailrelay.health.monitor import Monitor
from mailrelay.outbox.db import counters
from mailrelay.routing.watch import of_process

#: Totals by the name of their metric; the first three are the names that existing dashboards know.
TOTALS = {
    counters.SENT: ("graph_smtp_emails_sent", "Mails that Graph accepted"),
    counters.FAILED: ("graph_smtp_emails_failed", "Mails that failed for good"),
    counters.TOKEN_REFRESHES: ("graph_smtp_token_refreshes", "Tokens had from Entra ID"),
    counters.TOKEN_FAILURES: ("graph_smtp_token_failures", "Token requests that failed"),
    counters.ACCEPTED: ("graph_smtp_emails_accepted", "Mails stored and acknowledged over SMTP"),
    counters.DEFERRED: (
        "graph_smtp_deferrals",
        "Attempts that failed for the message's own fault and are tried again",
    ),
    counters.UNCERTAIN: ("graph_smtp_uncertain", "Attempts whose outcome is not known"),
    counters.SECOND_COPIES: ("graph_smtp_second_copies", "Mails that may have been sent twice"),
    counters.POISON: ("graph_smtp_poison", "Mails held since they crashed their worker three times"),
    counters.LEASES_EXPIRED: ("graph_smtp_leases_expired", "Workers that ended with a mail in hand"),
    counters.CLAIM_CONFLICTS: ("graph_smtp_claim_conflicts", "Tasks that came for a mail of someone else's"),
    counters.DISOWNED: ("graph_smtp_disowned", "Mails taken back, since their commit came too late"),
    counters.REPEATED: ("graph_smtp_repeated", "Mails that a client sent again, and that were sent once"),
    counters.MESSAGE_IDS_REUSED: (
        "graph_smtp_message_ids_reused",
        "Mails whose client had given their Message-ID to others before",
    ),
    counters.ORPHANS_SWEPT: ("graph_smtp_orphans_swept", "Contents removed that no message refers to"),
}


class QueueCollector(Collector):
    """Yields what the monitor saw last; nothing at all until it has seen the database once."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def describe(self) -> list[Metric]:
        """Promise nothing, so that registering costs no look at the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        ready = all(state == "ok" for state in self._monitor.checks().values())
        yield GaugeMetricFamily("graph_smtp_ready", "Whether /ready answers 200", value=float(ready))
        yield _loops()
        yield from _configuration()
        figures = self._monitor.look.figures
        if figures is not None:
            yield from _totals(figures)
            yield from _gauges(figures)


def _loops() -> Metric:
    ages = GaugeMetricFamily(
        "graph_smtp_loop_age_seconds",
        "Seconds since a loop of the process was seen to turn",
        labels=["loop"],
    )
    for loop in pulse.LOOPS:
        if (age := loop.age()) is not None:
            ages.add_metric([loop.name], age)
    return ages


def _configuration() -> Iterator[Metric]:
    watch = of_process()
    if watch is not None:
        yield GaugeMetricFamily(
            "graph_smtp_configuration_age_seconds",
            "Seconds since this process read senders and clients",
            value=watch.age,
        )
        yield GaugeMetricFamily(
            "graph_smtp_configuration_unreadable_rows",
            "Senders and clients with a value that this version does not know",
            value=len(watch().unreadable),
        )


def _totals(figures: Figures) -> Iterator[Metric]:
    for name, (metric, text) in TOTALS.items():
        yield CounterMetricFamily(metric, text, value=figures.totals[name])


def _gauges(figures: Figures) -> Iterator[Metric]:
    depth = GaugeMetricFamily("graph_smtp_queue_depth", "Deliveries by state", labels=["state"])
    for state, count in figures.depth.items():
        depth.add_metric([state], count)
    yield depth
    plain = {
        "graph_smtp_oldest_queued_seconds": ("Age of the oldest queued delivery", figures.oldest_queued_age),
        "graph_smtp_paused_mailboxes": ("Mailboxes paused by Microsoft", figures.paused_mailboxes),
        "graph_smtp_blocked_mailboxes": ("Mailboxes whose mail is held", figures.blocked_mailboxes),
        "graph_smtp_failing_apps": ("App registrations that stand still", figures.failing_registrations),
        "graph_smtp_workers": ("Workers seen within 15 seconds", figures.workers),
    }
    for name, (text, value) in plain.items():
        yield GaugeMetricFamily(name, text, value=value)
    expiry = GaugeMetricFamily(
        "graph_smtp_app_token_expiry_timestamp", "When the token of an app ends, unix seconds", labels=["app"]
    )
    for app, at in figures.token_expiry.items():
        expiry.add_metric([app], at)
    yield expiry
    ends = GaugeMetricFamily(
        "graph_smtp_credential_expiry_seconds",
        "Seconds until a secret or certificate ends; negative once it has",
        labels=["app", "credential"],
    )
    for (app, proof), seconds in figures.credential_expiry.items():
        ends.add_metric([app, proof], seconds)
    yield ends
    if figures.default_token_expiry is not None:
        yield GaugeMetricFamily(
            "graph_smtp_token_expiry_timestamp",
            "When the default sender's token ends, unix seconds",
            value=figures.default_token_expiry,
        )
