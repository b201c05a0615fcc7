"""Kafka's and Redis' protocols served from this process, on free ports of 127.0.0.1."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmsent.errors import SetupError

_SERVER_PORTS = range(20_000, 32_768)
MISSING = "the one-machine stack needs {}; run: pip install 'mmsent[demo]'"


@contextmanager
def local_kafka() -> Iterator[str]:
    """librdkafka's mock cluster for as long as the block runs; yields its bootstrap address.

    Topics come by themselves, with 4 partitions, of which each keeps its newest 5 MB or so.

    Raises:
        SetupError: the package is missing, or the broker does not start.
    """
    try:
        from confluent_kafka import KafkaException, Producer  # noqa: PLC0415  # of an extra
    except ImportError as error:
        raise SetupError(MISSING.format("confluent-kafka")) from error
    try:
        producer = Producer({"test.mock.num.brokers": 1, "log_level": 3})
        brokers = producer.list_topics(timeout=10).brokers.values()
    except KafkaException as error:
        raise SetupError(f"the local broker does not start: {error}") from error
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    producer.purge()


@contextmanager
def local_redis() -> Iterator[str]:
    """fakeredis' TCP server for as long as the block runs; yields its URL.

    Raises:
        SetupError: the package is missing.
    """
    try:
        from fakeredis import TcpFakeServer  # noqa: PLC0415  # of an extra
    except ImportError as error:
        raise SetupError(MISSING.format("fakeredis")) from error

    class Server(TcpFakeServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is nothing to talk about on stderr."""

    server = Server(("127.0.0.1", 0))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="local-redis", daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    finally:
        server.shutdown()
        server.server_close()


def require_free(port: int, host: str = "127.0.0.1") -> None:
    """Refuse a port that something listens on.

    Raises:
        SetupError: names it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
            ) from error


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now.

    It is below the ephemeral ports (32768 and up: Linux's `ip_local_port_range`), so no connection that goes
    out takes it before a server does.

    Raises:
        SetupError: none was found.
    """
    for port in random.sample(_SERVER_PORTS, k=100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise SetupError(
        f"no free port of 127.0.0.1 from {_SERVER_PORTS[0]} to {_SERVER_PORTS[-1]}: end some servers"
    )
