// Declarations that the examples for Workers rely on: the bindings in `env` that `wrangler types` would declare, and a
// handler.

interface Env extends Cloudflare.Env {}

declare const handler: { fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> };

declare namespace Cloudflare {
  interface Env {
    readonly OPENAI_API_KEY: string;
    readonly OPIK_ROWS: Queue;
    readonly TOKEN_SECRET: string;
  }
  interface GlobalProps {
    readonly mainModule: { readonly default: typeof handler };
  }
}

declare module "*/worker.js" {
  export default handler;
}

declare module "@cloudflare/vitest-plugin" {
  export function cloudflareTest(options: { wrangler: { configPath: string } }): object;
}

declare module "cloudflare:test" {
  export function createExecutionContext(): ExecutionContext;
  export function waitOnExecutionContext(context: ExecutionContext): Promise<void>;
}

declare module "vitest" {
  export function test(title: string, run: () => Promise<void>): void;
  export function expect(value: unknown): { toBe(expected: unknown): void };
}

declare module "vitest/config" {
  export function defineConfig(config: { plugins: object[] }): object;
}
