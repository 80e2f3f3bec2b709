"""Form fields of the configuration: what is entered is read by `mailrelay.models.written`, or refused."""

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from gateway import texts
from gateway.env import PRIVATE_NETWORKS
from mailrelay.models import written

Read = Callable[[str], str]


class LinesField(forms.CharField):
    """Words, one a line, in lower case and each once; spaces and commas part them as well.

    `read` gives a word as it is kept, or raises ValueError with what is wrong with it; `shorthands` are
    words that stand for several.
    """

    def __init__(
        self,
        read: Read,
        *,
        shorthands: dict[str, tuple[str, ...]] | None = None,
        rows: int = 4,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("required", False)
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocapitalize": "none"})
        self._read, self._shorthands = read, shorthands or {}
        super().__init__(widget=widget, **kwargs)

    def to_python(self, value: Any) -> str:
        words = re.split(r"[\s,;]+", str(value or "").lower().strip())
        found: list[str] = []
        wrong: list[ValidationError] = []
        for part in (part for word in words if word for part in self._shorthands.get(word, (word,))):
            try:
                found.append(self._read(part))
            except ValueError as problem:
                wrong.append(ValidationError(str(problem)))
        if wrong:
            raise ValidationError(wrong)
        return "\n".join(dict.fromkeys(found))


class AddressesField(LinesField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(written.address, **kwargs)


class DomainsField(LinesField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(written.domain, **kwargs)


class PatternsField(LinesField):
    """Addresses, and domains behind an @."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(written.pattern, **kwargs)


class NetworksField(LinesField):
    """Networks as CIDRs; the word `private` is written out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(_network, shorthands={"private": PRIVATE_NETWORKS}, **kwargs)


def _network(word: str) -> str:
    """Check a network, and keep it as it was entered: a single address stays one."""
    written.network(word)
    return word


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
        try:
            return texts.aliases(str(super().clean(value)))
        except ValueError as problem:
            raise ValidationError(f"This list {problem}.") from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class ReadField(forms.CharField):
    """One value as `read` gives it; `read` raises ValueError with what is wrong with it."""

    def __init__(self, read: Read, **kwargs: Any) -> None:
        self._read = read
        super().__init__(**kwargs)

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        try:
            return self._read(text) if text else text
        except ValueError as problem:
            raise ValidationError(str(problem)) from None


class LimitField(forms.IntegerField):
    """A limit; nothing entered is 0, which is none of its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, min_value=0, max_value=2**31 - 1, **kwargs)

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
        super().__init__(written.tenant, **kwargs)


class DomainField(ReadField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(written.domain, required=False, **kwargs)


class ClientIdField(ReadField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(written.client_id, **kwargs)


class HttpsOriginField(ReadField):
    """An https address without a path, which tokens and mail may be sent to."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(written.https_origin, **kwargs)


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
