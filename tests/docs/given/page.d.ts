// Declarations that the examples for pages rely on: their elements, and the global that a script tag has loaded.

declare const button: HTMLButtonElement;
declare const thumbsUp: HTMLButtonElement;
declare const input: HTMLInputElement;
declare const answer: HTMLElement;

/** `pkg/standalone.js`. */
declare const OpikEdge: typeof import("opik-edge");
