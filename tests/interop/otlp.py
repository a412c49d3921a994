"""Sends spans of OpenTelemetry's Python SDK, some of which Opik's processor links to a trace, to the Opik of the environment."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opik.integrations.otel import OpikSpanProcessor, attach_to_parent

provider = TracerProvider(resource=Resource.create({"service.name": "ranker"}))
provider.add_span_processor(OpikSpanProcessor())
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("test")

with tracer.start_as_current_span("alone") as span:
    span.set_attribute("gen_ai.operation.name", "invoke_agent")
    with tracer.start_as_current_span("chat") as model:
        model.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-5",
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 4,
            }
        )
    try:
        with tracer.start_as_current_span("lookup"):
            raise KeyError("INV-7")
    except KeyError:
        pass

headers = {"opik_trace_id": os.environ["TRACE_ID"], "opik_parent_span_id": os.environ["PARENT_ID"]}
with tracer.start_as_current_span("linked") as span:
    attach_to_parent(span, headers)
    with tracer.start_as_current_span("below"):
        pass

provider.shutdown()
