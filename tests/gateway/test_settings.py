"""Settings: what a variable may be, what is said when it is something else, and that secrets stay secret."""

import pytest

from gateway.settings import ENV

#: A value that a variable of that kind cannot have. Text and secrets may be anything.
WRONG = {
    "integer": "many",
    "true / false": "maybe",
    "date": "soon",
    "address": "relay at example.org",
    "URL": "gopher://example.org",
    "URLs": "gopher://example.org",
    "networks": "everybody",
    "paths": "relative/path",
    "host name": "mail example org",
    "host:port": "8080",
}
FREE = {"text", "secret", "path", "host names"}
CLUSTER = {
    "DATABASE_URL": "postgres://gateway:pass-of-database@db.example:5432/gateway",
    "CELERY_BROKER_URL": "redis://:pass-of-broker@broker.example:6379/0",
    "DJANGO_SECRET_KEY": "key-of-sessions",
    "FIELD_ENCRYPTION_KEYS": "key-of-fields",
}


def wrong_value(kind: str) -> str:
    return "no-such-choice" if " / " in kind and kind not in WRONG else WRONG[kind]


def checked() -> list[str]:
    ids = {"AZURE_TENANT_ID": "text/with/slash", "AZURE_CLIENT_ID": "two words"}
    values = {d.name: wrong_value(d.kind) for d in ENV.declared.values() if d.kind not in FREE}
    return [pytest.param(name, value, id=name) for name, value in (values | ids).items()]


@pytest.mark.parametrize(("name", "value"), checked())
def test_a_wrong_value_is_reported_with_what_would_be_right(settings_of, name, value):
    found = settings_of(**{name: value}).ENV.problems

    (problem,) = [problem for problem in found if problem.message.startswith(name)]
    assert problem.id == "gateway.E001"
    assert problem.message.startswith(f"{name}: ") and problem.message.endswith(".")
    assert problem.hint.startswith(f"Fix {name}: ") and len(problem.hint) > len(f"Fix {name}: .")


def test_all_wrong_values_are_reported_at_once(settings_of):
    wrong = dict(case.values for case in checked())

    found = {problem.message.partition(":")[0] for problem in settings_of(**wrong).ENV.problems}

    assert set(wrong) <= found


def test_nothing_set_is_no_problem(settings_of):
    assert settings_of().ENV.problems == []


def test_a_cluster_is_no_problem(settings_of):
    module = settings_of(**CLUSTER)

    assert module.ENV.problems == []
    assert module.DATABASE["PASSWORD"] == "pass-of-database"
    assert not module.EMBEDDED


@pytest.mark.parametrize("name", sorted(d.name for d in ENV.declared.values() if d.secret))
def test_a_secret_may_come_from_a_file_without_its_line_end(settings_of, tmp_path, name):
    value = CLUSTER.get(name, "https://hooks.example.org/x" if "URL" in name else "pass word ")
    file = tmp_path / "secret"
    file.write_text(f"{value}\r\n")

    with_file = settings_of(**{f"{name}_FILE": str(file)})
    with_value = settings_of(**{name: value})

    wanted = {"DATABASE_URL": "DATABASE", "DJANGO_SECRET_KEY": "SECRET_KEY"}.get(name, name)
    assert getattr(with_file, wanted) == getattr(with_value, wanted)
    assert getattr(with_file, wanted) != getattr(settings_of(), wanted)


@pytest.mark.parametrize("name", ["AZURE_CLIENT_SECRET", "DATABASE_URL", "FIELD_ENCRYPTION_KEYS"])
def test_a_secret_file_that_cannot_be_read_is_named(settings_of, tmp_path, name):
    (problem,) = settings_of(**{f"{name}_FILE": str(tmp_path / "nowhere")}).ENV.problems

    assert problem.id == "gateway.E002"
    assert f"{name}_FILE names {tmp_path}/nowhere" in problem.message
    assert "No such file" in problem.message and "Mount the file" in problem.hint


def test_blanks_around_a_value_do_not_count(settings_of):
    module = settings_of(
        AZURE_TENANT_ID=" contoso.example\n",
        AZURE_CLIENT_SECRET="s3cret \n",
        SENDER_EMAIL="relay@a.example\n",
    )

    assert (module.AZURE_TENANT_ID, module.SENDER_EMAIL) == ("contoso.example", "relay@a.example")
    assert module.AZURE_CLIENT_SECRET == "s3cret ", "a blank may be part of a secret, a line end is not"


OBJECT_ID = "a1b2c3d4-0000-4000-8000-0123456789AB"


@pytest.mark.parametrize("key", [OBJECT_ID, "old.name@a.example", "$cash@a.example"])
def test_the_mailbox_is_named_by_what_graph_knows_it_by(settings_of, key):
    module = settings_of(SENDER_EMAIL="relay@a.example", SENDER_MAILBOX=key)

    assert module.ENV.problems == []
    assert key == module.SENDER_MAILBOX


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SENDER_EMAIL", OBJECT_ID, "The object id of a mailbox goes into SENDER_MAILBOX"),
        ("SENDER_MAILBOX", "relay", "write its user principal name"),
        ("SENDER_MAILBOX", "relay@a.example/messages", "write its user principal name"),
        ("SENDER_MAILBOX", OBJECT_ID[:-1], "write its user principal name"),
    ],
)
def test_what_is_no_address_or_no_mailbox_is_refused_with_the_way_out(settings_of, name, value, words):
    (problem,) = settings_of(**{name: value}).ENV.problems

    assert words in problem.message


def test_the_slash_that_azure_puts_at_the_end_of_its_hosts_goes(settings_of):
    module = settings_of(AZURE_AUTHORITY_HOST="https://login.microsoftonline.com/")

    assert module.AZURE_AUTHORITY_HOST == "https://login.microsoftonline.com"


@pytest.mark.parametrize("host", ["http://graph.microsoft.com", "https://graph.microsoft.com/v1.0"])
def test_a_host_that_tokens_must_not_go_to_is_refused(settings_of, host):
    (problem,) = settings_of(GRAPH_ENDPOINT=host).ENV.problems

    assert "write an https address without a path" in problem.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://user:hunter2@db.example:5432/"),
        ("DATABASE_URL", "postgres://user:hunter2#more@db.example/name"),
        ("DATABASE_URL", "mysql://user:hunter2@db.example/name"),
        ("DATABASE_URL", "postgres://user:hunter2@db.example/name?prepare_threshold=often"),
        ("CELERY_BROKER_URL", "amqp://user:hunter2#more@broker.example//"),
        ("CELERY_BROKER_URL", "kafka://user:hunter2@broker.example"),
        ("CELERY_BROKER_URL", "redis://user:hunter2\u2105@broker.example"),
        ("DATABASE_URL", "postgres://user:hunter2\u2105@db.example/name"),
        ("DATABASE_URL", "postgres://user:hunter2@[db.example/name"),
    ],
)
def test_a_password_in_a_url_is_never_quoted(settings_of, name, value):
    problems = settings_of(**(CLUSTER | {name: value})).ENV.problems

    said = [f"{problem.message} {problem.hint}" for problem in problems]
    assert len(said) == 1 and said[0].startswith(f"{name}: Th")
    assert "hunter2" not in said[0]


@pytest.mark.parametrize(("query", "threshold"), [("", 1), ("?prepare_threshold=none", None)])
def test_statements_are_prepared_but_where_a_pooler_forbids_it(settings_of, query, threshold):
    module = settings_of(**CLUSTER | {"DATABASE_URL": f"{CLUSTER['DATABASE_URL']}{query}"})

    assert module.DATABASE["OPTIONS"]["prepare_threshold"] == threshold


@pytest.mark.parametrize("name", ["DJANGO_SECRET_KEY", "FIELD_ENCRYPTION_KEYS"])
def test_a_cluster_must_be_given_its_keys(settings_of, name):
    (problem,) = settings_of(**(CLUSTER | {name: ""})).ENV.problems

    assert (problem.id, problem.message) == ("gateway.E003", f"{name} is not set.")
    assert "openssl rand" in problem.hint


def test_the_word_private_stands_for_its_networks(settings_of):
    networks = {
        str(network) for network in settings_of(SMTP_ALLOWED_NETWORKS="private").SMTP_ALLOWED_NETWORKS
    }

    assert networks == {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("root: admin@example.org", {"root": ["admin@example.org"]}),
        ("Root:Admin@example.org", {"root": ["Admin@example.org"]}),
        (
            "root : a@example.org, b@example.org\npostmaster: root",
            {"root": ["a@example.org", "b@example.org"], "postmaster": ["root"]},
        ),
        (
            "root: a@example.org b@example.org, x@example.net: c@example.org;",
            {"root": ["a@example.org", "b@example.org"], "x@example.net": ["c@example.org"]},
        ),
        ("", {}),
    ],
)
def test_aliases_are_names_and_whom_they_stand_for(settings_of, written, read):
    found = settings_of(SMTP_ALIASES=written)
    assert (found.SMTP_ALIASES, found.ENV.problems) == (read, [])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("root", "“root” stands before any name"),
        ("root:", "“root” has no address"),
        ("root: a@example.org, ROOT: b@example.org", "“root” stands in this list twice"),
        ("root: a@b@c", "“a@b@c” is neither"),
        ("root: |/usr/bin/mail", None),
        ("root: <a@example.org>", "neither a name with a colon nor an address"),
        ('root: "x y"@example.org', "neither"),
    ],
)
def test_aliases_that_cannot_be_read_are_refused_with_the_word(settings_of, written, said):
    problems = settings_of(SMTP_ALIASES=written).ENV.problems
    assert [said in problem.message for problem in problems] == ([True] if said else [])


def test_the_default_domain_may_have_an_at_before_it(settings_of):
    assert settings_of(SMTP_DEFAULT_DOMAIN="@Example.org").SMTP_DEFAULT_DOMAIN == "example.org"
