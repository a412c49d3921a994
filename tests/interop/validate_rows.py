"""Validates rows with the Python SDK's own write models: one {"kind": "span"|"trace"|"score"|"thread_score", "row": …} a line in, one
{"ok": …, "error": …} a line out."""

import json
import sys

from opik.rest_api.types import FeedbackScoreBatchItem, FeedbackScoreBatchItemThread, SpanWrite, TraceWrite
from pydantic import ValidationError

MODELS = {
    "span": SpanWrite,
    "trace": TraceWrite,
    "score": FeedbackScoreBatchItem,
    "thread_score": FeedbackScoreBatchItemThread,
}

for line in sys.stdin:
    item = json.loads(line)
    try:
        MODELS[item["kind"]].model_validate(item["row"])
        print(json.dumps({"ok": True}))
    except ValidationError as error:
        print(json.dumps({"ok": False, "error": str(error.errors()[0]["loc"])}))
