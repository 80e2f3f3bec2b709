"""Form fields that say in a sentence what is wrong with an address, a domain, a network or a URL."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from gateway.env import PRIVATE_NETWORKS

_DOMAIN = re.compile(r"(?=.{1,253}$)[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.[^\W_](?:[\w-]{0,61}[^\W_])?)+")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Tenants of Entra ID that stand for "any", for which client credentials get no token
#: (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
_ANY_TENANT = ("common", "organizations", "consumers")


def is_domain(text: str) -> bool:
    return _DOMAIN.fullmatch(text) is not None


def is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


class LinesField(forms.CharField):
    """Words, one a line, in lower case and each once; spaces and commas part them as well."""

    def __init__(self, *, rows: int = 4, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "autocapitalize": "none"})
        super().__init__(widget=widget, **kwargs)

    def to_python(self, value: Any) -> str:
        words = re.split(r"[\s,;]+", str(value or "").lower().strip())
        return "\n".join(dict.fromkeys(part for word in words if word for part in self.parts(word)))

    def validate(self, value: str) -> None:
        super().validate(value)
        wrong = [ValidationError(text) for word in value.split() if (text := self.fault(word))]
        if wrong:
            raise ValidationError(wrong)

    def parts(self, word: str) -> tuple[str, ...]:
        """Write `word` out as what it stands for."""
        return (word,)

    def fault(self, word: str) -> str | None:
        """Return the sentence that says what is wrong with `word`."""
        raise NotImplementedError


class AddressesField(LinesField):
    def fault(self, word: str) -> str | None:
        return None if is_address(word) else f"“{word}” is not an address: write user@example.org."


class DomainsField(LinesField):
    def parts(self, word: str) -> tuple[str, ...]:
        return (word.removeprefix("@"),)

    def fault(self, word: str) -> str | None:
        if is_domain(word):
            return None
        if word.startswith("*."):
            return f"“{word}” is not a domain: subdomains are listed one by one, without an asterisk."
        return f"“{word}” is not a domain: write example.org."


class PatternsField(LinesField):
    """Addresses, and domains behind an @."""

    def fault(self, word: str) -> str | None:
        if is_address(word) or (word.startswith("@") and is_domain(word[1:])):
            return None
        return f"“{word}” is neither an address nor a domain: write user@example.org or @example.org."


class NetworksField(LinesField):
    """Networks as CIDRs; the word `private` is written out."""

    def parts(self, word: str) -> tuple[str, ...]:
        return PRIVATE_NETWORKS if word == "private" else (word,)

    def fault(self, word: str) -> str | None:
        try:
            network = ipaddress.ip_network(word, strict=False)
        except ValueError:
            return f"“{word}” is not a network: write 192.0.2.0/24, a single address, or the word private."
        if str(network.network_address) != word.partition("/")[0] and "/" in word:
            try:
                ipaddress.ip_network(word)
            except ValueError:
                return f"“{word}” has bits beyond its prefix: write {network}, or a single address."
        return None


class TenantField(forms.CharField):
    def clean(self, value: Any) -> str:
        text = str(super().clean(value)).lower()
        if text in _ANY_TENANT:
            raise ValidationError(
                f"“{text}” names no tenant, and an application gets tokens from its own alone: "
                "copy the Directory (tenant) ID from the application's overview in Entra ID."
            )
        if text and not _GUID.fullmatch(text) and not is_domain(text):
            raise ValidationError(
                "A tenant is a GUID such as 11111111-2222-3333-4444-555555555555, or a domain of it "
                "such as contoso.onmicrosoft.com."
            )
        return text


class ClientIdField(forms.CharField):
    def clean(self, value: Any) -> str:
        text = str(super().clean(value)).lower()
        if text and not _GUID.fullmatch(text):
            raise ValidationError(
                "A client id is a GUID: copy the Application (client) ID from the application's overview in "
                "Entra ID, not the id or the value of a secret."
            )
        return text


class HttpsOriginField(forms.CharField):
    """An https address without a path, which tokens and mail may be sent to."""

    def clean(self, value: Any) -> str:
        text = str(super().clean(value)).rstrip("/")
        if text and not _is_https_origin(text):
            raise ValidationError(
                "Write an https address without a path, such as https://graph.microsoft.com."
            )
        return text


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


def _is_https_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises ValueError for what is no port
    except ValueError:
        return False
    extra = parts.path or parts.query or parts.fragment or parts.username is not None
    return parts.scheme == "https" and bool(parts.hostname) and not extra and " " not in text
