"""Many rows of one table at once, with SQL that is made once from the model."""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

from django.db import connection, models

#: Fields whose values the database's driver does not take as they are.
_ADAPTED = (models.DateTimeField, models.UUIDField)


class Insert:
    """INSERT of rows that give the fields `names`; every other field gets its default.

    `bulk_create` makes an object, an expression and a compiled statement for each row, which takes longer
    than the database does.
    """

    def __init__(self, model: type[models.Model], *names: str) -> None:
        self._meta = model._meta  # noqa: SLF001 - Django documents it
        self._names = names

    def __call__(self, rows: Sequence[Sequence[Any]]) -> None:
        """Insert `rows`, whose values stand in the order of the names, in the caller's transaction."""
        if not rows:
            return
        adapt, defaults = self._adapt, self._defaults
        values = [
            (
                *[value if take is None else take(value) for take, value in zip(adapt, row, strict=True)],
                *defaults,
            )
            for row in rows
        ]
        with connection.cursor() as cursor:
            cursor.executemany(self._sql, values)

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
    def _adapt(self) -> list[Callable[[Any], Any] | None]:
        # A batch has one time, and each id in several rows.
        return [
            lru_cache(maxsize=1024)(partial(field.get_db_prep_save, connection=connection))
            if isinstance(getattr(field, "target_field", field), _ADAPTED)
            else None
            for field in self._given
        ]

    @cached_property
    def _defaults(self) -> list[Any]:
        return [
            field.get_db_prep_save(field.to_python(field.get_default()), connection) for field in self._others
        ]
