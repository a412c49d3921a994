import { NextResponse } from "next/server";
import { withOpik } from "opik-edge/server";

export const proxy = withOpik((request) => NextResponse.rewrite(new URL("/echo", request.url)));
export const config = { matcher: "/proxied" };
