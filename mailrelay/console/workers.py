"""The screen of workers: which processes deliver, and whether they are alive."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from mailrelay.console.cells import badge, moment
from mailrelay.console.lists import ReadOnlyAdmin
from mailrelay.console.site import site
from mailrelay.models import Delivery, Worker
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox.claiming.capacity import HEARTBEAT, MISSED

#: What the Celery queues are for.
QUEUES = {
    "deliver": "senders made here",
    "deliver-large": "their large mail",
    "deliver-environment": "the sender from the environment",
    "deliver-large-environment": "its large mail",
}


@admin.register(Worker, site=site)
class WorkerAdmin(ReadOnlyAdmin[Worker]):
    list_display = ("name", "standing", "busy", "serves", "started", "seen")
    list_display_links = None
    ordering = ("name",)
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        mine = Delivery.objects.filter(IN_FLIGHT, lease_owner=OuterRef("name")).order_by()
        count = mine.values("lease_owner").annotate(n=Count("pk")).values("n")
        running = Coalesce(Subquery(count, output_field=IntegerField()), 0)
        return super().get_queryset(request).annotate(running=running)

    @admin.display(description="state")
    def standing(self, row: Worker) -> SafeString:
        silent = (timezone.now() - row.seen_at).total_seconds()
        return badge("Alive", "good") if silent <= HEARTBEAT * MISSED else badge("Silent", "bad")

    @admin.display(description="delivering")
    def busy(self, row: Any) -> str:
        return f"{row.running} of {row.capacity} at once"

    @admin.display(description="serves")
    def serves(self, row: Worker) -> str:
        names = row.queues.split(",")
        known = [words for name, words in QUEUES.items() if name in names]
        return ", ".join([*known, *(name for name in names if name not in QUEUES)])

    @admin.display(description="started")
    def started(self, row: Worker) -> SafeString:
        return moment(row.started_at, timezone.now())

    @admin.display(description="last seen")
    def seen(self, row: Worker) -> SafeString:
        return moment(row.seen_at, timezone.now())
