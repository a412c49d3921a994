// As in a runtime that has no AsyncLocalStorage.

Object.assign(globalThis, { [Symbol.for("opik-edge/3")]: { searched: true } });
