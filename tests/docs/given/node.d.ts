// Declarations that the examples for servers rely on: the used parts of frameworks that are not installed here.

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
