"""Form fields of the configuration: what is entered is read by `mailrelay.parsing`, or refused."""

from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from mailrelay import parsing
from mailrelay.models.numbers import MOST, bounds

T = TypeVar("T")

Read = Callable[[str], str]


class LinesField(forms.CharField):
    """Words, one a line, in lower case and each once; spaces and commas part them as well.

    `read` gives a word as it is kept, or raises ValueError with what is wrong with it; `part` takes the
    words apart.
    """

    def __init__(
        self,
        read: Read,
        *,
        part: Callable[[str], Iterable[str]] = parsing.words,
        rows: int = 4,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("required", False)
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocapitalize": "none"})
        self._read, self._part = read, part
        super().__init__(widget=widget, **kwargs)

    def to_python(self, value: Any) -> str:
        found: list[str] = []
        wrong: list[ValidationError] = []
        for part in self._part(str(value or "")):
            try:
                found.append(self._read(part))
            except ValueError as problem:
                wrong.append(ValidationError(str(problem)))
        if wrong:
            raise ValidationError(wrong)
        return "\n".join(dict.fromkeys(found))


class AddressesField(LinesField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parsing.address, **kwargs)


class DomainsField(LinesField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parsing.domain, **kwargs)


class PatternsField(LinesField):
    """Addresses, and domains behind an @."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parsing.pattern, **kwargs)


class NetworksField(LinesField):
    """Networks as CIDRs; the words `private` and `loopback` are written out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(_network, part=parsing.network_words, **kwargs)


def _network(word: str) -> str:
    """Check a network, and keep it as it was entered: a single address stays one."""
    parsing.network(word)
    return word.lower()


class AliasesField(forms.CharField):
    """Names, each with whom it stands for, one a line as `/etc/aliases` has them."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocapitalize": "none"})
        super().__init__(required=False, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return "\n".join(f"{name}: {', '.join(those)}" for name, those in value.items())
        return value

    def clean(self, value: Any) -> Any:
        text = str(super().clean(value))
        return entered(lambda: parsing.aliases(text))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class ReadField(forms.CharField):
    """One value as `read` gives it; `read` raises ValueError with what is wrong with it."""

    def __init__(self, read: Read, **kwargs: Any) -> None:
        self._read = read
        super().__init__(**kwargs)

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        return entered(lambda: self._read(text)) if text else text


class AddressField(ReadField):
    """One address, in lower case."""

    def __init__(self, read: Read = parsing.address, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.EmailInput)
        super().__init__(read, **kwargs)


class WholeNumberField(forms.IntegerField):
    """A number in digits from `min_value` to `max_value`."""

    def __init__(self, *, min_value: int, max_value: int, **kwargs: Any) -> None:
        self._read = partial(parsing.whole_number, least=min_value, most=max_value)
        super().__init__(min_value=min_value, max_value=max_value, **kwargs)

    def to_python(self, value: Any) -> int | None:
        text = str("" if value is None else value).strip()
        return entered(lambda: self._read(text)) if text else None


class DayField(forms.DateField):
    """A day as 2027-03-31."""

    def to_python(self, value: Any) -> date | None:
        text = str(value or "").strip()
        return entered(lambda: parsing.day(text)) if text else None


def of_model(field: "models.Field[Any, Any]") -> dict[str, Any]:
    """Give what a model's field has to be told, so that its form reads as variables and files do."""
    if field.choices:
        return {}
    if field.get_internal_type() in MOST:
        least, most = bounds(field)
        return {"form_class": WholeNumberField, "min_value": least, "max_value": most}
    if isinstance(field, models.EmailField):
        return {"form_class": AddressField}
    return {"form_class": DayField} if type(field) is models.DateField else {}


def say_choices(fields: Iterable[forms.Field]) -> None:
    """Let fields with choices refuse a word with the sentence that variables and files give."""
    for field in fields:
        if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
            choices: Any = field.choices
            known = [str(value) for value, _ in choices]
            field.error_messages["invalid_choice"] = parsing.not_one_of("%(value)s", known)


def entered(read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as problem:
        raise ValidationError(str(problem)) from None


class LimitField(WholeNumberField):
    """A limit; nothing entered is 0, which is none of its own."""

    def __init__(self, most: int = MOST["PositiveIntegerField"], **kwargs: Any) -> None:
        super().__init__(required=False, min_value=0, max_value=most, **kwargs)

    def clean(self, value: Any) -> int:
        return int(super().clean(value) or 0)


class WordsField(forms.MultipleChoiceField):
    """Several of its choices, kept as words with blanks between them."""

    widget = forms.CheckboxSelectMultiple

    def prepare_value(self, value: Any) -> Any:
        return value.split() if isinstance(value, str) else value

    def clean(self, value: Any) -> str:
        return " ".join(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class TenantField(ReadField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parsing.tenant, **kwargs)


class DomainField(ReadField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parsing.domain, required=False, **kwargs)


class ClientIdField(ReadField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parsing.client_id, **kwargs)


class HttpsOriginField(ReadField):
    """An https address without a path, which tokens and mail may be sent to."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parsing.https_origin, **kwargs)


class NewSecretField(forms.CharField):
    """A secret that can be entered and never read back; left empty, the stored one stays."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.PasswordInput(
            render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false"}
        )
        super().__init__(required=False, widget=widget, **kwargs)


class NewCertificateField(forms.CharField):
    """A private key with its certificate as PEM, to be pasted and never read back."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})
        super().__init__(required=False, widget=widget, **kwargs)

    def clean(self, value: Any) -> str:
        text = str(super().clean(value) or "")
        if text and ("PRIVATE KEY-----" not in text or "BEGIN CERTIFICATE" not in text):
            raise ValidationError("Paste private key and certificate, each with its BEGIN and END lines.")
        return text
