"""A sender that a person pauses: its mail is accepted and held, and goes on when somebody resumes it.

What is claimed already finishes. What waits is held by the next claim that comes upon it, and in batches by
the sweep, so that no pause waits for a million rows.
"""

from functools import partial

from mailrelay.models import SenderConfig
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.scheduling import scheduler


def pause(sender: SenderConfig, actor: str, reason: str) -> bool:
    """Pause `sender` from the next claim on; False when it is paused already. Raises OutboxError."""
    rows = SenderConfig.objects.filter(pk=sender.pk, paused_at__isnull=True)
    told = {"paused_at": clock.now(), "paused_by": actor[:200], "pause_reason": reason[:500]}
    return _change(sender, partial(rows.update, **told))


def resume(sender: SenderConfig) -> bool:
    """Let `sender` go on, with all that was held for its pause; False when it is not paused."""
    rows = SenderConfig.objects.filter(pk=sender.pk, paused_at__isnull=False)
    return _change(sender, partial(rows.update, paused_at=None, paused_by="", pause_reason=""))


def _change(sender: SenderConfig, update: "partial[int]") -> bool:
    changed = bool(write(Move.REGISTER, update))
    sender.refresh_from_db(fields=["paused_at", "paused_by", "pause_reason"])
    if changed:
        configuration_holds.reconcile()
        scheduler.wake()
    return changed
