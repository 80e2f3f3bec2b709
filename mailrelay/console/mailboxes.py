"""The screen of mailboxes: what Microsoft limits, and how much of it is used now."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from mailrelay import parsing
from mailrelay.console.cells import NOTHING, badge, exact, moment, relative, size, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.fields import AddressField, ReadField
from mailrelay.console.generic import ModelForm
from mailrelay.console.site import site
from mailrelay.models import AppRegistration, Delivery, Mailbox
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.models.senders import SECRETS, secrets_of
from mailrelay.outbox.operators import registrations
from mailrelay.outbox.rules import limits
from mailrelay.outbox.settling import request_size
from mailrelay.status.words import reason_words
from mailrelay.vocabulary import ManagedBy, State

#: What a person may set.
LIMITS = (
    "concurrency",
    "messages_per_minute",
    "requests_per_10_minutes",
    "upload_bytes_per_5_minutes",
    "recipients_per_day",
    "recipients_per_message",
    "max_message_size",
)
#: What is shown of its use now, and of what Microsoft was seen to allow.
USE = ("state", "waiting", "in_flight", "bucket", "last_success")
LEARNED = ("whole", "large", "reading")
#: Waiting deliveries that are counted at most.
COUNTED = 1000


class MailboxForm(ModelForm[Mailbox]):
    address = AddressField(
        parsing.mailbox_address, help_text="The mailbox that Microsoft 365 knows. It stays as it is entered."
    )
    user_id = ReadField(parsing.mailbox_key, required=False, help_text=Mailbox.user_id.field.help_text)

    class Meta:
        model = Mailbox
        fields = ("registration", "address", "user_id", *LIMITS)


@admin.register(Mailbox, site=site)
class MailboxAdmin(ConfigurationAdmin[Mailbox]):
    form = MailboxForm
    list_display = ("mailbox", "standing", "in_flight", "bucket", "last_success")
    search_fields = ("address",)
    ordering = ("address",)
    present: ClassVar[tuple[str, ...]] = (*USE, *LEARNED)
    fieldsets = (
        (None, {"fields": ("registration", "address", "user_id")}),
        ("Present use", {"fields": USE}),
        (
            "Found out from Microsoft",
            {
                "fields": LEARNED,
                "description": "What Graph answered decides which mail goes whole and which as a draft with "
                "uploads.",
            },
        ),
        (
            "Limits",
            {
                "fields": LIMITS,
                "description": "Microsoft allows four requests in flight for a mailbox and thirty messages a "
                "minute. More is refused with 429, which slows the mailbox down.",
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mailbox]:
        running = Delivery.objects.filter(IN_FLIGHT, mailbox=OuterRef("pk")).order_by().values("mailbox")
        count = Subquery(running.annotate(n=Count("pk")).values("n"), output_field=IntegerField())
        rows = (
            super().get_queryset(request).select_related("registration").annotate(running=Coalesce(count, 0))
        )
        return rows.defer(*secrets_of("registration"))

    def owner(self, row: Mailbox) -> ManagedBy:
        """A mailbox belongs to whatever keeps its sender."""
        kept = row.senders.exclude(managed_by=ManagedBy.ADMIN).values_list("managed_by", flat=True).first()
        return ManagedBy(kept or ManagedBy.ADMIN)

    def in_use(self, row: Mailbox) -> str:
        if row.senders.exists():
            return (
                f"The mailbox {row.address} cannot be deleted: a sender uses it. Let the sender use another."
            )
        if row.deliveries.exists():
            return (
                f"The mailbox {row.address} cannot be deleted: messages on record went or wait to go "
                "through it. It can go once they are past their retention."
            )
        return ""

    def get_readonly_fields(self, request: HttpRequest, obj: Mailbox | None = None) -> Any:
        identity = ("registration", "address") if obj is not None else ()
        return (*super().get_readonly_fields(request, obj), *identity)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["queryset"] = AppRegistration.objects.defer(*SECRETS).order_by("name")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Mailbox, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change:
            self.after_commit(request, lambda: registrations.try_now(obj))

    @admin.display(description="mailbox")
    def mailbox(self, row: Mailbox) -> SafeString:
        return two_lines(row.address, f"through {row.registration.name}")

    @admin.display(description="state")
    def standing(self, row: Mailbox) -> SafeString:
        now = timezone.now()
        if row.blocked:
            return two_lines(badge(reason_words(row.blocked).title, "bad"), _probe(row, now))
        if row.registration.failing:
            return badge("App registration failing", "bad")
        if not row.registration.active:
            return badge("App registration off", "quiet")
        if row.paused_until is not None and row.paused_until > now:
            return two_lines(badge("Paused", "waiting"), f"goes on {relative(row.paused_until, now)}")
        return badge("Open", "good")

    @admin.display(description="state")
    def state(self, row: Mailbox) -> SafeString:
        """Say why it stands still, if it does, and what to do."""
        if row.blocked:
            return two_lines(self.standing(row), row.blocked_text)
        if row.registration.failing:
            return two_lines(self.standing(row), row.registration.failing_text)
        return two_lines(self.standing(row), row.pause_text)

    @admin.display(description="requests")
    def in_flight(self, row: Any) -> str:
        return (
            f"{row.running} of {row.concurrency} in flight" if row.concurrency else f"{row.running} in flight"
        )

    @admin.display(description="pace")
    def bucket(self, row: Mailbox) -> str:
        if not row.messages_per_minute:
            return "no limit a minute"
        return f"{limits.left(row, timezone.now())} of {row.messages_per_minute} left"

    @admin.display(description="waiting")
    def waiting(self, row: Mailbox) -> str:
        mine = Delivery.objects.filter(mailbox=row).order_by()
        counts = {
            state: mine.filter(state=state)[: COUNTED + 1].count() for state in (State.QUEUED, State.HELD)
        }
        said = (f"{f'more than {COUNTED}' if n > COUNTED else n} {state}" for state, n in counts.items())
        return ", ".join(said)

    @admin.display(description="whole messages")
    def whole(self, row: Mailbox) -> SafeString | str:
        """Say up to what size mail goes in one request, and since when less than by the documents."""
        limit = f"up to {size(row.direct_limit)} in one request"
        learned = row.direct_limit_learned_at
        if learned is None:
            return limit
        now = timezone.now()
        return two_lines(
            limit,
            f"Lowered {relative(learned, now)}, on {exact(learned)}, when Microsoft did not take "
            f"a larger one; forgotten {relative(learned + request_size.BELIEVED, now)}.",
        )

    @admin.display(description="large mail")
    def large(self, row: Mailbox) -> SafeString | str:
        return _asked(
            row,
            answer=row.can_draft,
            yes=f"up to {size(row.max_message_size)}, as drafts with uploads",
            no="not possible: the application may not write drafts here (Mail.ReadWrite)",
        )

    @admin.display(description="looking up uncertain mail")
    def reading(self, row: Mailbox) -> SafeString | str:
        return _asked(
            row,
            answer=row.can_read,
            yes="in Sent Items",
            no="not possible: the application may not read here (Mail.ReadBasic)",
        )

    @admin.display(description="last sent")
    def last_success(self, row: Mailbox) -> SafeString:
        return moment(row.succeeded_at, timezone.now()) if row.succeeded_at else NOTHING


def _asked(row: Mailbox, *, answer: bool | None, yes: str, no: str) -> SafeString | str:
    """Say what the application may do in a mailbox, and since when that is known."""
    if answer is None:
        return "not known yet"
    asked = row.access_checked_at
    said = yes if answer else no
    return two_lines(said, f"Found out on {exact(asked)}.") if asked else said


def _probe(row: Mailbox, now: datetime) -> str:
    return f"tried again {relative(row.probe_at, now)}" if row.probe_at and row.probe_at > now else ""
