"""A client certificate in the shape that msal wants, from a PEM or PFX file or from PEM text."""

import base64
import binascii
import re
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12

from mailrelay.graph.credentials import PFX_BEGIN, PFX_END, Credential

_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


class CertificateError(Exception):
    """What is wrong with a certificate, as a clause without any of its bytes."""


def client_certificate(credential: Credential) -> dict[str, Any]:
    """Give msal's `client_credential` for a certificate. Raises CertificateError."""
    key, certificate = load(credential)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # Without a thumbprint msal signs PS256 with the SHA-256 one; with one it uses SHA-1, which is deprecated.
    return {
        "private_key": private.decode("ascii"),
        "public_certificate": certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
    }


def expires_at(credential: Credential) -> float:
    """When the certificate ends, in unix seconds. Raises CertificateError."""
    return load(credential)[1].not_valid_after_utc.timestamp()


def load(credential: Credential) -> tuple[PrivateKeyTypes, x509.Certificate]:
    """Give the private key and the certificate that belongs to it. Raises CertificateError."""
    data = _bytes(credential)
    password = credential.certificate_password.encode() or None
    key, certificates = _from_pem(data, password) if b"-----BEGIN" in data else _from_pfx(data, password)
    for certificate in certificates:  # a file may hold the chain too, in any order
        if certificate.public_key() == key.public_key():
            return key, certificate
    raise CertificateError("it holds no certificate for its private key")


def _bytes(credential: Credential) -> bytes:
    if credential.certificate_pem:
        return _unarmoured(credential.certificate_pem)
    if not credential.certificate_path:
        raise CertificateError("its certificate is not set")
    try:
        return Path(credential.certificate_path).read_bytes()
    except OSError as error:
        problem = error.strerror or "unreadable"
        raise CertificateError(f"the file {credential.certificate_path} cannot be read ({problem})") from None


def _unarmoured(text: str) -> bytes:
    if not text.startswith(PFX_BEGIN):
        return text.encode()
    try:
        return base64.b64decode(text[len(PFX_BEGIN) :].partition(PFX_END)[0])
    except binascii.Error:
        raise CertificateError("the PFX that is stored cannot be read; enter it again") from None


def _from_pem(data: bytes, password: bytes | None) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    block = _KEY.search(data)
    if block is None:
        raise CertificateError("the PEM holds no private key")
    try:
        encrypted = b"ENCRYPTED" in block[0]
        key = serialization.load_pem_private_key(block[0], password if encrypted else None)
    except (ValueError, TypeError):
        raise CertificateError(
            "its private key cannot be read; the password may be wrong or missing"
        ) from None
    try:
        return key, x509.load_pem_x509_certificates(data)
    except ValueError:
        raise CertificateError("the PEM holds no readable certificate") from None


def _from_pfx(data: bytes, password: bytes | None) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(data, password)
    except ValueError:
        raise CertificateError("the file is neither PEM nor a PFX that its password opens") from None
    if key is None or certificate is None:
        raise CertificateError("the PFX lacks a private key or its certificate")
    return key, [certificate, *others]
