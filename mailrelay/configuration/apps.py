"""App registrations from a file: their credential is complete, and a new secret is a new version of it."""

from mailrelay.configuration.document import Entry
from mailrelay.configuration.plan import Step, step
from mailrelay.configuration.rows import columns_of, differences, refuse_environment, write_row
from mailrelay.configuration.schema import APPS
from mailrelay.models import AppRegistration
from mailrelay.models.encrypted import WrongFieldKeyError
from mailrelay.outbox.operators import registrations
from mailrelay.vocabulary import CredentialKind

SECRETS = ("secret", "next_secret", "certificate", "certificate_password")
#: What each kind of credential cannot do without: one of these.
PROOFS = {
    CredentialKind.SECRET: ("secret", "next_secret"),
    CredentialKind.CERTIFICATE: ("certificate_path", "certificate"),
    CredentialKind.FEDERATED: ("token_file",),
}
#: Columns that are part of the credential: a change of one needs a new token.
CREDENTIAL = (
    "tenant_id",
    "client_id",
    "cloud",
    "authority_host",
    "graph_endpoint",
    "kind",
    "certificate_path",
    "token_file",
    "active",
)


def apply(entry: Entry) -> Step:
    """Bring one app registration in line with its entry, in the caller's transaction."""
    name = entry.identity[0]
    row = AppRegistration.objects.defer(*SECRETS).filter(name=name).first()
    refuse_environment(entry, row)
    row = row or AppRegistration(name=name)
    created, columns, stored = row.pk is None, columns_of(entry, row), _stored(row)
    given = {column: secret for column, secret in entry.secrets.items() if stored[column] != secret}
    details = differences(APPS, columns, row) + [f"{column} replaced" for column in given]
    _refuse_without_proof(entry, row, columns, {**stored, **given})
    _store(row, columns, given)
    return step(APPS, name, details, created=created)


def _stored(row: AppRegistration) -> dict[str, str | None]:
    """Give the secrets that are stored; None for one that no key opens any more."""
    stored: dict[str, str | None] = dict.fromkeys(SECRETS, "")
    if row.pk is None:
        return stored
    for column in SECRETS:
        try:
            stored[column] = AppRegistration.objects.values_list(column, flat=True).get(pk=row.pk)
        except WrongFieldKeyError:
            stored[column] = None
    return stored


def _refuse_without_proof(
    entry: Entry, row: AppRegistration, columns: dict[str, object], secrets: dict[str, str | None]
) -> None:
    """Raise ConfigurationError where the credential would lack what proves it."""
    kind = CredentialKind(str(columns.get("kind", row.kind)))
    needed = PROOFS.get(kind, ())
    values = [secrets[name] if name in secrets else columns.get(name, getattr(row, name)) for name in needed]
    if needed and all(value == "" for value in values):
        raise entry.item.error(f"lacks {needed[0]}, which the credential {kind.value} needs; none is stored.")


def _store(row: AppRegistration, columns: dict[str, object], given: dict[str, str]) -> None:
    if row.pk is None:
        write_row(row, {**columns, **given})
        return
    renewed = any(getattr(row, column) != columns.get(column, getattr(row, column)) for column in CREDENTIAL)
    write_row(row, columns)
    others = {column: secret for column, secret in given.items() if column != "secret"}
    if others:
        AppRegistration.objects.filter(pk=row.pk).update(**others)
    if "secret" in given:
        registrations.replace_secret(row, given["secret"])
    elif renewed or others:
        registrations.renew(row)
