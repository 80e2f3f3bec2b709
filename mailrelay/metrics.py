"""Declares the metrics of a process for Prometheus.

Totals that must survive a restart, and be the same from every process, live in `Counter` rows and are
exposed by `mailrelay.health.exposition`; the metrics here are of this process.
"""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

SMTP_CONNECTIONS = Gauge("graph_smtp_connections", "SMTP connections open in this process")
SMTP_REPLIES = Counter("graph_smtp_replies", "SMTP replies by code", ["code"])
SMTP_MESSAGES_ABORTED = Counter(
    "graph_smtp_messages_aborted", "Mail transactions that the client broke off, by phase", ["phase"]
)
SMTP_PROTOCOL_VIOLATIONS = Counter(
    "graph_smtp_protocol_violations", "Clients that did not speak SMTP as it is, by kind", ["kind"]
)
ACCEPT_SECONDS = Histogram(
    "graph_smtp_accept_seconds", "From the end of DATA to the reply that follows the commit", buckets=SECONDS
)

GRAPH_ANSWERS = Counter(
    "graph_smtp_graph_answers", "Answers of Graph by HTTP status and error code", ["status", "code"]
)
GRAPH_SECONDS = Histogram(
    "graph_smtp_graph_seconds", "Duration of requests to Graph", buckets=(*SECONDS, 30.0, 60.0, 120.0)
)
DELIVERY_SECONDS = Histogram(
    "graph_smtp_delivery_seconds",
    "From the 250, or from being released, until Graph took the mail",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0),
)
ATTEMPTS = Counter("graph_smtp_attempts", "Attempts by sender and outcome", ["sender", "outcome"])
PUBLISH_FAILURES = Counter("graph_smtp_publish_failures", "Tasks that the broker did not take in time")
WRITER_BATCH = Histogram(
    "graph_smtp_writer_batch", "Writes that shared one commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
WRITER_SECONDS = Histogram(
    "graph_smtp_writer_seconds", "Duration of one commit's transaction", buckets=SECONDS
)
COMMITS_AWAITED = Gauge("graph_smtp_commits_awaited", "Mails received whose commit is not done yet")
STORAGE_STALLED = Gauge(
    "graph_smtp_storage_stalled", "Whether mail is turned away until the database takes writes again"
)
SMTP_LOGINS = Counter("graph_smtp_logins", "Logins of SMTP clients by outcome", ["outcome"])
SMTP_CONNECTIONS_DENIED = Counter(
    "graph_smtp_connections_denied", "SMTP connections that a cap turned away or ended, by cap", ["cap"]
)
SMTP_BYTES_IN_TRANSFER = Gauge(
    "graph_smtp_bytes_in_transfer", "Bytes of messages that are being received in this process"
)
SMTP_STRESSED = Gauge(
    "graph_smtp_stressed", "Whether connections are so many that idle ones are given seconds only"
)
SMTP_BACKLOGGED = Gauge(
    "graph_smtp_backlog_full", "Whether mail is turned away for its backlog, by mailbox", ["mailbox"]
)
TLS_EXPIRY_SECONDS = Gauge(
    "graph_smtp_tls_certificate_expiry_seconds", "Until the listener's certificate ends", ["file"]
)
