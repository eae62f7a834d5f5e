"""What makes two histories the same, and what tells them apart."""

import json
from hashlib import sha256
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.message import (
    DataFramePart,
    DataPart,
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    Role,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.conversations.fingerprint import extend, seed

History = list[tuple[Role, list[Part]]]

SEED = seed("support", "ann")
PNG = "iVBORw0KGgo="
UNCOUNTED: list[Part] = [
    ReasoningPart("Hm", 0, "signed"),
    SourcePart("s1", "Manual", "https://docs.acme.test"),
    DataPart("chart", {"bars": []}),
    DataFramePart("sales", ["year"], [[2026]]),
    InputPart("r1", "question", "Which?"),
]


def fingerprint(history: History) -> bytes:
    chain = SEED
    for role, parts in history:
        chain = extend(chain, role, parts)
    return chain


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


# --- the chain, as it lies in files


def test_the_seed_names_the_route_and_the_user() -> None:
    assert seed("support", "ann") == digest(b'["support","ann"]')
    assert seed("support", None) == digest(b'["support",null]')


def test_each_message_is_one_link() -> None:
    chain = digest(SEED + b'["user","Hi",[]]')
    assert extend(SEED, "user", [TextPart(" Hi\n")]) == chain
    call = ToolCallPart("call_1", "search", {"q": {"z": 1.0, "a": [None, True]}}, 1)
    assert extend(chain, "assistant", [call, TextPart("\u00e9", 0)]) == digest(
        chain + b'["assistant","\xc3\xa9",[{"arguments":{"q":{"a":[null,true],"z":1.0}},'
        b'"name":"search","tool_call_id":"call_1","type":"tool_call"}]]'
    )


# --- what does not count

HELLO: History = [("assistant", [TextPart("Hello world")])]


@pytest.mark.parametrize(
    "parts",
    [
        [TextPart("Hello"), TextPart(" world")],
        [TextPart(" \u2003Hello world\r\n\t")],
        [TextPart(""), TextPart("\n"), TextPart("Hello world "), TextPart(" ")],
        [TextPart("Hello world", 7, "signed")],
        [*UNCOUNTED, TextPart("Hello"), *UNCOUNTED, TextPart(" world"), *UNCOUNTED],
    ],
    ids=["text in pieces", "white space around it", "blank pieces", "number and signature", "what is not resent"],
)
def test_an_answer_is_the_same_however_it_was_cut_and_decorated(parts: list[Part]) -> None:
    assert fingerprint([("assistant", parts)]) == fingerprint(HELLO)


CALL = ToolCallPart("call_1", "search", {"q": "x", "n": {"a": 1, "b": [2]}})
CUT = ToolCallPart("call_1", "search", {}, status="cut", raw_arguments='{"q":')
RESULT = ToolResultPart("call_1", {"a": 1, "b": 2})
FILE = FilePart(data=PNG)
IMAGE = ImagePart(url="https://files.acme.test/a.png")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (CALL, ToolCallPart("call_1", "search", {"n": {"b": [2], "a": 1}, "q": "x"})),
        (CALL, replace(CALL, block=3, executor="client", signature="signed")),
        (CALL, replace(CALL, raw_arguments='{"q": "x", "n": {"a": 1, "b": [2]}}')),
        (CUT, replace(CUT, status="unreadable")),
        (replace(CUT, raw_arguments=" "), ToolCallPart("call_1", "search", {})),
        (replace(CUT, raw_arguments='{"n":{"a":1,"b":[2]},"q":"x"}'), CALL),
        (RESULT, ToolResultPart("call_1", {"b": 2, "a": 1}, name="search")),
        (FILE, replace(FILE, name="a.png", media_type="image/png")),
        (IMAGE, replace(IMAGE, name="a.png", media_type="image/png")),
    ],
)
def test_a_part_is_the_same_whatever_is_not_sent_back_of_it(left: Part, right: Part) -> None:
    assert fingerprint([("user", [left])]) == fingerprint([("user", [right])])


@pytest.mark.parametrize("part", [replace(CALL, executor="vendor"), RESULT, FILE, IMAGE])
def test_of_an_answer_only_its_text_and_the_clients_calls_count(part: Part) -> None:
    assert fingerprint([("assistant", [TextPart("Hello world"), part])]) == fingerprint(HELLO)


def test_the_calls_of_an_answer_count_in_any_order() -> None:
    calls: list[Part] = [CALL, replace(CALL, tool_call_id="call_2")]
    assert fingerprint([("assistant", calls)]) == fingerprint([("assistant", calls[::-1])])
    assert fingerprint([("user", calls)]) != fingerprint([("user", calls[::-1])])


def test_a_text_counts_as_one_wherever_the_other_parts_stand() -> None:
    one = fingerprint([("assistant", [TextPart("Look: "), CALL, TextPart("done")])])
    assert one == fingerprint([("assistant", [CALL, TextPart("Look: done")])])


@pytest.mark.parametrize("parts", [[], [TextPart("")], [TextPart(" \n"), TextPart("\t")], UNCOUNTED])
def test_a_message_without_content_leaves_the_chain_as_it_is(parts: list[Part]) -> None:
    assert extend(SEED, "assistant", parts) == SEED
    assert fingerprint([("user", parts), *HELLO, ("system", parts)]) == fingerprint(HELLO)


# --- what counts

ASKED: History = [("user", [TextPart("Hi")]), ("assistant", [TextPart("Hello")])]


@pytest.mark.parametrize(
    "other",
    [
        [],
        ASKED[:1],
        ASKED[1:],
        ASKED[::-1],
        [*ASKED, *ASKED],
        [("user", [TextPart("Hi")]), ("user", [TextPart("Hello")])],
        [("user", [TextPart("Hi!")]), ("assistant", [TextPart("Hello")])],
        [("user", [TextPart("hi")]), ("assistant", [TextPart("Hello")])],
        [("user", [TextPart("HiHello")])],
        [("user", [TextPart("H")]), ("user", [TextPart("i")]), ("assistant", [TextPart("Hello")])],
        [("user", [TextPart('Hi",[]]["assistant","Hello')])],
    ],
)
def test_an_edit_is_another_history(other: History) -> None:
    assert fingerprint(other) != fingerprint(ASKED)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a b", "a  b"),
        ("a\nb", "a\r\nb"),
        ("\u00e9", "e\u0301"),
        ("a", "a\x00"),
        ("[]", "{}"),
    ],
)
def test_a_text_is_compared_exactly(left: str, right: str) -> None:
    assert fingerprint([("user", [TextPart(left)])]) != fingerprint([("user", [TextPart(right)])])


ANSWER = InputResponsePart("r1", approved=True)
DIFFERENT: list[list[Part]] = [
    [CALL],
    [replace(CALL, tool_call_id="call_2")],
    [replace(CALL, name="find")],
    [replace(CALL, arguments={})],
    [replace(CALL, arguments={"q": "x"})],
    [replace(CALL, arguments={"q": "x", "n": '{"a":1,"b":[2]}'})],
    [CUT],
    [replace(CUT, raw_arguments='{"q"')],
    [RESULT],
    [replace(RESULT, tool_call_id="call_2")],
    [replace(RESULT, output='{"a":1,"b":2}')],
    [replace(RESULT, output=None)],
    [replace(RESULT, output=[])],
    [replace(RESULT, is_error=True)],
    [FILE],
    [replace(FILE, data="")],
    [FilePart(data=sha256(PNG.encode()).hexdigest())],
    [FilePart()],
    [FilePart(file_id=PNG)],
    [FilePart(url=PNG)],
    [ImagePart(data=PNG)],
    [ImagePart(file_id=PNG)],
    [IMAGE],
    [ANSWER],
    [replace(ANSWER, request_id="r2")],
    [replace(ANSWER, approved=False)],
    [replace(ANSWER, approved=None)],
    [replace(ANSWER, text="")],
    [replace(ANSWER, values={})],
    [TextPart("x")],
    [TextPart("x"), CALL],
    [CALL, RESULT],
    [RESULT, CALL],
    [CALL, CALL],
]


def test_every_part_of_a_message_counts_and_so_does_their_order() -> None:
    assert len({fingerprint([("user", parts)]) for parts in DIFFERENT}) == len(DIFFERENT)


def test_every_role_route_and_user_has_fingerprints_of_its_own() -> None:
    roles: tuple[Role, ...] = get_args(Role)
    assert len({extend(SEED, role, [TextPart("Hi")]) for role in roles}) == 4
    users = [None, "", "null", "ann"]
    assert len({seed(route, user) for route in ("a", 'a","') for user in users}) == 8


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (TextPart("\ud800"), UnicodeEncodeError),
        (ToolResultPart("call_1", ["\ud800"]), UnicodeEncodeError),
        (FilePart(data="\ud800"), UnicodeEncodeError),
    ],
)
def test_what_cannot_be_written_has_no_fingerprint(part: Part, error: type[Exception]) -> None:
    with pytest.raises(error):
        extend(SEED, "user", [part])


def test_what_is_nested_too_deeply_has_no_fingerprint() -> None:
    output: list[object] = []
    for _ in range(100_000):
        output = [output]
    with pytest.raises(RecursionError):
        extend(SEED, "tool", [ToolResultPart("call_1", output)])


# --- any two histories

roles: st.SearchStrategy[Role] = st.sampled_from(get_args(Role))
words = st.text("ab \n", max_size=4)
ids = st.sampled_from(["i", "j"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0]) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(words, values, max_size=2)
resent: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, words),
    st.builds(ToolCallPart, ids, words, objects),
    st.builds(ToolCallPart, ids, words, st.just({}), status=st.just("cut"), raw_arguments=words),
    st.builds(ToolResultPart, ids, values, st.booleans()),
    st.builds(FilePart, st.none() | words, st.none() | words, st.none() | words),
    st.builds(ImagePart, st.none() | words, st.none() | words, st.none() | words),
    st.builds(InputResponsePart, ids, st.none() | st.booleans(), st.none() | words, st.none() | objects),
)
messages = st.tuples(roles, st.lists(resent, max_size=4))
histories: st.SearchStrategy[History] = st.lists(messages, max_size=4)


COUNTED = (ToolCallPart, ToolResultPart, FilePart, ImagePart, InputResponsePart)
COUNTED_OF_ANSWERS = (ToolCallPart,)


def content(history: History) -> list[object]:
    """What is compared, as an earlier reader of the rules would write it down."""
    found: list[object] = []
    for role, parts in history:
        text = "".join(part.text for part in parts if isinstance(part, TextPart)).strip()
        counted = COUNTED_OF_ANSWERS if role == "assistant" else COUNTED
        others = [plain(part) for part in parts if isinstance(part, counted)]
        if role == "assistant":
            others.sort(key=lambda call: str(call[1]))
        if text or others:
            found.append((role, text, others))
    return found


def plain(part: Part) -> tuple[object, ...]:
    match part:
        case ToolCallPart():
            raw = part.raw_arguments or ""
            return "call", part.tool_call_id, part.name, canonical(part.arguments), raw if raw.strip() else None
        case ToolResultPart():
            return "result", part.tool_call_id, canonical(part.output), part.is_error
        case FilePart() | ImagePart():
            return type(part), part.file_id, part.url, part.data
        case InputResponsePart():
            return "response", part.request_id, part.approved, part.text, canonical(part.values)
        case _:
            raise AssertionError(part)


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@st.composite
def disguised(draw: st.DrawFn, history: History) -> History:
    """The same history with all that does not count drawn anew."""
    found: History = []
    for role, parts in history:
        found += draw(st.just([]) | st.tuples(roles, st.just([TextPart("\n"), *UNCOUNTED])).map(lambda pair: [pair]))
        disguise: list[Part] = [TextPart(draw(st.sampled_from(["", " ", "\t\n"])))]
        for part in parts:
            disguise += draw(st.lists(st.sampled_from(UNCOUNTED), max_size=1))
            disguise += draw(disguises(part))
        found.append((role, [*disguise, TextPart(draw(st.sampled_from(["", " ", "\n"])), 9)]))
    return found


def disguises(part: Part) -> st.SearchStrategy[list[Part]]:
    match part:
        case TextPart(text):
            cuts = st.integers(0, len(text))
            return cuts.map(lambda cut: [TextPart(text[:cut], 1, "signed"), TextPart(text[cut:], 2)])
        case ToolCallPart():
            arguments = dict(reversed(part.arguments.items()))
            return st.builds(
                lambda block, executor: [replace(part, arguments=arguments, block=block, executor=executor)],
                st.integers(0, 9),
                st.sampled_from(["client", "unknown"]),
            )
        case ToolResultPart() | FilePart() | ImagePart():
            return st.builds(lambda name: [replace(part, name=name)], words)
        case _:
            return st.just([part])


@st.composite
def edited(draw: st.DrawFn, history: History) -> History:
    """One thing changed, if the change is one."""
    if not history:
        return [draw(messages)]
    at = draw(st.integers(0, len(history) - 1))
    first, *rest = history[at:]
    role, parts = first
    place = draw(st.integers(0, len(parts)))
    earlier, later = parts[:place], parts[place:]
    following = [part for _, parts_of_next in rest[:1] for part in parts_of_next]
    changes: list[History] = [
        rest,
        [first, first, *rest],
        [*rest[:1], first, *rest[1:]],
        [draw(messages), first, *rest],
        [(draw(roles), parts), *rest],
        [(role, [*earlier, draw(resent), *later]), *rest],
        [(role, [*earlier, draw(resent), *later[1:]]), *rest],
        [(role, [*earlier, *later[1:]]), *rest],
        [(role, [*later, *earlier]), *rest],
        [(role, earlier), (role, later), *rest],
        [(role, [*parts, *following]), *rest[1:]],
    ]
    return history[:at] + draw(st.sampled_from(changes))


@given(st.data(), histories)
def test_the_same_history_in_any_disguise_has_the_same_fingerprint(data: st.DataObject, history: History) -> None:
    assert fingerprint(data.draw(disguised(history))) == fingerprint(history)


@given(st.data(), histories)
def test_an_edit_changes_the_fingerprint_exactly_where_it_changes_the_content(
    data: st.DataObject, history: History
) -> None:
    other = data.draw(edited(history) | histories)
    assert (fingerprint(other) == fingerprint(history)) == (content(other) == content(history))
