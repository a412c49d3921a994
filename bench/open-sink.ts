// Opens the sink by being imported, before what is imported next.

import { openSink } from "./sink.js";

openSink();
