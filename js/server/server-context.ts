// Hands a span's context from the server to the page that it renders, in meta elements or in a readable header. A page cannot
// read the headers of the request that loaded it.

import { isBrowser } from "../platform/env.js";
import { HYPHEN_NAMES, opikHeaders } from "../record/headers.js";
import type { Span } from "../record/model.js";
import type { HeaderCarrier } from "../settings.js";

/** A `<meta>` element. */
export interface ContextMetaTag {
  /** Its attribute `name`. */
  readonly name: string;
  /** Its attribute `content`. */
  readonly content: string;
}

/**
 * The attributes of `<meta>` elements for the page's head, as React and Next take them: `<meta key={tag.name} {...tag} />`.
 * Empty without a context, for example when tracing is off.
 *
 * @example
 * ```ts
 * import { contextMetaTags, span } from "opik-edge";
 *
 * export function head(): unknown[] {
 *   return span({ name: "render" }, (render) => contextMetaTags(render).map((tag) => ({ type: "meta", props: tag })));
 * }
 * ```
 */
export function contextMetaTags(span: Span | undefined): ContextMetaTag[] {
  // The hyphenated names are valid in `Server-Timing` and in meta elements.
  return Object.entries(opikHeaders(span, "hyphen") ?? {}).map(([name, content]) => ({ name, content }));
}

/**
 * The elements of `contextMetaTags` as HTML, for the page's head; "" without a context.
 *
 * @example
 * ```ts
 * import { contextMeta, span } from "opik-edge";
 *
 * export function page(): string {
 *   return span({ name: "render" }, (render) => `<!doctype html><head>${contextMeta(render)}</head><h1>Hello</h1>`);
 * }
 * ```
 */
export function contextMeta(span: Span | undefined): string {
  return contextMetaTags(span)
    .map(({ name, content }) => `<meta name="${name}" content="${content}">`)
    .join("");
}

/**
 * The value of a `Server-Timing` header (W3C Server Timing); "" without a context.
 *
 * @example
 * ```ts
 * import { contextServerTiming, span } from "opik-edge";
 *
 * export function page(): Response {
 *   return span({ name: "render" }, (render) => {
 *     return new Response("<h1>Hello</h1>", { headers: { "server-timing": contextServerTiming(render) } });
 *   });
 * }
 * ```
 */
export function contextServerTiming(span: Span | undefined): string {
  return contextMetaTags(span)
    .map(({ name, content }) => `${name};desc="${content}"`)
    .join(", ");
}

/**
 * In a page: the context from the server that rendered it. Use it as the `parent` of spans that belong to the page's loading.
 * `undefined` without a context.
 *
 * @example
 * ```ts
 * import { Opik, serverContext } from "opik-edge";
 *
 * const opik = new Opik({ relayUrl: "/opik" });
 *
 * export const hydrate = (render: () => void) => opik.span({ name: "hydrate", parent: serverContext() }, render);
 * ```
 */
export function serverContext(): HeaderCarrier | undefined {
  return isBrowser() ? (found(fromMeta) ?? found(fromServerTiming)) : undefined;
}

/**
 * The headers that `read` finds, if it finds all of them. `read` may throw: an element named `querySelector`, for example, can
 * shadow the function.
 */
function found(read: (name: string) => string | null | undefined): HeaderCarrier | undefined {
  try {
    const pairs = HYPHEN_NAMES.map((name): [string, unknown] => [name, read(name)]);
    return pairs.every(([, value]) => value) ? Object.fromEntries(pairs) : undefined;
  } catch {
    return undefined;
  }
}

/** The page's navigation entry (W3C Server Timing). */
interface Navigation {
  readonly serverTiming?: readonly { readonly name: string; readonly description: string }[];
}

function fromMeta(name: string): string | null | undefined {
  const { document } = globalThis as { document?: Document };
  return document?.querySelector(`meta[name="${name}"]`)?.getAttribute("content");
}

function fromServerTiming(wanted: string): string | undefined {
  const { performance } = globalThis as { performance?: { getEntriesByType(type: string): readonly Navigation[] } };
  const [navigation] = performance?.getEntriesByType("navigation") ?? [];
  return navigation?.serverTiming?.find(({ name }) => name === wanted)?.description;
}
