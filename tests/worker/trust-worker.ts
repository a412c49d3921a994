// A Worker that pages of other origins call. TRUST sets which callers it trusts.

import { corsHeaders, getTrackContext, handlePreflight } from "opik-edge";
import { type Trust, withOpik } from "opik-edge/cloudflare";
import { signed } from "opik-edge/relay";

interface Env {
  TRUST?: string;
  SECRET: string;
}

const cors = {
  origins: ["https://app.test", "*.preview.test"],
  headers: ["content-type", "x-mine"],
  methods: ["POST"],
};

export default withOpik(
  {
    async fetch(request: Request, _env: Env): Promise<Response> {
      const preflight = handlePreflight(request, cors);
      if (preflight) return preflight;
      const { span } = getTrackContext()!;
      return Response.json({ trace: span.traceId, span: span.id }, { headers: corsHeaders(request, cors) });
    },
  },
  ({ TRUST, SECRET }) => {
    const functions: Record<string, Trust> = {
      "by address": (request) => request.headers.get("x-from") === "inside",
      throws: () => {
        throw new Error("no");
      },
    };
    const thread = ({ url }: Request) => new URL(url).searchParams.get("thread") ?? undefined;
    const secrets = [{ id: "a", secret: TRUST === "signed by none" ? "" : SECRET }];
    const isSigned = TRUST?.startsWith("signed") ?? false;
    const trust = isSigned ? signed({ secrets, thread }) : (functions[TRUST ?? "always"] ?? (TRUST as Trust));
    return { projectName: "pages", trust, onError: () => {} };
  },
);
