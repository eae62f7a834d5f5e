"""In which order the targets of one message are asked.

    priority        as they are configured
    weighted        drawn one after another, each in proportion to its weight; those of weight 0 after all others, as
                    they are configured
    least_latency   by their mean time to first text. An unknown one counts as the quickest, and equals are drawn

`least_latency` lets one message in fifty (`EXPLORED`) begin with another target than the quickest, so that a slow
moment is forgiven once it is over; that costs a fiftieth of the messages, however many there are. An unknown target
does not go before the quickest but shares with it: else every message would go to it until its first answer is there,
and longest to one that never answers.

A conversation stays at the target where it is (`Bound`), which is asked before the order that the strategy gives. Where
a failure moved it there, it is the strategy's again after `return_after` seconds; who answers then is where it is,
unmoved. A target that is not among the candidates (its breaker is open) is not waited for.

`random` is at least 0 and below 1.
"""

from collections.abc import Callable, Hashable, Sequence
from math import log1p
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from gateway.routing.latency import Latency

T = TypeVar("T")

Strategy = Literal["priority", "weighted", "least_latency"]

Weight = Annotated[float, Meta(ge=0, le=1_000_000)]

EXPLORED = 0.02
"""The share of messages that `least_latency` begins with another target than the quickest."""


class Stickiness(Struct, frozen=True, forbid_unknown_fields=True):
    mode: Literal["none", "prefer"] = "prefer"
    return_after: Annotated[float, Meta(ge=0, le=31_536_000)] | None = None
    """Seconds after which a conversation may leave the target to which a failure moved it; None: it stays."""


class Bound(Struct, frozen=True):
    """Where a conversation is: the key of its target, and how many seconds ago a failure moved it there, if one did."""

    key: Hashable
    moved: float | None = None


class Candidate(Struct, Generic[T], frozen=True):
    """A target that may be asked; `key` finds its latency, and the conversations that are there."""

    target: T
    key: Hashable
    weight: Weight = 1.0


def order(
    candidates: Sequence[Candidate[T]],
    strategy: Strategy,
    *,
    stickiness: Stickiness,
    bound: Bound | None,
    latency: Latency,
    now: float,
    random: Callable[[], float],
) -> list[T]:
    """All the candidates' targets, the one to be asked first at the head."""
    ranked = _ranked(candidates, strategy, latency, now, random)
    if bound is not None and _stays(stickiness, bound):
        ranked.sort(key=lambda candidate: candidate.key != bound.key)
    return [candidate.target for candidate in ranked]


def _stays(stickiness: Stickiness, bound: Bound) -> bool:
    if stickiness.mode == "none":
        return False
    return bound.moved is None or stickiness.return_after is None or bound.moved < stickiness.return_after


def _ranked(
    candidates: Sequence[Candidate[T]],
    strategy: Strategy,
    latency: Latency,
    now: float,
    random: Callable[[], float],
) -> list[Candidate[T]]:
    match strategy:
        case "weighted":
            return sorted(candidates, key=lambda candidate: _arrival(candidate.weight, random()))
        case "least_latency":
            return _by_latency(candidates, latency, now, random)
        case _:
            return list(candidates)


def _arrival(weight: float, drawn: float) -> float:
    """Of a race in which each starts at its weight's rate: who comes first, and of the rest next, is drawn by weight.

    The exponential keys of Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """
    return -log1p(-drawn) / weight if weight else float("inf")


def _by_latency(
    candidates: Sequence[Candidate[T]], latency: Latency, now: float, random: Callable[[], float]
) -> list[Candidate[T]]:
    means = [latency.mean(candidate.key, now) for candidate in candidates]
    quickest = min((mean for mean in means if mean is not None), default=0.0)
    ranks = [(quickest if mean is None else mean, random()) for mean in means]
    ranked = [candidates[at] for at in sorted(range(len(ranks)), key=ranks.__getitem__)]
    if len(ranked) > 1 and random() < EXPLORED:
        ranked.insert(0, ranked.pop(1 + int(random() * (len(ranked) - 1))))
    return ranked
