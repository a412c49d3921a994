import { call } from "../call.js";

export const loader = ({ request }) => call(request);
