// A Worker that is a relay.

import { relay, type TokenSecret } from "opik-edge/relay";

interface Env {
  OPIK_API_KEY: string;
  SECRET?: string;
}

let handler: ((request: Request) => Promise<Response>) | undefined;

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const secrets: TokenSecret[] | undefined = env.SECRET ? [{ id: "a", secret: env.SECRET }] : undefined;
    handler ??= relay({
      env,
      projectName: "pages",
      environment: "test",
      origins: ["https://app.test", "*.preview.test"],
      maxBytes: 100_000,
      onError: () => {},
      ...(secrets && { tokens: { secrets, session: ({ headers }) => headers.get("x-session") ?? undefined } }),
    });
    return handler(request);
  },
};
