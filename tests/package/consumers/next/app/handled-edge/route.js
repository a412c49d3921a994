export const runtime = "edge";

export { GET } from "../handled/route.js";
