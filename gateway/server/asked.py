"""One message as the relay's core is asked it, target by target: what is asked, and what each vendor knows already."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageStarted
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, Message, ToolResultPart
from gateway.canonical.turn import AskPart, MessageRequest, Parameters, Turn
from gateway.conversations.store import Binding, BindingKey, StoredFile
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.base import Descriptor, Translator
from gateway.relay.relay import Relay
from gateway.routing.plan import Route, Target
from gateway.server.continuity import Continuity
from gateway.server.ids import Ids

ANSWERS = (ToolResultPart, InputResponsePart)
"""Parts that mean nothing in any other conversation of a vendor."""


class Anew(Struct, frozen=True):
    """A turn that is to be answered anew."""

    question: Message
    answer: Message


class Known(Struct):
    """What a message brings along of its conversation: the files it names, and the turn that it answers anew.

    `chain` is the fingerprint of what was said before, where the client names no conversation; `asker` the message that
    asked what this one answers.
    """

    question_id: str
    chain: bytes | None = None
    anew: Anew | None = None
    asker: Message | None = None
    files: list[StoredFile] = []


class Asked:
    """`relay.core.Ask`."""

    def __init__(
        self,
        request: MessageRequest,
        started: MessageStarted,
        request_id: str,
        *,
        route: Route,
        protocols: Mapping[str, Descriptor],
        known: Known,
        continuity: Continuity,
        can_discard: bool,
        ids: Ids,
        relay: Relay,
    ) -> None:
        self.request = request
        self.started = started
        self.request_id = request_id
        self.route = route
        self.wants_vendor_events = route.vendor_events
        self.can_discard = can_discard
        self.continuity = continuity
        self.rebound: list[str] = []
        """Vendors that had lost the conversation, so that a new one was begun there."""
        self._protocols = protocols
        self._known = known
        self._before = dict(continuity.bindings)
        self._bound = set(continuity.bindings)
        self._ids = ids
        self._relay = relay
        self._parts = _parts(request, known.anew)
        self.question_id = known.question_id
        self.chain = known.chain
        self._options = read_options(request.vendor_options, protocols) if request.vendor_options else {}
        self._keys: dict[int, BindingKey] = {}
        if any(isinstance(part, (FilePart, ImagePart)) for part in self._parts):
            self._name_files()

    def is_prepared(self, target: Target) -> bool:
        key = self.binding_key(target)
        return self.continuity.is_recalled(key) if self._keeps_nothing(target) else self.continuity.is_certain(key)

    async def prepare(self, target: Target) -> None:
        """A vendor that does not know all that was said is told. Raises as the store does."""
        key = self.binding_key(target)
        if self._keeps_nothing(target):
            anew = self._known.anew
            await self.continuity.recall(key, None if anew is None else anew.question.id)
        else:
            await self.continuity.prepare(target, key)
            self._bound &= self.continuity.bindings.keys()

    def turn(self, target: Target, partial: str) -> Turn:
        request, known, key = self.request, self._known, self.binding_key(target)
        binding = self.continuity.bindings.get(key)
        vendor_ids = {} if binding is None else {**binding.vendor_ids, **self._ids_of_asker(key)}
        if not self._keeps_nothing(target):
            self._check_answers(key)
        missed = self.continuity.missed(key)
        return Turn(
            parts=self._parts,
            new_id=self._ids.uuid,
            missed=missed.messages,
            left_out=missed.left_out,
            template=self.route.rules.catch_up.template,
            partial=partial,
            instructions=request.instructions,
            tools=request.tools,
            tool_choice=request.tool_choice,
            parameters=request.parameters,
            user_id=request.user_id,
            metadata=request.metadata,
            options=self._options.get(target.protocol),
            vendor_ids=vendor_ids,
            files={file.id: file.ref for file in known.files if file.key == key and file.is_in(vendor_ids)},
            regenerates=self._regenerates(target, key),
            stream=request.stream,
        )

    def translator(self, target: Target, blocks: Blocks) -> Translator:
        make = self._protocols[target.protocol].translator
        if make is None:
            raise GatewayError("internal", "a target's protocol has no translator")
        return make(target.settings, blocks)

    def rebind(self, target: Target) -> bool:
        """Whether the conversation that the vendor does not know any more can be begun anew there; once at most."""
        if self._known.anew is not None or any(isinstance(part, ANSWERS) for part in self._parts):
            return False
        if self._keeps_nothing(target):
            return False
        if not self.continuity.lose(self.binding_key(target)):
            return False
        self._bound.discard(self.binding_key(target))
        self.rebound.append(target.vendor)
        return True

    def rejoin(self, target: Target, vendor_ids: dict[str, str]) -> None:
        if "conversation" in vendor_ids:
            self.continuity.bindings.setdefault(self.binding_key(target), Binding(vendor_ids))

    def binding(self, key: BindingKey) -> Binding | None:
        """What the last attempt there was given."""
        return self.continuity.bindings.get(key)

    def was_bound(self, key: BindingKey) -> bool:
        """Whether the vendor knew the conversation before this message, and still did."""
        return key in self._bound

    def began_anew(self, key: BindingKey, vendor_ids: Mapping[str, str]) -> bool:
        """Whether they name another conversation than the vendor had before this message."""
        before = self._before.get(key)
        known = None if before is None else before.vendor_ids.get("conversation")
        return vendor_ids.get("conversation", known) != known

    def can_be_found_again(self, target: Target, vendor_ids: Mapping[str, str]) -> bool:
        """Whether the next turn can be asked where this one was."""
        return "conversation" in vendor_ids or self._keeps_nothing(target)

    def is_secret(self, target: Target, text: str) -> bool:
        return any(secret in text for secret in self._relay.vendor(target.vendor).credentials.values())

    def ignored(self, target: Target) -> list[str]:
        """What is asked for and has no effect there: `parameters.seed`, or an option behind its protocol's name."""
        request, can = self.request, self._protocols[target.protocol].capabilities
        names = [name for name in ("user_id", "metadata") if getattr(request, name) and can.get(name) == "ignored"]
        if request.parameters is not None and can.get("parameters") == "ignored":
            names += [f"parameters.{name}" for name in _given(request.parameters)]
        for protocol, options in self._options.items():
            if protocol != target.protocol:
                given = request.vendor_options[protocol]
                names += [f"{protocol}.{name}" for name in options.__struct_encode_fields__ if name in given]
        return names

    def binding_key(self, target: Target) -> BindingKey:
        """Asked of the protocol once, so that what it said of a target holds to the end."""
        key = self._keys.get(id(target))
        if key is None:
            key = BindingKey(target.vendor, self._protocols[target.protocol].scope(target.settings))
            self._keys[id(target)] = key
        return key

    def has_key(self, target: Target) -> bool:
        """Whether it came so far that the target's binding was looked at."""
        return id(target) in self._keys

    def _keeps_nothing(self, target: Target) -> bool:
        return self._protocols[target.protocol].takes_history

    def _check_answers(self, key: BindingKey) -> None:
        """Raises `unsupported` where the turn answers what was not asked in the vendor's conversation."""
        if self._has_asked(key):
            return
        for number, part in enumerate(self._parts):
            if isinstance(part, ANSWERS):
                path = f"$.content[{number}]"
                raise GatewayError("unsupported", "it answers what was asked elsewhere", details={"path": path})

    def _has_asked(self, key: BindingKey) -> bool:
        if self._known.asker is not None:
            return self._has_given(self._known.asker, key)
        origin = self.continuity.origin
        return origin is None or (key == origin and key in self.continuity.bindings)

    def _ids_of_asker(self, key: BindingKey) -> dict[str, str]:
        """The vendor's ids of the turn that this one answers, be it the last one or not."""
        asker = self._known.asker
        return asker.vendor_ids if asker is not None and self._has_given(asker, key) else {}

    def _has_given(self, answer: Message, key: BindingKey) -> bool:
        """Whether the vendor gave it in the conversation that it is asked in now."""
        binding = self.continuity.bindings.get(key)
        if binding is None or answer.vendor != key.vendor:
            return False
        return answer.vendor_ids.get("conversation") == binding.vendor_ids.get("conversation")

    def _regenerates(self, target: Target, key: BindingKey) -> str | None:
        """A vendor that is told everything answers anew without having given the first answer."""
        anew = self._known.anew
        if anew is None:
            return None
        if not self._has_given(anew.answer, key) or "message" not in anew.answer.vendor_ids:
            if self._keeps_nothing(target):
                return None
            raise GatewayError("unsupported", "the vendor does not know that answer", details={"path": "$.regenerate"})
        return anew.answer.vendor_ids["message"]

    def _name_files(self) -> None:
        """Raises `not_found` for a file that the conversation has not."""
        known = {file.id: file for file in self._known.files}
        self._parts = [_named(part, f"$.content[{number}].file_id", known) for number, part in enumerate(self._parts)]


def _given(parameters: Parameters) -> list[str]:
    return [name for name in parameters.__struct_fields__ if getattr(parameters, name) not in (None, [])]


def _named(part: AskPart, path: str, known: Mapping[str, StoredFile]) -> AskPart:
    """A part that names a file by its id gets what we know of it beside."""
    if not isinstance(part, (FilePart, ImagePart)) or part.file_id is None:
        return part
    file = known.get(part.file_id)
    if file is None:
        raise GatewayError("not_found", "the conversation has no such file", details={"path": path})
    return msgspec.structs.replace(part, name=part.name or file.name, media_type=part.media_type or file.media_type)


def _parts(request: MessageRequest, anew: Anew | None) -> list[AskPart]:
    if anew is None:
        return request.parts()
    return [part for part in anew.question.parts if isinstance(part, AskPart)]


def read_options(given: Mapping[str, dict[str, object]], protocols: Mapping[str, Descriptor]) -> dict[str, Struct]:
    """`vendor_options`, typed by each protocol. Raises `bad_request` for a protocol or a key that there is not."""
    options = {}
    for name, values in given.items():
        path = f"$.vendor_options.{name}"
        descriptor = protocols.get(name)
        if descriptor is None or descriptor.translator is None:
            raise GatewayError("bad_request", f"{path}: no such protocol", details={"path": path})
        try:
            options[name] = msgspec.convert(values, descriptor.options)
        except UNREADABLE as error:
            inner, problem = explain(error)
            path += inner.removeprefix("$")
            raise GatewayError(
                "bad_request", f"{path}: {problem}", details={"path": path, "problem": problem}
            ) from error
    return options
