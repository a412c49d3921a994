// The providers, on 127.0.0.1. Programs call them at their real addresses, and this server is also the proxy that leads
// there. So an SDK needs no setting except a key. A case begins with `/-/begin`, whose body lists the fixtures to answer
// with, and ends with `/-/end`, which returns the requests.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request as makeRequest, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import type { Answer, Joined, SeenRequest } from "./case.js";
import { answerOf } from "./fixtures.js";

/** The hosts that SDKs call, all named in one certificate. */
export const HOSTS = [
  "api.openai.com",
  "api.anthropic.com",
  "generativelanguage.googleapis.com",
  "aiplatform.googleapis.com",
  "us-central1-aiplatform.googleapis.com",
  "api.groq.com",
  "api.mistral.ai",
  "openrouter.ai",
  "api.cloudflare.com",
  "gateway.ai.cloudflare.com",
  "bedrock-runtime.us-east-1.amazonaws.com",
  "api.deepseek.com",
  "api.x.ai",
  "api.perplexity.ai",
  "api.fireworks.ai",
  "api.together.xyz",
  "api.cerebras.ai",
  "my.openai.azure.com",
  "ollama.internal",
  "llm.internal",
] as const;

/** A running server. */
export interface ModelServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Path of the certificate that a program has to trust. */
  readonly certificate: string;
  /** Answers a Worker's requests to any host. */
  readonly outbound: (request: IncomingMessage, response: ServerResponse) => void;
  close(): Promise<void>;
}

/** The state of the running case. */
interface Case {
  readonly answers: Answer[];
  readonly requests: (SeenRequest & Joined)[];
  readonly open: Set<ServerResponse>;
}

/** Headers that differ in each run: signatures and times. */
const OF_THE_MOMENT = new Set(["authorization", "x-amz-date", "amz-sdk-invocation-id", "x-client-request-id"]);
const TRACE_HEADERS = ["opik_trace_id", "opik_parent_span_id", "opik-trace-id", "opik-parent-span-id"];
/** Values that an SDK makes up for each call: UUIDs, and the ids that `ai` gives to tool calls. */
const RANDOM = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<="(tool_call_)?id":")[A-Za-z0-9]{16}(?=")/g;

/** Starts the server on a free port. */
export async function startModels(): Promise<ModelServer> {
  const { folder, ...secrets } = await makeCertificate();
  let current: Case = { answers: [], requests: [], open: new Set() };

  const control: Record<string, (body: string) => string> = {
    begin(body) {
      current = { answers: JSON.parse(body), requests: [], open: new Set() };
      return "";
    },
    end() {
      for (const response of current.open) response.destroy();
      return JSON.stringify(current.requests);
    },
  };

  const listener = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // A request through a proxy has the whole address in its URL.
    const { host = "" } = request.headers;
    const path = (request.url ?? "").replace(/^http:\/\/[^/]*/, "");
    const [, isControl, action] = /^\/(-)\/(\w+)$/.exec(path) ?? [];
    const body = await text(request).catch(() => undefined);
    if (body === undefined) return; // the caller has left
    response.sendDate = false;
    if (isControl) return void response.end(control[action!]!(body));
    const { answers, requests, open } = current;
    const headers = Object.entries(request.headers as Record<string, string>)
      .filter(([name]) => !OF_THE_MOMENT.has(name) && !TRACE_HEADERS.includes(name))
      .map(([name, value]) => [name, value.replaceAll(RANDOM, "RANDOM")]);
    requests.push({
      call: `${request.method} ${host}${path}`,
      headers: Object.fromEntries(headers),
      body: body.replaceAll(RANDOM, "RANDOM"),
      isJoined: TRACE_HEADERS.some((name) => name in request.headers),
    });
    const answer = answers[requests.length - 1];
    if (!answer) return void response.writeHead(404).end(`there is no answer to request ${requests.length}`);
    open.add(response);
    response.on("close", () => open.delete(response));
    await send(response, answer);
  };

  const server = createServer(listener);
  const secure = createSecureServer(secrets, listener);
  server.on("connect", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => {}); // the caller has left
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    if (head.length > 0) socket.unshift(head);
    (request.url!.endsWith(":443") ? secure : server).emit("connection", socket);
  });
  // Closing an idle connection while a client reuses it would cause an error that says nothing about the SDK.
  for (const each of [server, secure]) each.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    certificate: join(folder, "ca.pem"),
    outbound: (request, response) => {
      const { host = "" } = request.headers;
      // Every request of a Worker comes here, even a request to the collector.
      if (/^127\.0\.0\.1:/.test(host) && host !== `127.0.0.1:${port}`) forward(request, response);
      else void listener(request, response);
    },
    async close() {
      server.close();
      server.closeAllConnections();
      secure.closeAllConnections();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sizes of the pieces, chosen to split every line and every multi-byte character. */
const SIZES = [1, 7, 2, 31, 3, 64, 5, 128];

/** Sends a fixture in pieces. */
async function send(response: ServerResponse, answer: Answer): Promise<void> {
  const { of, parts } = typeof answer === "string" ? { of: answer, parts: Number.POSITIVE_INFINITY } : answer;
  const { status, headers, bodies } = answerOf(of);
  response.writeHead(status, headers);
  const body = Buffer.concat(bodies.slice(0, parts));
  for (let at = 0, turn = 0; at < body.length && !response.destroyed; turn += 1) {
    const size = SIZES[turn % SIZES.length]!;
    response.write(body.subarray(at, at + size));
    at += size;
    await new Promise(setImmediate);
  }
  if (parts >= bodies.length) response.end();
}

/** Forwards a request to the host that it names. */
function forward(request: IncomingMessage, response: ServerResponse): void {
  const { method, headers } = request;
  const onward = makeRequest(`http://${headers.host}${request.url}`, { method: method!, headers }, (answer) => {
    response.writeHead(answer.statusCode!, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
}

/** Makes a certificate for the hosts and the CA that signs it, in a temporary folder. */
async function makeCertificate(): Promise<{ readonly folder: string; readonly key: Buffer; readonly cert: Buffer }> {
  const folder = await mkdtemp(join(tmpdir(), "opik-edge-models-"));
  const openssl = (...args: string[]) => promisify(execFile)("openssl", args, { cwd: folder });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    "ca-key.pem",
    "-out",
    "ca.pem",
    "-days",
    "2",
    "-subj",
    "/CN=tests",
  );
  await openssl("req", ...newKey, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=models");
  await writeFile(join(folder, "names"), `subjectAltName=${HOSTS.map((host) => `DNS:${host}`).join(",")}\n`);
  const signed = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", "names"];
  await openssl("x509", "-req", "-in", "request.pem", ...signed, "-out", "cert.pem");
  const [key, cert] = await Promise.all(["key.pem", "cert.pem"].map((file) => readFile(join(folder, file))));
  return { folder, key: key!, cert: cert! };
}
