import { call } from "../../call.js";

export default defineEventHandler((event) => call(toWebRequest(event)));
