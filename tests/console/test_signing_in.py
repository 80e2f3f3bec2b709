"""Who may sign in, how often they may fail to, and the second factor."""

import base64
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from mailrelay.console import throttle, totp
from mailrelay.models import AuditEvent, LoginBucket, SecondFactor
from mailrelay.outbox.db import clock

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
LOGIN = "/admin/login/"


@pytest.fixture
def person(settings):
    # What is tested here is what happens around the hash, not its strength.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return User.objects.create_superuser("ada", password=PASSWORD)


def sign_in(password=PASSWORD, name="ada", code="", browser=None, **headers):
    return (browser or Client()).post(
        f"{LOGIN}?next=/admin/", {"username": name, "password": password, "code": code}, **headers
    )


def code_of(factor, steps=0) -> str:
    now = int(clock.now().timestamp() // totp.SECONDS)
    return totp.code(base64.b32decode(factor.secret), now + steps)


@pytest.fixture
def factor(person):
    return SecondFactor.objects.create(user=person, secret=totp.generate(), confirmed_at=clock.now())


# RFC 6238 appendix B, SHA-1.
@pytest.mark.parametrize(
    ("now", "digits"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_standard(now, digits):
    assert totp.code(b"12345678901234567890", now // 30, digits=8) == digits


def test_a_code_is_taken_a_step_early_or_late_and_no_further():
    secret = totp.generate()
    key = base64.b32decode(secret)
    assert totp.matching_step(secret, totp.code(key, 100), 101 * 30) == 100
    assert (
        totp.matching_step(secret, f" {totp.code(key, 102)[:3]} {totp.code(key, 102)[3:]}", 101 * 30) == 102
    )
    assert totp.matching_step(secret, totp.code(key, 103), 101 * 30) is None
    assert totp.matching_step(secret, "ä", 101 * 30) is None


def test_a_password_alone_signs_in_whoever_has_no_authenticator(person):
    assert sign_in().status_code == 302


def test_an_authenticator_is_asked_for_and_each_code_counts_once(factor):
    assert "six digits" in sign_in().content.decode()
    code = code_of(factor)
    assert sign_in(code=code).status_code == 302
    assert "six digits" in sign_in(code=code).content.decode()


def test_a_right_code_does_not_make_up_for_a_wrong_password(factor):
    assert sign_in("wrong", code=code_of(factor)).status_code == 200
    assert SecondFactor.objects.get().last_step == 0


def test_an_authenticator_is_set_up_and_taken_off_by_its_codes(browser, root):
    address = "/admin/second-factor/"
    assert "otpauth://totp/" in browser.get(address).content.decode()
    factor = SecondFactor.objects.get(user=root)
    assert "not the code" in browser.post(address, {"code": "000"}, follow=True).content.decode()
    assert totp.factor_of(root) is None
    page = browser.post(address, {"code": code_of(factor, -1)}, follow=True).content.decode()
    assert "is on" in page
    assert factor.secret[:4] not in page, "the key is not shown again"
    assert totp.factor_of(root) is not None
    assert "is off" in browser.post(address, {"code": code_of(factor)}, follow=True).content.decode()
    assert totp.factor_of(root) is None


def test_the_key_of_an_authenticator_is_not_in_the_database_as_it_is(factor):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM mailrelay_secondfactor")
        assert factor.secret not in cursor.fetchone()[0]


def test_the_password_is_not_even_looked_at_after_five_failures(person, monkeypatch):
    for _ in range(5):
        assert "correct" in sign_in("wrong").content.decode()
    looked_at = []
    monkeypatch.setattr(User, "check_password", lambda *_: looked_at.append(1))
    assert "Too many" in sign_in().content.decode()
    assert looked_at == []


def test_others_and_other_addresses_sign_in_meanwhile(person):
    User.objects.create_superuser("grace", password=PASSWORD)
    for _ in range(6):
        sign_in("wrong")
    assert sign_in(name="grace").status_code == 302
    assert sign_in(REMOTE_ADDR="192.0.2.9").status_code == 302
    assert sign_in().status_code == 200


def test_a_try_comes_back_with_time(person):
    for _ in range(6):
        sign_in("wrong")
    for row in LoginBucket.objects.all():
        LoginBucket.objects.filter(pk=row.pk).update(filled_at=row.filled_at - timedelta(seconds=61))
    assert sign_in().status_code == 302


def test_who_signs_in_often_is_never_limited(person):
    assert {sign_in().status_code for _ in range(8)} == {302}


def test_wrong_codes_count_as_failures_too(factor):
    for _ in range(5):
        sign_in(code="000000")
    assert "Too many" in sign_in(code=code_of(factor)).content.decode()


def test_buckets_are_removed_when_they_are_full_again(person):
    sign_in("wrong")
    LoginBucket.objects.update(filled_at=clock.now() - 2 * throttle.FULL)
    throttle.take([throttle.Bucket("other", 1, 1)])
    assert list(LoginBucket.objects.values_list("key", flat=True)) == ["other"]


def test_sign_ins_are_on_record_without_what_was_typed_for_a_name(person):
    browser = Client()
    sign_in("wrong")
    sign_in(name="hunter2-typed-in-the-wrong-field")
    sign_in(browser=browser)
    browser.post("/admin/logout/")
    told = AuditEvent.objects.order_by("pk").values_list("actor", "action", "address")
    assert [row for row in told if row[1].startswith("sign")] == [
        ("ada", "sign-in refused", "127.0.0.1"),
        ("(unknown)", "sign-in refused", "127.0.0.1"),
        ("ada", "signed in", "127.0.0.1"),
        ("ada", "signed out", "127.0.0.1"),
    ]


def test_one_network_of_ipv6_is_one_stranger_and_keeps_no_owner_out(db):
    taken = 0
    for host in range(25):
        for _ in range(5):
            taken += throttle.take(throttle.buckets("admin", f"2001:db8:1:2::{host:x}"))
    assert taken == 5
    assert throttle.take(throttle.buckets("admin", "2001:db8:1:3::1"))
    assert throttle.take(throttle.buckets("admin", "unknown::what"))
