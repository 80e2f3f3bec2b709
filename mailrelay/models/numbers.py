"""Between which numbers a column of whole numbers lies: the same on every database."""

from typing import TYPE_CHECKING

from django.core.validators import MaxValueValidator, MinValueValidator

if TYPE_CHECKING:
    from django.db import models

#: What PostgreSQL keeps in a column of each type.
MOST = {
    "PositiveSmallIntegerField": 2**15 - 1,
    "PositiveIntegerField": 2**31 - 1,
    "PositiveBigIntegerField": 2**63 - 1,
}


def bounds(field: "models.Field[object, object]") -> tuple[int, int]:
    """Return the least and the most, by the column's type and its own validators."""
    own = [one for one in field.validators if isinstance(one, MinValueValidator | MaxValueValidator)]
    least = [int(one.limit_value) for one in own if isinstance(one, MinValueValidator)]
    most = [int(one.limit_value) for one in own if isinstance(one, MaxValueValidator)]
    return max([0, *least]), min([MOST[field.get_internal_type()], *most])
