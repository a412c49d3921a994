"""Scores a trace with the Python SDK. TRACE_ID is the trace."""

import os

import opik

client = opik.Opik(project_name="scored")
client.log_traces_feedback_scores(
    [{"id": os.environ["TRACE_ID"], "name": "helpful", "value": 1.0, "reason": "by the SDK"}]
)
client.end()
