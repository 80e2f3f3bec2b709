"""Secrets at rest: under keys of their own, which rotate, and whose loss is said and never papered over."""

import base64

import pytest

from mailrelay.processes.web import BOOT_ERROR
from tests.harness.ports import eventually
from tests.harness.processes import FIELD_KEY, SECRET_KEY, Web, mail, manage, rows, send

NEW_KEY = base64.urlsafe_b64encode(b"n" * 32).decode()
LOST_KEY = base64.urlsafe_b64encode(b"l" * 32).decode()


@pytest.fixture
def stored(embedded, configured, tmp_path):
    """An installation whose database holds two secrets under FIELD_KEY."""
    embedded.environment["FIELD_ENCRYPTION_KEYS"] = FIELD_KEY
    for name in ("sandbox-secret", "another-secret"):
        (tmp_path / name).write_text(name)
    configured(secret={"file": "sandbox-secret"}, next_secret={"file": "another-secret"})
    return embedded


def tokens(stack):
    return rows(stack.environment, "SELECT secret, next_secret FROM mailrelay_appregistration")[0]


def rotate(stack, *keys, check=True):
    stack.environment["FIELD_ENCRYPTION_KEYS"] = ",".join(keys)
    return manage(stack.environment, "rotate_field_keys", check=check)


def test_after_a_rotation_the_old_key_can_go(stored):
    before = tokens(stored)

    assert "2 encrypted again, 0 were" in rotate(stored, NEW_KEY, FIELD_KEY).stdout
    after = tokens(stored)
    assert "0 encrypted again, 2 were" in rotate(stored, NEW_KEY, FIELD_KEY).stdout

    assert not set(before) & set(after)
    assert tokens(stored) == after
    stored.environment["FIELD_ENCRYPTION_KEYS"] = NEW_KEY
    listener = stored.start()
    send(listener.smtp_port, mail(1))
    stored.wait_for(sent=1)


def test_a_key_that_is_lost_is_an_error_at_the_start(stored):
    stored.environment |= {"FIELD_ENCRYPTION_KEYS": LOST_KEY, "HTTP_LISTEN": "off"}

    done = manage(stored.environment, "rungateway", check=False)

    assert done.returncode != 0
    assert "gateway.E020" in done.stderr and "secret of app registration" in done.stderr
    assert stored.sandbox.ledger() == []


def test_the_web_ends_under_a_lost_key_and_starts_under_the_right_one(stored):
    stored.environment["DJANGO_SECRET_KEY"] = SECRET_KEY
    web = Web(stored.environment, FIELD_ENCRYPTION_KEYS=LOST_KEY)

    web.start(wait=False)
    try:
        assert web.process.wait(60) == BOOT_ERROR
    finally:
        web.kill()

    assert "gateway.E020" in web.output()
    with Web(stored.environment) as right:
        eventually(lambda: right.get("/admin/login/") == 200, what="the admin being served")


def test_a_rotation_without_the_old_key_changes_nothing_and_says_so(stored):
    before = tokens(stored)

    done = rotate(stored, LOST_KEY, check=False)

    assert done.returncode != 0 and "gateway.E020" in done.stderr
    assert tokens(stored) == before
