"""Default domain, aliases and repeated mail in the file of `manage.py config`."""

# ruff: noqa: F811 - fixtures of the file's own tests are used here

import pytest

from mailrelay.routing.loading import load
from tests.commands.test_config import WHOLE, apply, plan, refused  # noqa: F401 - two are fixtures

RULES = (
    WHOLE
    + """\
  default_domain: "@Contoso.test"
  aliases:
    Root: admin@contoso.test
    backup: [root, ops@contoso.test]
  repeat_minutes: 0
all_clients:
  default_domain: example.org
  aliases: {postmaster: root, root: all@contoso.test}
  repeat_minutes: 5
"""
)


def test_default_domain_aliases_and_repeated_mail_are_set_for_a_client_and_for_all(apply, run, settings):
    settings.SMTP_ALIASES = {"cron": ["cron@contoso.test"], "root": ["nobody@contoso.test"]}

    said = apply(RULES)
    routing = load()
    erp = next(client for client in routing.clients if client.name == "erp")
    other = routing.clients[-1]

    assert "change     rules of all clients: default_domain nothing → example.org; aliases +" in said
    names = ("root", "backup", "paper", "cron", "postmaster")
    assert [routing.stands_for(erp, name) for name in names] == [
        ("admin@contoso.test",),
        ("admin@contoso.test", "ops@contoso.test"),
        ("paper@contoso.test",),
        ("cron@contoso.test",),
        ("admin@contoso.test",),
    ]
    assert [routing.stands_for(other, name) for name in ("root", "paper")] == [
        ("all@contoso.test",),
        ("paper@example.org",),
    ]
    assert (routing.repeat_minutes(erp), routing.repeat_minutes(other)) == (0, 5)
    assert plan(apply(RULES)) == ["unchanged"] * 5
    assert plan(apply(run("config", "export"))) == ["unchanged"] * 5


def test_what_neither_a_client_nor_all_say_the_settings_say(apply, settings):
    settings.SMTP_DEFAULT_DOMAIN, settings.SMTP_ALIASES = "example.org", {"root": ["a@example.org"]}
    apply(WHOLE)
    routing = load()
    erp = next(client for client in routing.clients if client.name == "erp")
    assert routing.stands_for(erp, "root") == ("a@example.org",)
    assert routing.stands_for(erp, "paper") == ("paper@example.org",)
    assert routing.repeat_minutes(erp) == settings.SMTP_REPEAT_MINUTES == 20


def test_rules_of_a_client_are_taken_back_by_nothing(apply):
    apply(RULES)
    said = apply(RULES.replace("  repeat_minutes: 0\n", "  repeat_minutes:\n").replace("admin@", "other@"))
    assert "aliases -root:admin@contoso.test +root:other@contoso.test; repeat_minutes 0 → nothing" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "Root: admin@contoso.test",
            "root: <admin>",
            "clients[0].aliases.root: “<admin>” is neither",
        ),
        ("Root: admin@contoso.test", "root: []", "clients[0].aliases.root: “root” has no address: write"),
        ("{postmaster: root, root: all@contoso.test}", "[root]", "all_clients.aliases: must be a mapping"),
        (
            "default_domain: example.org",
            "default_domain: nowhere",
            "all_clients.default_domain: “nowhere” is not",
        ),
        (
            "repeat_minutes: 5",
            "repeat_minutes: -1",
            "all_clients.repeat_minutes: “-1” is too small: the least is 0.",
        ),
        ("all_clients:", "all_clients:\n  networks: []", "all_clients.networks: is not a key that is known"),
    ],
)
def test_rules_that_cannot_be_are_refused_with_the_place(refused, old, new, said):
    assert said in refused(RULES.replace(old, new))
