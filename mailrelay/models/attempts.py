"""Attempts to send, and the timeline of a message."""

from django.db import models
from django.db.models import Q

from mailrelay.models.choices import choices
from mailrelay.models.messages import Delivery, Message
from mailrelay.vocabulary import Blame, Outcome, Reason, Route

#: Attempts that Microsoft throttled: reports say that some of them sent their mail all the same.
THROTTLED = Q(http_status=429) | Q(reason=Reason.THROTTLED)


class SendLog(models.Model):
    """One attempt: on record before its request, settled by its own result alone."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attempts")
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveIntegerField()
    route = models.CharField(max_length=10, choices=choices(Route), default=Route.MIME)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, choices=choices(Outcome), blank=True, default="")
    blame = models.CharField(max_length=20, choices=choices(Blame), blank=True, default="")
    reason = models.CharField(max_length=40, choices=choices(Reason), blank=True, default="")
    http_status = models.PositiveSmallIntegerField("HTTP status", null=True)
    graph_code = models.CharField("Graph code", max_length=100, blank=True, default="")
    enhanced_status = models.CharField(
        max_length=12, blank=True, default="", help_text="What a bounce says of it (RFC 3463)"
    )
    request_id = models.CharField(max_length=100, blank=True, default="")
    client_request_id = models.CharField(max_length=100, blank=True, default="")
    retry_after = models.FloatField("Retry-After (s)", null=True)
    duration_ms = models.PositiveIntegerField("duration (ms)", null=True)
    size = models.PositiveBigIntegerField("bytes sent", null=True)
    sentence = models.TextField(blank=True, default="")
    advice = models.TextField(blank=True, default="")
    reply = models.TextField("Graph's reply", blank=True, default="")
    worker = models.CharField(max_length=200, blank=True, default="")
    #: The draft of the large route, as long as it may lie in the mailbox unsent.
    draft_id = models.CharField(max_length=400, blank=True, default="", editable=False)
    #: Whether that draft was whole, so that its sending may have begun.
    draft_complete = models.BooleanField(default=False, editable=False)
    #: Whether Graph was asked for a draft and its answer is not on record: one may lie there, of unknown id.
    draft_asked = models.BooleanField(default=False, db_default=False, editable=False)
    #: When the copy in Sent Items is next looked for, to be removed; null: nothing is to be done about it.
    copy_due_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "attempt"
        constraints = (models.UniqueConstraint(fields=["delivery", "number"], name="attempt_of_delivery"),)
        indexes = (
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="attempt_request_id"),
            models.Index(fields=["-started_at"], name="attempt_started"),
            models.Index(
                fields=["graph_code", "-started_at"],
                condition=~Q(graph_code=""),
                name="attempt_graph_code",
            ),
            models.Index(
                fields=["started_at"],
                condition=~Q(draft_id="") & ~Q(outcome=Outcome.SENT),
                name="attempt_draft",
            ),
            models.Index(fields=["started_at"], condition=Q(draft_asked=True), name="attempt_draft_asked"),
            models.Index(
                fields=["copy_due_at"], condition=Q(copy_due_at__isnull=False), name="attempt_copy_due"
            ),
        )

    def __str__(self) -> str:
        return f"{self.message_id.hex}.{self.number}"

    @property
    def was_throttled(self) -> bool:
        """Whether this is one of THROTTLED."""
        return self.http_status == 429 or self.reason == Reason.THROTTLED


class TimelineEntry(models.Model):
    """A move of a message that was not an attempt: held, released, cancelled, given back."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="timeline")
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, null=True, related_name="timeline")
    at = models.DateTimeField()
    actor = models.CharField(max_length=200, blank=True, default="")
    text = models.TextField()

    class Meta:
        verbose_name_plural = "timeline entries"

    def __str__(self) -> str:
        return self.text
