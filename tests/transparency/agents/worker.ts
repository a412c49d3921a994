// Two agents, written as the documentation of `agents` and `@cloudflare/ai-chat` shows, and wrapped if the binding `SIDE`
// is `traced`. They answer in text and JSON; classes-agents.test.ts calls them.

import { env as variables } from "cloudflare:workers";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { AIChatAgent } from "@cloudflare/ai-chat";
import { Agent, type Connection, callable, getAgentByName, routeAgentRequest, type StreamingResponse } from "agents";
import { convertToModelMessages, streamText } from "ai";
import { span, fetch as tracedFetch } from "opik-edge";
import { tracedRpc, withOpik } from "opik-edge/cloudflare";

interface Env {
  readonly SIDE: "plain" | "traced";
  readonly MODEL: string;
  readonly Tester: DurableObjectNamespace<Tester>;
}

/** Methods of an agent that are called by native RPC. */
interface Remote {
  add(a: number, b: number): Promise<number>;
  hidden(): Promise<number>;
  fails(): Promise<void>;
}

const isTraced = (variables as unknown as Env).SIDE === "traced";
const wrap = <T extends object>(given: T): T =>
  isTraced ? (withOpik(given as never, () => ({ projectName: "agents" })) as T) : given;
/** Runs `fn` in a span on the traced side. */
const within = <T>(name: string, fn: () => T): T => (isTraced ? span({ name }, fn) : fn());

class TesterAgent extends Agent<Env, { count: number; last?: string }> {
  override initialState = { count: 0 };
  #secret = 7;
  readonly heard: string[] = [];

  override async onStart() {
    this.heard.push("start");
    this.sql`CREATE TABLE IF NOT EXISTS notes (note TEXT)`;
  }

  override async onRequest(request: Request) {
    this.heard.push("request");
    const body = await request.text();
    within("in onRequest", () => this.sql`INSERT INTO notes VALUES (${body})`);
    const notes = this.sql<{ note: string }>`SELECT note FROM notes`;
    return Response.json({
      method: request.method,
      path: new URL(request.url).pathname,
      notes,
      heard: this.heard,
      name: this.name,
      self: [this.constructor === TesterAgent, this.constructor.name, this.add === TesterAgent.prototype.add],
      methods: Object.getOwnPropertyNames(TesterAgent.prototype),
      own: Object.keys(this).sort(),
      callables: [...this.getCallableMethods()].map(([name, { description }]) => [name, description]),
      schedules: this.getSchedules().length,
    });
  }

  override onConnect(connection: Connection) {
    this.heard.push("connect");
    connection.send(`welcome, ${[...this.getConnections()].length}`);
  }

  override async onMessage(connection: Connection, message: string) {
    await within("in onMessage", () => connection.send(`${message} ${this.#secret}`));
    if (message === "count") this.setState({ count: this.state.count + 1, last: message });
    if (message === "later") await this.schedule(new Date(), "due", { text: "scheduled" });
    if (message === "queued") await this.queue("due", { text: "queued" });
    if (message === "break") throw new RangeError("broken");
  }

  override onError(error: unknown): void {
    this.broadcast(`failed: ${(error as Error).message}`);
  }

  override onClose(_connection: Connection, code: number) {
    this.heard.push(`close ${code}`);
  }

  override onStateChanged(state: { count: number } | undefined, source: Connection | "server") {
    this.heard.push(`state ${state?.count} ${typeof source}`);
  }

  async due({ text }: { text: string }) {
    within("in due", () => this.broadcast(`due ${text} ${this.#secret}`));
  }

  @callable({ description: "adds" })
  async add(a: number, b: number) {
    return within("in add", () => a + b + this.#secret);
  }

  @callable({ streaming: true })
  stream(response: StreamingResponse, words: string[]) {
    for (const word of words) response.send(word);
    response.end("done");
  }

  @callable()
  fails() {
    throw new TypeError("not so");
  }

  hidden() {
    return this.#secret;
  }
}
export const Tester = wrap(TesterAgent);
export type Tester = TesterAgent;

export const Chat = wrap(
  class Chat extends AIChatAgent<Env> {
    override async onChatMessage() {
      const provider = createOpenAICompatible({
        name: "local",
        baseURL: this.env.MODEL,
        ...(isTraced && { fetch: tracedFetch }),
      });
      const result = streamText({
        model: provider("fake"),
        messages: await convertToModelMessages(this.messages),
        maxRetries: 0,
      });
      return result.toUIMessageStreamResponse();
    }
  },
);

export default wrap({
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname !== "/native") {
      return (await routeAgentRequest(request, env as never)) ?? new Response("no agent", { status: 404 });
    }
    const agent: Remote = await getAgentByName(env.Tester, "native");
    const { add, hidden }: Remote = isTraced ? (tracedRpc(agent) as Remote) : agent;
    const failed = await Promise.resolve(agent.fails()).catch(String);
    return Response.json({ sum: await add(1, 2), hidden: await hidden(), failed });
  },
});
