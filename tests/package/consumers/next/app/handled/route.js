import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/server";

// What is recorded is sent by itself.
export const GET = withOpik(async () => Response.json(await (await fetch(process.env.ECHO_URL)).json()));
