"""prepare.py FILE: make an empty database with this version's tables, which a first start copies."""

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.sqlite3"
        environment = {"DATA_DIR": folder, "DATABASE_URL": f"sqlite:///{made}", "PATH": "/usr/bin:/bin"}
        subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"],
            env=environment,
            check=True,
        )
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        target.write_bytes(made.read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
