// Reads the sender of a request from the headers of the SDKs. Rows don't name their sender.

import type { IncomingHttpHeaders } from "node:http";

/** Such as `opik 2.2 · python` or `opik-edge · workerd`. */
export function senderOf(headers: IncomingHttpHeaders): string {
  const text = (name: string) => String(headers[name] ?? "").slice(0, 100);
  const [version, runtime, service] = text("x-opik-edge")
    .split(";")
    .map((part) => part.trim());
  if (version) return service || ["opik-edge", runtime].filter(Boolean).join(" · ");
  const language = text("x-fern-language").toLowerCase();
  if (language) {
    const release = text("x-opik-debug-sdk-version") || text("x-fern-sdk-version");
    const minor = /^\d+\.\d+/.exec(release)?.[0];
    return `opik${minor ? ` ${minor}` : ""} · ${language === "python" ? language : text("x-fern-runtime") || "javascript"}`;
  }
  if (headers.origin !== undefined || headers["sec-fetch-site"] !== undefined) return "browser";
  const agent = text("user-agent").toLowerCase();
  const product = /^[a-z][\w.-]*/.exec(agent)?.[0];
  // workerd names nobody.
  return product ?? (headers["comet-workspace"] === undefined ? "unknown" : "Worker");
}
