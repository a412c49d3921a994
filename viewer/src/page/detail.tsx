// One row, whole: its error, what went in and came out, its numbers, and the headers that continue it.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { RowAnswer, RowSummary, Score } from "../api.js";
import { type Message, messagesOf, type Part, proseOf } from "./conversation.js";
import { useAnswer } from "./data.js";
import { cost, count, duration, line } from "./format.js";
import { Json, Text } from "./json.js";
import type { Line } from "./layout.js";
import { Markdown } from "./markdown.js";
import { Copy, Notice, Sender } from "./parts.js";

/** The longest field, as JSON, without a download. */
const MAX_FIELD = 200_000;
const MAX_IMAGE = 5_000_000;

/** A span, or with `line` undefined the trace's own row. */
export function Detail(props: {
  readonly trace: string;
  readonly row: RowSummary;
  readonly line: Line | undefined;
  /** Where the trace begins. */
  readonly from: number;
  readonly onClose: () => void;
}): JSX.Element {
  const { trace, row, line: laid, from, onClose } = props;
  const of = laid ? "span" : "trace";
  const path = `rows/${encodeURIComponent(trace)}?of=${of}&key=${encodeURIComponent(row.key)}`;
  const { data, error } = useAnswer<RowAnswer>(path, ({ traces }) => traces === null || traces.includes(trace));
  return (
    <article class="detail" aria-label={`${of} ${line(row.name)}`}>
      <header>
        <button type="button" class="back" onClick={onClose}>
          ← waterfall
        </button>
        <h2>
          <span class={`type type-${row.type}`} />
          <bdi>{line(row.name) || "(no name)"}</bdi>
        </h2>
        <button type="button" class="close" onClick={onClose} aria-label="close">
          ×
        </button>
      </header>
      <p class="meta">
        <span>{laid ? row.type : "trace"}</span>
        <span>
          <Sender name={row.sender} /> {line(row.sender) || "unknown sender"}
        </span>
        <strong>
          {laid?.isOpen || row.end === null ? "open" : duration(Math.max(0, row.end - (row.start ?? row.end)))}
        </strong>
        {laid && <span>from {duration(laid.from - from)}</span>}
        {row.model && (
          <span>
            {[row.provider, row.model]
              .filter(Boolean)
              .map((text) => line(text!))
              .join(" ")}
          </span>
        )}
        {row.ttft !== null && <span>first token {duration(row.ttft)}</span>}
        {row.tokens !== null && <span>{count(row.tokens)} tokens</span>}
        {row.cost !== null && <span>{cost(row.cost)}</span>}
        <span>{line(row.project)}</span>
      </p>
      {laid && <Oddities line={laid} from={from} />}
      {error !== undefined && <Notice isError>{error}</Notice>}
      {data && <Body data={data} row={row} trace={trace} />}
    </article>
  );
}

function Oddities({ line: laid, from }: { line: Line; from: number }): JSX.Element {
  const said: string[] = [];
  const { span } = laid;
  if (span.unfinished) said.push("Its request ended before the span did.");
  else if (laid.isOpen) said.push("It has not ended yet.");
  if (span.cancelled) said.push("Its consumer went away before its end.");
  if (laid.endsEarly) said.push("It ends before it starts, and is shown at its start.");
  if (laid.isOtherClock)
    said.push("It starts before its parent: their clocks differ. It is drawn where its own clock says.");
  if (laid.isOtherProject) said.push("Its parent is in another project: Opik would not show them together.");
  if (laid.orphaned) said.push(`Its parent, ${span.parent}, is missing. ${whyOrphaned(laid, Date.now())}`);
  const gaps = laid.gaps.map(({ from: start, to }) => `${duration(to - start)} at ${duration(start - from)}`);
  if (gaps.length > 0) {
    const more = gaps.length > 5 ? `, and ${gaps.length - 5} more` : "";
    said.push(`No child span ran for ${gaps.slice(0, 5).join(", ")}${more}.`);
  }
  return (
    <ul class="oddities">
      {said.map((sentence) => (
        <li key={sentence}>{sentence}</li>
      ))}
    </ul>
  );
}

const SETTLED_MS = 10_000;

/** The likely cause. */
export function whyOrphaned({ orphaned, from }: Pick<Line, "orphaned" | "from">, nowMs: number): string {
  if (orphaned === "circle") return "Its parents are a circle, which is cut here.";
  if (Math.abs(nowMs - from) < SETTLED_MS) return "It may be on its way.";
  if (orphaned === "no trace row")
    return "The trace has no row either: the caller sends its rows to another Opik, or not at all.";
  return "The service that called this one is not traced, has sampled it away, or sends its rows elsewhere.";
}

/** The scores of a row or a thread, as a table. */
export function Scores({ scores }: { readonly scores: readonly Score[] }): JSX.Element | null {
  if (scores.length === 0) return null;
  return (
    <section>
      <h3>Scores</h3>
      <dl class="table">
        {scores.map(({ name, value, reason }) => [
          <dt key={`${name} name`}>{line(name)}</dt>,
          <dd key={name}>
            {value} {reason}
          </dd>,
        ])}
      </dl>
    </section>
  );
}

function Body({
  data: { row },
  row: { id, parent, scores },
  trace,
}: {
  data: RowAnswer;
  row: RowSummary;
  trace: string;
}): JSX.Element {
  const { error_info, input, output, metadata, usage, tags } = row;
  const others = Object.entries(row).filter(([name]) => !SHOWN.has(name));
  const isSpan = row["trace_id"] !== undefined;
  return (
    <>
      {error_info !== undefined && <ErrorBox error={error_info as Record<string, unknown>} />}
      <Scores scores={scores} />
      {input !== undefined && <Field title="Input" value={input} by="user" />}
      {output !== undefined && <Field title="Output" value={output} by="assistant" />}
      {usage !== undefined && (
        <section>
          <h3>Usage</h3>
          <dl class="table">
            {Object.entries(usage as Record<string, number>).map(([name, value]) => [
              <dt key={`${name} name`}>{line(name)}</dt>,
              <dd key={name}>{count(value)}</dd>,
            ])}
          </dl>
        </section>
      )}
      {Array.isArray(tags) && (
        <section>
          <h3>Tags</h3>
          {tags.map((tag) => (
            <span class="pill" key={tag}>
              {line(String(tag))}
            </span>
          ))}
        </section>
      )}
      {metadata !== undefined && <Field title="Metadata" value={metadata} />}
      {others.length > 0 && <Field title="Other fields" value={Object.fromEntries(others)} />}
      <section>
        <h3>{isSpan ? "Ids and headers it sent on" : "Ids"}</h3>
        <dl class="table ids">
          <dt>{isSpan ? "opik_trace_id" : "trace"}</dt>
          <dd>
            <code>{trace}</code>
          </dd>
          {isSpan && <dt>opik_parent_span_id</dt>}
          {isSpan && (
            <dd>
              <code>{id}</code>
            </dd>
          )}
          {parent !== null && <dt>its parent</dt>}
          {parent !== null && (
            <dd>
              <code>{parent}</code>
            </dd>
          )}
        </dl>
        {isSpan && <Copy text={headersOf(trace, id)}>copy headers</Copy>}{" "}
        <Copy text={JSON.stringify(row, undefined, 2)}>copy row</Copy>
      </section>
    </>
  );
}

const SHOWN = new Set(
  "id trace_id parent_span_id project_name name type start_time end_time input output metadata error_info usage tags model provider ttft total_estimated_cost last_updated_at source".split(
    " ",
  ),
);

/** The headers that continue a trace at a span. */
export function headersOf(trace: string, span: string): string {
  return `opik_trace_id: ${trace}\nopik_parent_span_id: ${span}`;
}

function ErrorBox({ error }: { error: Record<string, unknown> }): JSX.Element {
  const [type, message, traceback] = ["exception_type", "message", "traceback"].map((name) =>
    String(error[name] ?? ""),
  );
  return (
    <section class="error-box" aria-label="error">
      <h3>{type || "error"}</h3>
      {message && (
        <p>
          <Text text={message} />
        </p>
      )}
      {traceback && traceback !== message && (
        <pre>
          <Text text={traceback} />
        </pre>
      )}
    </section>
  );
}

/** Shows an input, an output or metadata as a conversation, as prose, or as a tree. */
export function Field({ title, value, by }: { title: string; value: unknown; by?: "user" | "assistant" }): JSX.Element {
  const [isJson, setJson] = useState(false);
  const messages = by && messagesOf(value, by);
  const prose = by && !messages ? proseOf(value) : undefined;
  const size = JSON.stringify(value)?.length ?? 0;
  return (
    <section class="field">
      <h3>
        {title}
        {(messages || prose !== undefined) && (
          <button type="button" class="toggle" aria-pressed={isJson} onClick={() => setJson(!isJson)}>
            JSON
          </button>
        )}
        {size > MAX_FIELD && <Download value={value} name={title.toLowerCase()} size={size} />}
      </h3>
      {messages && !isJson ? (
        <Conversation messages={messages} />
      ) : prose !== undefined && !isJson ? (
        <Prose text={prose} />
      ) : (
        <Json value={value} />
      )}
    </section>
  );
}

function Download({ value, name, size }: { value: unknown; name: string; size: number }): JSX.Element {
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(value)], { type: "application/json" }));
    link.download = `${name}.json`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <button type="button" class="toggle" onClick={save}>
      download, {count(Math.round(size / 1024))} KB
    </button>
  );
}

function Prose({ text }: { text: string }): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  if (text.length > MAX_FIELD / 20 && !isWhole) {
    return (
      <div class="prose-box">
        <Markdown text={text.slice(0, MAX_FIELD / 40)} />
        <button type="button" class="more" onClick={() => setWhole(true)}>
          show all, {count(text.length)} characters
        </button>
      </div>
    );
  }
  return (
    <div class="prose-box">
      <Markdown text={text} />
    </div>
  );
}

/** The page hides all messages before the last 40. */
const MAX_MESSAGES = 40;

/** Messages, as they were said. */
export function Conversation({ messages }: { messages: readonly Message[] }): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  const hidden = isWhole ? 0 : Math.max(0, messages.length - MAX_MESSAGES);
  return (
    <div class="conversation">
      {hidden > 0 && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          {count(hidden)} earlier messages
        </button>
      )}
      {messages.slice(hidden).map((message, at) => (
        <Bubble key={at} message={message} />
      ))}
    </div>
  );
}

const ROLES = new Set(["system", "developer", "user", "assistant", "tool", "reasoning"]);

function Bubble({ message: { role, parts, answers } }: { message: Message }): JSX.Element {
  return (
    <div class={`bubble role-${ROLES.has(role) ? role : "other"}`}>
      <div class="role">
        {line(role, 40)}
        {answers && <span class="answers"> answers {line(answers, 60)}</span>}
      </div>
      {parts.length === 0 && <p class="nothing">nothing</p>}
      {parts.map((part, at) => (
        <PartView key={at} part={part} />
      ))}
    </div>
  );
}

function PartView({ part }: { part: Part }): JSX.Element {
  switch (part.kind) {
    case "text":
      return <Prose text={part.text} />;
    case "call":
      return (
        <div class="call">
          <div class="call-name">
            {line(part.name, 100)} {part.id && <span class="answers">{line(part.id, 60)}</span>}
          </div>
          {part.input !== undefined && part.input !== "" && <Json value={part.input} />}
        </div>
      );
    case "image":
      return <Image url={part.url} />;
    case "data":
      return <Json value={part.value} />;
  }
}

/** Shows an image of the row after a click. The page loads no image from elsewhere. */
function Image({ url }: { url: string }): JSX.Element {
  const [isShown, setShown] = useState(false);
  const isInline = /^data:image\/(?:png|jpeg|gif|webp);base64,/.test(url) && url.length <= MAX_IMAGE;
  if (isShown) return <img src={url} alt="in the message" />;
  if (!isInline) return <span class="pill">image {line(url, 80)}</span>;
  return (
    <button type="button" class="more" onClick={() => setShown(true)}>
      show image, {count(Math.round((url.length * 3) / 4096))} KB
    </button>
  );
}
