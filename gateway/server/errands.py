"""Errands to vendors for the server's handlers: which target a binding leads to, the call, and what is counted of it.

desk.target_of(key)                                             where a binding leads
await desk.run(target, "list_files", "files", calls)            one errand, as a port's generator
async with desk.download(target, "download", "files", request)  one errand whose answer's body is passed on
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, TypeVar

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import Code, GatewayError
from gateway.conversations.store import BindingKey
from gateway.protocols.base import Calls, Translator, VendorRequest
from gateway.relay.downstream import ClientGone
from gateway.relay.errands import Download, Errand, Times
from gateway.routing.plan import Target
from gateway.server.gateway import Gateway

T = TypeVar("T")

PortName = Literal["conversations", "files", "data_frames"]

PORT_NAMES: dict[PortName, str] = {
    "conversations": "conversations of its own",
    "files": "files",
    "data_frames": "data frames",
}


OUR_CLIENTS: frozenset[Code] = frozenset({"bad_request", "payload_too_large", "request_timeout"})
"""Codes of what a client did wrong in the middle of its upload, for which the vendor is not to blame."""


@contextmanager
def told_as(code: Code, message: str) -> Iterator[None]:
    """What the vendor does not have, as the client is told of it."""
    try:
        yield
    except GatewayError as error:
        if error.code != "upstream_not_found":
            raise
        raise GatewayError(
            code,
            message,
            vendor=error.vendor,
            vendor_status=error.vendor_status,
            vendor_code=error.vendor_code,
            vendor_request_id=error.vendor_request_id,
            vendor_message=error.vendor_message,
        ) from error


class Desk:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def find(self, key: BindingKey) -> Target | None:
        """The first target of any route that leads where a binding was made."""
        targets = (target for route in self._gateway.routes.values() for target in route.targets)
        return next((target for target in targets if self.key_of(target) == key), None)

    def target_of(self, key: BindingKey) -> Target:
        """Likewise. Raises `unsupported` where none does."""
        target = self.find(key)
        if target is None:
            raise GatewayError(
                "unsupported", "no route leads to this conversation's vendor any more", details={"vendor": key.vendor}
            )
        return target

    def key_of(self, target: Target) -> BindingKey:
        return BindingKey(target.vendor, self._gateway.protocols[target.protocol].scope(target.settings))

    def offers(self, target: Target, port: PortName) -> bool:
        return getattr(self._gateway.protocols[target.protocol], port) is not None

    async def run(
        self, target: Target, operation: str, port: PortName, calls: Callable[[Any], Calls[T]], limit: int | None = None
    ) -> T:
        """`calls` is given the port. Raises `GatewayError` with the vendor's name on it."""
        errand = self._errand(target, limit)
        asked = calls(self._port(target, port, errand.translator))
        with self._counted(target, operation):
            return await self._gateway.relay.errands.run(errand, asked)

    @asynccontextmanager
    async def download(
        self, target: Target, operation: str, port: PortName, request: Callable[[Any], VendorRequest]
    ) -> AsyncIterator[Download]:
        errand = self._errand(target, None)
        asked = request(self._port(target, port, errand.translator))
        with self._counted(target, operation):
            async with self._gateway.relay.errands.download(errand, asked) as found:
                yield found

    def _errand(self, target: Target, limit: int | None) -> Errand:
        make = self._gateway.protocols[target.protocol].translator
        if make is None:
            raise GatewayError("internal", "a target's protocol has no translator")
        deadlines = target.deadlines
        errand = Errand(
            self._gateway.relay.vendor(target.vendor),
            make(target.settings, Blocks(Numbering())),
            Times(deadlines.connect, deadlines.first_event, deadlines.idle),
            self._gateway.limits.record if limit is None else limit,
        )
        # A port is made of a translator that has signed in, where that takes no call.
        self._gateway.relay.errands.ready(errand.translator, errand.vendor)
        return errand

    def _port(self, target: Target, port: PortName, translator: Translator) -> Any:
        make = getattr(self._gateway.protocols[target.protocol], port)
        if make is None:
            raise self.lacks(target, port)
        return make(translator)

    def lacks(self, target: Target, port: PortName) -> GatewayError:
        return GatewayError(
            "unsupported", f"{target.vendor} has no {PORT_NAMES[port]}", details={"vendor": target.vendor}
        )

    @contextmanager
    def _counted(self, target: Target, operation: str) -> Iterator[None]:
        outcome = "canceled"
        try:
            yield
            outcome = "completed"
        except GatewayError as error:
            if error.code not in OUR_CLIENTS:
                outcome = error.cause
            self._name_vendor(error, target)
            raise
        except ClientGone:
            raise
        except Exception:
            outcome = "internal"
            raise
        finally:
            self._gateway.metrics.errand(vendor=target.vendor, operation=operation, outcome=outcome)

    def _name_vendor(self, error: GatewayError, target: Target) -> None:
        """On what the vendor did; what it said is blanked where it holds a secret of ours."""
        if not error.code.startswith("upstream_") and error.vendor_status is None:
            return
        error.vendor = target.vendor
        secrets = self._gateway.relay.vendor(target.vendor).credentials.values()
        for name in ("vendor_code", "vendor_request_id", "vendor_message"):
            said = getattr(error, name)
            if said and any(secret in said for secret in secrets):
                setattr(error, name, None)
