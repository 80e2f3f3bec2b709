"""The listener's certificate: whether it can be used, and for how long."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from django.conf import settings

from mailrelay.diagnosis.findings import Check, Finding

CHECK = Check("certificate")
#: Days before its end at which a certificate that renews itself should have been renewed.
EARLY = 14
RENEW = "Renew it and replace the files; the listener reads them again by itself."


def of_listener() -> Iterator[Finding]:
    """Say how long the certificate of SMTP_TLS_CERT_FILE lasts; nothing where there is none."""
    path = settings.SMTP_TLS_CERT_FILE
    if not path:
        return
    try:
        found = x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError):
        yield CHECK.problem(
            f"{path} is no certificate that can be read.", "Set SMTP_TLS_CERT_FILE to a PEM file."
        )
        return
    end = found.not_valid_after_utc
    left = end - datetime.now(UTC)
    if left.total_seconds() < 0:
        yield CHECK.problem(f"The listener's certificate ended on {end:%Y-%m-%d}: clients refuse it.", RENEW)
    elif left.days < EARLY:
        yield CHECK.warning(f"The listener's certificate ends on {end:%Y-%m-%d}.", RENEW)
    else:
        yield CHECK.ok(f"The listener's certificate is valid until {end:%Y-%m-%d}.")
