"""Submissions that come with a key of their client's: the same one twice is the same message.

The key commits with its message, so that a client that never heard the answer asks again and gets the same id
(https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from mailrelay.models import SubmissionKey
from mailrelay.outbox.db import clock
from mailrelay.outbox.errors import RepeatedError
from mailrelay.outbox.rules import age
from mailrelay.outbox.submission import IdempotencyKey, Submission

#: How long a key is remembered.
KEPT_FOR = timedelta(days=7)


def find(repeat: IdempotencyKey) -> RepeatedError | None:
    """Find what was taken under this key before; `fingerprint` need not be known yet."""
    row = SubmissionKey.objects.filter(pk=repeat.digest).first()
    return RepeatedError(row.message_id, same=row.fingerprint == repeat.fingerprint) if row else None


def among(submissions: Sequence[Submission]) -> dict[UUID, RepeatedError]:
    """Find those of `submissions` whose key was taken with another message; ask nothing if none has a key."""
    keyed = {one.id: one.repeat for one in submissions if one.repeat is not None}
    if not keyed:
        return {}
    digests = [repeat.digest for repeat in keyed.values()]
    taken = {row.pk: row for row in SubmissionKey.objects.filter(pk__in=digests)}
    return {
        pk: RepeatedError(row.message_id, same=row.fingerprint == repeat.fingerprint)
        for pk, repeat in keyed.items()
        if (row := taken.get(repeat.digest)) is not None and row.message_id != pk
    }


def note(submissions: Sequence[Submission]) -> None:
    """Keep the keys of `submissions` in the transaction that stores them, and forget the old ones.

    Raises RepeatedError where another transaction was first with one of them.
    """
    keyed = [(one.id, one.repeat) for one in submissions if one.repeat is not None]
    if not keyed:
        return
    now = clock.now()
    SubmissionKey.objects.filter(created_at__lt=age.ago(KEPT_FOR, now)).delete()
    for pk, repeat in keyed:
        columns = {"fingerprint": repeat.fingerprint, "message_id": pk, "created_at": now}
        row, _ = SubmissionKey.objects.get_or_create(pk=repeat.digest, defaults=columns)
        if row.message_id != pk:
            raise RepeatedError(row.message_id, same=row.fingerprint == repeat.fingerprint)
