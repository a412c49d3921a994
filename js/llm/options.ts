// The options of `llm()`.

/** Options for the detection of model calls, and for changes to them. */
export interface LlmOptions {
  /**
   * Providers by host: `{ "llm.internal": "openai" }`. Name the host with its port if the URL has a port, and the provider whose
   * prices Opik should apply. A call to such a host is recorded as a model call if its path and body are a model call's. By
   * default the host itself is the provider.
   */
  readonly providers?: Readonly<Record<string, string>> | undefined;
  /**
   * `true` requests the usage of streams from OpenAI's chat API and compatible APIs (default `false`). It adds
   * `"stream_options":{"include_usage":true}` to a body that is a string and has no `stream_options`. The last event of the stream
   * then has no choices: code that reads `choices[0].delta` of every event fails there.
   */
  readonly includeUsage?: boolean | undefined;
}
