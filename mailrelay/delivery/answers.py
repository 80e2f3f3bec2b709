"""Judges an answer of Graph, and counts it."""

from mailrelay import metrics
from mailrelay.graph.answer import Answer
from mailrelay.graph.error_table import CODES
from mailrelay.graph.errors import verdict_of
from mailrelay.graph.verdict import Verdict


def judged(answer: Answer, *, token_is_fresh: bool, about_draft: bool = False) -> Verdict:
    """Give the meaning of `answer` to a request, after counting it."""
    verdict = verdict_of(answer, token_is_fresh=token_is_fresh, about_draft=about_draft)
    counted(answer, verdict.code)
    return verdict


def counted(answer: Answer, code: str = "") -> None:
    """Count `answer` and its time; what Graph calls it is a label only where we know the word."""
    label = code if code in CODES else ""
    metrics.GRAPH_ANSWERS.labels(status=str(answer.status or "none"), code=label).inc()
    metrics.GRAPH_SECONDS.observe(answer.duration)
