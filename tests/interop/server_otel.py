"""A service with OpenTelemetry and Opik's span processor: uvicorn server_otel:app. It finds its caller's trace in the baggage, on
/attached by Opik's headers, and on /tracked it gives Opik's own SDK what the baggage has.

OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is Opik's endpoint for OpenTelemetry.
"""

import httpx
import opik
from fastapi import FastAPI, Request
from opentelemetry import baggage, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opik.integrations.otel import OpikSpanProcessor, attach_to_parent

provider = TracerProvider()
provider.add_span_processor(OpikSpanProcessor())
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("ranker")

app = FastAPI()
# Spans of the calls themselves only, and not of the call that waits for the start.
FastAPIInstrumentor.instrument_app(app, excluded_urls="/$", exclude_spans=["receive", "send"])
HTTPXClientInstrumentor().instrument()


@app.post("/rank")
async def rank() -> dict:
    with tracer.start_as_current_span("rank documents"):
        return {"first": "Opik records traces."}


@app.post("/attached")
async def attached(request: Request) -> dict:
    attach_to_parent(trace.get_current_span(), dict(request.headers))
    return await rank()


@opik.track
def recall() -> dict:
    return {"recalled": True}


@app.post("/tracked")
async def tracked() -> dict:
    names = {"opik_trace_id": "opik.trace_id", "opik_parent_span_id": "opik.span_id"}
    caller = {header: baggage.get_baggage(name) for header, name in names.items()}
    answer = recall(opik_distributed_trace_headers=caller if all(caller.values()) else None)
    opik.flush_tracker()
    return answer


@app.post("/ask")
async def ask(next: str, request: Request) -> dict:
    async with httpx.AsyncClient() as client:
        answer = await client.post(next, content=await request.body())
    return {"answer": answer.text}


@app.get("/")
async def ready() -> dict:
    return {"ready": True}
