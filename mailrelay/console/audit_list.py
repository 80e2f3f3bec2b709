"""The screen of the audit list: who did what, and who looked at what. Nothing of it can be changed."""

from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from mailrelay.console.cells import two_lines
from mailrelay.console.lists import ReadOnlyAdmin
from mailrelay.console.site import site
from mailrelay.models import AuditEvent


@admin.register(AuditEvent, site=site)
class AuditAdmin(ReadOnlyAdmin[AuditEvent]):
    list_display = ("moment", "who", "what", "detail", "status")
    # `get_search_results` looks for them: Django's own way would read every entry.
    search_fields = ("actor", "target")
    search_help_text = "A person, or the id of a message or of another row: the whole of it."
    date_hierarchy = None
    list_per_page = 100
    list_display_links = None
    ordering = ("-pk",)
    actions = None

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002 - Django's signature
        queryset: QuerySet[AuditEvent],
        search_term: str,
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Find entries by their indexes alone; ids of messages are taken as the queue writes them too."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(actor=term) | Q(target__in={term, _dashed(term)})), False

    @admin.display(description="when (UTC)")
    def moment(self, row: AuditEvent) -> str:
        return f"{row.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="who")
    def who(self, row: AuditEvent) -> SafeString:
        return two_lines(row.actor, row.address)

    @admin.display(description="what")
    def what(self, row: AuditEvent) -> SafeString:
        return two_lines(row.action, row.target)


def _dashed(text: str) -> str:
    """Write an id as entries have it."""
    try:
        return str(UUID(text))
    except ValueError:
        return text
