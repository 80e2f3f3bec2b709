"""The views of what is in a message: each look is for who may read content, and on record."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from mailrelay.console import cells, message_preview
from mailrelay.console.lists import ReadOnlyAdmin
from mailrelay.console.message_content import download
from mailrelay.models import Message
from mailrelay.outbox.db import clock
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.status.messages import content_kept


class ContentViews(ReadOnlyAdmin[Message]):
    """What the screen of messages shows of their content."""

    def has_view_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:  # noqa: ARG002
        return bool(request.user.has_perm("mailrelay.view_message"))

    def raw_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Hand out the raw message to anyone who may read content."""
        message = self._readable(request, pk)
        try:
            return download(request, message)
        except ContentRemovedError as removed:
            messages.error(request, str(removed))
            return self._to_page(pk)

    def content_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Show what is in a message to anyone who may read content."""
        message = self._readable(request, pk)
        try:
            preview = message_preview.of(message)
        except ContentRemovedError as removed:
            messages.error(request, str(removed))
            return self._to_page(pk)
        kept, at = content_kept(message)
        answer = self._render(
            request,
            "console/message_content.html",
            message.subject or "(no subject)",
            message=message,
            preview=preview,
            kept=kept,
            kept_when=cells.moment(at, clock.now()) if at else "",
        )
        answer.headers["Content-Security-Policy"] = message_preview.PAGE_POLICY
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def html_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Answer the HTML for the frame of the page."""
        message = self._readable(request, pk)
        try:
            return message_preview.html(request, message)
        except ContentRemovedError as removed:
            raise Http404(str(removed)) from None

    def attachment_view(self, request: HttpRequest, pk: UUID, number: int) -> HttpResponseBase:
        message = self._readable(request, pk)
        try:
            answer = message_preview.attachment(message, number)
        except ContentRemovedError as removed:
            raise Http404(str(removed)) from None
        if answer is None:
            raise Http404("The message has no such file.")
        return answer

    def _render(self, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
        common = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, template, {**common, **context})

    def _readable(self, request: HttpRequest, pk: UUID) -> Message:
        """Find a message for somebody who may read its content."""
        if not self.has_view_permission(request) or not request.user.has_perm("mailrelay.view_content"):
            raise PermissionDenied
        return self._find(pk)

    def _find(self, pk: UUID) -> Message:
        message = Message.objects.filter(pk=pk).first()
        if message is None:
            raise Http404("There is no such message.")
        return message

    def _to_page(self, pk: UUID) -> HttpResponseRedirect:
        return HttpResponseRedirect(self._page_address(pk))

    def _page_address(self, pk: UUID) -> str:
        return reverse("admin:mailrelay_message_change", args=[pk])
