"""Paths of a mailbox in Graph."""

from urllib.parse import quote


def of_user(user: str) -> str:
    """Give the path of a user by principal name or object id, below the version.

    A name that begins with `$` stands in quotes and parentheses, or Graph takes it for an option of OData
    (https://learn.microsoft.com/graph/api/user-get).
    """
    if user.startswith("$"):
        doubled = user.replace("'", "''")
        return f"/users('{quote(doubled, safe='@$')}')"
    return f"/users/{quote(user, safe='@')}"
