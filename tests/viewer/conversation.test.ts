// The viewer recognises the shapes of conversations, and takes nothing else for a conversation.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Message, messagesOf, proseOf } from "../../viewer/src/page/conversation.js";

/** In one line each. */
function said(messages: readonly Message[] | undefined): string[] | undefined {
  return messages?.map(({ role, parts, answers }) => {
    const texts = parts.map((part) => {
      if (part.kind === "text") return part.text;
      if (part.kind === "call") return `${part.name}(${JSON.stringify(part.input)})${part.id ? `#${part.id}` : ""}`;
      return part.kind === "image" ? `<${part.url}>` : JSON.stringify(part.value);
    });
    return `${role}${answers ? `→${answers}` : ""}: ${texts.join(" | ")}`;
  });
}

const CONVERSATIONS: [string, unknown, string[]][] = [
  ["chat completions, asked", { messages: [{ role: "user", content: "hi" }], model: "m" }, ["user: hi"]],
  [
    "a list",
    [
      { role: "user", content: "hi" },
      { role: "assistant", content: "ho" },
    ],
    ["user: hi", "assistant: ho"],
  ],
  ["chat completions, answered", { choices: [{ message: { role: "assistant", content: "ho" } }] }, ["assistant: ho"]],
  [
    "calls of tools",
    {
      messages: [
        { role: "assistant", content: null, tool_calls: [{ id: "1", function: { name: "f", arguments: '{"a":1}' } }] },
        { role: "tool", tool_call_id: "1", content: "2" },
      ],
    },
    ['assistant: f({"a":1})#1', "tool→1: 2"],
  ],
  [
    "arguments that are no JSON",
    { messages: [{ role: "assistant", tool_calls: [{ id: "1", function: { name: "f", arguments: '{"a":' } }] }] },
    ['assistant: f("{\\"a\\":")#1'],
  ],
  [
    "parts",
    {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "see" },
            { type: "image_url", image_url: { url: "https://x/y" } },
          ],
        },
      ],
    },
    ["user: see | <https://x/y>"],
  ],
  [
    "responses, asked",
    { instructions: "be brief", input: [{ role: "user", content: [{ type: "input_text", text: "hi" }] }] },
    ["system: be brief", "user: hi"],
  ],
  ["responses, asked in a text", { instructions: "be brief", input: "hi" }, ["system: be brief", "user: hi"]],
  [
    "responses, answered",
    {
      output: [
        { type: "reasoning", summary: [{ type: "summary_text", text: "hm" }] },
        { type: "function_call", name: "f", call_id: "1", arguments: "{}" },
        { type: "message", role: "assistant", content: [{ type: "output_text", text: "ho" }] },
      ],
    },
    ["reasoning: hm", "assistant: f({})#1", "assistant: ho"],
  ],
  [
    "Anthropic, asked",
    {
      system: "be brief",
      messages: [
        { role: "assistant", content: [{ type: "tool_use", id: "t", name: "f", input: { a: 1 } }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "2" }] },
      ],
    },
    ["system: be brief", 'assistant: f({"a":1})#t', "tool→t: 2"],
  ],
  [
    "Anthropic, answered",
    { role: "assistant", content: [{ type: "text", text: "ho" }], stop_reason: "end_turn" },
    ["assistant: ho"],
  ],
  ["Gemini, asked", { contents: [{ role: "user", parts: [{ text: "hi" }] }] }, ["user: hi"]],
  [
    "Gemini, answered",
    { candidates: [{ content: { role: "model", parts: [{ functionCall: { name: "f", args: {} } }] } }] },
    ["assistant: f({})"],
  ],
  [
    "LangChain, asked",
    { messages: [[{ id: ["langchain", "HumanMessage"], kwargs: { content: "hi" } }]] },
    ["user: hi"],
  ],
  [
    "LangChain, in short",
    {
      messages: [
        { type: "human", content: "hi" },
        { type: "ai", content: "ho" },
      ],
    },
    ["user: hi", "assistant: ho"],
  ],
  ["LangChain, answered", { generations: [[{ text: "ho" }]] }, ["assistant: ho"]],
  ["AI SDK, answered", { text: "ho", usage: {} }, ["assistant: ho"]],
];

for (const [what, value, expected] of CONVERSATIONS) {
  test(`${what} is a conversation`, () => {
    const role = what.includes("answered") ? "assistant" : "user";
    assert.deepEqual(said(messagesOf(value, role)), expected);
  });
}

test("other values are shown as JSON", () => {
  for (const value of [
    null,
    1,
    "hi",
    [],
    {},
    [1],
    { messages: [] },
    { messages: "hi" },
    { messages: [1] },
    { a: [{ role: "x" }] },
    { text: "hi" },
    { choices: [{}] },
  ]) {
    assert.equal(messagesOf(value, "user"), undefined, JSON.stringify(value));
  }
});

test("a value of one text is prose", () => {
  assert.equal(proseOf("hi"), "hi");
  assert.equal(proseOf({ prompt: "hi" }), "hi");
  for (const value of [{ a: "x", b: "y" }, { a: 1 }, ["hi"], {}, null]) assert.equal(proseOf(value), undefined);
});
