"""Scores a trace and a thread with the Python SDK. TRACE_ID is the trace, THREAD_ID the thread."""

import os

import opik

client = opik.Opik(project_name="scored")
score = {"name": "helpful", "value": 1.0, "reason": "by the SDK"}
client.log_traces_feedback_scores([{"id": os.environ["TRACE_ID"], **score}])
client.get_threads_client().log_threads_feedback_scores([{"id": os.environ["THREAD_ID"], **score}])
client.end()
