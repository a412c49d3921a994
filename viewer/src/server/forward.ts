// Passes accepted requests on to a real Opik, with the viewer's own key.

import type { IncomingHttpHeaders } from "node:http";
import type { ForwardStatus } from "../api.js";
import { isOfThisMachine } from "./guard.js";

/** Where to. */
export interface ForwardOptions {
  /** The base URL of its API, with `/api`. https, unless it is on this machine. */
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly workspace?: string | undefined;
  /** Also what pages have sent. */
  readonly fromBrowsers?: boolean | undefined;
}

/** Requests above this number at once are counted as failed. */
const MAX_UNDER_WAY = 64;
const TIMEOUT_MS = 60_000;

/** Passes requests on. */
export class Forward {
  readonly #options: ForwardOptions;
  #accepted = 0;
  #failed = 0;
  #lastFailure: string | null = null;
  #underWay = 0;

  constructor(options: ForwardOptions) {
    const { protocol, origin } = new URL(options.url);
    if (protocol !== "https:" && !isOfThisMachine(origin)) {
      throw new Error(`${options.url}: traces and the key are passed on by https alone, but on this machine`);
    }
    this.#options = options;
  }

  get status(): ForwardStatus {
    const { origin, pathname } = new URL(this.#options.url);
    return {
      url: origin + pathname,
      accepted: this.#accepted,
      failed: this.#failed,
      lastFailure: this.#lastFailure,
    };
  }

  /** Resolves when the request has succeeded or failed. Never rejects. */
  async pass(method: string, path: string, headers: IncomingHttpHeaders, body: Buffer): Promise<void> {
    const isOfPage = headers.origin !== undefined || headers["sec-fetch-site"] !== undefined;
    if (isOfPage && !this.#options.fromBrowsers) return;
    if (this.#underWay >= MAX_UNDER_WAY) return this.#fail(`${path}: too many requests at once`);
    this.#underWay += 1;
    try {
      const { url, apiKey, workspace } = this.#options;
      const { "content-encoding": encoding, "content-type": type, projectname: project } = headers;
      const response = await fetch(url.replace(/\/+$/, "") + path, {
        method,
        headers: {
          "content-type": type === "application/x-protobuf" ? type : "application/json",
          ...(encoding !== undefined && { "content-encoding": encoding }),
          ...(apiKey !== undefined && { authorization: apiKey }),
          ...(workspace !== undefined && { "comet-workspace": workspace }),
          // Of OpenTelemetry's uploads.
          ...(project !== undefined && { projectName: String(project) }),
        },
        body: new Uint8Array(body),
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.ok) this.#accepted += 1;
      else this.#fail(`${path}: HTTP ${response.status} ${(await response.text()).slice(0, 200)}`.trim());
      await response.body?.cancel().catch(() => {});
    } catch (error) {
      this.#fail(`${path}: ${(error as Error).message}`);
    } finally {
      this.#underWay -= 1;
    }
  }

  #fail(why: string): void {
    this.#failed += 1;
    this.#lastFailure = why;
  }
}
