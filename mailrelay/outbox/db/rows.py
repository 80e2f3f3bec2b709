"""Whole rows of models by fixed statements: what `statements` does for single columns.

The columns come from the models, and each value passes through its field, so that what is read here is the
object that the ORM would give. Only the SQL is ours.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Field, Model

from mailrelay.outbox.db import statements

M = TypeVar("M", bound=Model)
Converter = Callable[[Any], Any]


class Columns(Generic[M]):
    """The columns of `model` in statements that call its table `alias`; those `without` come on demand."""

    def __init__(self, model: type[M], alias: str, without: Iterable[str] = ()) -> None:
        self._model = model
        fields = model._meta.concrete_fields  # noqa: SLF001 - Django documents it
        self._fields = [field for field in fields if field.attname not in without]
        self._names = [field.attname for field in self._fields]
        #: As they stand after SELECT.
        self.sql = ", ".join(f"{alias}.{field.column}" for field in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def read(self, values: Sequence[Any]) -> M:
        """Make the object whose row has these `values`."""
        converted = list(values)
        for position, convert in self._converters:
            converted[position] = convert(converted[position])
        return self._model.from_db(connection.alias, self._names, converted)

    @cached_property
    def _converters(self) -> list[tuple[int, Converter]]:
        """Make Python's values of the database's, for the fields that need it."""
        backend = connection.ops.get_db_converters
        chains = [
            [*backend(field.cached_col), *field.get_db_converters(connection)] for field in self._fields
        ]
        return [
            (position, partial(_convert, chain, field.cached_col))
            for position, (field, chain) in enumerate(zip(self._fields, chains, strict=True))
            if chain
        ]


def read_all(row: Sequence[Any], *tables: Columns[Any]) -> list[Any]:
    """Make the objects of a row that joins `tables`, in the order of their columns."""
    objects, start = [], 0
    for columns in tables:
        objects.append(columns.read(row[start : start + len(columns)]))
        start += len(columns)
    return objects


def save(row: Model, names: Sequence[str]) -> None:
    """Write these columns of a row, in the caller's transaction."""
    fields, sql = _update(type(row), tuple(names))
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    statements.changed(sql, *values, row.pk)


@lru_cache(maxsize=64)
def _update(model: type[Model], names: tuple[str, ...]) -> "tuple[list[Field[Any, Any]], str]":
    meta = model._meta  # noqa: SLF001 - likewise
    fields = [field for name in names for field in meta.concrete_fields if field.name == name]
    columns = ", ".join(f"{field.column} = %s" for field in fields)
    return fields, f"UPDATE {meta.db_table} SET {columns} WHERE id = %s"  # noqa: S608 - names of our own


def _convert(chain: list[Callable[..., Any]], column: Any, value: Any) -> Any:
    for convert in chain:
        value = convert(value, column, connection)
    return value
