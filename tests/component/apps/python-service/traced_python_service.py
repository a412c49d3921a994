"""The same service, which adds its own spans. The call of the model belongs to one of them, by the headers that the call has."""

import json

from componentize_py_types import Err
from python_service import ask, respond
from wit_world import exports
from wit_world.imports.spans import Field, Kind, Span
from wit_world.imports.wasi_http_types import Request, Response


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        host = (request.get_path_with_query() or "/").split("/")[2]
        question = "What is a span?"
        with Span.begin("answer") as span:
            span.set(Field.INPUT, json.dumps({"question": question}))
            answer = json.loads(await ask(host, question, span.headers()))
            text = answer["choices"][0]["message"]["content"]
            with span.begin_child("check") as check:
                check.set_kind(Kind.GUARDRAIL)
                check.set(Field.TAGS, json.dumps(["language"]))
                check.fail("Rude", "the answer says nothing nice")
            try:
                span.set(Field.METADATA, "7")
            except Err as error:
                span.set(Field.METADATA, json.dumps({"refused": error.value.name}))
            span.set(Field.OUTPUT, json.dumps({"answer": text, "is_recorded": span.is_recorded()}))
        return respond(text)
