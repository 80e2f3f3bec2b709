"""Whom a recipient stands for."""

import pytest

from mailrelay.routing.aliases import stands_for

SYSTEM = {
    "root": ["admin@example.org"],
    "postmaster": ["root"],
    "team": ["a@example.org", "b", "A@EXAMPLE.ORG"],
    "keep": ["keep", "archive@example.org"],
    "one": ["two"],
    "two": ["one", "c@example.org"],
    "nobody": ["nowhere"],
    "old@example.net": ["new@example.org"],
    "backup@localhost": ["tapes@example.org"],
    "night@localhost": ["night"],
    "night": ["root"],
}


@pytest.mark.parametrize(
    ("address", "domain", "meant"),
    [
        ("root", "", ("admin@example.org",)),
        ("Root", "", ("admin@example.org",)),
        ("postmaster", "", ("admin@example.org",)),
        ("root@example.com", "example.com", ("admin@example.org",)),
        ("ROOT@EXAMPLE.COM.", "Example.Com", ("admin@example.org",)),
        ("root@elsewhere.test", "example.com", ("root@elsewhere.test",)),
        ("Carl", "example.com", ("Carl@example.com",)),
        ("carl", "", ()),
        ("carl@example.net", "", ("carl@example.net",)),
        ("team", "example.com", ("a@example.org", "b@example.com")),
        ("team", "", ("a@example.org",)),
        ("keep", "example.com", ("keep@example.com", "archive@example.org")),
        ("keep", "", ("archive@example.org",)),
        ("one", "example.com", ("one@example.com", "c@example.org")),
        ("nobody", "", ()),
        ("OLD@example.net", "", ("new@example.org",)),
        ('"root"', "", ("admin@example.org",)),
        ('"Root"', "example.com", ("admin@example.org",)),
        ("root@localhost", "", ("admin@example.org",)),
        ("ROOT@LocalHost.LocalDomain.", "", ("admin@example.org",)),
        ('"root"@localhost', "example.com", ("admin@example.org",)),
        ("carl@localhost", "example.com", ("carl@example.com",)),
        ("carl@localhost", "", ()),
        ('"two words"@localhost', "example.com", ('"two words"@localhost',)),
        ("root@localhost.example.net", "", ("root@localhost.example.net",)),
        ("root@localho\u017ft", "", ("root@localho\u017ft",)),
        ("backup@localhost", "", ("tapes@example.org",)),
        ("backup", "", ()),
        ("night@localhost", "", ("admin@example.org",)),
    ],
)
def test_a_name_stands_for_its_alias_or_has_the_default_domain(address, domain, meant):
    assert stands_for(address, [SYSTEM], domain) == meant


def test_the_first_map_that_knows_a_name_counts():
    own = {"root": ["ops@example.org"], "boss": ["team"]}
    assert stands_for("root", [own, SYSTEM], "") == ("ops@example.org",)
    assert stands_for("boss", [own, SYSTEM], "") == ("a@example.org",)
    assert stands_for("postmaster", [own, SYSTEM], "") == ("ops@example.org",)


def test_many_aliases_of_many_are_looked_at_once_each():
    wide = {f"n{n}": [f"n{m}" for m in range(60)] + [f"n{n}@example.org"] for n in range(60)}
    assert len(stands_for("n0", [wide], "")) == 60
