"""Chooses the senders that may stand in for another: checked when chosen, and before anything moves."""

from collections.abc import Iterator

from mailrelay.models import SenderConfig
from mailrelay.vocabulary import FromPolicy


def problem(sender: SenderConfig, fallback: SenderConfig) -> str:
    """Say why `fallback` cannot stand in for `sender`, as the end of a sentence; empty when it can."""
    if fallback.pk == sender.pk:
        return "is the sender itself: choose another."
    if any(row.pk == sender.pk for row in chain(fallback)):
        return f"falls back on “{sender.name}” in its turn: take that off there first."
    if fallback.from_policy == FromPolicy.OWN_MAILBOX:
        return "sends through the mailbox that each From names: choose a sender with one mailbox."
    if fallback.redirect_all_to != sender.redirect_all_to:
        return "does not redirect mail to the same address: one of the two would reach somebody else."
    return ""


def chain(sender: SenderConfig) -> Iterator[SenderConfig]:
    """Give who stands in for `sender`, and who for that one, each once."""
    seen = {sender.pk}
    related = SenderConfig.objects.select_related("mailbox__registration")
    following = sender.fallback_id
    while following is not None and following not in seen:
        seen.add(following)
        row = related.get(pk=following)
        yield row
        following = row.fallback_id
