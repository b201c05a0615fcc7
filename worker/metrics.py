"""What a worker counts. Names start with `mmsent_`, units are SI, no label grows with the posts."""

from collections.abc import Callable, Iterator
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mmsent.pipeline import ImageLoader
from mmsent.posts import ImageErrorReason

OUTCOMES = ("written", "repeat", "stale", "dead")
DEAD_STAGES = ("decode", "validate", "score", "store", "bug")
STAGES = ("fetch", "decode", "score", "write", "live", "publish", "commit")
COMMIT_FAILURES = ("lost", "unavailable")
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """One worker's; two in one process do not meet."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        # A second series for each counter, of no use beside the start time of the process.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client annotates most of itself
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.build = Info(
            "mmsent_build", "Version of mmsent, the model and the engine that runs it", registry=registry
        )
        self.posts = Counter(
            "mmsent_posts",
            f"Records finished, by what became of them: {', '.join(OUTCOMES)}",
            ["outcome"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "mmsent_dead_letters", "Records sent to posts.dead, by stage", ["stage"], registry=registry
        )
        self.image_errors = Counter(
            "mmsent_image_errors", "Pictures that could not be had, by reason", ["reason"], registry=registry
        )
        self.fetches_open = Gauge(
            "mmsent_fetches_open", "Pictures being fetched or waiting for their turn", registry=registry
        )
        self.fetched_bytes = Counter("mmsent_fetched_bytes", "Bytes of pictures fetched", registry=registry)
        self.stage = Histogram(
            "mmsent_stage_seconds",
            "Time a post (fetch, decode, score) or a batch (write, live, publish, commit) takes",
            ["stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.latency = Histogram(
            "mmsent_end_to_end_seconds",
            "From the record's timestamp to its row",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.write_rows = Histogram(
            "mmsent_write_batch_records", "Records in a write", buckets=BATCH_BUCKETS, registry=registry
        )
        self.database_retries = Counter(
            "mmsent_database_retries", "Writes put off: database down", registry=registry
        )
        self.broker_retries = Counter(
            "mmsent_broker_retries", "Batches put off: Kafka down", registry=registry
        )
        self.lost = Counter(
            "mmsent_lost_records", "Records that left Kafka before they were read", registry=registry
        )
        self.rebalances = Counter("mmsent_rebalances", "Assignments received", registry=registry)
        self.commits_failed = Counter(
            "mmsent_commits_failed", "Commits refused or without answer", ["reason"], registry=registry
        )
        self.lag = Gauge(
            "mmsent_lag_records", "Records not finished yet, by partition", ["partition"], registry=registry
        )
        self.committed = Gauge(
            "mmsent_last_commit_timestamp_seconds", "When offsets were committed last", registry=registry
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """What has not happened yet is 0, not missing: a rate that begins with the first error hides it."""
        for counter, labels in (
            (self.posts, OUTCOMES),
            (self.dead_letters, DEAD_STAGES),
            (self.image_errors, get_args(ImageErrorReason)),
            (self.stage, STAGES),
            (self.commits_failed, COMMIT_FAILURES),
        ):
            for label in labels:
                counter.labels(label)

    @property
    def lag_seen(self) -> int:
        """Records of our partitions not finished yet, when the watchdog last looked."""
        return int(sum(sample.value for family in self.lag.collect() for sample in family.samples))

    def stage_took(self, stage: str, seconds: float) -> None:
        self.stage.labels(stage).observe(seconds)

    def image_failed(self, reason: str) -> None:
        self.image_errors.labels(reason).inc()

    def fetching(self, fetch: ImageLoader) -> ImageLoader:
        """`fetch`, counted."""

        async def counted(url: str) -> bytes:
            with self.fetches_open.track_inprogress():
                data = await fetch(url)
            self.fetched_bytes.inc(len(data))
            return data

        return counted

    def read(self, *readings: "Reading") -> None:
        """Also show numbers that are counted elsewhere; each is asked for when someone looks."""
        self.registry.register(_Readings(readings))


class Reading:
    """A number that some part keeps for itself: `name` ends in `_total` if it only grows."""

    def __init__(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        self._name = name
        self._documentation = documentation
        self._value = value

    def metric(self) -> Metric:
        family = CounterMetricFamily if self._name.endswith("_total") else GaugeMetricFamily
        return family(self._name, self._documentation, value=self._value())


class _Readings(Collector):
    def __init__(self, readings: tuple[Reading, ...]) -> None:
        self._readings = readings

    def describe(self) -> Iterator[Metric]:
        yield from ()  # asking the parts is left to those who look

    def collect(self) -> Iterator[Metric]:
        for reading in self._readings:
            yield reading.metric()
