// A thread: its traces as one conversation.

import type { JSX } from "preact";
import type { ThreadAnswer } from "../api.js";
import { type Message, messagesOf, proseOf } from "./conversation.js";
import { useAnswer } from "./data.js";
import { Conversation, Scores } from "./detail.js";
import { count, duration, line, time } from "./format.js";
import { Json } from "./json.js";
import { Notice } from "./parts.js";
import { hrefOf } from "./route.js";

/** The view of a thread: the one of this name, or of the trace with this id. */
export function Thread({ id, isTrace }: { readonly id: string; readonly isTrace: boolean }): JSX.Element {
  const path = isTrace ? `threads?of=${encodeURIComponent(id)}` : `threads/${encodeURIComponent(id)}`;
  const { data, error } = useAnswer<ThreadAnswer>(path);
  if (error !== undefined) return <Notice isError>{error}</Notice>;
  if (!data) return <Notice>…</Notice>;
  const nowMs = Date.now();
  return (
    <section class="thread page-text" aria-label="thread">
      <h1>
        Thread <bdi>{line(data.thread)}</bdi>
      </h1>
      <p class="meta">
        <span>
          {count(data.turns.length)} {data.turns.length === 1 ? "trace" : "traces"}
        </span>
      </p>
      <Scores scores={data.scores} />
      {data.turns.length === 0 && <Notice>No trace of this thread is here.</Notice>}
      {data.turns.map(({ summary, input, output }) => (
        <article key={summary.id} class="turn">
          <header>
            <a href={hrefOf(`trace/${summary.id}`)}>{line(summary.name) || "(no name)"}</a>
            <span>{time(summary.start, nowMs)}</span>
            <span>{summary.ms === null ? "open" : duration(summary.ms)}</span>
            {summary.tokens > 0 && <span>{count(summary.tokens)} tokens</span>}
            {summary.errors > 0 && (
              <span class="is-error">
                {count(summary.errors)} {summary.errors === 1 ? "error" : "errors"}
              </span>
            )}
          </header>
          <Said value={input} by="user" />
          <Said value={output} by="assistant" />
          {summary.error !== null && <div class="error-box">{line(summary.error)}</div>}
        </article>
      ))}
    </section>
  );
}

/** The input or output of a trace. Of a conversation, it shows the last message. */
function Said({ value, by }: { value: unknown; by: "user" | "assistant" }): JSX.Element | null {
  if (value === null || value === undefined) return null;
  const messages = messagesOf(value, by);
  if (messages) return <Conversation messages={lastOf(messages, by)} />;
  const text = proseOf(value);
  if (text !== undefined) return <Conversation messages={[{ role: by, parts: [{ kind: "text", text }] }]} />;
  return (
    <div class={`bubble role-${by}`}>
      <div class="role">{by}</div>
      <Json value={value} />
    </div>
  );
}

function lastOf(messages: readonly Message[], role: string): readonly Message[] {
  const at = messages.findLastIndex((message) => message.role === role);
  return at < 0 ? messages.slice(-1) : messages.slice(at, at + 1);
}
