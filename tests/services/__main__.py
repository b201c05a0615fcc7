"""`python -m tests.services`: Kafka, PostgreSQL and Redis to try things on, until Ctrl-C ends them.

What it prints makes mmsent's settings and the tests use them.
"""

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.services.servers import Kafka, MissingServerError, Postgres, Redis

NAMES = {
    Kafka: ("MMSENT_KAFKA_BOOTSTRAP_SERVERS", "MMSENT_TEST_KAFKA"),
    Postgres: ("MMSENT_DATABASE_URL", "MMSENT_TEST_POSTGRES_URL"),
    Redis: ("MMSENT_REDIS_URL", "MMSENT_TEST_REDIS_URL"),
}


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as running:
        for kind, names in NAMES.items():
            folder = running.enter_context(tempfile.TemporaryDirectory(prefix=f"mmsent-{kind.name}-"))
            try:
                server = running.enter_context(kind(Path(folder)))
            except MissingServerError as error:
                sys.exit(f"this {error}")
            for name in names:
                sys.stdout.write(f"export {name}={server.url()}\n")
        sys.stdout.flush()
        sys.stderr.write("Ctrl-C ends them\n")
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
