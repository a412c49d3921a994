import { call } from "../../../call.js";

export const GET = ({ request }) => call(request);
