"""The form in which a new client secret or certificate is pasted, and what it is read as."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from mailrelay import parsing
from mailrelay.console.fields import DayField, NewCertificateField, NewSecretField, entered
from mailrelay.graph.credentials import Credential, armoured
from mailrelay.outbox.operators.registrations import NewCredential
from mailrelay.vocabulary import CredentialKind

#: Bytes of a certificate's file; with a chain they are a few thousand.
FILE_LIMIT = 65_536


class ProofForm(forms.Form):
    secret = NewSecretField(
        label="New client secret",
        help_text="Its value, which Entra ID shows once, when it is made; not its id.",
    )
    ends_on = DayField(
        required=False,
        label="The secret ends on",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="As Entra ID shows it: no token tells. You are warned before.",
    )
    certificate = NewCertificateField(label="Or a certificate with its key, as PEM")
    file = forms.FileField(required=False, label="Or its file, PEM or PFX")
    password = NewSecretField(label="Password of the certificate's key, where there is one")

    def clean_secret(self) -> str:
        return value_of(self.cleaned_data["secret"])

    def clean_file(self) -> str:
        """Read the file as text; a PFX becomes text as it is kept."""
        upload = self.cleaned_data["file"]
        if upload is None:
            return ""
        if upload.size > FILE_LIMIT:
            raise ValidationError("That is too large for a certificate: 64 KiB at most.")
        data: bytes = upload.read()
        return data.decode("utf-8", "replace") if b"-----BEGIN" in data else armoured(data)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        given = [name for name in ("secret", "certificate", "file") if cleaned.get(name)]
        if not self.errors and len(given) != 1:
            raise ValidationError("Enter one of the three: a client secret, a certificate, or its file.")
        if not self.errors:
            cleaned["proof"] = self._proof()
        return cleaned

    def _proof(self) -> NewCredential:
        cleaned = self.cleaned_data
        if cleaned["secret"]:
            return NewCredential(CredentialKind.SECRET, cleaned["secret"], ends_on=cleaned["ends_on"])
        text, password = cleaned["certificate"] or cleaned["file"], cleaned["password"]
        return NewCredential(CredentialKind.CERTIFICATE, text, password, ends_at=end_of(text, password))


def value_of(secret: str | None) -> str:
    """Take a secret as it was pasted; ValidationError where it is the secret's id."""
    return entered(lambda: parsing.client_secret(str(secret or "").strip()))


def end_of(text: str, password: str) -> datetime:
    """Read the certificate's end; ValidationError says what is wrong with it."""
    # Here, since these parts of cryptography cost memory that nothing else of the web needs.
    from mailrelay.graph.certificates import CertificateError, expires_at

    probe = Credential(
        key="", tenant_id="", client_id="", certificate_pem=text, certificate_password=password
    )
    try:
        end = datetime.fromtimestamp(expires_at(probe), UTC)
    except CertificateError as problem:
        raise ValidationError(f"The certificate cannot be used: {problem}.") from None
    if end < datetime.now(UTC):
        raise ValidationError(f"The certificate ended on {end:%d %b %Y}: make another one.")
    return end
