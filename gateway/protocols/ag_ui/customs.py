"""What AG-UI has no event for, as `CUSTOM` events of names of our own; written by our dialect, read by our translator.

    gateway.source       {sourceId, title?, url?, fileId?, quote?, messageId?, start?, end?}   code points of it
    gateway.file         {fileId?, name?, mediaType?, url?}
    gateway.data_frame   {name, columns, rows}
    gateway.finish       {reason: length | content_filter | other | canceled, raw?}            before RUN_FINISHED
    any other name       data of that name

A value that does not fit is data as well.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.canonical import events
from gateway.framing.typed import UNREADABLE

SOURCE, FILE, DATA_FRAME, FINISH = "gateway.source", "gateway.file", "gateway.data_frame", "gateway.finish"

CutShort = Literal["length", "content_filter", "other"]
CUT_SHORT: tuple[CutShort, ...] = ("length", "content_filter", "other")


class Value(Struct, rename="camel", omit_defaults=True):
    """What all of them share: absent fields left out."""


class Source(Value):
    source_id: str
    title: str | None = None
    url: str | None = None
    file_id: str | None = None
    quote: str | None = None
    message_id: str | None = None
    start: int | None = None
    end: int | None = None


class File(Value):
    file_id: str | None = None
    name: str | None = None
    media_type: str | None = None
    url: str | None = None


class DataFrame(Value):
    name: str
    columns: list[str]
    rows: list[list[Any]]


class Finish(Value):
    reason: CutShort | Literal["canceled"] | None = None
    raw: str | None = None


_KINDS: dict[str, type[Value]] = {SOURCE: Source, FILE: File, DATA_FRAME: DataFrame, FINISH: Finish}


def read(name: str, value: object) -> events.Event | Finish:
    kind = _KINDS.get(name)
    try:
        told = None if kind is None else msgspec.convert(value, kind)
    except UNREADABLE:
        told = None
    match told:
        case Source():
            return events.Source(told.source_id, told.title, told.url, told.file_id, told.quote)
        case File():
            return events.File(told.file_id, told.name, told.media_type, told.url)
        case DataFrame():
            return events.DataFrame(told.name, told.columns, told.rows)
        case Finish():
            return told
        case _:
            return events.Data(name, value)
