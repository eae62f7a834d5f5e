"""What a client may ask, and how it reads to a translator."""

import msgspec
import pytest

from gateway.canonical.message import FilePart, ImagePart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, MessageRequest, NamedTool, Parameters, Tool, Turn

decode = msgspec.json.Decoder(MessageRequest).decode


def test_a_text_is_a_turn_of_one_part() -> None:
    request = decode('{"content":"hello"}')
    assert request.parts() == [TextPart("hello")]
    assert (request.stream, request.failover, request.route) == (True, True, None)


def test_parts_are_a_turn_as_they_stand() -> None:
    request = decode(
        b'{"content":[{"type":"text","text":"see"},{"type":"image","data":"aGk=","media_type":"image/png"},'
        b'{"type":"file","file_id":"f1"},{"type":"tool_result","tool_call_id":"c","output":{"n":1}}]}'
    )
    assert request.parts() == [
        TextPart("see"),
        ImagePart(data="aGk=", media_type="image/png"),
        FilePart("f1"),
        ToolResultPart("c", {"n": 1}),
    ]


def test_a_turn_may_be_another_answer_to_an_earlier_one() -> None:
    assert decode('{"regenerate":"m1"}').parts() == []


def test_everything_a_client_may_set_is_read() -> None:
    assert decode(
        b'{"route":"support","conversation_id":"c_1.x-y","content":"hi","instructions":"be kind",'
        b'"history":[{"role":"user","parts":[{"type":"text","text":"before"}]},'
        b'{"role":"assistant","parts":[{"type":"tool_call","tool_call_id":"c","name":"f","arguments":{}}]}],'
        b'"tools":[{"name":"f","description":"d","parameters":{"type":"object"}}],"tool_choice":{"name":"f"},'
        b'"parameters":{"temperature":0.5,"max_output_tokens":10,"stop":["x"]},"user_id":"J\xc3\xb6rg 1",'
        b'"metadata":{"k":[1]},"stream":false,"failover":false,"vendor_options":{"acme":{"fast":true}}}'
    ) == MessageRequest(
        route="support",
        conversation_id="c_1.x-y",
        content="hi",
        instructions="be kind",
        history=[
            HistoryMessage("user", [TextPart("before")]),
            HistoryMessage("assistant", [ToolCallPart("c", "f", {})]),
        ],
        tools=[Tool("f", "d", {"type": "object"})],
        tool_choice=NamedTool("f"),
        parameters=Parameters(temperature=0.5, max_output_tokens=10, stop=["x"]),
        user_id="Jörg 1",
        metadata={"k": [1]},
        stream=False,
        failover=False,
        vendor_options={"acme": {"fast": True}},
    )


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"content":"a","model":"x"}', "unknown field `model`"),
        ('{"content":""}', "$.content"),
        ('{"content":[]}', "$.content"),
        ('{"content":7}', "$.content"),
        ('{"content":[{"type":"text"}]}', "$.content[0]"),
        ('{"content":[{"type":"text","text":"a","role":"x"}]}', "$.content[0]"),
        ('{"content":[{"type":"reasoning","text":"a"}]}', "$.content[0]"),
        ('{"content":"a","route":"a/b"}', "$.route"),
        ('{"content":"a","route":"a\\n"}', "$.route"),
        ('{"content":"a","conversation_id":""}', "$.conversation_id"),
        ('{"content":"a","conversation_id":"é"}', "$.conversation_id"),
        ('{"content":"a","user_id":"a\\u0000"}', "$.user_id"),
        ('{"content":"a","user_id":"a\\n"}', "$.user_id"),
        ('{"content":"a","parameters":{"temperature":3}}', "$.parameters.temperature"),
        ('{"content":"a","parameters":{"top_k":3}}', "$.parameters"),
        ('{"content":"a","tools":[{"name":""}]}', "$.tools[0].name"),
        ('{"content":"a","vendor_options":{"a/b":{}}}', "$.vendor_options"),
        ('{"content":"a","vendor_options":{"acme":1}}', "$.vendor_options[...]"),
        ('{"content":"a","stream":"yes"}', "$.stream"),
    ],
)
def test_what_a_client_may_not_ask_is_refused_with_its_path(body: str, path: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        decode(body)
    assert path in str(caught.value)


def test_the_text_of_a_turn_is_its_text_parts_with_a_blank_line_between() -> None:
    turn = Turn([TextPart("one"), FilePart("f1"), TextPart("two")], new_id=lambda: "id")
    assert turn.text == "one\n\ntwo"
    assert Turn([FilePart("f1")], new_id=lambda: "id").text == ""
