"""One reader for each value: variables, YAML file and admin forms take and refuse the same words.

Each word goes through all three, by the ways that an operator has, and the sentences are compared.
"""

import json
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import RequestFactory

import gateway.urls  # noqa: F401 - registers the screens
from mailrelay.configuration.document import parse
from mailrelay.configuration.reading import ConfigurationError
from mailrelay.console.site import site
from mailrelay.models import AppRegistration, Mailbox, SenderConfig, SmtpClient

pytestmark = pytest.mark.django_db

GUID = "a1b2c3d4-0000-4000-8000-0123456789ab"
APP = {"name": "a", "tenant_id": "contoso.example", "client_id": GUID}
MAILBOX = {"app": "a", "address": "box@contoso.example"}
SENDER = {"name": "s", "app": "a", "mailbox": "box@contoso.example"}
ENTRIES = {"apps": APP, "mailboxes": MAILBOX, "senders": SENDER, "clients": {"name": "c"}}
MODELS = {"apps": AppRegistration, "mailboxes": Mailbox, "senders": SenderConfig, "clients": SmtpClient}
LISTS = {"networks"}

NUMBERS = (
    "0",
    "30",
    " 30 ",
    "1_000",
    "+5",
    "007",
    "-1",
    "many",
    "3.5",
    "1e3",
    "0x1F",
    "1:30",
    "٣",
    "2147483648",
)
NUMBERS = (*NUMBERS, "9" * 30)
ADDRESSES = (
    "relay@contoso.example",
    "Relay@Contoso.Example",
    "relay",
    "relay@contoso",
    "a b@contoso.example",
)
ADDRESSES = (
    *ADDRESSES,
    "<relay@contoso.example>",
    "relay@contoso.example,b@contoso.example",
    "@contoso.example",
)
IDS = (
    "common",
    "Organizations",
    "consumers",
    "my-app",
    "contoso",
    "two words",
    "a/b",
    "text/with/slash",
    "%s",
)
ORIGINS = (
    "https://graph.microsoft.com",
    "https://graph.microsoft.com/",
    "http://graph.microsoft.com",
    "graph",
)
ORIGINS = (
    *ORIGINS,
    "https://h/v1.0",
    "https://h?x=1",
    "https://h#x",
    "https://u@h",
    "https://h:port",
    "https://",
)
#: Variable; section and key of the file; field of the form, where it has another name; words.
VALUES = [
    (
        "AZURE_TENANT_ID",
        "apps",
        "tenant_id",
        "",
        (*IDS, GUID, GUID.upper(), "Contoso.Example", f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 30}"),
    ),
    ("AZURE_CLIENT_ID", "apps", "client_id", "", (*IDS, GUID, GUID.upper(), GUID[:-1], "contoso.example")),
    ("AZURE_AUTHORITY_HOST", "apps", "authority_host", "", ORIGINS),
    ("GRAPH_ENDPOINT", "apps", "graph_endpoint", "", ORIGINS),
    (
        "AZURE_CLIENT_SECRET_EXPIRES",
        "apps",
        "secret_expires_on",
        "",
        (
            "2027-03-31",
            "soon",
            "2027-02-30",
            "31.03.2027",
            "20270331",
            "2027-W13-3",
            "03/31/2027",
            "2027-3-1",
        ),
    ),
    ("AZURE_CLOUD", "apps", "cloud", "", ("global", "china", "Global", "moon", "%s")),
    ("SENDER_EMAIL", "senders", "mailbox", "mailbox_address", (*ADDRESSES, GUID, GUID.upper())),
    ("SENDER_EMAIL", "mailboxes", "address", "", (*ADDRESSES, GUID)),
    (
        "SENDER_MAILBOX",
        "mailboxes",
        "user_id",
        "",
        (
            GUID,
            GUID.upper(),
            "$cash@contoso.example",
            "old.name@contoso.example",
            "relay",
            "a@b/c",
            "x" * 330 + "@b",
        ),
    ),
    ("SENDER_REDIRECT_ALL_TO", "senders", "redirect_all_to", "", ADDRESSES),
    ("SENDER_FROM_POLICY", "senders", "from_policy", "", ("rewrite", "send_as", "Rewrite", "strict", "")),
    ("SENDER_UNCERTAIN_POLICY", "senders", "uncertain_policy", "", ("hold", "fail", "wait")),
    ("SENDER_LARGE_MAIL", "senders", "large_mail", "", ("on", "off", "auto", "yes")),
    ("SENDER_CONCURRENCY", "mailboxes", "concurrency", "", NUMBERS),
    ("SENDER_MESSAGES_PER_MINUTE", "mailboxes", "messages_per_minute", "", NUMBERS),
    ("SMTP_REPEAT_MINUTES", "clients", "repeat_minutes", "", (*NUMBERS, "32767", "32768")),
    (
        "SMTP_DEFAULT_DOMAIN",
        "clients",
        "default_domain",
        "",
        ("example.org", "@Example.Org", "nowhere", "*.example.org", "a b.org"),
    ),
    (
        "SMTP_ALLOWED_NETWORKS",
        "clients",
        "networks",
        "",
        (
            "private",
            "loopback",
            "Loopback",
            "PRIVATE",
            "10.0.0.0/8",
            "192.0.2.7",
            "10.0.0.0/8, loopback",
            "10.0.0.0/8 192.0.2.7",
            "10.0.0.1/8",
            "everybody",
            "Everybody",
            "10.0.0.0/33",
            "300.1.1.1",
            "fe80::1",
            "FE80::/10",
            "::/129",
            "loopback, nonsense",
        ),
    ),
]


def by_variable(settings_of, name: str, word: str) -> tuple[str, object]:
    module = settings_of(**{name: word})
    said = [problem.message for problem in module.ENV.problems]
    assert len(said) <= 1
    return said[0].removeprefix(f"{name}: ") if said else "", getattr(module, name)


def by_file(section: str, key: str, word: str) -> tuple[str, object]:
    value = [word] if key in LISTS else word
    text = json.dumps({section: [ENTRIES[section] | {key: value}]}, ensure_ascii=False)
    try:
        (entry,) = parse(text, "file.yaml", Path()).sections[section]
    except ConfigurationError as error:
        place, sentence = re.fullmatch(
            r"file\.yaml:1:\d+: ([\w.\[\]]+): (.*)", str(error), re.DOTALL
        ).groups()
        assert place.startswith(f"{section}[0].{key}")
        return sentence, None
    return "", entry.columns.get(key, entry.identity[-1] if key == "address" else word)


def by_form(section: str, field: str, word: str) -> tuple[str, object]:
    screen = site._registry[MODELS[section]]
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True)
    form = screen.get_form(request, None, fields=None)()
    try:
        return "", form.fields[field].clean(word)
    except ValidationError as error:
        return " ".join(error.messages), None


def cases():
    for variable, section, key, field, words in VALUES:
        for word in filter(None, words):
            yield pytest.param(variable, section, key, field or key, word, id=f"{key}-{word[:40]}")


@pytest.mark.parametrize(("variable", "section", "key", "field", "word"), list(cases()))
def test_all_three_take_the_same_words_and_refuse_the_others_with_one_sentence(
    settings_of, variable, section, key, field, word
):
    in_variable, value = by_variable(settings_of, variable, word)
    in_file, _ = by_file(section, key, word)
    in_form, entered = by_form(section, field, word)

    assert in_variable == in_file == in_form
    assert in_variable == "" or in_variable.endswith(".")
    if key not in LISTS and not in_variable:
        assert value == entered


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("root: a@b@c", {"root": "a@b@c"}),
        ("root: admin@example.org, backup: (x)", {"root": "admin@example.org", "backup": "(x)"}),
        ("root:", {"root": []}),
        ("root: admin@example.org", {"root": ["admin@example.org"]}),
    ],
)
def test_aliases_are_refused_with_one_sentence(settings_of, text, entries):
    in_variable, value = by_variable(settings_of, "SMTP_ALIASES", text)
    in_form, entered = by_form("clients", "aliases", text)
    try:
        parse(json.dumps({"clients": [{"name": "c", "aliases": entries}]}), "file.yaml", Path())
        in_file = ""
    except ConfigurationError as error:
        in_file = re.fullmatch(r"file\.yaml:1:\d+: [\w.\[\]]+: (.*)", str(error)).group(1)

    assert in_variable == in_form == in_file
    assert in_variable or value == entered


@pytest.mark.parametrize("key", ["secret", "next_secret"])
def test_the_id_of_a_secret_is_none_by_any_way(settings_of, monkeypatch, tmp_path, key):
    variable = {"secret": "AZURE_CLIENT_SECRET", "next_secret": "AZURE_CLIENT_NEXT_SECRET"}[key]
    in_variable, _ = by_variable(settings_of, variable, GUID)
    monkeypatch.setenv("SECRET_OF_THE_FILE", GUID)
    in_file, _ = by_file("apps", key, {"env": "SECRET_OF_THE_FILE"})
    from mailrelay.console.proof_form import value_of

    with pytest.raises(ValidationError) as refused:
        value_of(GUID.upper())

    assert in_variable == in_file == " ".join(refused.value.messages)
    assert GUID not in in_variable


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("concurrency", "010", 10),
        ("concurrency", "30", 30),
        ("concurrency", "'30'", 30),
        ("user_id", GUID, GUID),
    ],
)
def test_a_scalar_without_quotes_is_read_by_its_text(key, written, value):
    text = f"mailboxes:\n- app: a\n  address: box@contoso.example\n  {key}: {written}\n"

    (entry,) = parse(text, "file.yaml", Path()).sections["mailboxes"]

    assert entry.columns[key] == value


@pytest.mark.parametrize("word", ["on", "off", "auto"])
def test_a_word_that_yaml_takes_for_a_truth_is_read_as_a_variable_reads_it(word):
    text = f"senders:\n- name: s\n  app: a\n  mailbox: box@contoso.example\n  large_mail: {word}\n"

    (entry,) = parse(text, "file.yaml", Path()).sections["senders"]

    assert entry.columns["large_mail"] == word


@pytest.mark.parametrize("variable", ["WEB_OIDC_TENANT_ID", "WEB_OIDC_CLIENT_ID", "OPERATIONS_ADDRESS"])
def test_the_neighbours_of_a_value_are_read_as_it_is(settings_of, variable):
    word = "common" if "TENANT" in variable else "my-app"
    pair = {"WEB_OIDC_TENANT_ID": "AZURE_TENANT_ID", "WEB_OIDC_CLIENT_ID": "AZURE_CLIENT_ID"}
    other = pair.get(variable, "SENDER_REDIRECT_ALL_TO")

    assert by_variable(settings_of, variable, word)[0] == by_variable(settings_of, other, word)[0] != ""


@pytest.mark.parametrize("word", ["loopback", "PRIVATE", "10.0.0.1/8", "everybody"])
@pytest.mark.parametrize(
    "variable", ["ALERT_WEBHOOK_NETWORKS", "WEB_TRUSTED_PROXIES", "SMTP_ALLOWED_NETWORKS"]
)
def test_a_network_is_one_wherever_one_is_named(settings_of, variable, word):
    said, _ = by_variable(settings_of, variable, word)
    listener, _ = by_variable(settings_of, "SMTP_LISTENERS", f"smtp://127.0.0.1:25?proxy={word}")

    assert said == by_form("clients", "networks", word)[0]
    assert listener.endswith(said)
