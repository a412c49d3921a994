import { call } from "../../call.js";

export const GET = call;
