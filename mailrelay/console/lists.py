"""Shared by the lists of the console: a heading in plain words, and lists without editing."""

from typing import Any, TypeVar

from django.db import models
from django.http import HttpRequest, HttpResponse

from mailrelay.console.generic import ModelAdmin
from mailrelay.status import glossary

M = TypeVar("M", bound=models.Model)


class ListAdmin(ModelAdmin[M]):
    """A screen whose list is headed by what is listed."""

    sortable_by = ()
    list_per_page = 50
    #: The heading, where it is not the plural of the rows.
    heading = ""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        plural = str(self.opts.verbose_name_plural)
        title = self.heading or plural[:1].upper() + plural[1:]
        word = str(self.opts.verbose_name)
        known = glossary.anchor(word) in map(glossary.anchor, glossary.WORDS)
        more = {"title": title, "word": glossary.anchor(word) if known else ""}
        return super().changelist_view(request, {**more, **(extra_context or {})})


class ReadOnlyAdmin(ListAdmin[M]):
    """A screen of rows that the gateway writes, and nobody else."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:  # noqa: ARG002
        return False
