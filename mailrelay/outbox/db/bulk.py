"""Many rows of one table at once, with SQL that is made once from the model."""

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache, partial
from typing import Any

from django.db import connection, models

from mailrelay.outbox.db import statements


def _adapting(field: "models.Field[Any, Any]") -> Callable[[Any], Any]:
    # A batch has one time, and each id is in several rows.
    return lru_cache(maxsize=1024)(partial(field.get_db_prep_save, connection=connection))


_ADAPT = {type(field): _adapting(field) for field in (models.DateTimeField(), models.UUIDField())}


class Insert:
    """INSERT of rows that give the fields `names`; every other field gets its default.

    `bulk_create` makes an object, an expression and a compiled statement for each row, which takes longer
    than the database does.
    """

    def __init__(self, model: type[models.Model], *names: str) -> None:
        self._meta = model._meta  # noqa: SLF001 - Django documents it
        self._names = names

    def __call__(self, rows: Iterable[list[Any]]) -> None:
        """Insert `rows`, whose values stand in the order of the names, in the caller's transaction.

        The rows are used up: values are adapted to the database where they stand.
        """
        adapted = self._adapted
        values = []
        for row in rows:
            for position, adapt in adapted:
                row[position] = adapt(row[position])
            values.append(row + self._defaults)
        if values:
            with statements.cursor() as cursor:
                cursor.executemany(self._sql, values)

    def one(self, *values: Any) -> int:
        """Insert a single row, and return the id that the database gave it."""
        row = list(values)
        for position, adapt in self._adapted:
            row[position] = adapt(row[position])
        with statements.cursor() as cursor:
            cursor.execute(f"{self._sql} RETURNING id", row + self._defaults)
            return int(cursor.fetchone()[0])

    @cached_property
    def _given(self) -> "list[models.Field[Any, Any]]":
        fields = {field.attname: field for field in self._meta.concrete_fields}
        return [fields[name] for name in self._names]

    @cached_property
    def _others(self) -> "list[models.Field[Any, Any]]":
        fields = self._meta.concrete_fields
        return [field for field in fields if field not in self._given and not field.primary_key]

    @cached_property
    def _sql(self) -> str:
        quote = connection.ops.quote_name
        columns = [quote(str(field.column)) for field in (*self._given, *self._others)]
        marks = ", ".join(["%s"] * len(columns))
        return f"INSERT INTO {quote(self._meta.db_table)} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own

    @cached_property
    def _adapted(self) -> list[tuple[int, Callable[[Any], Any]]]:
        """List the positions whose values the driver does not take as they are, each with what adapts it."""
        kinds = [type(getattr(field, "target_field", field)) for field in self._given]
        return [(position, _ADAPT[kind]) for position, kind in enumerate(kinds) if kind in _ADAPT]

    @cached_property
    def _defaults(self) -> list[Any]:
        return [
            field.get_db_prep_save(field.to_python(field.get_default()), connection) for field in self._others
        ]
