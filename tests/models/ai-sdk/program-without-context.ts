// The program for Node without AsyncLocalStorage.

import "./without-context.js";
import "./program.js";
