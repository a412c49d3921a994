// What `llm()` may be told.

/** Which calls are taken for those of models, and what is changed of them. */
export interface LlmOptions {
  /**
   * Hosts of models, with their port where the URL has one, and the provider whose prices Opik takes: `{ "llm.internal": "openai" }`. What
   * is sent to them is a call of a model where path and body say so; the host stands for the provider without this.
   */
  readonly providers?: Readonly<Record<string, string>> | undefined;
  /**
   * `true` asks OpenAI's chat API and what is like it for the usage of a stream, where the call itself says nothing of
   * `stream_options`: it adds `"stream_options":{"include_usage":true}` to a body that is a text, so that the last event before the end
   * has no choices: code that reads `choices[0].delta` of every event fails there (default `false`).
   */
  readonly includeUsage?: boolean | undefined;
}
