// Measures the viewer, and writes the figures into viewer/README.md: node scripts/viewer-figures.mjs [spans]

import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const ROOT = resolve(import.meta.dirname, "..");
const README = `${ROOT}/viewer/README.md`;
const SPANS = Number(process.argv[2] ?? 1_000_000);
const [BATCH, PER_TRACE, LARGE, SENDERS] = [1000, 20, 10_000, 4];
/** As many as OpenTelemetry's processor sends at once. */
const [OTLP_BATCH, OTLP_BATCHES] = [512, 100];
const KB = 1024;

const MODEL_CALL = {
  "gen_ai.operation.name": "chat",
  "gen_ai.provider.name": "openai",
  "gen_ai.request.model": "gpt-5",
  "gen_ai.usage.input_tokens": 12,
  "gen_ai.usage.output_tokens": 8,
  "gen_ai.input.messages":
    '[{"role":"user","parts":[{"type":"text","content":"What is the answer to this question?"}]}]',
  "gen_ai.output.messages":
    '[{"role":"assistant","parts":[{"type":"text","content":"It depends on the question."}],"finish_reason":"stop"}]',
};

const folder = await mkdtemp(join(tmpdir(), "viewer-figures-"));
const starts = [];
for (let n = 0; n < 5; n += 1) {
  const viewer = await start([]);
  starts.push(viewer.startMs);
  await viewer.end();
}
const inFile = await measure(["--file", join(folder, "traces.db")], SPANS);
const fileBytes = (await stat(join(folder, "traces.db"))).size;
const inMemory = await measure([], Math.min(SPANS, 180_000));
const otlp = { protobuf: await measureOtlp(ProtobufTraceSerializer), json: await measureOtlp(JsonTraceSerializer) };
await rm(folder, { recursive: true });

const { ASSETS } = await import(`${ROOT}/viewer/generated/assets.js`);
const page = Object.values(ASSETS.files).reduce((sum, { text }) => sum + gzipSync(text, { level: 9 }).length, 0);
const packedSize = async (name) => gzipSync(await readFile(`${ROOT}/viewer/dist/${name}.js`), { level: 9 }).length;
const [server, attributes] = [await packedSize("server"), await packedSize("attributes")];
const packed = JSON.parse(
  execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: `${ROOT}/viewer`, encoding: "utf8" }),
);
const { size } = Object.values(packed)[0];
const count = (value) => Math.round(value).toLocaleString("en");
const table = [
  ["", "in memory", "in a file"],
  ["---", "---", "---"],
  ["spans, in batches of 1000 over HTTP", count(inMemory.spans), count(inFile.spans)],
  ["rows a second", count(inMemory.perSecond), count(inFile.perSecond)],
  ["rows a second of the server's CPU", count(inMemory.perCpuSecond), count(inFile.perCpuSecond)],
  ["memory, all in all", `${count(inMemory.rss / KB)} MB`, `${count(inFile.rss / KB)} MB`],
  ["the 50 newest traces", `${inMemory.listMs.toFixed(1)} ms`, `${inFile.listMs.toFixed(1)} ms`],
  ["a trace of 10,000 spans", `${count(inMemory.traceMs)} ms`, `${count(inFile.traceMs)} ms`],
  ["file", "", `${count(fileBytes / KB / KB)} MB`],
]
  .map((cells) => `| ${cells.join(" | ")} |`)
  .join("\n");
const words = `It starts in ${(median(starts) / 1000).toFixed(2)} s. The page is ${(page / KB).toFixed(1)} KB gzip, the server with it ${(server / KB).toFixed(1)} KB, the reader of OpenTelemetry's attributes, which is loaded for the first such upload, ${(attributes / KB).toFixed(1)} KB, the package ${(size / KB).toFixed(1)} KB.
Of OpenTelemetry it takes ${count(otlp.protobuf.perCpuSecond)} spans a second of its CPU as protobuf and ${count(otlp.json.perCpuSecond)} as JSON, in memory and in batches of ${OTLP_BATCH}. The first upload takes ${Math.round(otlp.protobuf.firstMs)} ms.`;
const text = await readFile(README, "utf8");
await writeFile(README, text.replace(/(<!-- figures -->\n)[\s\S]*?(<!-- end -->)/, `$1${table}\n\n${words}\n$2`));
console.log(`${table}\n\n${words}`);

async function start(args) {
  const began = performance.now();
  const child = spawn(process.execPath, [`${ROOT}/viewer/dist/cli.js`, "--port", "0", ...args]);
  let output = "";
  child.stderr.pipe(process.stderr);
  while (!/OPIK_URL_OVERRIDE=\S+\n/.test(output)) output += (await once(child.stdout, "data"))[0];
  const url = /OPIK_URL_OVERRIDE=(\S+)/.exec(output)[1];
  await (await fetch(url.replace(/api$/, ""))).text();
  const startMs = performance.now() - began;
  const end = async () => {
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  return { url, pid: child.pid, startMs, end };
}

async function measure(args, spans) {
  const { url, pid, end } = await start(args);
  const send = (rows) => post(`${url}/v1/private/spans/batch`, { spans: rows });
  const large = idNow();
  let parent;
  for (let at = 0; at < LARGE; at += BATCH) {
    const rows = Array.from({ length: BATCH }, () => rowOf(large, parent));
    parent = rows[0].id;
    await send(rows);
  }
  // Made before, so that only the server is measured.
  const bodies = Array.from({ length: 20 }, () => "");
  const cpu = await cpuSeconds(pid);
  let ms = 0;
  for (let sent = 0; sent < spans; sent += bodies.length * BATCH) {
    for (let n = 0; n < bodies.length; n += 1) bodies[n] = JSON.stringify({ spans: batch() });
    const began = performance.now();
    const waiting = [...bodies];
    const sender = async () => {
      for (let body = waiting.pop(); body !== undefined; body = waiting.pop())
        await post(`${url}/v1/private/spans/batch`, body);
    };
    await Promise.all(Array.from({ length: SENDERS }, sender));
    ms += performance.now() - began;
  }
  const cpuUsed = (await cpuSeconds(pid)) - cpu;
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const listMs = await timed(`${url}/viewer/traces?limit=50`);
  const traceMs = await timed(`${url}/viewer/traces/${large}`);
  await end();
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)[1]);
  return { spans: spans + LARGE, perSecond: (spans / ms) * 1000, perCpuSecond: spans / cpuUsed, rss, listMs, traceMs };
}

/** Model calls, as OpenTelemetry's exporters send them. */
async function measureOtlp(serializer) {
  const kept = new InMemorySpanExporter();
  const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(kept)] }).getTracer("figures");
  const bodies = Array.from({ length: OTLP_BATCHES }, () => {
    for (let n = 0; n < OTLP_BATCH; n += 1) tracer.startSpan("chat gpt-5", { attributes: MODEL_CALL }).end();
    const body = serializer.serializeRequest(kept.getFinishedSpans());
    kept.reset();
    return body;
  });
  const { url, pid, end } = await start([]);
  const type = serializer === JsonTraceSerializer ? "application/json" : "application/x-protobuf";
  const send = async (body) => {
    const headers = { "content-type": type };
    const { status } = await fetch(`${url}/v1/private/otel/v1/traces`, { method: "POST", body, headers });
    if (status !== 200) throw new Error(`${status}`);
  };
  const began = performance.now();
  await send(bodies.pop());
  const firstMs = performance.now() - began;
  const cpu = await cpuSeconds(pid);
  const spans = bodies.length * OTLP_BATCH;
  const sender = async () => {
    for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) await send(body);
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  const perCpuSecond = spans / ((await cpuSeconds(pid)) - cpu);
  await end();
  return { firstMs, perCpuSecond };
}

function batch() {
  const rows = [];
  while (rows.length < BATCH) {
    const trace = idNow();
    for (let n = 0; n < PER_TRACE; n += 1)
      rows.push(rowOf(trace, rows.at(-1)?.trace_id === trace ? rows.at(-1).id : undefined));
  }
  return rows;
}

function rowOf(trace_id, parent_span_id) {
  const time = new Date().toISOString();
  return {
    id: idNow(),
    trace_id,
    parent_span_id,
    project_name: "figures",
    name: "POST api.example.com/v1/chat/completions",
    type: "llm",
    start_time: time,
    end_time: time,
    input: { messages: [{ role: "user", content: "What is the answer to this question?" }] },
    output: { text: "It depends on the question." },
    usage: { prompt_tokens: 12, completion_tokens: 8, total_tokens: 20 },
    last_updated_at: time,
    source: "sdk",
  };
}

function idNow() {
  const time = Date.now().toString(16).padStart(12, "0");
  const rest = randomBytes(10).toString("hex");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6, 18)}`;
}

async function post(url, body) {
  const payload = typeof body === "string" ? body : JSON.stringify(body);
  const { status } = await fetch(url, { method: "POST", body: payload });
  if (status !== 204) throw new Error(`${status}`);
}

/** Median in ms. The first request is not counted: it summarises new traces. */
async function timed(url) {
  await (await fetch(url)).text();
  const times = [];
  for (let n = 0; n < 5; n += 1) {
    const began = performance.now();
    await (await fetch(url)).text();
    times.push(performance.now() - began);
  }
  return median(times);
}

async function cpuSeconds(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
