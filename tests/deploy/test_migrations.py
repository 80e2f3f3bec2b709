"""Migrations expand first and contract a release later, so that old and new run on one queue side by side."""

import importlib
import re
from pathlib import Path

import psycopg
import pytest
from django.db import migrations, models

from tests.deploy.tools import ROOT
from tests.harness.ports import eventually
from tests.harness.processes import mail, send

#: The newest migration that a release had. Until there is one, nothing older runs beside this version.
NEWEST_RELEASED: str | None = None
NAMES = sorted(path.stem for path in (ROOT / "mailrelay" / "migrations").glob("[0-9]*.py"))
#: What takes something away that the release before may still use. A migration that only contracts says
#: so by its name, and ships a release after the code stopped using the thing.
CONTRACTING = (migrations.DeleteModel, migrations.RemoveField, migrations.RenameField, migrations.RenameModel)
ADDING = (migrations.AddField,)


def operations(name: str) -> list:
    return importlib.import_module(f"mailrelay.migrations.{name}").Migration.operations


def faults(name: str, found: list) -> list[str]:
    """List what in the operations the release before could not live with."""
    wrong = []
    for operation in found:
        kind = type(operation).__name__
        if isinstance(operation, CONTRACTING) and not name.endswith("_contract"):
            wrong.append(f"{kind}: takes away what the release before may use")
        if isinstance(operation, ADDING) and not _has_database_default(operation.field):
            wrong.append(f"{kind} {operation.name}: the release before inserts rows without it")
        if isinstance(operation, migrations.RunPython) and operation.reverse_code is None:
            wrong.append(f"{kind}: has no way back")
        if (
            isinstance(operation, migrations.AlterField)
            and not operation.field.null
            and name not in EXPLAINED
        ):
            wrong.append(f"{kind} {operation.name}: say in EXPLAINED why the release before can live with it")
    return wrong


#: Altered fields, and why the release before does not notice.
EXPLAINED: dict[str, str] = {}


def _has_database_default(field: models.Field) -> bool:
    """Whether rows inserted by code that does not know the column get a value from the database."""
    return field.null or field.has_db_default() or field.many_to_many


def test_the_release_before_can_live_with_each_migration_since():
    since = [name for name in NAMES if NEWEST_RELEASED and name > NEWEST_RELEASED]

    assert {name: found for name in since if (found := faults(name, operations(name)))} == {}


def test_the_newest_released_migration_is_kept_up():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)

    assert bool(released) is bool(NEWEST_RELEASED), "name the newest migration of the release here"


@pytest.mark.services
def test_this_version_works_beside_one_that_has_expanded_the_tables(on_redis):
    on_redis.migrate()
    with psycopg.connect(on_redis.environment["DATABASE_URL"], autocommit=True) as connection:
        # What the next release may do: columns with defaults, tables, and its own migrations on record.
        connection.execute("ALTER TABLE mailrelay_message ADD COLUMN future text NOT NULL DEFAULT ''")
        connection.execute("ALTER TABLE mailrelay_delivery ADD COLUMN future integer NULL")
        connection.execute("CREATE TABLE mailrelay_future (id bigserial PRIMARY KEY)")
        connection.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('mailrelay', '9999_future', now())"
        )
    relay, worker = on_redis.listener().start(), on_redis.worker()
    send(relay.smtp_port, mail("before"))
    worker.start()
    send(relay.smtp_port, mail("after"))
    on_redis.wait_for(sent=2)

    assert eventually(lambda: relay.get("/ready") == 200)


def test_there_are_no_gaps_and_no_two_migrations_of_one_number():
    assert [int(name[:4]) for name in NAMES] == list(range(1, len(NAMES) + 1))


@pytest.mark.parametrize(
    ("operation", "fits"),
    [
        (migrations.AddField("message", "a", models.TextField(null=True)), True),
        (migrations.AddField("message", "a", models.TextField(db_default="")), True),
        (migrations.AddField("message", "a", models.TextField(default="")), False),
        (migrations.RemoveField("message", "a"), False),
        (migrations.RenameField("message", "a", "b"), False),
        (migrations.DeleteModel("message"), False),
        (migrations.RunPython(lambda *_: None), False),
        (migrations.RunPython(lambda *_: None, migrations.RunPython.noop), True),
        (migrations.AlterField("message", "a", models.TextField()), False),
    ],
)
def test_the_linter_knows_what_fits(operation, fits):
    assert (faults("9999_example", [operation]) == []) is fits


def test_a_contraction_says_so_by_its_name():
    assert faults("9999_drop_a_contract", [migrations.RemoveField("message", "a")]) == []
    assert Path("9999_drop_a_contract").name.endswith("_contract")
