"""Makes the passwords of PostgreSQL and Redis, once, and writes them where only the services look.

Everything else in the folder follows from the two passwords and is written again each time.
"""

import secrets
import sys
from pathlib import Path


def password(file: Path) -> str:
    """The one in `file`; a new one if there is none."""
    if not file.exists():
        write(file, secrets.token_hex(32))
    return file.read_text(encoding="ascii").strip()


def write(file: Path, text: str) -> None:
    """Whole or not at all: PostgreSQL keeps the first password it is given for good."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(f"{text}\n", encoding="ascii")
    partial.chmod(0o444)  # each service reads it as a user of its own
    partial.replace(file)


def main(folder: Path) -> None:
    database = password(folder / "postgres_password")
    redis = password(folder / "redis_password")
    write(folder / "database_url", f"postgresql://mmsent:{database}@postgres:5432/mmsent")
    write(folder / "redis_url", f"redis://:{redis}@redis:6379/0")
    write(folder / "redis.conf", f"requirepass {redis}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
