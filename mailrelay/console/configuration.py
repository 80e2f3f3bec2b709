"""Shared by the pages of the configuration: rows of the environment and of files, and rows in use.

A change writes the columns that the person changed and no others: the rows of mailboxes and registrations
are moved by the queue all the time, and an old form must not undo that.
"""

import hashlib
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.contrib import messages
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models, transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from mailrelay.console.fields import of_model
from mailrelay.console.generic import ModelForm
from mailrelay.console.lists import ListAdmin
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.scheduling import scheduler
from mailrelay.vocabulary import ManagedBy

M = TypeVar("M", bound=models.Model)

OWNERS = {
    ManagedBy.ENVIRONMENT: "This comes from the environment variables of the gateway and cannot be changed "
    "here: change the variables and start the gateway again.",
    ManagedBy.FILE: "This comes from a configuration file and cannot be changed here: change the file and "
    "apply it again.",
}


#: The form's field with what the page showed, and what a form says that was opened before somebody's change.
SEEN = "seen"
STALE = (
    "Nothing was stored: {fields} changed since you opened this page. Open it again and enter your change "
    "again, so that it does not undo that one."
)


def seen_in(form: Any) -> list[str]:
    """Return a word for each field of a form that tells its value of today from others."""
    values = ((name, form.get_initial_for_field(field, name)) for name, field in form.fields.items())
    return [f"{name}={hashlib.sha256(repr(value).encode()).hexdigest()[:12]}" for name, value in values]


def _guarded(form: type[ModelForm[M]], seen: str) -> type[ModelForm[M]]:
    """Make the form refuse values that were shown before they changed; `seen` came with them."""

    class Guarded(form):  # type: ignore[valid-type, misc]
        def clean(self) -> Any:
            cleaned = super().clean()
            changed = [word.partition("=")[0] for word in seen_in(self) if word not in seen.split()]
            if changed:
                names = ", ".join(f"“{self.fields[name].label or name}”" for name in changed)
                raise ValidationError(STALE.format(fields=names))
            return cleaned

    return Guarded


class ConfigurationAdmin(ListAdmin[M]):
    """A screen of rows that people may edit, unless something else than people owns them."""

    change_form_template = "console/configuration_form.html"
    actions = None
    #: Read-only fields below the form that say how the row fares.
    present: ClassVar[tuple[str, ...]] = ()
    #: Fields that make no sense where nothing can be entered.
    entry_only: ClassVar[tuple[str, ...]] = ()

    def formfield_for_dbfield(
        self, db_field: "models.Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Make the form's field of a model's, which reads as variables and files do."""
        return super().formfield_for_dbfield(db_field, request, **of_model(db_field), **kwargs)

    def owner(self, row: M) -> ManagedBy:
        """Who owns `row`: people edit what is the admin's."""
        return ManagedBy(getattr(row, "managed_by", ManagedBy.ADMIN))

    def in_use(self, row: M) -> str:  # noqa: ARG002 - whose rows others depend on looks at it
        """Return the sentence that says why `row` cannot be deleted; empty when it can."""
        return ""

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_ours(obj)

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_ours(obj)

    def _is_ours(self, row: M | None) -> bool:
        return row is None or self.owner(row) == ManagedBy.ADMIN

    def get_readonly_fields(self, request: HttpRequest, obj: M | None = None) -> Any:
        return (*super().get_readonly_fields(request, obj), *self.present)

    def get_fieldsets(self, request: HttpRequest, obj: M | None = None) -> Any:
        """Leave out what a new row has not, and what a reader cannot enter."""
        hidden = set(self.present) if obj is None else set()
        if obj is not None and not self.has_change_permission(request, obj):
            hidden |= set(self.entry_only)
        return [
            (title, {**options, "fields": fields})
            for title, options in super().get_fieldsets(request, obj)
            if (fields := [name for name in options["fields"] if name not in hidden])
        ]

    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[M]]:
        form: type[ModelForm[M]] = super().get_form(request, obj, change, **kwargs)
        seen = request.POST.get(SEEN, "") if obj is not None else ""
        return _guarded(form, seen) if seen else form

    def save_model(self, request: HttpRequest, obj: M, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=self.changed_columns(form))
        else:
            super().save_model(request, obj, form, change)

    def changed_columns(self, form: Form) -> list[str]:
        """List the columns behind what the person changed in `form`."""
        return [name for name in form.changed_data if self._is_column(name)]

    def _is_column(self, name: str) -> bool:
        try:
            return bool(self.opts.get_field(name).concrete)
        except FieldDoesNotExist:
            return False

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: M | None = None,
    ) -> HttpResponse:
        context["owner"] = OWNERS.get(self.owner(obj)) if obj is not None else None
        if change:
            context[SEEN] = request.POST.get(SEEN) or " ".join(seen_in(context["adminform"].form))
        # One way to save: three buttons that differ by where one lands are two too many.
        if obj is not None:
            context |= {"title": str(obj), "subtitle": None}
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refuse before Django lists everything that protects the row, which may be a million messages."""
        row = self.get_object(request, object_id)
        reason = self.in_use(row) if row is not None and self.has_delete_permission(request, row) else ""
        if row is None or not reason:
            return super().delete_view(request, object_id, extra_context)
        self.message_user(request, reason, messages.ERROR)
        options = self.opts
        address = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])
        return HttpResponseRedirect(address)

    def after_commit(self, request: HttpRequest, follow: Callable[[], object]) -> None:
        """Run what follows from a change once it is committed.

        The queue's writer on SQLite has a connection of its own, and would wait for this one.
        """

        def run() -> None:
            try:
                follow()
            except OutboxError as error:
                text = f"The change was stored, but what follows from it was not: {error} Save it once more."
                self.message_user(request, text, messages.ERROR)
            scheduler.wake()

        transaction.on_commit(run)
