"""Django's admin classes with the type parameters that only its stubs know."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin

from mailrelay.console.fields import say_choices
from mailrelay.console.paging import CountedPaginator

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
    ModelForm = forms.ModelForm
    ModelChoiceField = forms.ModelChoiceField
else:

    class ModelAdmin(admin.ModelAdmin):
        # Whatever counts, may count a million rows.
        paginator = CountedPaginator
        show_full_result_count = False

        def __class_getitem__(cls, _: Any) -> Any:
            return cls

    class ModelForm(forms.ModelForm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            say_choices(self.fields.values())

        def __class_getitem__(cls, _: Any) -> Any:
            return cls

    class ModelChoiceField(forms.ModelChoiceField):
        def __class_getitem__(cls, _: Any) -> Any:
            return cls


__all__ = ["ModelAdmin", "ModelChoiceField", "ModelForm"]
