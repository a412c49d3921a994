// The page's script, in every browser consumer.

import { Opik } from "opik-edge";
import { observe, traced } from "./traced.js";

const opik = new Opik({ relayUrl: "/opik", observe });

globalThis.run = (headers) => traced(opik, headers, "/echo");
