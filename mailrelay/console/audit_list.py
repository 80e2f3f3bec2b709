"""The screen of the audit list: who did what, and who looked at what. Nothing of it can be changed."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from mailrelay.console.cells import two_lines
from mailrelay.console.generic import ModelAdmin
from mailrelay.console.site import site
from mailrelay.models import AuditEvent


@admin.register(AuditEvent, site=site)
class AuditAdmin(ModelAdmin[AuditEvent]):
    list_display = ("moment", "who", "what", "detail", "status")
    search_fields = ("=actor", "=target", "=address")
    search_help_text = "A person, the id of a message or of another row, or an address."
    date_hierarchy = None
    list_per_page = 100
    show_full_result_count = False
    list_display_links = None
    ordering = ("-pk",)
    sortable_by = ()
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - nobody may
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:  # noqa: ARG002
        return False

    @admin.display(description="when (UTC)")
    def moment(self, row: AuditEvent) -> str:
        return f"{row.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="who")
    def who(self, row: AuditEvent) -> SafeString:
        return two_lines(row.actor, row.address)

    @admin.display(description="what")
    def what(self, row: AuditEvent) -> SafeString:
        return two_lines(row.action, row.target)
