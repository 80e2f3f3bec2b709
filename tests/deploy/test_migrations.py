"""Migrations expand first and contract a release later, so that old and new run on one queue side by side."""

import importlib
from pathlib import Path

import pytest
from django.db import migrations, models

from tests.deploy.tools import ROOT

#: Migrations before the first release, which nothing older runs beside.
BEFORE_THE_FIRST_RELEASE = {
    *("0001_initial", "0002_console_search", "0003_limits", "0004_reports_and_credentials"),
    *("0005_large_mail", "0006_smtp_clients", "0007_release_and_parts"),
}
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


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BEFORE_THE_FIRST_RELEASE])
def test_the_release_before_can_live_with_the_migration(name):
    assert faults(name, operations(name)) == []


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
