// The clients of handlers.test.ts. They send the same request by Node's client on a reused connection, by `fetch`, and over HTTP/2.

import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { connect, constants } from "node:http2";
import { request as httpsRequest, Agent as SecureAgent } from "node:https";
import { text } from "node:stream/consumers";

/** A request to send. */
export interface Question {
  readonly origin: string;
  readonly path: string;
  readonly method: string;
  /** The server's certificate, for TLS. */
  readonly certificate?: string | undefined;
  /** Leaves at the first chunk, like a client that hangs up. */
  readonly leaves?: boolean;
  /** Time after which the client gives up. */
  readonly givesUpMs: number;
}

const BODY = "a body that is sent";
const hasBody = (method: string): boolean => method === "POST" || method === "PUT";
const HEADERS = { "x-asked": "1", connection: "keep-alive" };

/** The detailed view of Node's HTTP client. */
export async function askInDetail(question: Question): Promise<unknown> {
  const { origin, path, certificate, leaves } = question;
  const options = { keepAlive: true, maxSockets: 1 };
  const agent = certificate ? new SecureAgent({ ...options, ca: certificate }) : new Agent(options);
  try {
    const first = await exchange(`${origin}${path}`, agent, question);
    if (leaves) return first;
    // A second request shows that the connection is still in step.
    if (first["answered"] === false) return first;
    const second = await exchange(`${origin}/-/text`, agent, { ...question, method: "GET", leaves: false });
    return { ...first, next: [second["reused"], second["status"], second["body"]] };
  } finally {
    agent.destroy();
  }
}

function exchange(url: string, agent: Agent, question: Question): Promise<Record<string, unknown>> {
  const { method, leaves, givesUpMs } = question;
  return new Promise((resolve) => {
    const informed: unknown[] = [];
    const headers = hasBody(method) ? { ...HEADERS, "content-type": "text/x-own" } : HEADERS;
    const ask = url.startsWith("https:") ? httpsRequest : httpRequest;
    const request = ask(url, { method, agent, headers });
    request.on("information", ({ statusCode, rawHeaders }) => {
      informed.push([statusCode, rawHeaders.map((text, at) => (rawHeaders[at - 1] === "Date" ? "now" : text))]);
      if (statusCode !== 101) return;
      // The server switched to another protocol, so the exchange ends here.
      request.destroy();
      resolve({ informed });
    });
    request.on("error", (error: NodeJS.ErrnoException) => resolve({ informed, error: error.code ?? error.name }));
    request.on("response", (response) => {
      const head = {
        informed,
        reused: request.reusedSocket,
        version: response.httpVersion,
        status: response.statusCode,
        message: response.statusMessage,
        headers: headersOf(response),
      };
      if (leaves) {
        response.once("data", () => {
          request.destroy();
          resolve(head);
        });
        response.on("error", () => {});
        return;
      }
      bodyOf(response).then(
        (body) =>
          resolve({
            ...head,
            body: unbound(response, body),
            complete: response.complete,
            trailers: response.rawTrailers,
          }),
        (error: NodeJS.ErrnoException) => resolve({ ...head, broken: error.code ?? error.name }),
      );
    });
    const timer = setTimeout(() => {
      resolve({ informed, answered: false });
      request.destroy();
    }, givesUpMs);
    request.on("close", () => clearTimeout(timer));
    // The server upgraded without being asked.
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ informed, status: response.statusCode, headers: headersOf(response), upgraded: true });
    });
    request.end(hasBody(method) ? BODY : undefined);
  });
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const body = await text(response.setEncoding("latin1"));
  return body.length > 2000 ? `${body.length} characters, ${body.slice(0, 100)}` : body;
}

/** The headers in their original order and spelling, without the current time. */
function headersOf(response: IncomingMessage): string[] {
  const pairs: string[] = [];
  for (let at = 0; at < response.rawHeaders.length; at += 2) {
    const [name = "", value = ""] = response.rawHeaders.slice(at, at + 2);
    pairs.push(`${name}: ${name.toLowerCase() === "date" ? "now" : unbound(response, value)}`);
  }
  return pairs;
}

/** Replaces the random boundary of a form. */
function unbound({ headers }: IncomingMessage, value: string): string {
  const boundary = /boundary="?([^";]+)/.exec(headers["content-type"] ?? "")?.[1];
  return boundary ? value.replaceAll(boundary, "boundary") : value;
}

/** The view of `fetch`. */
export async function askByFetch({ origin, path, method, givesUpMs }: Question): Promise<unknown> {
  try {
    const init: RequestInit = {
      method,
      redirect: "manual",
      headers: { "x-asked": "1" },
      signal: AbortSignal.timeout(givesUpMs),
    };
    const response = await fetch(`${origin}${path}`, hasBody(method) ? { ...init, body: BODY } : init);
    const seen = {
      status: response.status,
      statusText: response.statusText,
      redirected: response.redirected,
      headers: [...response.headers].map(([name]) => name).sort(),
    };
    try {
      return { ...seen, length: (await response.arrayBuffer()).byteLength };
    } catch (error) {
      return { ...seen, broken: (error as Error).name };
    }
  } catch (error) {
    return { error: (error as Error).name };
  }
}

/** The view of an HTTP/2 client. */
export async function askOverHttp2({ origin, path, method, certificate, leaves }: Question): Promise<unknown> {
  const session = connect(origin, certificate ? { ca: certificate } : {});
  try {
    return await new Promise((resolve) => {
      const informed: unknown[] = [];
      const seen: Record<string, unknown> = { informed };
      session.on("error", (error: NodeJS.ErrnoException) => resolve({ error: error.code }));
      const sent = {
        ":path": path,
        ":method": method,
        "x-asked": "1",
        ...(hasBody(method) && { "content-type": "text/x-own" }),
      };
      const stream = session.request(sent, { endStream: !hasBody(method) });
      stream.on("headers", (headers) => informed.push({ ...headers }));
      stream.on("response", (headers) => {
        const { date, ...rest } = headers;
        seen["headers"] = [date !== undefined, Object.entries(rest)];
      });
      stream.on("trailers", (headers) => {
        seen["trailers"] = { ...headers };
      });
      let body = "";
      stream.setEncoding("latin1").on("data", (chunk) => {
        body += chunk;
        if (leaves) stream.close(constants.NGHTTP2_CANCEL);
      });
      stream.on("error", (error: NodeJS.ErrnoException) => {
        seen["error"] = error.code;
      });
      stream.on("close", () =>
        resolve(leaves ? seen : { ...seen, body: body.length > 2000 ? body.length : body, reset: stream.rstCode }),
      );
      if (hasBody(method)) stream.end(BODY);
    });
  } finally {
    session.destroy();
  }
}
