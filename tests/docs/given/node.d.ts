// What the examples for servers and programs take for granted.
export {};
