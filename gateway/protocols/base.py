"""The ports: what a protocol is to the rest of the gateway.

    Translator   upstream, for one attempt: requests out, records in, canonical events out
    Conversations, Files, DataFrames
                 upstream, what a vendor can do beside messages: requests out, answers in
    Dialect      downstream: a client's request in, an `Exchange` out, which answers it in that client's own words
    Simulator    plays the vendor for tests and demonstrations: a request in, a script of steps out
    Descriptor   names the three and says what a configuration may set

All of it is sans-IO: no socket, clock, task or log. What a protocol gets wrong shows as `GatewayError`, or as
`framing.typed.Malformed` and `framing.record.TooLarge`, which the relay turns into `upstream_protocol`.
"""

from collections.abc import AsyncIterable, Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

from msgspec import Struct
from multidict import MultiMapping

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, Notice
from gateway.canonical.message import Message, Part
from gateway.canonical.resources import Ask, DataFrameAnswer, Result, Rows, Slice
from gateway.canonical.turn import MessageRequest, Turn
from gateway.framing.record import Framing, Record

T = TypeVar("T")

Headers = Mapping[str, str]
"""Case-insensitive, as HTTP's are (a `multidict.CIMultiDict` or its proxy)."""


def all_values(headers: Headers, name: str) -> list[str]:
    """Every value of a header that may stand more than once."""
    if isinstance(headers, MultiMapping):
        return list(headers.getall(name, []))
    return [headers[name]] if name in headers else []


Effect = Literal["none", "repeatable", "once"]
"""What sending a request twice does: nothing; nothing that matters (it may be sent again); it must not happen."""


# --- upstream


class FormPart(Struct, frozen=True):
    """One part of a multipart form; `data` that is no bytes is an upload, which the relay streams past unread."""

    name: str
    data: bytes | AsyncIterable[bytes]
    file_name: str | None = None
    media_type: str | None = None


class Form(Struct, frozen=True):
    """A `multipart/form-data` body."""

    parts: tuple[FormPart, ...]


class VendorRequest(Struct, frozen=True):
    """One HTTP request to a vendor.

    `path` is joined to the configured base URL named `base` ("" is the vendor's one `base_url`) and arrives with every
    variable segment already percent-encoded. With `framing`, made with the cap on a record in bytes, the records of the
    answer go to `feed`; without, the body is read whole and sent back. `own_statuses` are non-2xx the generator wants
    itself. `after` is seconds to wait.
    """

    method: str
    path: str
    base: str = ""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes | Form = b""
    framing: Callable[[int], Framing] | None = None
    effect: Effect = "none"
    own_statuses: frozenset[int] = frozenset()
    after: float = 0

    @property
    def is_upload(self) -> bool:
        """Whether its body can be sent only once, because it is streamed past."""
        return isinstance(self.body, Form) and not all(isinstance(part.data, bytes) for part in self.body.parts)

    def __repr__(self) -> str:
        return f"VendorRequest({self.method} {self.path})"


class VendorResponse(Struct, frozen=True):
    """`body` is empty after a response whose records were fed."""

    status: int
    headers: Headers
    body: bytes = b""


Calls = Generator[VendorRequest, VendorResponse, T]


def path_segment(text: str) -> str:
    """A name or id as one segment of a request's path. Raises `bad_request` for one that no encoding makes harmless."""
    if text in {"", ".", ".."} or len(text) > MAX_SEGMENT or "\0" in text:
        raise GatewayError("bad_request", "an id or name cannot stand in a path")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise GatewayError("bad_request", "an id or name cannot stand in a path") from error


MAX_SEGMENT = 1024


class Authorization(Struct, frozen=True):
    """Headers for every request of the attempt, and what to keep until a 401 (None: nothing that could be renewed)."""

    headers: dict[str, str]
    session: object = None

    def __repr__(self) -> str:
        return "Authorization(...)"


class Credentials(Mapping[str, str]):
    """A vendor's configured secrets by name; its `repr` shows the names alone."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)

    def __getitem__(self, name: str) -> str:
        return self._secrets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self._secrets)})"


class Translator(Protocol):
    """One attempt at one target. It is made by `Descriptor.translator(target, blocks)` and thrown away.

    `vendor_ids` holds `conversation`, `message`, `user_message` and `run` as far as they are known; the relay reads it,
    and `model` (the vendor's own name for its model), at every ending. `ending` is true once the success terminal was
    read but trailers may follow; from then on nothing fails the attempt.
    """

    vendor_ids: dict[str, str]
    model: str | None
    ending: bool

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        """Signs in where `session` is None; a session that is still good yields no request."""
        ...

    def requests(self, turn: Turn) -> Calls[None]:
        """The calls of this turn, in order. May raise `GatewayError("unsupported")` before it yields anything."""
        ...

    def feed(self, record: Record) -> Iterable[Event | Notice]:
        """The events that a record means; it may raise after having yielded some."""
        ...

    def finish(self) -> Iterable[Event | Notice]:
        """Bytes and requests are over: what is left to say with its terminal, or "ended before its terminal"."""
        ...

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """What an HTTP refusal means; also asked about a 2xx whose content type does not fit the framing."""
        ...

    def resume(self) -> VendorRequest | None:
        """Re-attaches to the vendor's run, where the vendor can."""
        ...

    def cancel(self) -> VendorRequest | None:
        """Stops the vendor's run, where the vendor can."""
        ...


# --- upstream, beside messages
#
# Each port is made of a translator that has signed in (`Descriptor.files(translator)`), which also explains refusals.
# A method raises `GatewayError("unsupported")` before its first request where the vendor cannot do it.
# `vendor_ids` is the binding.


class NewConversation(Struct, frozen=True):
    """What a vendor may want to know of a conversation that has no message yet."""

    title: str
    new_id: Callable[[], str]
    user_id: str | None = None
    metadata: dict[str, Any] = {}


class Clue(Struct, frozen=True):
    """What is known of a conversation whose id never came: its first message, by whom, and since when."""

    text: str
    since: datetime
    user_id: str | None = None


class VendorMessage(Struct, frozen=True):
    """One entry of a vendor's own list of messages."""

    role: Literal["user", "assistant"]
    text: str
    id: str | None = None
    parts: list[Part] = []


class Conversations(Protocol):
    """A vendor's conversations."""

    def create(self, new: NewConversation) -> Calls[dict[str, str]]:
        """Begins one without a message; what the binding then holds."""
        ...

    def delete(self, vendor_ids: dict[str, str]) -> Calls[None]:
        """One that is gone already is deleted."""
        ...

    def messages(self, vendor_ids: dict[str, str]) -> Calls[list[VendorMessage]]:
        """All of them, the oldest first."""
        ...

    def find(self, clue: Clue) -> Calls[dict[str, str]]:
        """A lost conversation in the vendor's own list; {} where it is not there, or could be more than one."""
        ...


class NewFile(Struct, frozen=True):
    """A file on its way to a vendor; `name` holds no path."""

    name: str
    media_type: str
    data: bytes | AsyncIterable[bytes]


class VendorFile(Struct, frozen=True):
    """`ref` is what the vendor calls it: never shown to a client, and never trusted as a path. `size` is bytes.

    `within` is the vendor's conversation, where that one alone has it.
    """

    ref: str
    name: str
    media_type: str | None = None
    size: int | None = None
    created_at: datetime | None = None
    within: str | None = None


class Files(Protocol):
    """The files of a conversation."""

    def list_files(self, vendor_ids: dict[str, str]) -> Calls[list[VendorFile]]: ...

    def upload(self, vendor_ids: dict[str, str], file: NewFile) -> Calls[VendorFile]: ...

    def download(self, vendor_ids: dict[str, str], file: VendorFile) -> VendorRequest:
        """The request whose answer's body is the file."""
        ...


class DataFrames(Protocol):
    """The tables that a conversation made."""

    def list_frames(self, vendor_ids: dict[str, str]) -> Calls[list[DataFrameAnswer]]: ...

    def rows(self, vendor_ids: dict[str, str], name: str, part: Slice) -> Calls[Rows]: ...

    def download(self, vendor_ids: dict[str, str], name: str, part: Slice) -> VendorRequest:
        """The request whose answer's body is that part, in a format other than JSON."""
        ...


# --- downstream


Operation = Literal[
    "message",
    "get_message",
    "cancel_message",
    "create_conversation",
    "list_conversations",
    "get_conversation",
    "delete_conversation",
    "list_messages",
    "list_files",
    "upload_files",
    "download_file",
    "list_data_frames",
    "read_data_frame",
    "list_models",
    "get_model",
    "count_tokens",
    "resume",
    "stop",
]
"""What `read_ask` makes of each but `message` stands in `canonical.resources`."""


class DialectRoute(Struct, frozen=True):
    """One of a dialect's own paths (aiohttp's pattern syntax) and what it does."""

    method: str
    path: str
    operation: Operation


class ClientRequest(Struct, frozen=True):
    """A client's request as a dialect reads it; `parameters` are the variable segments of its path."""

    headers: Headers
    body: bytes
    parameters: dict[str, str] = {}
    query: dict[str, str] = {}


class Encoder(Protocol):
    """Writes one stream, and may keep what it wrote: it is given each event once, in order, and `end` last.

    `event` may answer `message.started` with nothing: the relay then sends a heartbeat. `omitted` counts the events
    that the dialect has no words for, by type.
    """

    omitted: Mapping[str, int]

    def event(self, sequence: int, event: Event) -> bytes: ...
    def heartbeat(self) -> bytes | None: ...
    def end(self) -> bytes: ...


class ErrorResponse(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes


class Thread(Struct, frozen=True):
    """A conversation by the name that a client gave it.

    `is_whole`: the request's history is all that was said in it, so that another one than we know is another branch.
    """

    id: str
    is_whole: bool = True


class Exchange(Protocol):
    """One message of a client's: what it asks, and how it is answered in that client's words.

    `request.route` is the name of a route, or of a model that a route answers for. The conversation is named by
    `request.conversation_id`, by `thread`, by `follows` (the id of the answer that came before), or by nothing: then
    its history tells. That there is no such answer is `not_found` at the path `$.follows`.
    """

    request: MessageRequest
    thread: Thread | None
    follows: str | None

    def encoder(self) -> Encoder: ...

    def document(self, message: Message) -> bytes:
        """The answer as one JSON document, where `request.stream` is false."""
        ...


class Dialect(Protocol):
    """How one kind of client speaks to us."""

    name: str
    routes: tuple[DialectRoute, ...]
    content_type: str
    """Of its streams."""
    can_discard: bool
    """Whether a client can be told to forget what it was shown; else it is only ever sent suffixes."""
    losses: Mapping[str, str]
    """What it cannot carry, and what becomes of that: an event's type, or `type.field` -> a few words.

    A type whose words begin with "omitted" is written as nothing, and counted in `Encoder.omitted`.
    """

    def credential(self, request: ClientRequest) -> str | None:
        """The key a client presents, from where this dialect keeps it; None where there is none or more than one."""
        ...

    def headers(self, request_id: str) -> dict[str, str]:
        """Of every answer to `message`, beside those that each answer of ours has."""
        ...

    def read(self, request: ClientRequest) -> Exchange:
        """Raises `GatewayError("bad_request")` with the offending path in `details`, never the value."""
        ...

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        """What an operation other than `message` asks. Raises as `read` does."""
        ...

    def write_result(self, result: Result) -> bytes:
        """The JSON document that answers it."""
        ...

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse: ...


# --- simulators


class SimulatedRequest(Struct, frozen=True):
    """What reached the simulated vendor; `path` begins behind its base URL and is percent-decoded."""

    method: str
    path: str
    headers: Headers
    query: dict[str, str] = {}
    body: bytes = b""


class Head(Struct, frozen=True):
    """Status and headers; always the first step."""

    status: int = 200
    headers: dict[str, str] = {}


class Send(Struct, frozen=True):
    data: bytes


class Pause(Struct, frozen=True):
    seconds: float


class Reset(Struct, frozen=True):
    """The connection is torn down with a TCP reset."""


Step = Head | Send | Pause | Reset
Script = Sequence[Step]
"""Played in order; after the last step the body ends cleanly."""


class Simulator(Protocol):
    """Plays one vendor's documented wire, and refuses what the vendor would refuse. It keeps the vendor's state."""

    plays: Mapping[str, str]
    """The exchanges it can play, by name, and what each shows. A message holding `[play:NAME]` chooses one."""

    def answer(self, request: SimulatedRequest) -> Script: ...


# --- the descriptor


Support = Literal["yes", "no", "ignored"]

CAPABILITIES = (
    "streaming",
    "text",
    "reasoning",
    "tool_calls",
    "tool_results_in",
    "sources",
    "files_in",
    "files_out",
    "data_frames",
    "input_requests",
    "usage",
    "instructions",
    "history",
    "client_tools",
    "parameters",
    "user_id",
    "metadata",
    "model_choice",
    "regenerate",
    "cancel",
    "resume",
    "message_list",
    "delete_conversation",
)
"""What a protocol may be able to do; a descriptor says `yes`, `no` (refused as `unsupported`) or `ignored` for each."""


class NoSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a dialect that has none."""


class Descriptor(Struct, frozen=True):
    """A protocol's entry in the registry.

    `target` is the Struct of its target settings (agent, app, model), `options` that of its `vendor_options`;
    `credentials` the accepted sets of secret names, any one of which suffices; `bases` the names of the base URLs it
    needs beside `base_url`, `optional_bases` of those without which it can do less; `conversations`, `files` and
    `data_frames` make what it offers beside messages from a translator that has signed in; `objection` says why a
    target cannot be called with the credentials of those names; `scope` derives from a target what its conversations
    are bound to; `takes_history` where its vendor is told all that was said, as messages, each time; `simulator` is
    made with the name of the play that it plays where a message chooses none ("" is its usual one); `dialect` with its
    `dialect_settings`, the table `[dialects.NAME]` of a configuration.
    """

    name: str
    title: str
    capabilities: Mapping[str, Support]
    translator: Callable[[Any, Blocks], Translator] | None = None
    dialect: Callable[[Any], Dialect] | None = None
    dialect_settings: type[Struct] = NoSettings
    simulator: Callable[[str], Simulator] | None = None
    target: type[Struct] = Struct
    options: type[Struct] = Struct
    credentials: tuple[frozenset[str], ...] = (frozenset(),)
    bases: frozenset[str] = frozenset()
    optional_bases: frozenset[str] = frozenset()
    conversations: Callable[[Any], Conversations] | None = None
    files: Callable[[Any], Files] | None = None
    data_frames: Callable[[Any], DataFrames] | None = None
    objection: Callable[[Any, Collection[str]], str | None] = lambda *_: None
    scope: Callable[[Any], str] = lambda _: ""
    takes_history: bool = False
