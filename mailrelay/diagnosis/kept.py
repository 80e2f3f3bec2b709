"""Kept connections: whether a server or proxy on the way to Microsoft closes them as they are used."""

from collections.abc import Iterator

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.graph.faults import Fault
from mailrelay.models import SendLog
from mailrelay.outbox.db import clock

CHECK = Check("network")
#: Seconds of the past that count.
LATELY = 86_400.0


def broken() -> Iterator[Finding]:
    """Look whether mail met a kept connection that was closed as it was used."""
    since = clock.now() - clock.seconds(LATELY)
    met = SendLog.objects.filter(graph_code=Fault.KEPT_CLOSED, started_at__gte=since).count()
    if met:
        yield CHECK.warning(
            f"{met} attempts of the last 24 hours met a kept connection that was closed as it was used: the "
            "mail may have been sent. Where that happens twice, the gateway keeps no connection for hours.",
            "Something between the gateway and Microsoft closes connections early: look at the idle time "
            "limit of the proxy, firewall or load balancer on the way, or let the gateway reach Microsoft "
            "without it (NO_PROXY).",
        )
