"""System checks of the environment: each problem has an id, a sentence and what to do about it."""

import base64
import os
import ssl
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's names

from gateway.settings import ENV

#: The checks that every process runs at its start; Django's own look at the code, not at the environment.
TAG = "gateway"
MOUNTS = Path("/proc/mounts")
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "fuse.sshfs", "afs"}
#: The mark that `migrate_queue` leaves in DATA_DIR.
MOVED = "moved-to-another-database"
MISSION = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "SENDER_EMAIL")
CREDENTIALS = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USE_MANAGED_IDENTITY",
)


SIGN_IN = ("WEB_OIDC_TENANT_ID", "WEB_OIDC_CLIENT_ID", "WEB_OIDC_CLIENT_SECRET")


@register(TAG)
def variables(**_: Any) -> list[CheckMessage]:
    """Report every variable that could not be used as it stands."""
    return [Error(found.message, hint=found.hint, id=found.id) for found in ENV.problems]


@register(TAG)
def sender(**_: Any) -> list[CheckMessage]:
    """Report an environment that names a sender by half, or none."""
    given = [name for name in (*MISSION, *CREDENTIALS) if getattr(settings, name)]
    if not given:
        return [
            Warning(
                "The environment names no sender: mail is refused until one is made in the admin.",
                hint="Set AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and SENDER_EMAIL, "
                "or add an app registration, a mailbox and a sender in the admin.",
                id="gateway.W001",
            )
        ]
    # What is set and cannot be used is said by `variables`.
    refused = {found.message.partition(":")[0] for found in ENV.problems}
    missing = [name for name in MISSION if not getattr(settings, name) and name not in refused]
    if not any(getattr(settings, name) or name in refused for name in CREDENTIALS):
        missing.append("AZURE_CLIENT_SECRET")
    if not missing:
        return []
    return [
        Error(
            f"{' and '.join(missing)} must be set, since {' and '.join(given)} is.",
            hint="The environment's sender needs tenant, application, mailbox and one credential.",
            id="gateway.E005",
        )
    ]


@register(TAG)
def sign_in(**_: Any) -> list[CheckMessage]:
    """Report a sign-in with Entra ID that is set by half, and a web that nobody could sign in to."""
    refused = {found.message.partition(":")[0] for found in ENV.problems}
    given = [name for name in SIGN_IN if getattr(settings, name)]
    missing = [name for name in SIGN_IN if not getattr(settings, name) and name not in refused]
    if given and missing:
        return [
            Error(
                f"{' and '.join(missing)} must be set, since {' and '.join(given)} is.",
                hint="Sign-in with Entra ID needs the three of them; docs/install-entra.md has the steps.",
                id="gateway.E024",
            )
        ]
    if settings.WEB_LOCAL_LOGIN or given:
        return []
    return [
        Error(
            "WEB_LOCAL_LOGIN is false and there is no sign-in with Entra ID: nobody could sign in.",
            hint="Set WEB_OIDC_TENANT_ID, WEB_OIDC_CLIENT_ID and WEB_OIDC_CLIENT_SECRET, or leave it true.",
            id="gateway.E025",
        )
    ]


@register(TAG)
def files(**_: Any) -> list[CheckMessage]:
    """Report credential files that this process cannot read."""
    return [
        Error(
            f"{name} names {getattr(settings, name)}, which this process cannot read.",
            hint="Mount the file, or fix its mode or its owner.",
            id="gateway.E007",
        )
        for name in ("AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE")
        if getattr(settings, name) and not os.access(getattr(settings, name), os.R_OK)
    ]


@register(TAG)
def notices(**_: Any) -> list[CheckMessage]:
    """Report a webhook that is to be told about failures and is not named, or not by a URL."""
    url = settings.NOTICE_WEBHOOK_URL
    if settings.BOUNCE_POLICY != "webhook" and not url:
        return []
    if url.startswith(("https://", "http://")):
        return []
    return [
        Error(
            "NOTICE_WEBHOOK_URL is not an http or https URL." if url else "NOTICE_WEBHOOK_URL is not set.",
            hint="Set it, or let BOUNCE_POLICY be sender, operations or none.",
            id="gateway.E021",
        )
    ]


@register(TAG)
def tls(**_: Any) -> list[CheckMessage]:
    """Report a listener with TLS and no certificate, or one that cannot be used."""
    needing = [listener.name for listener in settings.SMTP_LISTENERS if listener.needs_certificate]
    certificate, key = settings.SMTP_TLS_CERT_FILE, settings.SMTP_TLS_KEY_FILE
    if not certificate:
        if not needing and not key:
            return []
        return [
            Error(
                f"{needing[0] if needing else 'SMTP_TLS_KEY_FILE'} needs a certificate, and "
                "SMTP_TLS_CERT_FILE names none.",
                hint="Set SMTP_TLS_CERT_FILE and SMTP_TLS_KEY_FILE to PEM files, or take TLS off the "
                "addresses of SMTP_LISTENERS.",
                id="gateway.E022",
            )
        ]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            certificate, key or None, password=_no_password
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        return [
            Error(
                f"The certificate of SMTP_TLS_CERT_FILE and SMTP_TLS_KEY_FILE cannot be used: {reason}.",
                hint="Both are PEM files: the certificate with its chain, and its key without a password.",
                id="gateway.E023",
            )
        ]
    return []


def _no_password() -> str:
    # Without it, OpenSSL would ask for one on the terminal.
    raise ValueError("the key has a password")


@register(TAG)
def field_keys(**_: Any) -> list[CheckMessage]:
    """Report keys that are not Fernet keys."""
    # Looked at by shape: cryptography costs 7 MiB of memory, and a listener never opens a secret.
    if "not-set" in settings.FIELD_ENCRYPTION_KEYS or all(map(_is_key, settings.FIELD_ENCRYPTION_KEYS)):
        return []
    return [
        Error(
            "FIELD_ENCRYPTION_KEYS holds something that is not a Fernet key (32 bytes, URL-safe base64).",
            hint="`openssl rand -base64 32 | tr +/ -_` makes a key; a comma separates several.",
            id="gateway.E008",
        )
    ]


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.strip(), altchars=b"-_", validate=True)) == 32
    except ValueError:
        return False


@register(TAG)
def sqlite_is_local(**_: Any) -> list[CheckMessage]:
    """Report SQLite on a network file system, whose locks do not hold (https://www.sqlite.org/wal.html)."""
    if not settings.EMBEDDED:
        return []
    kind = _file_system(Path(settings.DATABASES["default"]["NAME"]).parent)
    if kind not in NETWORK_FILE_SYSTEMS:
        return []
    return [
        Error(
            f"The SQLite database would lie on a network file system ({kind}), where it can be damaged.",
            hint="Point DATA_DIR at a disk of this machine, or set DATABASE_URL to PostgreSQL.",
            id="gateway.E009",
        )
    ]


@register(TAG)
def volume(**_: Any) -> list[CheckMessage]:
    """Warn of a queue on a container's own layer, which ends with the container."""
    if not settings.EMBEDDED or _file_system(settings.DATA_DIR) != "overlay":
        return []
    return [
        Warning(
            f"DATA_DIR={settings.DATA_DIR} IS NOT A VOLUME: ACKNOWLEDGED MAIL IS LOST WITH THIS CONTAINER.",
            hint=f"Mount a volume at {settings.DATA_DIR}; deploy/overlays/single has one.",
            id="gateway.W020",
        )
    ]


@register(TAG)
def moved(**_: Any) -> list[CheckMessage]:
    """Refuse a queue that went to another database: sending from it would send everything twice."""
    if not settings.EMBEDDED or not (settings.DATA_DIR / MOVED).exists():
        return []
    return [
        Error(
            f"The queue of {settings.DATA_DIR} was moved to another database.",
            hint=f"Set DATABASE_URL. To go back, with nothing running there: remove {MOVED} from DATA_DIR.",
            id="gateway.E030",
        )
    ]


def _file_system(path: Path) -> str:
    """Name the file system that `path` lies on, as Linux tells it; the empty string elsewhere."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    # Blanks in a path are written as \040 (proc(5)); what was mounted later lies on top.
    mounts = [(point.replace("\\040", " "), kind) for _, point, kind, *_ in map(str.split, reversed(lines))]
    real = Path(os.path.realpath(path))
    around = [mount for mount in mounts if real.is_relative_to(mount[0])]
    return max(around, key=lambda mount: len(mount[0]), default=("", ""))[1]
