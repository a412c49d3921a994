// The page: each question begins a trace, which the chat Worker and what it calls continue.

import { OPIK_TOKEN_HEADER, Opik, type Score, type Trace, tabThreadId } from "opik-edge";

interface Session {
  readonly token: string;
  readonly lifetimeMs: number;
  readonly chatUrl: string;
  readonly tracesUrl?: string;
}

let session: Promise<Session> | undefined;

/** The site's session, renewed before its token expires. */
function currentSession(): Promise<Session> {
  session ??= fetch("/session").then(async (response) => {
    const found = (await response.json()) as Session;
    setTimeout(forgetSession, found.lifetimeMs / 2);
    return found;
  });
  session.catch(forgetSession);
  return session;
}

function forgetSession(): void {
  session = undefined;
}

const { chatUrl, tracesUrl } = await currentSession();
const opik = new Opik({
  relayUrl: "/opik",
  token: async () => (await currentSession()).token,
  propagateTo: [new URL(chatUrl).origin],
});

/** Where the last trace is kept, so that it can be scored after a reload. */
const LAST_TRACE = "last trace";

/** A session whose token names a trace: after a reload, the page can no longer prove that it began the trace. */
async function sessionFor(traceId: string): Promise<Session> {
  return (await fetch(`/session?trace=${traceId}`)).json();
}

/** Asks, shows the answer as it comes, and gives its trace. */
function ask(message: string, show: (text: string) => void): Promise<Trace> {
  return opik.span({ name: "ask", input: { message } }, async (span) => {
    span.trace.update({ threadId: tabThreadId() });
    sessionStorage.setItem(LAST_TRACE, span.traceId);
    await sessionFor(span.traceId); // before anybody else learns its id
    const response = await span.fetch(`${chatUrl}/chat`, {
      method: "POST",
      headers: { "content-type": "application/json", [OPIK_TOKEN_HEADER]: (await currentSession()).token },
      body: JSON.stringify({ message, stream: true }),
    });
    if (!response.ok || !response.body) throw new Error(`the chat answered ${response.status}`);
    let answer = "";
    for await (const part of partsOf(response.body)) {
      answer += part;
      show(answer);
    }
    span.update({ output: { answer } });
    return span.trace;
  });
}

/** The pieces of text in a model's server-sent events. */
async function* partsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith("data: {")) continue;
      const event = JSON.parse(line.slice("data: ".length)) as { choices: { delta?: { content?: string } }[] };
      yield event.choices[0]?.delta?.content ?? "";
    }
  }
}

// --- Display

const log = document.querySelector("main") as HTMLElement;
const form = document.querySelector("form") as HTMLFormElement;
const input = document.querySelector("input") as HTMLInputElement;
const renew = document.querySelector("#renew") as HTMLButtonElement;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const message = input.value.trim();
  if (!message) return;
  input.value = "";
  add("question").textContent = message;
  const answer = add("answer");
  const show = (text: string): void => {
    answer.textContent = text;
    log.scrollTop = log.scrollHeight;
  };
  show("…");
  try {
    const trace = await ask(message, show);
    add("feedback").append(...feedback(trace));
    log.scrollTop = log.scrollHeight;
  } catch (error) {
    answer.classList.add("failed");
    show(`${error}`);
  }
});

renew.addEventListener("click", () => {
  tabThreadId({ renew: true });
  log.replaceChildren();
  input.focus();
});

const lastTrace = sessionStorage.getItem(LAST_TRACE);
if (lastTrace) {
  const earlier = new Opik({ relayUrl: "/opik", token: async () => (await sessionFor(lastTrace)).token });
  const score = (given: Score): void => earlier.score({ ...given, traceId: lastTrace });
  add("earlier").append("The answer before this page was loaded: ", ...feedback({ id: lastTrace, score }));
}

function add(kind: string): HTMLElement {
  const element = document.createElement("p");
  element.className = kind;
  log.append(element);
  return element;
}

/** Two thumbs, of which the last press counts; and a link to the trace, if there is a trace. */
function feedback(trace: Pick<Trace, "id" | "score">): HTMLElement[] {
  const thumbs = [
    { label: "Helpful", value: 1 },
    { label: "Not helpful", value: 0 },
  ].map(({ label, value }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      trace.score({ name: "helpful", value });
      for (const thumb of thumbs) thumb.setAttribute("aria-pressed", `${thumb === button}`);
    });
    return button;
  });
  if (!tracesUrl) return thumbs;
  const link = document.createElement("a");
  link.href = `${tracesUrl}/${trace.id}`;
  link.textContent = "its trace";
  link.target = "_blank";
  return [...thumbs, link];
}
