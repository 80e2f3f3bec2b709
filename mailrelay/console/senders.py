"""The screen of senders: whose mail goes out through which mailbox."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from mailrelay import parsing
from mailrelay.console.cells import badge, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.fields import AddressesField, AddressField, DomainsField
from mailrelay.console.generic import ModelChoiceField, ModelForm
from mailrelay.console.sender_page import SenderPage
from mailrelay.console.site import site
from mailrelay.models import AppRegistration, Delivery, Mailbox, SenderConfig
from mailrelay.models.senders import SECRETS, secrets_of
from mailrelay.outbox.operators import registrations
from mailrelay.routing import fallbacks
from mailrelay.vocabulary import (
    FromPolicy,
    Invitations,
    LargeMail,
    LargeText,
    ManagedBy,
    SentItems,
    UncertainPolicy,
)

FROM_POLICIES = (
    (FromPolicy.REWRITE, "Rewrite it: From becomes the mailbox, the original goes to Reply-To"),
    (FromPolicy.REQUIRE, "Refuse the mail with 550 5.7.60"),
    (FromPolicy.SEND_AS, "Leave it: Microsoft decides, the mailbox needs the Send As permission"),
    (FromPolicy.OWN_MAILBOX, "Send through the mailbox that From names, for the addresses and domains above"),
)
UNCERTAIN_POLICIES = (
    (UncertainPolicy.RESEND, "Send it once more after a while: it may arrive twice"),
    (UncertainPolicy.HOLD, "Hold it until a person decides"),
    (UncertainPolicy.FAIL, "Give it up: it may never arrive"),
)
SENT_ITEMS = (
    (SentItems.KEEP, "Keep it"),
    (SentItems.REMOVE, "Remove it once it lies there: the application needs Mail.ReadWrite"),
)
LARGE_MAIL = (
    (LargeMail.AUTO, "When the application may (Mail.ReadWrite)"),
    (LargeMail.ON, "Always"),
    (LargeMail.OFF, "Never: refuse it"),
)

INVITATIONS = (
    (Invitations.FILE, "Attach it as a file, to be opened"),
    (Invitations.REFUSE, "Refuse the mail with 554 5.6.2"),
    (Invitations.LEAVE, "Leave it as it is: Microsoft may send it to the people in the calendar instead"),
)
LARGE_TEXT = (
    (LargeText.FILE, "Send it as a file, with a short text in front"),
    (LargeText.REFUSE, "Refuse it"),
)


class SwitchedChoice(ModelChoiceField[Any]):
    """A choice of rows that may be switched off."""

    def label_from_instance(self, obj: Any) -> str:
        return str(obj.name) if obj.active else f"{obj.name} (switched off)"


class SenderForm(ModelForm[SenderConfig]):
    registration = SwitchedChoice(
        AppRegistration.objects.defer(*SECRETS).order_by("name"), label="App registration"
    )
    mailbox_address = AddressField(
        parsing.mailbox_address,
        label="Mailbox",
        help_text="The address in /users/…/sendMail. Mail that waits follows when this is changed.",
    )
    addresses = AddressesField(help_text="From addresses that choose this sender, one a line.")
    domains = DomainsField(help_text="From domains that choose this sender, one a line.")
    from_policy = forms.ChoiceField(
        choices=FROM_POLICIES,
        initial=FromPolicy.REWRITE,
        widget=forms.RadioSelect,
        label="When From is another address",
    )
    uncertain_policy = forms.ChoiceField(
        choices=UNCERTAIN_POLICIES,
        initial=UncertainPolicy.RESEND,
        widget=forms.RadioSelect,
        label="When Microsoft may or may not have sent it",
    )
    large_mail = forms.ChoiceField(
        choices=LARGE_MAIL, initial=LargeMail.AUTO, widget=forms.RadioSelect, label="Mail of more than 3 MB"
    )
    invitations = forms.ChoiceField(
        choices=INVITATIONS,
        initial=Invitations.FILE,
        widget=forms.RadioSelect,
        label="An invitation whose calendar does not name exactly the recipients",
    )
    large_text = forms.ChoiceField(
        choices=LARGE_TEXT,
        initial=LargeText.FILE,
        widget=forms.RadioSelect,
        label="A text of more than 3 MB",
    )
    sent_items = forms.ChoiceField(
        choices=SENT_ITEMS,
        initial=SentItems.KEEP,
        widget=forms.RadioSelect,
        label="The copy in Sent Items",
    )
    fallback = SwitchedChoice(
        SenderConfig.objects.order_by("name"),
        required=False,
        empty_label="Nobody: it waits",
        label="While it is held, send through",
        help_text="Only while the mailbox or the app registration is broken. That sender's policy decides "
        "what recipients see as From; what it refuses waits.",
    )

    class Meta:
        model = SenderConfig
        fields = (
            "name",
            "active",
            "is_default",
            "addresses",
            "domains",
            "from_policy",
            "rewrite_signed",
            "headers_rule",
            "uncertain_policy",
            "large_mail",
            "large_text",
            "invitations",
            "sent_items",
            "own_message_ids",
            "fallback",
            "bounce_policy",
            "redirect_all_to",
        )
        labels: ClassVar[dict[str, str]] = {
            "rewrite_signed": "Rewrite signed mail too",
            "headers_rule": "The header says who gets the mail",
        }
        help_texts: ClassVar[dict[str, str]] = {
            "is_default": "Takes mail whose From no sender names.",
            "rewrite_signed": "Although that breaks the signature. Otherwise such mail is refused.",
            "headers_rule": "To, Cc and Bcc instead of RCPT TO. An application that hands in a message once "
            "for each recipient would then send it to all of them each time.",
            "redirect_all_to": "Every mail goes here instead of its recipients.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            mailbox = self.instance.mailbox
            self.initial["registration"] = mailbox.registration_id
            self.initial["mailbox_address"] = mailbox.address

    def clean_is_default(self) -> bool:
        """Refuse a second default. The environment's gives way by itself: nobody could take it off there."""
        wanted = bool(self.cleaned_data["is_default"])
        other = self._others().filter(is_default=True).exclude(managed_by=ManagedBy.ENVIRONMENT).first()
        if wanted and other is not None:
            raise ValidationError(
                f"“{other.name}” is the default sender already, and there can be only one: "
                "take the default from it first."
            )
        return wanted

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("is_default") and not cleaned.get("active"):
            self.add_error("is_default", "A sender that is switched off cannot be the default.")
        for field, kind in (("addresses", "address"), ("domains", "domain")):
            self._refuse_shared(field, kind, cleaned.get(field, "").split())
        self._refuse_fallback(cleaned)
        return cleaned

    def _refuse_fallback(self, cleaned: dict[str, Any]) -> None:
        """Refuse a fallback that cannot be one, and what would make this sender unfit to be another's."""
        names = ("name", "from_policy", "redirect_all_to", "fallback")
        wanted = SenderConfig(pk=self.instance.pk, **{name: cleaned.get(name) or None for name in names})
        wanted.redirect_all_to = wanted.redirect_all_to or ""
        if wanted.fallback is not None and (why := fallbacks.problem(wanted, wanted.fallback)):
            self.add_error("fallback", f"“{wanted.fallback.name}” {why}")
        for other in SenderConfig.objects.filter(fallback=self.instance.pk) if self.instance.pk else ():
            if other.pk != self.instance.pk and (why := fallbacks.problem(other, wanted)):
                text = (
                    f"“{other.name}” falls back on this sender, which {why} Or take the fallback off there."
                )
                self.add_error(None, text)

    def _refuse_shared(self, field: str, kind: str, words: list[str]) -> None:
        """Two senders of one address would be chosen between by chance."""
        taken = {
            word: name
            for name, text in self._others().filter(active=True).values_list("name", field)
            for word in text.lower().split()
        }
        for word in words:
            if word in taken:
                self.add_error(
                    field,
                    f"The {kind} {word} belongs to the sender “{taken[word]}”: take it off there first.",
                )

    def _others(self) -> QuerySet[SenderConfig]:
        return SenderConfig.objects.exclude(pk=self.instance.pk)

    def _get_validation_exclusions(self) -> set[str]:
        """Leave the single default to `clean_is_default`, which says it in better words than a constraint."""
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]


@admin.register(SenderConfig, site=site)
class SenderAdmin(ConfigurationAdmin[SenderConfig]):
    form = SenderForm
    change_form_template = "console/sender_form.html"
    list_display = ("sender", "standing", "serves", "mailbox_address", "owned_by")
    list_filter = ("active",)
    search_fields = ("name", "addresses", "domains")
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "active", "is_default")}),
        ("Which mail", {"fields": ("addresses", "domains")}),
        ("Which way", {"fields": ("registration", "mailbox_address", "fallback")}),
        (
            "How",
            {
                "fields": (
                    "from_policy",
                    "rewrite_signed",
                    "headers_rule",
                    "uncertain_policy",
                    "large_mail",
                    "large_text",
                    "invitations",
                    "sent_items",
                    "own_message_ids",
                    "bounce_policy",
                )
            },
        ),
        ("Staging", {"fields": ("redirect_all_to",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SenderConfig]:
        rows = super().get_queryset(request).select_related("mailbox__registration")
        return rows.defer(*secrets_of("mailbox__registration"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.work_view)
        return [path("<int:pk>/at-work/", view, name="senderconfig_work"), *super().get_urls()]

    def work_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the sender at work; operators may test, ask Microsoft, pause and resume."""
        row = self.get_object(request, str(pk))
        person = request.user
        may = person.has_perm("mailrelay.operate_message") or person.has_perm("mailrelay.change_senderconfig")
        if (
            row is None
            or not self.has_view_permission(request, row)
            or (request.method == "POST" and not may)
        ):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": f"{row.name} at work"}
        page = SenderPage(row, request, lambda text: self.log_change(request, row, text))
        return page.respond(context, may_operate=may)

    def in_use(self, row: SenderConfig) -> str:
        if not row.messages.exists() and not Delivery.objects.filter(sender=row).exists():
            return ""
        return (
            f"The sender “{row.name}” cannot be deleted: messages on record went or wait to go through it. "
            "Switch it off instead: new mail then chooses another sender, and what waits is held."
        )

    def save_model(self, request: HttpRequest, obj: SenderConfig, form: Any, change: bool) -> None:
        chosen = form.cleaned_data
        mailbox, _ = Mailbox.objects.get_or_create(
            registration=chosen["registration"], address=chosen["mailbox_address"]
        )
        moved = change and mailbox.pk != obj.mailbox_id
        obj.mailbox = mailbox
        if obj.is_default:
            self._take_default(request, obj)
        super().save_model(request, obj, form, change)
        if moved:
            self.after_commit(request, lambda: self._follow(request, obj))

    def changed_columns(self, form: forms.Form) -> list[str]:
        way = {"registration", "mailbox_address"} & set(form.changed_data)
        return [*super().changed_columns(form), *(["mailbox"] if way else [])]

    def _take_default(self, request: HttpRequest, row: SenderConfig) -> None:
        others = SenderConfig.objects.filter(is_default=True, managed_by=ManagedBy.ENVIRONMENT)
        if others.exclude(pk=row.pk).update(is_default=False):
            text = f"“{row.name}” is the default now instead of the sender from the environment."
            self.message_user(request, text, messages.INFO)

    def _follow(self, request: HttpRequest, row: SenderConfig) -> None:
        count = registrations.follow_mailbox(row)
        if count:
            self.message_user(request, f"Mail that waits follows to {row.mailbox.address} ({count}).")

    @admin.display(description="sender")
    def sender(self, row: SenderConfig) -> str:
        return row.name

    @admin.display(description="state")
    def standing(self, row: SenderConfig) -> SafeString:
        if not row.active:
            return badge("Off", "quiet")
        if not row.mailbox.registration.active:
            return badge("App registration off", "bad")
        if row.paused_at:
            return two_lines(badge("Paused", "waiting"), f"by {row.paused_by}: {row.pause_reason}")
        return badge("Default", "good") if row.is_default else badge("On", "good")

    @admin.display(description="takes mail from")
    def serves(self, row: SenderConfig) -> SafeString:
        words = [*row.addresses.split(), *(f"@{domain}" for domain in sorted(row.domain_list))]
        shown, more = words[:3], len(words) - 3
        rest = (
            f"and {more} more" if more > 0 else "and whatever no other sender names" if row.is_default else ""
        )
        return two_lines(", ".join(shown) or row.mailbox.address, rest)

    @admin.display(description="mailbox")
    def mailbox_address(self, row: SenderConfig) -> SafeString:
        return two_lines(row.mailbox.address, f"through {row.mailbox.registration.name}")

    @admin.display(description="app registration")
    def registration(self, row: SenderConfig) -> str:
        return row.mailbox.registration.name

    @admin.display(description="kept by")
    def owned_by(self, row: SenderConfig) -> str:
        return row.get_managed_by_display()
