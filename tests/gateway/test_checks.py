"""System checks: each has its id, a sentence and what to do."""

import pytest
from django.core import checks

from gateway import checks as ours

MISSION = {
    "AZURE_TENANT_ID": "contoso.example",
    "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_CLIENT_SECRET": "s3cret",
    "SENDER_EMAIL": "relay@contoso.example",
}


def found(name: str) -> list[checks.CheckMessage]:
    return [message for message in checks.run_checks(tags=[ours.TAG]) if message.id == name]


def told(settings, **values):
    for name, value in values.items():
        setattr(settings, name, value)


def test_no_sender_in_the_environment_is_a_warning(settings):
    told(settings, **dict.fromkeys(MISSION, ""))

    (message,) = found("gateway.W001")
    assert not message.is_serious() and "admin" in message.hint
    assert found("gateway.E005") == []


@pytest.mark.parametrize("missing", MISSION)
def test_half_a_mission_environment_is_refused_by_the_name_of_what_is_missing(settings, missing):
    told(settings, **(MISSION | {missing: ""}))

    (message,) = found("gateway.E005")
    assert message.is_serious() and message.msg.startswith(f"{missing} must be set, since ")
    assert "s3cret" not in message.msg + message.hint


def test_the_whole_mission_environment_is_right(settings):
    told(settings, **MISSION)

    assert found("gateway.E005") == found("gateway.W001") == []


@pytest.mark.parametrize(
    "credential",
    [
        {"AZURE_CLIENT_CERTIFICATE_PATH": __file__},
        {"AZURE_FEDERATED_TOKEN_FILE": __file__},
        {"AZURE_USE_MANAGED_IDENTITY": True},
    ],
)
def test_any_one_credential_is_enough(settings, credential):
    told(settings, **(MISSION | {"AZURE_CLIENT_SECRET": ""} | credential))

    assert found("gateway.E005") == found("gateway.E007") == []


@pytest.mark.parametrize("name", ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"])
def test_a_credential_file_that_is_not_there_is_named(settings, tmp_path, name):
    told(settings, **MISSION, **{name: str(tmp_path / "nowhere.pem")})

    (message,) = found("gateway.E007")
    assert message.msg.startswith(f"{name} names {tmp_path}/nowhere.pem") and "Mount" in message.hint


@pytest.mark.parametrize("keys", [["short"], [""], ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "x"]])
def test_a_key_that_is_not_a_fernet_key_is_refused(settings, keys):
    settings.FIELD_ENCRYPTION_KEYS = keys

    (message,) = found("gateway.E008")
    assert "FIELD_ENCRYPTION_KEYS" in message.msg and "short" not in message.msg


def test_what_the_check_takes_for_a_key_encrypts(settings):
    from mailrelay.models.encrypted import decrypt, encrypt

    settings.FIELD_ENCRYPTION_KEYS = [" MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= "]

    assert found("gateway.E008") == []
    assert decrypt(encrypt("secret")) == "secret"


MOUNTS = """/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/export /srv/mail\\040data nfs4 rw,vers=4.2 0 0
/dev/sdb1 /srv/mail\\040data/local xfs rw 0 0
/dev/sdc1 /covered ext4 rw 0 0
server:/export /covered nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "refused"),
    [
        ("/srv/mail data", True),
        ("/srv/mail data/deeper", True),
        ("/srv/mail data/local/x", False),
        ("/srv/mail datastore", False),
        ("/covered/x", True),
        ("/var/lib", False),
    ],
)
def test_sqlite_on_a_network_file_system_is_refused(settings, monkeypatch, tmp_path, folder, refused):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    monkeypatch.setattr(ours, "MOUNTS", mounts)
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", f"{folder}/gateway.sqlite3")

    messages = found("gateway.E009")

    assert [("(nfs" in message.msg, "PostgreSQL" in message.hint) for message in messages] == [
        (True, True)
    ] * refused


def test_a_system_without_a_list_of_mounts_is_not_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(ours, "MOUNTS", tmp_path / "nowhere")

    assert found("gateway.E009") == []
