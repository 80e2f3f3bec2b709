"""Hashes of passwords take turns: each takes 16 MiB, and a container of 128 has no room for four."""

import threading
import time

from django.contrib.auth.hashers import ScryptPasswordHasher, check_password, make_password

from mailrelay.routing import passwords


def test_one_hash_is_computed_at_a_time_whoever_asks(monkeypatch):
    running, most = [], []
    encode = ScryptPasswordHasher.encode

    def slow(*arguments):
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        try:
            return encode(*arguments)
        finally:
            running.pop()

    stored = make_password("correct horse battery")
    monkeypatch.setattr(ScryptPasswordHasher, "encode", slow)
    people = [threading.Thread(target=check_password, args=("wrong", stored)) for _ in range(4)]
    devices = [threading.Thread(target=passwords.matches, args=("wrong", stored)) for _ in range(4)]
    for thread in (*people, *devices):
        thread.start()
    for thread in (*people, *devices):
        thread.join()

    assert len(most) == 8 and max(most) == 1


def test_stored_hashes_stay_as_they_were():
    stored = ScryptPasswordHasher().encode("correct horse battery", "salt")

    assert stored.startswith("scrypt$") and check_password("correct horse battery", stored)
    assert make_password("x").startswith("scrypt$")
