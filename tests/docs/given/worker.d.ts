// Declarations that the examples for Workers rely on: the bindings in `env` that `wrangler types` would declare, and a
// handler.

interface Env {
  readonly OPENAI_API_KEY: string;
  readonly OPIK_ROWS: Queue;
  readonly TOKEN_SECRET: string;
}

declare const handler: { fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> };
