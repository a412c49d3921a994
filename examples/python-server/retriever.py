"""Continues the caller's trace as the servers of Opik's guide do, in one of two ways.

SERVER_MODE   "track" hands the headers to a tracked function, "context" uses the context manager
"""

import os

import opik
from opik.decorator.context_manager import distributed_headers


@opik.track(type="tool")
def embed(query: str) -> list[float]:
    return [float(len(query))]


@opik.track
def search(query: str) -> dict:
    embed(query)
    return {"documents": ["Opik records traces.", "A span is one operation."]}


def retrieve(query: str, headers) -> dict:
    """`headers` has `get`, as every framework's has. The SDK wants both names or neither."""
    names = ("opik_trace_id", "opik_parent_span_id")
    found = {name: headers.get(name) for name in names}
    caller = found if all(found.values()) else None
    try:
        if os.environ.get("SERVER_MODE") == "context":
            with distributed_headers(caller or {}):
                return search(query)
        return search(query, opik_distributed_trace_headers=caller)
    finally:
        opik.flush_tracker()
