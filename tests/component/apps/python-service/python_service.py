"""A service that knows nothing of tracing: GET /ask/HOST answers with the answer of a model at HOST, by OpenAI's API."""

import json

import componentize_py_async_support
import wit_world
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import client
from wit_world.imports.wasi_http_types import Fields, Method_Post, Request, Response, Scheme_Http


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        _, route, host, *_ = (request.get_path_with_query() or "/").split("/") + [""]
        if route == "raise":
            raise RuntimeError("not an answer")
        answer = json.loads(await ask(host, "What is a span?"))
        return respond(answer["choices"][0]["message"]["content"])


async def ask(host: str, question: str, more_headers: list[tuple[str, str]] = []) -> bytes:
    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": question}]}
    pairs = [("content-type", "application/json"), *more_headers]
    headers = Fields.from_list([(name, value.encode()) for name, value in pairs])
    request, sent = Request.new(headers, stream_of(json.dumps(body).encode()), no_trailers(), None)
    request.set_method(Method_Post())
    request.set_scheme(Scheme_Http())
    request.set_authority(host)
    request.set_path_with_query("/v1/chat/completions")
    response = await client.send(request)
    done, result = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))
    contents, _ = Response.consume_body(response, result)
    answer = b""
    with contents, done, sent:
        while not contents.writer_dropped:
            answer += await contents.read(16 * 1024)
    return answer


def respond(text: str) -> Response:
    return Response.new(Fields(), stream_of(text.encode()), no_trailers())[0]


def stream_of(content: bytes):
    writer, reader = wit_world.byte_stream()

    async def write() -> None:
        with writer:
            await writer.write_all(content)

    componentize_py_async_support.spawn(write())
    return reader


def no_trailers():
    return wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))[1]
