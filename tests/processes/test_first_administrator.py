"""The first administrator: a password of the operator's or a new one in a file, never a default."""

import pytest
from django.contrib.auth import authenticate, get_user_model

from mailrelay.processes.preflight import first_administrator

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    settings.DJANGO_SUPERUSER_USERNAME, settings.DJANGO_SUPERUSER_EMAIL = "admin", ""
    settings.DJANGO_SUPERUSER_PASSWORD = ""
    return tmp_path


def test_a_new_password_is_put_in_a_file_for_its_owner_alone(folder):
    left_behind = folder / "admin-password"
    left_behind.write_text("an old one")
    left_behind.chmod(0o644)

    path = first_administrator()

    assert path == str(left_behind) and left_behind.stat().st_mode & 0o777 == 0o600
    password = left_behind.read_text().strip()
    assert len(password) >= 20 and authenticate(username="admin", password=password).is_superuser


def test_every_new_password_is_another(folder):
    passwords = set()
    for _ in range(3):
        get_user_model().objects.all().delete()
        first_administrator()
        passwords.add((folder / "admin-password").read_text())

    assert len(passwords) == 3


def test_the_operators_password_is_taken_and_written_nowhere(folder, settings):
    settings.DJANGO_SUPERUSER_USERNAME, settings.DJANGO_SUPERUSER_PASSWORD = "olga", "chosen by olga"

    assert first_administrator() is None
    assert authenticate(username="olga", password="chosen by olga").is_superuser
    assert list(folder.iterdir()) == []


def test_where_there_is_somebody_nobody_is_made(folder):
    get_user_model().objects.create_user("olga")

    assert first_administrator() is None
    assert get_user_model().objects.count() == 1 and list(folder.iterdir()) == []


def test_no_administrator_is_made_whose_password_could_not_be_kept(folder, settings):
    settings.DATA_DIR = folder / "nowhere"

    with pytest.raises(FileNotFoundError):
        first_administrator()
    assert get_user_model().objects.count() == 0
