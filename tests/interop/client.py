"""The caller of Opik's distributed tracing guide: a tracked function that calls a service with its headers.

TARGET_URL   what to call, with the path
STREAM       "1" asks for a streamed answer
Prints {"trace_id": …, "status": …, "answer": …}. OPIK_URL_OVERRIDE and the like configure the SDK.
"""

import json
import os

import httpx
import opik
from opik import opik_context


@opik.track
def ask(question: str) -> str:
    headers = opik_context.get_distributed_trace_headers()
    body = {"message": question, "query": question, "stream": os.environ.get("STREAM") == "1"}
    with httpx.stream("POST", os.environ["TARGET_URL"], json=body, headers=headers, timeout=30) as response:
        text = "".join(response.iter_text())
        result = {"trace_id": headers["opik_trace_id"], "status": response.status_code, "answer": text}
    print(json.dumps(result), flush=True)
    return text


ask("What is a trace?")
opik.flush_tracker()
