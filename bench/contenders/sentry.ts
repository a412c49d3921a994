// Sentry: the client, the spans and the contexts that its packages for servers are made of, without what those patch. Every
// trace is sampled. Payloads are JSON texts, as in OpenTelemetry.

import {
  continueTrace,
  createTransport,
  flush,
  getCurrentScope,
  getTraceData,
  type Span,
  startInactiveSpan,
  startSpan,
  startSpanManual,
} from "@sentry/core";
import { ServerRuntimeClient } from "@sentry/core/server";
import { setAsyncLocalStorageAsyncContextStrategy } from "@sentry/server-utils/no-diagnostic-channels";
import { type Contender, type Delivered, type Received, SINK_URL } from "../contender.js";
import { HEADERS, type Work } from "../shapes.js";
import { done, readAll, streamOf } from "../work.js";

const INPUT = "gen_ai.input.messages";
const OUTPUT = "gen_ai.output.messages";

setAsyncLocalStorageAsyncContextStrategy();
const client = new ServerRuntimeClient({
  dsn: SINK_URL.replace("https://", "https://key@").replace("/api", "/1"),
  tracesSampleRate: 1,
  integrations: [],
  stackParser: () => [],
  transport: (options) =>
    createTransport(options, async ({ body }) => {
      const { status } = await fetch(options.url, { method: "POST", body: body as BodyInit });
      return { statusCode: status };
    }),
});
getCurrentScope().setClient(client);
client.init();

const caller = { sentryTrace: HEADERS.get("sentry-trace")!, baggage: undefined };

function optionsOf({ name, type, input, model, provider }: Work) {
  const attributes = {
    [INPUT]: JSON.stringify(input),
    "gen_ai.request.model": model,
    "gen_ai.provider.name": provider,
  };
  return { name, op: type === "llm" ? "gen_ai.chat" : type, attributes };
}

function report(span: Span, { usage }: Work, output: object): void {
  span.setAttribute(OUTPUT, JSON.stringify(output));
  if (usage) {
    span.setAttribute("gen_ai.usage.input_tokens", usage.prompt_tokens);
    span.setAttribute("gen_ai.usage.output_tokens", usage.completion_tokens);
  }
}

export const contender: Contender = {
  async request({ root, children }) {
    await continueTrace(caller, () =>
      startSpan(optionsOf(root), async (rootSpan) => {
        for (const work of children) {
          if (work.chunks) {
            const answer = startSpanManual(optionsOf(work), (span) => {
              if (work.calls) getTraceData({ span });
              return streamOf(work, (output) => {
                report(span, work, output);
                span.end();
              });
            });
            await readAll(answer);
          } else {
            await startSpan(optionsOf(work), async (span) => {
              if (work.calls) getTraceData({ span });
              report(span, work, await done(work));
            });
          }
        }
        report(rootSpan, root, await done(root));
      }),
    );
    await flush();
  },
  headers() {
    return continueTrace(caller, () => ({ ...getTraceData({ span: startInactiveSpan({ name: "hop" }) }) }));
  },
  read,
};

interface Item {
  readonly trace_id: string;
  readonly span_id: string;
  readonly parent_span_id?: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, { readonly value: unknown }>>;
}

/** Reads its envelopes: lines of JSON, of which the third has the spans. */
function read(received: readonly Received[]): Delivered[] {
  return received
    .flatMap(({ body }) => (JSON.parse(new TextDecoder().decode(body).split("\n")[2]!) as { items: Item[] }).items)
    .map(({ trace_id, span_id, parent_span_id, name, attributes }) => {
      const value = (key: string): unknown => JSON.parse((attributes[key]?.value as string) ?? "null");
      return {
        id: span_id,
        traceId: trace_id,
        parentId: parent_span_id,
        name,
        input: value(INPUT),
        output: value(OUTPUT),
      };
    });
}
