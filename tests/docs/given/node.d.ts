// What the examples for servers take for granted: as much of frameworks that are not installed here as they use.

declare module "@sveltejs/kit" {
  export interface RequestEvent {
    readonly request: Request;
    readonly platform?: { readonly ctx?: unknown };
  }
  export type Handle = (input: {
    event: RequestEvent;
    resolve(event: RequestEvent): Response | Promise<Response>;
  }) => Response | Promise<Response>;
}

declare module "next/server" {
  export type NextRequest = Request;
  export const NextResponse: { next(init: { request: { headers: Headers } }): Response };
}

declare module "react-router" {
  export type MiddlewareFunction<Result> = (
    args: { request: Request; params: Record<string, string | undefined>; context: unknown },
    next: () => Promise<Result>,
  ) => Promise<Result | undefined> | Result | undefined;
}
