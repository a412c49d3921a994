// The public types, as a user's compiler sees them. Compiled, never run.

import { type Dropped, type DropReason, type FlushReport, type OnDrop, Opik, type Span, span, track } from "opik-edge";
import { opikTelemetry, opikTracer } from "opik-edge/ai-sdk";
import { type Trigger, withOpik } from "opik-edge/cloudflare";
import { llm, observeAi } from "opik-edge/llm";
import { opikSpanExporter, opikSpanProcessor, otlp } from "opik-edge/otel";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Equal<A, B>): void {}

const opik = new Opik({
  url: "http://localhost:5173/api",
  propagateTo: ["*.example.com", { to: () => true, spelling: "hyphen" }],
});

const number = opik.span({ name: "sync" }, () => 7);
same<typeof number, number>(true);
const promise = opik.span({}, async (current) => current.id);
same<typeof promise, Promise<string>>(true);
const opened = span({ type: "llm", usage: { total_tokens: 1 }, parent: new Headers() });
same<typeof opened, Span>(true);
const flushed = opik.distributedHeaders(new Headers(), () => 7, { flush: true });
same<typeof flushed, Promise<number>>(true);
const joined = opik.distributedHeaders(new Headers(), (root) => root.id);
same<typeof joined, string>(true);
const report: Promise<FlushReport> = opik.flush();
void report;
declare const dropped: Dropped;
same<keyof typeof dropped, DropReason>(true);
same<Parameters<OnDrop>[0]["reason"], DropReason>(true);
// A count can be read by its reason, and an unknown reason does not compile.
const rejected: number = dropped.rejected ?? 0;
// @ts-expect-error: there is no such reason.
void (rejected + dropped.refused);

void new Opik({ observe: [llm(), llm({ providers: { "llm.internal": "openai" }, includeUsage: true })] });
// @ts-expect-error: there is no such option.
void llm({ provider: "openai" });
// @ts-expect-error: an observer, and not what makes one.
void new Opik({ observe: [llm] });
void [opikTelemetry({ client: opik, parent: opened }), opikTracer({ parent: null })];
void [opikSpanProcessor({ client: opik }), opikSpanExporter()];
void new Opik({ transport: otlp({ url: new URL("https://collector.test/v1/traces"), beside: true }) });
// @ts-expect-error: no option of otlp
void otlp({ url: "https://collector.test/v1/traces", header: {} });
// @ts-expect-error: there is no such option.
void opikTelemetry({ parents: null });
declare const ai: { run(model: string, inputs: object): Promise<string>; lastRequestId: string };
same<ReturnType<typeof observeAi<typeof ai>>, typeof ai>(true);
// @ts-expect-error: no binding of Workers AI.
void observeAi({ fetch });

class Greeter {
  word = "hello";
  greet = track(function (this: Greeter, name: string): string {
    return `${this.word} ${name}`;
  });
}
same<ReturnType<Greeter["greet"]>, string>(true);

function overloaded(value: string): string;
function overloaded(value: number): number;
function overloaded(value: string | number): string | number {
  return value;
}
const tracked = track(overloaded, { type: "tool" });
same<typeof tracked, typeof overloaded>(true);
const trackedToo = track({ type: "tool" }, overloaded);
same<typeof trackedToo, typeof overloaded>(true);
const trackedByClient = opik.track({ name: "o" }, overloaded);
same<typeof trackedByClient, typeof overloaded>(true);
// @ts-expect-error: there is no such option.
void track({ nmae: "o" }, overloaded);
// @ts-expect-error: no function.
void track({ name: "o" });

{
  using scoped = opik.span({ name: "with the block" });
  scoped.update({ output: 1 });
}

interface Env {
  KEY: string;
}
export default withOpik(
  {
    async fetch(request: Request, env: Env): Promise<Response> {
      return new Response(request.url + env.KEY);
    },
    extra: 1,
  },
  (env, trigger) => {
    same<typeof env, Env>(true);
    same<typeof trigger, Trigger>(true);
    if (trigger.type === "fetch") same<typeof trigger.request, Request>(true);
    else same<typeof trigger.args, readonly unknown[]>(true);
    return { apiKey: env.KEY };
  },
).extra.toFixed();

// @ts-expect-error -- no such type of span
span({ type: "agent" });
// @ts-expect-error -- the callback gets the span, not a string
span({}, (current: string) => current);
// @ts-expect-error -- a mistyped setting
new Opik({ apikey: "x" });
// @ts-expect-error -- a trace has no model
opik.trace({ model: "gpt" });
// @ts-expect-error -- what a function takes stays what it takes
tracked(true);
// @ts-expect-error -- an unknown spelling
opened.headers({ spelling: "camel" });
const worker = { fetch: async (request: Request, _env: Env): Promise<Response> => new Response(request.url) };
void withOpik(worker, (env) => ({ apiKey: env.KEY, projectName: "p" }));
// @ts-expect-error -- a mistyped setting in what a function gives
void withOpik(worker, (env) => ({ apiKey: env.KEY, projctName: "p" }));
// @ts-expect-error -- the configuration is an object
withOpik({}, () => "key");
