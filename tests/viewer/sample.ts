// Sample traces for each feature of the page: a chat of four services, a thread, refusals.

import type { Collector } from "../support/collector.js";

/** Ids of the sample. */
export interface Sample {
  /** The trace of the chat. */
  readonly trace: string;
  readonly thread: string;
}

const SENDERS: Record<string, Record<string, string>> = {
  page: { origin: "http://localhost:3000" },
  browser: { "x-opik-edge": "0.1.0; browser; chat" },
  workerd: { "x-opik-edge": "0.1.0; workerd; chat" },
  python: { "x-fern-language": "Python", "x-opik-debug-sdk-version": "2.2.122" },
  node: { "x-fern-language": "JavaScript", "x-fern-runtime": "node", "x-fern-sdk-version": "2.0.40" },
};

/** A UUIDv7 of this time. `n` makes ids of one ms differ. */
export function idAt(ms: number, n: number): string {
  const time = Math.floor(ms).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${n.toString(16).padStart(3, "0")}-8a00-${n.toString(16).padStart(12, "0")}`;
}

/** Sends rows as `sender` would. */
export async function send(collector: Collector, sender: string, path: string, body: unknown): Promise<number> {
  const { status } = await fetch(`${collector.url}/v1/private/${path}`, {
    method: path.endsWith("scores") ? "PUT" : "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json", "comet-workspace": "default", ...SENDERS[sender] },
  });
  return status;
}

const MESSAGES = [
  { role: "system", content: "You answer questions on invoices. Use the tools. Amounts in EUR." },
  { role: "user", content: "Which of my invoices are overdue, and what do I owe in total?" },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "call_9", function: { name: "sum_invoices", arguments: '{"ids":["INV-2041","INV-2055"]}' } }],
  },
  { role: "tool", tool_call_id: "call_9", content: '{"total":501.9,"currency":"EUR"}' },
];
const ANSWER =
  "Two invoices are **overdue**:\n\n- `INV-2041`, due 2 November, 412.00 EUR\n- `INV-2055`, due 19 November, 89.90 EUR\n\n" +
  "You owe **501.90 EUR** in total. <img src=x onerror=alert(1)>";
const TRACEBACK = `TimeoutError: ledger did not answer within 400 ms
    at Timeout.<anonymous> (src/ledger.ts:41:13)
    at sumInvoices (src/tools.ts:88:20)
    at async chat (src/index.ts:52:24)`;

/** Sends the traces. The first begins at `start`, in ms since 1970. */
export async function sendSample(collector: Collector, start: number): Promise<Sample> {
  const trace = idAt(start, 1);
  const thread = "cart-81";
  const at = (ms: number) => new Date(start + ms).toISOString();
  const ids = new Map<string, string>();
  const spans: Record<string, object[]> = { browser: [], workerd: [], python: [], node: [] };
  const add = (by: string, key: string, parent: string | null, from: number, to: number | null, more: object = {}) => {
    const id = idAt(start + Math.max(from, 0), 10 + ids.size);
    ids.set(key, id);
    spans[by]!.push({
      id,
      trace_id: trace,
      ...(parent !== null && { parent_span_id: ids.get(parent) ?? parent }),
      name: key.split("#")[0],
      type: "general",
      project_name: "demo",
      start_time: at(from),
      ...(to !== null && { end_time: at(to) }),
      source: "sdk",
      ...more,
    });
  };
  const tool = { type: "tool" };
  const error = {
    exception_type: "TimeoutError",
    message: "ledger did not answer within 400 ms",
    traceback: TRACEBACK,
  };
  const model = (tokens: number, ttft: number, more: object) => ({
    type: "llm",
    model: "gpt-4.1-mini",
    provider: "openai",
    usage: { prompt_tokens: tokens - 90, completion_tokens: 90, total_tokens: tokens },
    total_estimated_cost: 0.000265,
    ttft,
    ...more,
  });
  add("browser", "ask", null, 0, 2840, {
    input: { question: MESSAGES[1]!.content },
    output: { answer: "Two invoices are overdue." },
  });
  add("workerd", "POST /chat", "ask", 40, 2790);
  add("workerd", "parse cookies", "POST /chat", 40, 40);
  add("workerd", "authorise", "POST /chat", 40, 40, tool);
  add("workerd", "retrieve", "POST /chat", 41, 209, tool);
  add("workerd", "POST retriever:8000/search", "retrieve", 43, 209);
  add("python", "search", "POST retriever:8000/search", 38, 196, tool);
  add("python", "embed", "search", 39, 95, { type: "llm", model: "bge-small" });
  add("python", "ann lookup", "search", 96, 180, tool);
  add("workerd", "rank", "retrieve", 209, 209, tool);
  add(
    "workerd",
    "llm#1",
    "POST /chat",
    214,
    1120,
    model(411, 230, { input: { messages: MESSAGES.slice(0, 2) }, output: { choices: [{ message: MESSAGES[2] }] } }),
  );
  add("workerd", "POST api.openai.com/v1/chat/completions", "llm#1", 215, 1119);
  add("workerd", "sum_invoices", "POST /chat", 1120, 1530, {
    ...tool,
    input: { ids: ["INV-2041", "INV-2055"] },
    error_info: error,
  });
  add("workerd", "GET ledger/sum", "sum_invoices", 1121, 1529, {
    error_info: error,
    metadata: { opik_edge_cancelled: true },
  });
  add("workerd", "sum_invoices#2", "POST /chat", 1733, 1790, { ...tool, output: { total: 501.9, currency: "EUR" } });
  add("workerd", "GET ledger/sum#2", "sum_invoices#2", 1734, 1790);
  add(
    "workerd",
    "llm#2",
    "POST /chat",
    1790,
    2790,
    model(610, 180, {
      input: { messages: MESSAGES },
      output: { choices: [{ message: { role: "assistant", content: ANSWER } }] },
    }),
  );
  add("workerd", "POST api.openai.com/v1/chat/completions#2", "llm#2", 1791, 2789);
  add("workerd", "guard output", "POST /chat", 2790, 2790, { type: "guardrail" });
  add("workerd", "write audit log", "POST /chat", 2790, null, tool);
  add("node", "score answer", idAt(start, 999), 2800, 2832);
  const row = {
    id: trace,
    name: "ask",
    project_name: "demo",
    start_time: at(0),
    end_time: at(2840),
    thread_id: thread,
    input: { question: MESSAGES[1]!.content },
    output: { answer: ANSWER },
  };
  await send(collector, "browser", "traces/batch", { traces: [row] });
  for (const [by, rows] of Object.entries(spans)) await send(collector, by, "spans/batch", { spans: rows });
  await send(collector, "node", "traces/feedback-scores", {
    scores: [
      { id: trace, project_name: "demo", name: "helpful", value: 1, source: "sdk", reason: "names both invoices" },
    ],
  });

  const turns: [string, string][] = [
    ["Pay the older one now, please.", "Done: **INV-2041** is paid. The receipt is in your mailbox."],
    ["And the other one?", "I have scheduled `INV-2055` for 19 November."],
  ];
  for (const [n, [question, answer]] of turns.entries()) {
    const begin = start + 20_000 * (n + 1);
    const id = idAt(begin, 1);
    const times = {
      start_time: new Date(begin).toISOString(),
      end_time: new Date(begin + 900 + n * 412).toISOString(),
    };
    const common = { project_name: "demo", name: "ask", ...times, input: { question }, output: { answer } };
    await send(collector, "browser", "traces/batch", { traces: [{ ...common, id, thread_id: thread }] });
    const span = { ...common, id: idAt(begin, 2), trace_id: id, type: "llm", usage: { total_tokens: 120 + n } };
    await send(collector, "workerd", "spans/batch", { spans: [span] });
  }
  const small = ["GET /health", "nightly import", "POST /embed", "queue: invoices", "alarm: retry", "classify mail"];
  for (const [n, name] of small.entries()) {
    const begin = start + 50_000 + n * 1000;
    const id = idAt(begin, 1);
    const end = begin + [2, 48_000, 130, 740, 12, 3200][n]!;
    const times = { start_time: new Date(begin).toISOString(), end_time: new Date(end).toISOString() };
    const by = n % 2 ? "python" : "workerd";
    await send(collector, by, "traces/batch", {
      traces: [{ id, name, project_name: n === 5 ? "mail" : "demo", ...times }],
    });
    const failed =
      n === 3 ? { error_info: { exception_type: "QueueError", message: "full", traceback: "QueueError: full" } } : {};
    const span = {
      id: idAt(begin, 2),
      trace_id: id,
      name,
      project_name: n === 5 ? "mail" : "demo",
      ...times,
      ...failed,
    };
    await send(collector, by, "spans/batch", {
      spans: [span, { ...span, id: idAt(begin, 3), parent_span_id: span.id }],
    });
  }
  return { trace, thread };
}

/** Sends batches that the viewer refuses. */
export async function sendRefused(collector: Collector, start: number): Promise<void> {
  const good = {
    id: idAt(start, 1),
    trace_id: idAt(start, 1),
    name: "summarise",
    start_time: new Date(start).toISOString(),
  };
  const bad: [string, object][] = [
    ["workerd", { id: "9b2fa2ba-3b0f-4c83-9d52-0fa1d2a6a0d1" }],
    ["python", { usage: { total_tokens: 12.5 } }],
    ["node", { input: [1, 2, 3] }],
    ["workerd", { error_info: { exception_type: "Error", traceback: "" } }],
    ["python", { id: idAt(start - 3 * 86_400_000, 1) }],
  ];
  for (const [by, fields] of bad) {
    await send(collector, by, "spans/batch", {
      spans: [good, { ...good, id: idAt(start, 2), ...fields }, { ...good, id: idAt(start, 3) }],
    });
  }
}

/** Sends a trace of two services with OpenTelemetry, as OTLP's JSON. It begins at `start`, in ms since 1970. */
export async function sendOtlp(collector: Pick<Collector, "url">, start: number): Promise<void> {
  const anyValue = (value: unknown) => {
    if (typeof value === "number") return { intValue: `${value}` };
    return { stringValue: typeof value === "string" ? value : JSON.stringify(value) };
  };
  const listed = (fields: object) => Object.entries(fields).map(([key, value]) => ({ key, value: anyValue(value) }));
  const span = (n: number, parent: number, name: string, [from, to]: [number, number], fields: object, more = {}) => ({
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: `00f067aa0ba902b${n}`,
    ...(parent > 0 && { parentSpanId: `00f067aa0ba902b${parent}` }),
    name,
    startTimeUnixNano: `${start + from}000000`,
    endTimeUnixNano: `${start + to}000000`,
    attributes: listed(fields),
    ...more,
  });
  const chat = (fields: object) => ({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5-mini",
    ...fields,
  });
  const text = (role: string, content: string) => ({ role, parts: [{ type: "text", content }] });
  const question = text("user", "Which of my invoices are overdue?");
  const call = { type: "tool_call", id: "call_9", name: "sum_invoices", arguments: { ids: ["INV-2041", "INV-2055"] } };
  const asked = { role: "assistant", parts: [call], finish_reason: "tool_call" };
  const told = { role: "tool", parts: [{ type: "tool_call_response", id: "call_9", response: { total: 501.9 } }] };
  const exception = { "exception.type": "TimeoutError", "exception.message": "ledger did not answer within 400 ms" };
  const agent = [
    span(1, 0, "invoke_agent billing", [0, 2400], {
      "gen_ai.operation.name": "invoke_agent",
      "gen_ai.agent.name": "billing",
      thread_id: "cart-81",
      "opik.tags": ["billing", "otel"],
      input: { question: "Which of my invoices are overdue?" },
      output: { answer: "Two of them." },
    }),
    span(
      2,
      1,
      "chat gpt-5-mini",
      [40, 900],
      chat({
        "gen_ai.usage.input_tokens": 212,
        "gen_ai.usage.output_tokens": 31,
        "gen_ai.system_instructions": [{ type: "text", content: "You answer questions on invoices." }],
        "gen_ai.input.messages": [question],
        "gen_ai.output.messages": [asked],
        "server.address": "api.openai.com",
      }),
    ),
    span(3, 1, "execute_tool sum_invoices", [910, 1330], {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "sum_invoices",
      "gen_ai.tool.call.id": "call_9",
      "gen_ai.tool.call.arguments": { ids: ["INV-2041", "INV-2055"] },
      "gen_ai.tool.call.result": { total: 501.9 },
    }),
    span(4, 3, "GET", [915, 1325], {
      "http.request.method": "GET",
      "url.full": "http://ledger/sum",
      "http.response.status_code": 200,
    }),
    span(
      7,
      1,
      "chat gpt-5-mini",
      [1340, 2390],
      chat({
        "gen_ai.usage.input_tokens": 255,
        "gen_ai.usage.output_tokens": 44,
        "gen_ai.input.messages": [question, asked, told],
        "gen_ai.output.messages": [text("assistant", "Two invoices are **overdue**: you owe 501.90 EUR.")],
      }),
    ),
  ];
  const ledger = [
    span(5, 4, "GET /sum", [920, 1320], { "http.route": "/sum" }),
    span(
      6,
      5,
      "SELECT invoices",
      [925, 1319],
      { "db.system.name": "postgresql" },
      {
        status: { code: 2, message: "timeout" },
        events: [{ timeUnixNano: `${start + 1319}000000`, name: "exception", attributes: listed(exception) }],
      },
    ),
  ];
  const resource = (service: string, language: string, spans: object[]) => ({
    resource: { attributes: listed({ "service.name": service, "telemetry.sdk.language": language }) },
    scopeSpans: [{ spans }],
  });
  const response = await fetch(`${collector.url}/v1/private/otel/v1/traces`, {
    method: "POST",
    body: JSON.stringify({
      resourceSpans: [resource("billing", "nodejs", agent), resource("ledger", "python", ledger)],
    }),
    headers: { "content-type": "application/json", projectName: "invoices" },
  });
  if (!response.ok) throw new Error(await response.text());
}
