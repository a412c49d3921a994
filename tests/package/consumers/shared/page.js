// The page's script, in every browser consumer.

import { Opik } from "opik-edge";
import { traced } from "./traced.js";

const opik = new Opik({ relayUrl: "/opik" });

globalThis.run = (headers) => traced(opik, headers, "/echo");
