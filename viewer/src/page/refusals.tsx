// Lists refused requests with their reasons and fixes.

import type { JSX } from "preact";
import type { RefusalEntry } from "../api.js";
import { ask, useAnswer } from "./data.js";
import { count, line, time } from "./format.js";
import { Notice, Sender } from "./parts.js";

/** The view of refusals. */
export function RefusalsView(): JSX.Element {
  const { data, error } = useAnswer<{ refusals: readonly RefusalEntry[] }>("refusals");
  if (error !== undefined) return <Notice isError>{error}</Notice>;
  if (!data) return <Notice>…</Notice>;
  const nowMs = Date.now();
  return (
    <section class="refusals page-text" aria-label="refusals">
      <h1>Refusals</h1>
      {data.refusals.length === 0 ? (
        <p>Nothing was refused. What Opik would not take is listed here, with the row, the field and what mends it.</p>
      ) : (
        <p>
          Opik would have refused these requests too, each of them whole.{" "}
          <button
            type="button"
            class="link"
            onClick={() => ask("refusals", { method: "DELETE" }).then(() => location.reload())}
          >
            clear
          </button>
        </p>
      )}
      {data.refusals.map((refusal) => (
        <Refused key={refusal.n} refusal={refusal} nowMs={nowMs} />
      ))}
    </section>
  );
}

function Refused({ refusal, nowMs }: { refusal: RefusalEntry; nowMs: number }): JSX.Element {
  const { at, method, path, status, message, details, sender, rows, row, id, name, field, value, fix } = refusal;
  const lost = rows !== null && rows > 1 ? `, and with it ${count(rows - 1)} more` : "";
  return (
    <article class="refusal">
      <header>
        <strong class="status">{status}</strong>
        <span class="target">
          {method} {line(path, 100)}
        </span>
        <span>
          <Sender name={sender} /> {line(sender)}
        </span>
        <span class="time">{time(at, nowMs)}</span>
      </header>
      <p class="reason">
        {line(message)}
        {details !== null && `: ${line(details)}`}
      </p>
      {fix !== null && <p class="fix">{fix}</p>}
      <dl class="table">
        {row !== null && <dt>row</dt>}
        {row !== null && (
          <dd>
            {count(row + 1)} of {count(rows ?? 1)}
            {lost}
          </dd>
        )}
        {name !== null && <dt>name</dt>}
        {name !== null && <dd>{line(name)}</dd>}
        {id !== null && field !== "id" && <dt>id</dt>}
        {id !== null && field !== "id" && (
          <dd>
            <code>{line(id)}</code>
          </dd>
        )}
        {field !== null && <dt>{line(field, 100)}</dt>}
        {field !== null && <dd>{value === null ? "missing" : <code>{line(value)}</code>}</dd>}
      </dl>
    </article>
  );
}
