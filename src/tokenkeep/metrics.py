"""
What can be counted, for OpenTelemetry and Prometheus; never a user, an id or a secret.

Nothing is sent from here: an application that has set OpenTelemetry up sees these meters, and
without the extra ``otel`` there are none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from tokenkeep.errors import (
    ConfigurationError,
    CoolingDown,
    LoginNeeded,
    ProviderRefused,
    ProviderUnavailable,
    RenewalError,
    RenewalTimeout,
    StoreError,
    TokenKeepError,
)
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, Observation

    from tokenkeep.token import Token


@dataclass(frozen=True, slots=True)
class Metric:
    """
    Something that is counted.

    Args:
        name: As OpenTelemetry names it.
        kind: Which instrument it is.
        unit: As UCUM writes it; what is in braces is only for people.
        attributes: What its values are told apart by.
        text: What it is, as a clause without a full stop.
        bounds: Of the buckets of a histogram.
    """

    name: str
    kind: Literal["observable_counter", "counter", "up_down_counter", "histogram", "gauge"]
    unit: str
    attributes: tuple[str, ...]
    text: str
    bounds: tuple[float, ...] | None = None

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus, as OpenTelemetry's exporters make it of the other one."""
        unit = "_seconds" if self.unit == "s" else ""
        total = "_total" if self.kind.endswith("counter") and self.kind[0] != "u" else ""
        return self.name.replace(".", "_") + unit + total


HANDED_OUT = Metric("tokenkeep.tokens.handed_out", "observable_counter", "{token}", ("provider",),
                    "Valid tokens that were handed out")  # fmt: skip
RENEWALS = Metric("tokenkeep.renewals", "counter", "{renewal}", ("provider", "outcome"),
                  "Renewals that this process made, by what they ended in")  # fmt: skip
WAIT = Metric("tokenkeep.renewal.wait_time", "histogram", "s", ("provider", "outcome"),
              "How long callers waited for a renewal, their own or somebody else's",
              (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45))  # fmt: skip
BUDGET = Metric("tokenkeep.renewal.budget", "histogram", "{call}", ("provider",),
                "Calls that a token's limit at the provider had left at its renewal",
                (0, 1, 2, 3, 4, 5, 7, 10, 20, 50))  # fmt: skip
CLAIMS = Metric("tokenkeep.claims.held", "up_down_counter", "{claim}", ("provider",),
                "Claims on renewals that this process holds")  # fmt: skip
REVOCATIONS = Metric("tokenkeep.revocations", "counter", "{revocation}", ("provider", "outcome"),
                     "Revocations that the provider was asked for")  # fmt: skip
EVENTS = Metric("tokenkeep.events", "counter", "{event}", ("event",), "Events")
TOKENS = Metric("tokenkeep.tokens.stored", "gauge", "{token}", ("state",),
                "Stored tokens, by their state")  # fmt: skip
RECORDS = Metric("tokenkeep.records.stored", "gauge", "{record}", ("kind",),
                 "Records of the store beside its tokens")  # fmt: skip
DUE = Metric("tokenkeep.due.records", "gauge", "{record}", (),
             "Records that a sweep or keep-fresh has something to do with by now")  # fmt: skip
DUE_AGE = Metric("tokenkeep.due.age", "gauge", "s", (),
                 "How long the first of them has been waiting")  # fmt: skip
PENDING = Metric("tokenkeep.due.revocations", "gauge", "{revocation}", (),
                 "Revocations that the provider has not confirmed")  # fmt: skip

OF_A_PROCESS = (HANDED_OUT, RENEWALS, WAIT, BUDGET, CLAIMS, REVOCATIONS, EVENTS)
OF_THE_STORE = (TOKENS, RECORDS, DUE, DUE_AGE, PENDING)

_DEEDS = {"counter": "add", "up_down_counter": "add", "histogram": "record", "gauge": "set"}

_OUTCOMES: tuple[tuple[type[TokenKeepError], str], ...] = (
    (CoolingDown, "throttled"),
    (ProviderRefused, "refused"),
    (ProviderUnavailable, "unavailable"),
    (LoginNeeded, "login_needed"),
    (RenewalTimeout, "timeout"),
    (StoreError, "store"),
    (ConfigurationError, "configuration"),
)
"""The first that fits counts."""

OUTCOMES = ("ok", "unsaved", *(outcome for _, outcome in _OUTCOMES), "other")
"""What a renewal may end in."""


def outcome_of(error: BaseException) -> str:
    """Return which of `OUTCOMES` an error is."""
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """
    What a store holds.

    Args:
        tokens: How many tokens there are, by their state.
        records: How many records there are beside them, by their kind; empty where a store
            has none, or does not say.
        due: With how many records a sweep has something to do by now.
        due_age: How long the first of those has been waiting, in seconds. None if there is
            none, or that is not known.
        revocations: How many revocations the provider has not confirmed.
    """

    tokens: Mapping[str, int]
    records: Mapping[str, int] = field(default_factory=dict)
    due: int
    due_age: float | None = None
    revocations: int

    def samples(self) -> Iterator[tuple[Metric, float, dict[str, str]]]:
        """Yield what it counts, those of one metric together, with their attributes."""
        for metric, counts in ((TOKENS, self.tokens), (RECORDS, self.records)):
            for name, count in counts.items():
                yield metric, count, {metric.attributes[0]: name}
        yield DUE, self.due, {}
        yield DUE_AGE, self.due_age or 0.0, {}
        yield PENDING, self.revocations, {}

    def text(self) -> str:
        """Return it as Prometheus reads it: all labels are words of our own."""
        lines = []
        for metric, samples in groupby(self.samples(), key=lambda sample: sample[0]):
            name = metric.prometheus
            lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} gauge"]
            for _, value, attributes in samples:
                labels = ",".join(f'{key}="{word}"' for key, word in attributes.items())
                lines.append(f"{name}{{{labels}}} {value}" if labels else f"{name} {value}")
        return "\n".join([*lines, ""])


class Meters:
    """
    The instruments of one process. *meter* is OpenTelemetry's; None counts nothing.

    Its methods are called on the way to a token: they raise nothing and wait for nobody.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        # Read when somebody collects: an ``add`` of OpenTelemetry's takes ten times as long as
        # to hand a token out. Of a dict itself, no thread comes between a look and its write.
        self.handed_out: dict[str, int] = {}
        """How many tokens were handed out, by provider."""
        self._note: dict[Metric, Callable[[float, Mapping[str, str]], None]] = {}
        if meter is not None:
            self._make(meter)

    def _make(self, meter: Meter) -> None:
        from opentelemetry.metrics import Observation

        def handed_out(_: CallbackOptions) -> Iterable[Observation]:
            counts = list(self.handed_out.items())
            return [Observation(count, {"provider": provider}) for provider, count in counts]

        for metric in (*OF_A_PROCESS, *OF_THE_STORE):
            about = {"unit": metric.unit, "description": metric.text}
            if metric is HANDED_OUT:
                meter.create_observable_counter(metric.name, [handed_out], **about)
                continue
            more = {"explicit_bucket_boundaries_advisory": metric.bounds} if metric.bounds else {}
            made = getattr(meter, f"create_{metric.kind}")(metric.name, **about, **more)
            self._note[metric] = getattr(made, _DEEDS[metric.kind])

    def note(self, metric: Metric, value: float = 1, **attributes: str) -> None:
        """Count something, by the attributes that the metric has."""
        if self._note:
            self._note[metric](value, attributes)

    def waited(self, provider: str, seconds: float, error: RenewalError | None = None) -> None:
        """Note how long a caller has waited for a renewal, and the error it got, if any."""
        outcome = outcome_of(error) if error else "ok"
        self.note(WAIT, seconds, provider=provider, outcome=outcome)

    def claimed(self, provider: str, left: int | None) -> None:
        """Note a claim, and how many calls are *left* after its own; None without a limit."""
        self.note(CLAIMS, 1, provider=provider)
        if left is not None:
            self.note(BUDGET, left, provider=provider)

    def let_go(self, provider: str) -> None:
        """Note that a claim is over."""
        self.note(CLAIMS, -1, provider=provider)

    def renewal(
        self, provider: str, renew: Callable[[Token], Token | None], token: Token
    ) -> Token | None:
        """Renew a token, and count what it ended in. None, which counts nothing: read it again."""
        try:
            renewed = renew(token)
        except Exception as exc:
            self.note(RENEWALS, provider=provider, outcome=outcome_of(exc))
            raise
        if renewed is not None:
            outcome = "unsaved" if renewed.version is None else "ok"
            self.note(RENEWALS, provider=provider, outcome=outcome)
        return renewed

    def census(self, census: Census) -> None:
        """Set what a census has counted."""
        for metric, value, attributes in census.samples():
            self.note(metric, value, **attributes)


@cache
def of_this_process() -> Meters:
    """Return the instruments of this process, one of each: OpenTelemetry takes no second one."""
    try:
        from opentelemetry import metrics
    except ImportError:
        return Meters()
    return Meters(metrics.get_meter("tokenkeep", __version__))
