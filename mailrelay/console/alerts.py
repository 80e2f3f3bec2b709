"""The screens of alerts: what is the matter, and who is told about it."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from mailrelay.console.cells import badge, moment, two_lines
from mailrelay.console.configuration import ConfigurationAdmin
from mailrelay.console.fields import WordsField
from mailrelay.console.generic import ModelForm
from mailrelay.console.lists import ReadOnlyAdmin
from mailrelay.console.site import site
from mailrelay.models import Alert, AlertChannel
from mailrelay.notify import channels, webhook
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import Channel, Condition

CONDITIONS = (
    (Condition.BACKLOG, "Mail waits for longer than ALERT_BACKLOG_SECONDS"),
    (Condition.FAILURES, "More than ALERT_FAILURE_PERCENT of an hour's mail fails"),
    (Condition.HELD, "A sender stands still: its token or its mailbox is refused"),
    (Condition.EXPIRY, "A secret or certificate ends in 30, 14, 3 or 1 days"),
    (Condition.NO_WORKER, "No worker is alive"),
)
KINDS = (
    (Channel.EMAIL, "E-mail, through a sender that works"),
    (Channel.WEBHOOK, "Webhook, JSON"),
    (Channel.SLACK, "Slack incoming webhook"),
    (Channel.TEAMS, "Teams workflow webhook"),
)
KEPT = "A URL is stored. It is a secret and not shown; leave this empty to keep it."


class ChannelForm(ModelForm[AlertChannel]):
    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect, initial=Channel.EMAIL, label="By")
    webhook_url = forms.CharField(
        required=False,
        max_length=2000,
        label="Webhook URL",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "size": 60}),
    )
    conditions = WordsField(
        choices=CONDITIONS,
        initial=[condition.value for condition in Condition],
        label="Of what",
    )

    class Meta:
        model = AlertChannel
        fields = ("name", "active", "kind", "address", "conditions", "digest_minutes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without reading it, which a lost key makes impossible.
        self._has_url = AlertChannel.objects.filter(pk=self.instance.pk).exclude(url="").exists()
        if "webhook_url" in self.fields:
            self.fields["webhook_url"].help_text = KEPT if self._has_url else "Begins with https://."

    def clean_webhook_url(self) -> str:
        url = str(self.cleaned_data["webhook_url"]).strip()
        if url and (reason := webhook.fault(url)):
            raise forms.ValidationError(reason)
        return url

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        wants_url = cleaned.get("kind") != Channel.EMAIL and "webhook_url" not in self.errors
        if wants_url and not (cleaned.get("webhook_url") or self._has_url):
            self.add_error("webhook_url", "Enter the URL to post to.")
        return cleaned


@admin.register(AlertChannel, site=site)
class ChannelAdmin(ConfigurationAdmin[AlertChannel]):
    form = ChannelForm
    change_form_template = "console/alert_channel.html"
    list_display = ("name", "way", "told_of", "standing", "last_told")
    ordering = ("name",)
    fields = ("name", "active", "kind", "address", "webhook_url", "conditions", "digest_minutes")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertChannel]:
        return super().get_queryset(request).defer("url")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_view)
        return [path("<int:pk>/test/", view, name="alertchannel_test"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: AlertChannel, form: Any, change: bool) -> None:
        if url := form.cleaned_data["webhook_url"]:
            obj.url = url
        # What failed before is tried at once with what was changed.
        obj.failures, obj.last_error, obj.next_at = 0, "", None
        super().save_model(request, obj, form, change)

    def changed_columns(self, form: forms.Form) -> list[str]:
        url = ["url"] if form.cleaned_data.get("webhook_url") else []
        return [*super().changed_columns(form), *url, "failures", "last_error", "next_at"]

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test by a POST, and say what came of it."""
        row = self.get_object(request, str(pk))
        if row is None:
            raise Http404
        if not self.has_change_permission(request, row) or request.method != "POST":
            raise PermissionDenied
        reason = channels.test(row, request.user.get_username())
        if reason:
            self.message_user(request, f"The test was not taken: {reason}.", messages.ERROR)
        else:
            text = "is queued as a mail" if row.kind == Channel.EMAIL else "was taken"
            self.message_user(request, f"The test {text}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:mailrelay_alertchannel_change", args=[pk]))

    @admin.display(description="by")
    def way(self, row: AlertChannel) -> SafeString:
        where = (row.address or "OPERATIONS_ADDRESS") if row.kind == Channel.EMAIL else ""
        return two_lines(dict(KINDS)[Channel(row.kind)].partition(",")[0], where)

    @admin.display(description="of")
    def told_of(self, row: AlertChannel) -> str:
        return ", ".join(word.replace("_", " ") for word in row.conditions.split())

    @admin.display(description="state")
    def standing(self, row: AlertChannel) -> SafeString:
        if not row.active:
            return badge("Off", "quiet")
        if row.failures:
            return two_lines("Not taken", row.last_error)
        return badge("Works" if row.told_at else "Nothing told yet", "good" if row.told_at else "quiet")

    @admin.display(description="last told")
    def last_told(self, row: AlertChannel) -> SafeString:
        return moment(row.told_at, clock.now())


@admin.register(Alert, site=site)
class AlertAdmin(ReadOnlyAdmin[Alert]):
    list_display = ("matter", "standing", "since", "until")
    list_filter = ("condition",)
    ordering = ("-began_at",)
    list_display_links = None
    actions = None
    show_facets = admin.ShowFacets.NEVER

    @admin.display(description="what")
    def matter(self, row: Alert) -> SafeString:
        return two_lines(row.subject, row.text)

    @admin.display(description="state")
    def standing(self, row: Alert) -> SafeString:
        return badge("Over", "quiet") if row.ended_at else badge("Present", "bad")

    @admin.display(description="since")
    def since(self, row: Alert) -> SafeString:
        return moment(row.began_at, clock.now())

    @admin.display(description="until")
    def until(self, row: Alert) -> SafeString:
        return moment(row.ended_at)
