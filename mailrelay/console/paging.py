"""Pages of a list without counting all of it: a million rows are counted as far as the last page shown."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.core.paginator import Paginator
from django.utils.functional import cached_property

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: Rows that a list reaches: what lies beyond is found by a search or a filter.
COUNTED = 10_000


class CountedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over the first rows, `most` of them: nobody counts a million to print a page of fifty."""

    def __init__(self, rows: Any, per_page: int, *_: Any, most: int = COUNTED, **__: Any) -> None:
        super().__init__(rows, per_page)
        self._most = most

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return int(rows.order_by()[: self._most].count())


class FoundPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over ids that were found: a page asks for its own fifty alone."""

    def __init__(self, rows: "QuerySet[Any]", ids: tuple[UUID, ...], per_page: int) -> None:
        super().__init__(rows, per_page)
        self._ids = ids

    @cached_property
    def count(self) -> int:
        return len(self._ids)

    def page(self, number: Any) -> Any:
        """Return the page of that number. Raises InvalidPage."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        rows = cast("QuerySet[Any]", self.object_list)
        return self._get_page(rows.filter(pk__in=self._ids[first : first + self.per_page]), number, self)  # type: ignore[attr-defined]
