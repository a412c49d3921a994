import { NextResponse } from "next/server";
import { getTrackContext } from "opik-edge";
import { withOpik } from "opik-edge/server";

export const proxy = withOpik((request) => {
  const { pathname, search } = request.nextUrl;
  if (pathname === "/proxied") return NextResponse.rewrite(new URL("/echo", request.url));
  if (search) return NextResponse.next();
  // Puts the route's span under the proxy's.
  const headers = getTrackContext()?.span.inject(new Headers(request.headers));
  return NextResponse.next({ request: { headers } });
});
export const config = { matcher: ["/proxied", "/through"] };
