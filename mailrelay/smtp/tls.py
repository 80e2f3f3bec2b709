"""The listener's certificate: loaded for two profiles, loaded again when its files change."""

import logging
import os
import ssl
import time
import warnings
from contextlib import suppress
from pathlib import Path

from mailrelay import metrics

logger = logging.getLogger(__name__)

#: What the devices of the last decades need: TLS 1.0, SHA-1 signatures, and ciphers that OpenSSL 3 hides.
LEGACY_CIPHERS = "DEFAULT:@SECLEVEL=0"


class Certificates:
    """The TLS contexts of a process, for STARTTLS and implicit TLS alike.

    Sessions keep the context that they began with, so that a new certificate ends none of them.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._loaded: tuple[tuple[int, int, int], ...] | None = None
        self._modern: ssl.SSLContext | None = None
        self._legacy: ssl.SSLContext | None = None
        self._refused = ""
        self.refresh()

    def context(self, profile: str) -> ssl.SSLContext | None:
        """The context of `modern` or `legacy`; None while no certificate could be loaded."""
        return self._legacy if profile == "legacy" else self._modern

    def refresh(self) -> None:
        """Load the files if they have changed; keep what there is if they cannot be used."""
        try:
            found = tuple(_signature(path) for path in self._files)
            if found == self._loaded:
                return
            self._modern, self._legacy = _modern(*self._files), _legacy(*self._files)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._complain(error)
            return
        self._loaded, self._refused = found, ""
        self._note_expiry()

    def _complain(self, error: Exception) -> None:
        """Say once what is wrong; files are often replaced one after the other."""
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        if reason != self._refused:
            self._refused = reason
            kept = "the one before stays in use" if self._modern else "TLS is not to be had until it is fixed"
            logger.error("the certificate in %s cannot be used: %s; %s", self._files[0], reason, kept)

    def _note_expiry(self) -> None:
        # Here, since cryptography costs 7 MiB, and a listener without TLS never needs it.
        from cryptography import x509

        try:
            found = x509.load_pem_x509_certificate(self._files[0].read_bytes())
        except (OSError, ValueError) as error:
            # OpenSSL takes more than cryptography does, such as a TRUSTED CERTIFICATE.
            with suppress(KeyError):
                metrics.TLS_EXPIRY_SECONDS.remove(str(self._files[0]))
            logger.warning("certificate loaded from %s; when it ends is not known: %s", self._files[0], error)
            return
        end = found.not_valid_after_utc
        metrics.TLS_EXPIRY_SECONDS.labels(file=str(self._files[0])).set_function(
            lambda: end.timestamp() - time.time()
        )
        logger.info("certificate loaded from %s, valid until %s", self._files[0], end.isoformat())


def _signature(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)  # noqa: PTH116 - follows the links that Kubernetes swaps
    return found.st_mtime_ns, found.st_size, found.st_ino


def _modern(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, _no_password)
    return context


def _legacy(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.0, which is what is wanted here
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers(LEGACY_CIPHERS)
    context.load_cert_chain(certificate, key, _no_password)
    return context


def _no_password() -> str:
    # Without it, OpenSSL would ask for one on the terminal.
    raise ValueError("the key has a password, which nobody could enter")
