"""Runs cases of ../cases through Opik's own wrappers around the Python SDKs, against the server of ../server.ts.

Usage: record.py MODELS, where MODELS is the server's URL. Prints the name of each case on its own line.
"""

import json
import sys
import urllib.request

import anthropic
import groq
import ollama
import openai
import opik
from google import genai
from opik.integrations.anthropic import track_anthropic
from opik.integrations.genai import track_genai
from opik.integrations.groq import track_groq
from opik.integrations.ollama import track_ollama
from opik.integrations.openai import track_openai

MODELS = sys.argv[1]
KEY = "sk-never-to-be-recorded"
HI = [{"role": "user", "content": "Hi"}]


def tell(action, body=b""):
    with urllib.request.urlopen(f"{MODELS}/-/{action}", data=body) as answer:
        answer.read()


def converse(name, answers, run):
    """Runs a host in a span with this name."""
    tell("begin", json.dumps(answers).encode())

    @opik.track(name=name)
    def host():
        try:
            run()
        except Exception as error:  # the host would see it; only the span matters here
            print(f"{name}: {type(error).__name__}", file=sys.stderr)

    host()
    tell("end")
    print(name)


def left(stream, is_far_enough):
    """Reads as far as `is_far_enough`, then leaves the stream by `break` and `with`."""
    with stream:
        for item in stream:
            if is_far_enough(item):
                break


def converse_openai():
    client = track_openai(openai.OpenAI(api_key=KEY))
    once = track_openai(openai.OpenAI(api_key=KEY, max_retries=0))
    chat = {"model": "gpt-4.1-mini", "messages": HI}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    create = client.chat.completions.create
    respond = client.responses.create
    asked = {"model": "gpt-5", "input": "Hi"}

    def of(name, answers, run):
        converse(f"openai: {name}", answers, run)

    of("a completion", ["models: chat, whole"], lambda: create(**chat))
    of("two choices", ["models: chat, two choices"], lambda: create(**chat, n=2))
    of(
        "two choices, streamed, with reasoning and a refusal",
        ["models: chat, two choices, streamed"],
        lambda: list(create(**chat, n=2, stream=True)),
    )
    of(
        "stream(), iterated",
        ["models: chat, two tool calls, streamed"],
        lambda: list(create(**chat, tools=[tool], stream=True)),
    )
    of("a retry", ["models: chat, refused for now", "models: chat, whole"], lambda: create(**chat))
    of("a refusal", ["models: chat, refused for now"], lambda: once.chat.completions.create(**chat))
    of(
        "an error in a stream",
        ["models: chat, an error in a stream"],
        lambda: list(create(**chat, stream=True)),
    )
    of(
        "a stream, left by break",
        [{"of": "models: chat, streamed", "parts": 2}],
        lambda: left(create(**chat, stream=True), lambda chunk: chunk.choices[0].delta.content),
    )
    of(
        "completions",
        ["models: completion, whole"],
        lambda: client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once"),
    )
    of(
        "embeddings",
        ["embeddings: base64, as the SDK asks for it"],
        lambda: client.embeddings.create(model="text-embedding-3-small", input="Hi"),
    )
    of("a response", ["models: response, whole"], lambda: respond(**asked, instructions="Be brief"))
    of(
        "responses.stream()",
        ["models: response, streamed"],
        lambda: list(respond(**asked, stream=True)),
    )
    of(
        "a response that fails",
        ["openai_responses: an error event"],
        lambda: list(respond(**asked, stream=True)),
    )
    of(
        "a response, left by break",
        [{"of": "openai_responses: a stream to its end", "parts": 5}],
        lambda: left(respond(**asked, stream=True), lambda event: event.type == "response.output_text.delta"),
    )
    other = track_openai(openai.OpenAI(api_key=KEY, base_url="https://api.deepseek.com"))
    of(
        "DeepSeek",
        ["openai_chat: DeepSeek: reasoning and cached tokens under its own name"],
        lambda: other.chat.completions.create(**chat),
    )
    gateway = track_openai(
        openai.OpenAI(api_key=KEY, base_url="https://gateway.ai.cloudflare.com/v1/acc/gw/compat")
    )
    of(
        "Cloudflare's AI Gateway, one shape for all",
        ["openai_chat: AI Gateway, one shape for all: Anthropic with cached tokens, from the cache"],
        lambda: gateway.chat.completions.create(model="anthropic/claude-haiku-4-5", messages=HI),
    )


def converse_anthropic():
    client = track_anthropic(anthropic.Anthropic(api_key=KEY))
    asked = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": HI}
    tool = {"name": "weather", "description": "The weather", "input_schema": {"type": "object"}}
    create = client.messages.create

    def of(name, answers, run):
        converse(f"@anthropic-ai/sdk: {name}", answers, run)

    def streamed():
        with client.messages.stream(**asked, tools=[tool]) as stream:
            stream.get_final_message()

    of("a message", ["models: anthropic, whole"], lambda: create(**asked, system="Be brief"))
    of("a message with two tools", ["models: anthropic, two tools"], lambda: create(**asked, tools=[tool]))
    of(
        "a stream with thinking",
        ["anthropic: thinking, text and a tool call, streamed"],
        lambda: list(create(**asked, stream=True)),
    )
    of("stream()", ["models: anthropic, two tools, streamed"], streamed)
    of(
        "an overload after it has begun",
        ["models: anthropic, overloaded"],
        lambda: list(create(**asked, stream=True)),
    )
    of(
        "a stream, left by break",
        [{"of": "models: anthropic, two tools, streamed", "parts": 4}],
        lambda: left(create(**asked, stream=True), lambda event: event.type == "content_block_delta"),
    )


def converse_genai():
    client = track_genai(genai.Client(api_key=KEY))
    models = client.models
    asked = {"model": "gemini-2.5-flash", "contents": "Hi"}

    def of(name, answers, run):
        converse(f"@google/genai: {name}", answers, run)

    def left_after_one():
        for _ in models.generate_content_stream(**asked):
            break

    of("an answer", ["models: gemini, whole"], lambda: models.generate_content(**asked))
    of(
        "a stream with thoughts and two tool calls",
        ["gemini: events, with thoughts and two tool calls"],
        lambda: list(models.generate_content_stream(**asked)),
    )
    of(
        "an error in a stream",
        ["gemini: an error in the midst of a stream"],
        lambda: list(models.generate_content_stream(**asked)),
    )
    of("a blocked prompt", ["gemini: a prompt that is blocked"], lambda: models.generate_content(**asked))
    of(
        "embeddings",
        ["embeddings: Gemini's"],
        lambda: models.embed_content(model="gemini-embedding-001", contents=["Hi"]),
    )


def converse_groq():
    create = track_groq(groq.Groq(api_key=KEY)).chat.completions.create
    asked = {"model": "openai/gpt-oss-120b", "messages": HI}
    converse("groq-sdk: a completion", ["models: groq, whole"], lambda: create(**asked))
    converse(
        "groq-sdk: a stream",
        ["models: groq, streamed"],
        lambda: list(create(**asked, stream=True)),
    )


def converse_ollama():
    client = track_ollama(ollama.Client(host="http://ollama.internal:11434"))
    converse("ollama: a chat", ["models: ollama, whole"], lambda: client.chat(model="llama3.2", messages=HI))
    converse(
        "ollama: a chat, streamed",
        ["ollama: chat with thinking and a tool call"],
        lambda: list(client.chat(model="llama3.2", messages=HI, stream=True)),
    )
    converse(
        "ollama: a text, streamed",
        ["models: ollama, generated, streamed"],
        lambda: list(client.generate(model="llama3.2", prompt="Hi", stream=True)),
    )


for talk in (converse_openai, converse_anthropic, converse_genai, converse_groq, converse_ollama):
    talk()
opik.flush_tracker()
