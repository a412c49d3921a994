// What the examples for pages take for granted: their elements, and what a script tag has loaded.

declare const button: HTMLButtonElement;
declare const thumbsUp: HTMLButtonElement;
declare const input: HTMLInputElement;
declare const answer: HTMLElement;

/** `pkg/standalone.js`. */
declare const OpikEdge: typeof import("opik-edge");
