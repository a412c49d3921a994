// Reads the sender of a request from the headers of the SDKs. Rows don't name their sender.

import type { IncomingHttpHeaders } from "node:http";
import type { Row } from "./validate.js";

/** The sender of a request. */
export interface Sender {
  /** The name that it gives itself; "" for none. */
  readonly service: string;
  /** Such as `opik 2.2`; "" for an unknown one. */
  readonly sdk: string;
  /** Such as `workerd`, `python` or `browser`. */
  readonly runtime: string;
}

/** The sender of a request with these headers. */
export function senderOf(headers: IncomingHttpHeaders): Sender {
  const text = (name: string) => String(headers[name] ?? "").slice(0, 200);
  const named = /^[^;]+;([^;]*)(?:;(.*))?$/.exec(text("x-opik-edge"));
  if (named) return { service: (named[2] ?? "").trim(), sdk: "opik-edge", runtime: named[1]!.trim() };
  const language = text("x-fern-language").toLowerCase();
  if (language) {
    const release = text("x-opik-debug-sdk-version") || text("x-fern-sdk-version");
    const minor = /^\d+\.\d+/.exec(release)?.[0];
    return {
      service: "",
      sdk: `opik${minor ? ` ${minor}` : ""}`,
      runtime: language === "python" ? language : text("x-fern-runtime") || "javascript",
    };
  }
  const exporter = /^otel-otlp-exporter-([a-z]+)/i.exec(text("user-agent"))?.[1];
  if (exporter) return { service: "", sdk: "opentelemetry", runtime: exporter.toLowerCase() };
  const unknown = { service: "", sdk: "" };
  if (headers.origin !== undefined || headers["sec-fetch-site"] !== undefined)
    return { ...unknown, runtime: "browser" };
  const product = /^[a-z][\w.-]*/.exec(text("user-agent").toLowerCase())?.[0];
  // workerd sends no user agent.
  return { ...unknown, runtime: product ?? (headers["comet-workspace"] === undefined ? "unknown" : "Worker") };
}

/** The sender of the spans of a resource of OpenTelemetry, which says more than the request. */
export function senderOfResource(attributes: Readonly<Record<string, unknown>>, sender: Sender): Sender {
  const text = (name: string) => (typeof attributes[name] === "string" ? attributes[name].slice(0, 200) : "");
  const service = text("service.name");
  return {
    // SDKs call every unnamed service so.
    service: /^unknown_service/.test(service) ? "" : service,
    sdk: "opentelemetry",
    runtime: text("telemetry.sdk.language") || sender.runtime,
  };
}

/** The name of a sender: `shop · workerd` for a named service, `opik 2.2 · python` for others. */
export function nameOf({ service, sdk, runtime }: Sender): string {
  return [service || sdk, runtime].filter(Boolean).join(" · ");
}

/** The name of the sender of each row. A service without a name has its project's, except for the default one. */
export function namesOf(sender: Sender): (row: Row) => string {
  const names = new Map<unknown, string>();
  return ({ project_name: project }) => {
    const known = names.get(project);
    if (known !== undefined) return known;
    const service = sender.service || project === "Default Project" ? sender.service : String(project).slice(0, 100);
    const name = nameOf({ ...sender, service });
    names.set(project, name);
    return name;
  };
}
