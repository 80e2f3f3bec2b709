"""Keys that the embedded default makes for itself, once, in `DATA_DIR`; a cluster must be given its own."""

import base64
import os
import secrets
from contextlib import suppress
from pathlib import Path

from gateway.env import Environment


def own_key(env: Environment, name: str, value: str, data_dir: Path, *, embedded: bool) -> str:
    """Return `value`, or the key kept in `data_dir` when the gateway runs on its embedded parts."""
    if value:
        return value
    if not embedded:
        env.problem(
            "gateway.E003",
            f"{name} is not set.",
            f"With DATABASE_URL set, every process needs the same {name} (or {name}_FILE); "
            "`openssl rand -base64 32 | tr +/ -_` makes one.",
        )
        return "not-set"
    path = data_dir / "keys" / name.lower()
    try:
        key = path.read_text(encoding="ascii").strip() if path.exists() else _make(path)
    except OSError as error:
        return _unusable(env, path, f"can be neither read nor made: {error.strerror}")
    except UnicodeDecodeError:
        key = ""
    return key or _unusable(env, path, "holds no key: put the key back, for what it encrypted needs it")


def _make(path: Path) -> str:
    """Write a new key so that two processes that start at once end with the same one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    # Not by process id: the first process of every container is number 1.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    draft.touch(mode=0o600)
    try:
        with draft.open("w", encoding="ascii") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


def _unusable(env: Environment, path: Path, why: str) -> str:
    env.problem(
        "gateway.E004",
        f"The key file {path} {why}.",
        "Make DATA_DIR a directory that this process may write, or set the key in the environment.",
    )
    return "not-set"
