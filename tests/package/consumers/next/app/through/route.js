import { withOpik } from "opik-edge/server";

export const GET = withOpik((request) => Response.json(Object.fromEntries(request.headers)));
