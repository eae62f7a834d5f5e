"""The gateway's own dialect: the canonical API, downstream only."""

from gateway.protocols.base import CAPABILITIES, Descriptor
from gateway.protocols.native.dialect import NativeDialect

NATIVE = Descriptor(
    name="native",
    title="Canonical API",
    capabilities=dict.fromkeys(CAPABILITIES, "yes"),
    dialect=lambda _: NativeDialect(),
)
