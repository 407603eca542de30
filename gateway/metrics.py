"""Prometheus metrics; they read events, and gauges of the state when scraped."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.errors import GatewayError
from gateway.routing.observation import Began, Ended, Event, Observation

LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


def list_codes(kind: type[GatewayError]) -> Iterator[str]:
    """The codes of an error and all of its kinds; a supplier may say any number of others."""
    yield kind.code
    for each in kind.__subclasses__():
        yield from list_codes(each)


CODES = frozenset({"", *list_codes(GatewayError)})


class Metrics:
    """Counters by supplier and result; children are kept, as looking one up is not free."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("supplier", "model")
        self._tries = Counter(
            "gateway_tries", "Tries by how they ended", (*labels, "result"), registry=registry
        )
        self._latency = Histogram(
            "gateway_try_seconds", "Time of a whole try", labels, buckets=LATENCY_S,
            registry=registry,
        )  # fmt: skip
        self._first_byte = Histogram(
            "gateway_first_byte_seconds", "Time to a stream's first byte", labels,
            buckets=LATENCY_S, registry=registry,
        )  # fmt: skip
        self._served = Counter("gateway_units_served", "Units as signed", labels, registry=registry)
        self._receipted = Counter(
            "gateway_units_receipted", "Units as recounted", labels, registry=registry
        )
        self._overclaims = Counter(
            "gateway_overclaims", "Signed counts beyond tolerance", labels, registry=registry
        )
        self._dials = Counter(
            "gateway_dials", "Suppliers that dialled in, by outcome", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self._requests = Counter(
            "gateway_requests", "Requests by how they ended", ("status", "code"),
            registry=registry,
        )  # fmt: skip
        self._ends: dict[tuple[int, str], Counter] = {}
        self.registry = registry
        self._known: dict[tuple[bytes, str], tuple[Histogram, Histogram, Counter, Counter]] = {}
        self._results: dict[tuple[bytes, str, str], Counter] = {}

    def observe(self, event: Event) -> None:
        """Count one event."""
        names = ("0x" + event.supplier.hex(), event.model)
        place = (event.supplier, event.model)
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = (
                self._latency.labels(*names),
                self._first_byte.labels(*names),
                self._served.labels(*names),
                self._receipted.labels(*names),
            )
        latency, first_byte, served, receipted = known
        if not isinstance(event, Observation):
            receipted.inc(event.units_receipted)
            if event.is_overclaim:
                self._overclaims.labels(*names).inc()
            return
        self._result(event, names).inc()
        latency.observe(event.latency_s)
        if event.first_byte_s is not None:
            first_byte.observe(event.first_byte_s)
        if event.units:
            served.inc(event.units)

    def count_dial(self, outcome: str) -> None:
        """Count one attempt to open a line."""
        self._dials.labels(outcome).inc()

    def record(self, event: Began | Ended) -> None:
        """Count the end of a request, by a code of the gateway's own or `other`."""
        if isinstance(event, Began):
            return
        place = (event.status, event.code)
        counter = self._ends.get(place)
        if counter is None:
            code = event.code if event.code in CODES else "other"
            counter = self._requests.labels(event.status, code)
            if code == event.code:
                self._ends[place] = counter
        counter.inc()

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that reads its value when scraped."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def _result(self, event: Observation, names: tuple[str, str]) -> Counter:
        place = (event.supplier, event.model, event.result.value)
        counter = self._results.get(place)
        if counter is None:
            counter = self._results[place] = self._tries.labels(*names, event.result.value)
        return counter
