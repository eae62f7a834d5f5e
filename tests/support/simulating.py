"""A vendor's simulator asked without a socket, by hand or by its translator; the two share no code."""

import json
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from multidict import CIMultiDict

from gateway.canonical.message import TextPart
from gateway.canonical.turn import AskPart
from gateway.framing.record import MAX_RECORD
from gateway.protocols.base import (
    Authorization,
    Calls,
    Credentials,
    Head,
    Script,
    SimulatedRequest,
    Simulator,
    Translator,
    VendorRequest,
    VendorResponse,
)
from tests.support.play import body_of, simulated
from tests.support.translating import Told, ask, records

T = TypeVar("T")
TranslatorT = TypeVar("TranslatorT", bound=Translator)


def asked(
    simulator: Simulator,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: dict[str, str],
    query: dict[str, str] | None = None,
) -> Script:
    """The answer to a request whose body is bytes, a value that becomes JSON, or nothing."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return list(simulator.answer(SimulatedRequest(method, path, CIMultiDict(headers), query or {}, raw)))


def head(script: Script) -> Head:
    first = script[0]
    assert isinstance(first, Head)
    return first


def document(script: Script) -> tuple[int, Any]:
    return head(script).status, json.loads(body_of(script))


def frames(body: bytes) -> list[Any]:
    """The JSON objects of a stream's `data` lines."""
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]


class Meeting(Generic[TranslatorT]):
    """A translator that signed in, and the simulator that answers it as the relay would let it."""

    def __init__(
        self, simulator: Simulator, translator: TranslatorT, credentials: Credentials, session: object = None
    ) -> None:
        self.told: Told = []
        self.translator = translator
        self._vendor = simulated(simulator)
        self._headers: dict[str, str] = {}
        self.authorization: Authorization = self.follow(translator.authorize(credentials, session))
        self._headers = self.authorization.headers

    def follow(self, calls: Calls[T]) -> T:
        """What a call comes to; what its records mean is told."""
        try:
            request = next(calls)
            while True:
                request = calls.send(self.answer(request))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def talk(self, parts: Iterable[AskPart] = (TextPart("hi"),), **fields: Any) -> Told:
        """One turn: what was told."""
        self.follow(self.translator.requests(ask(*parts, **fields)))
        self.told += self.translator.finish()
        return self.told

    def answer(self, request: VendorRequest) -> VendorResponse:
        script = self._vendor(request, self._headers)
        status, headers, body = head(script).status, CIMultiDict(head(script).headers), body_of(script)
        if status >= 300 and status not in request.own_statuses:
            raise self.translator.refuse(status, headers, body)
        if request.framing is None:
            return VendorResponse(status, headers, body)
        for record in records(request.framing(MAX_RECORD), body):
            self.told += self.translator.feed(record)
        return VendorResponse(status, headers)
