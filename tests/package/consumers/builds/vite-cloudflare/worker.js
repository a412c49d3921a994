import { call } from "./call.js";

export default { fetch: call };
