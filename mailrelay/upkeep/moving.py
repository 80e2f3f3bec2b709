"""Every row of one database into another, in one transaction there: from SQLite to PostgreSQL."""

# ruff: noqa: SLF001 - Django names the parts of a model that work on any model with an underscore

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import DatabaseError, connections, models, transaction
from django.db.migrations.executor import MigrationExecutor

from mailrelay.models import ContentChunk, Message
from mailrelay.upkeep.errors import UpkeepError

TARGET = "target"
Model = type[models.Model]


def move(database: dict[str, Any], say: Callable[[str], None]) -> int:
    """Copy every row of the default database into `database` (a DATABASES entry); return how many.

    Ids stay, so that queue ids, tasks and logs go on to mean the same. The caller keeps all writers away from
    the source. Raises UpkeepError, and nothing has changed anywhere then.
    """
    defaults = connections.databases["default"]
    connections.databases[TARGET] = {**dict.fromkeys(defaults), **defaults, "OPTIONS": {}, **database}
    try:
        _refuse_unfit()
        with transaction.atomic(using=TARGET):
            _empty()
            total = sum(_copy(model, say) for model in _models())
            _reset_sequences()
    except DatabaseError as error:
        raise UpkeepError(f"The other database did not take it, and is as it was: {_line(error)}") from None
    finally:
        connections[TARGET].close()
    return total


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _models() -> list[Model]:
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]


def _refuse_unfit() -> None:
    executor = MigrationExecutor(connections[TARGET])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise UpkeepError(
            f"{len(plan)} migrations are not applied there: run manage.py migrate with that DATABASE_URL."
        )
    if Message.objects.using(TARGET).exists():
        raise UpkeepError("There is mail in the other database already: it must be empty.")


def _empty() -> None:
    """Take out what migrations put there: it comes along from here, under its own ids."""
    tables = [model._meta.db_table for model in _models()]
    connection = connections[TARGET]
    with connection.cursor() as cursor:
        for statement in connection.ops.sql_flush(no_style(), tables, allow_cascade=True):
            cursor.execute(statement)


def _copy(model: Model, say: Callable[[str], None]) -> int:
    """Copy the rows of one model. Foreign keys are looked at when the transaction commits."""
    size = 16 if model is ContentChunk else 500
    rows = model._base_manager.using("default").order_by("pk").iterator(chunk_size=size)
    count = 0
    for batch in _batches(rows, size):
        model._base_manager.using(TARGET).bulk_create(batch)
        count += len(batch)
    found = model._base_manager.using(TARGET).count()
    if found != count:
        raise UpkeepError(f"{count} rows of {model._meta.label} went out and {found} arrived.")
    if count:
        say(f"{model._meta.label}: {count}")
    return count


def _batches(rows: Iterator[models.Model], size: int) -> Iterator[list[models.Model]]:
    while batch := list(islice(rows, size)):
        yield batch


def _reset_sequences() -> None:
    """Let new rows get ids beyond those that came along."""
    connection = connections[TARGET]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), _models()):
            cursor.execute(statement)
