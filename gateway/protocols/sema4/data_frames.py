"""Sema4.ai's data frames, which belong to a conversation.

    list       GET  .../data-frames?num_samples=0
    rows       GET  .../data-frames/{name}?offset&limit&column_names&order_by&output_format=json
    download   the same, with output_format=parquet

How rows are written in JSON is not documented; these are read:

    [{"a": 1}]                                 objects
    [[1]]                                      lists: their columns are those asked for, else the list of frames tells
    {"columns": ["a"], "rows" or "data": ...}  either of them below one of the two names; `columns` may be missing
"""

from collections.abc import Sequence
from typing import Any, cast

from gateway.canonical.errors import GatewayError
from gateway.canonical.resources import DataFrameAnswer, Rows, Slice
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Calls, VendorRequest, path_segment
from gateway.protocols.sema4 import requests, wire
from gateway.protocols.sema4.lists import entries, moment, read
from gateway.protocols.sema4.translator import Sema4Translator

_decode_table = document(cast("type[wire.Table | list[Any]]", wire.Table | list[Any]))


class Sema4DataFrames:
    def __init__(self, translator: Sema4Translator) -> None:
        self._agent = translator.agent

    def list_frames(self, vendor_ids: dict[str, str]) -> Calls[list[DataFrameAnswer]]:
        path = requests.conversation_path(self._agent, vendor_ids)
        listed = yield VendorRequest(
            "GET", f"{path}/data-frames", query={"num_samples": "0"}, headers=requests.JSON_HEADERS
        )
        return [_as_answer(read(entry, wire.StoredFrame)) for entry in entries(listed.body)]

    def rows(self, vendor_ids: dict[str, str], name: str, part: Slice) -> Calls[Rows]:
        answer = yield self._request(vendor_ids, name, part, "json")
        columns, rows = _read(answer.body)
        if columns is None and part.columns and all(len(row) == len(part.columns) for row in rows):
            columns = part.columns
        if columns is None:
            frames = yield from self.list_frames(vendor_ids)
            columns = next((frame.columns for frame in frames if frame.name == name), None)
        return _arrange(name, columns or [], rows[: part.limit], part.columns)

    def download(self, vendor_ids: dict[str, str], name: str, part: Slice) -> VendorRequest:
        return self._request(vendor_ids, name, part, part.format)

    def _request(self, vendor_ids: dict[str, str], name: str, part: Slice, output_format: str) -> VendorRequest:
        if any("," in column or not column for column in part.columns):
            raise GatewayError(
                "unsupported", "a column whose name holds a comma cannot be asked for", details={"path": "$.columns"}
            )
        query = {"offset": str(part.offset), "limit": str(part.limit), "output_format": output_format}
        if part.columns:
            query["column_names"] = ",".join(part.columns)
        if part.order:
            query["order_by"] = part.order
        path = f"{requests.conversation_path(self._agent, vendor_ids)}/data-frames/{path_segment(name)}"
        headers = requests.JSON_HEADERS if output_format == "json" else {}
        return VendorRequest("GET", path, query=query, headers=headers)


def _as_answer(stored: wire.StoredFrame) -> DataFrameAnswer:
    return DataFrameAnswer(
        stored.name, stored.column_headers, stored.num_rows, stored.description, moment(stored.created_at)
    )


def _read(body: bytes) -> tuple[list[str] | None, list[list[Any]]]:
    """Columns, where the answer says them, and rows."""
    table = _decode_table(body)
    if isinstance(table, list):
        return _read_rows(None, table)
    rows = table.rows if table.rows is not None else table.data
    if rows is None:
        raise Malformed("a table without rows")
    return _read_rows(table.columns or table.column_names or table.column_headers, rows)


def _read_rows(columns: list[str] | None, rows: list[Any]) -> tuple[list[str] | None, list[list[Any]]]:
    if rows and all(isinstance(row, dict) for row in rows):
        columns = columns or list(dict.fromkeys(name for row in rows for name in row))
        return columns, [[row.get(name) for name in columns] for row in rows]
    if not all(isinstance(row, list) for row in rows):
        raise Malformed("rows that are neither objects nor lists")
    return columns, rows


def _arrange(name: str, columns: Sequence[str], rows: list[list[Any]], wanted: list[str]) -> Rows:
    """In the order of the columns that were asked for."""
    if any(len(row) != len(columns) for row in rows):
        raise Malformed("rows that do not fit their columns")
    if not wanted or list(columns) == wanted:
        return Rows(name, list(columns), rows)
    if not set(wanted) <= set(columns):
        raise Malformed("a table without a column that was asked for")
    places = [columns.index(column) for column in wanted]
    return Rows(name, wanted, [[row[place] for place in places] for row in rows])
