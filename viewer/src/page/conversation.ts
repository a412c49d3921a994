// Turns inputs and outputs of model calls into messages, in the shapes that Opik shows as conversations. The page shows
// other values as JSON.

/** A part of a message. */
export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "call"; readonly name: string; readonly id: string | undefined; readonly input: unknown }
  | { readonly kind: "image"; readonly url: string }
  | { readonly kind: "data"; readonly value: unknown };

/** A message. */
export interface Message {
  /** Such as `user`. Unknown roles are kept. */
  readonly role: string;
  readonly parts: readonly Part[];
  /** The id of the call that it answers. */
  readonly answers?: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

/** The messages of an input or an output; `undefined` for other values. Messages without a role get `role`. */
export function messagesOf(value: unknown, role: "user" | "assistant"): Message[] | undefined {
  const found = Array.isArray(value) ? fromList(value, role) : isFields(value) ? fromFields(value, role) : undefined;
  return found && found.length > 0 ? found : undefined;
}

/** The one text of a value that has nothing else: `{"prompt": "…"}`, or the text itself. */
export function proseOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!isFields(value)) return undefined;
  const [first, ...rest] = Object.values(value);
  return rest.length === 0 && typeof first === "string" ? first : undefined;
}

function fromFields(value: Fields, role: "user" | "assistant"): Message[] | undefined {
  const { messages, choices, input, output, contents, candidates, generations } = value;
  const system = instructions(value["system"] ?? value["instructions"] ?? value["system_instruction"]);
  if (Array.isArray(messages)) {
    const list = Array.isArray(messages[0]) ? (messages[0] as unknown[]) : messages;
    return joined(system, fromList(list, role));
  }
  if (Array.isArray(choices)) {
    return all(choices, (choice) =>
      isFields(choice) ? fromMessage(choice["message"] ?? choice["delta"], role) : undefined,
    );
  }
  if (Array.isArray(contents)) return joined(system, fromList(contents, role));
  if (Array.isArray(candidates)) {
    return all(candidates, (one) => (isFields(one) ? fromMessage(one["content"], role) : undefined));
  }
  if (Array.isArray(generations)) {
    return all(generations.flat(), (one) =>
      isFields(one) ? (fromMessage(one["message"], role) ?? textMessage(one["text"], role)) : undefined,
    );
  }
  if (Array.isArray(input)) return joined(system, fromList(input, role));
  if (typeof input === "string" && system) return [...system, message(role, [text(input)])];
  if (Array.isArray(output)) return fromList(output, role);
  if (typeof value["role"] === "string") return one(fromMessage(value, role));
  if (typeof value["text"] === "string" && "usage" in value) return one(textMessage(value["text"], role));
  return undefined;
}

function fromList(list: readonly unknown[], role: "user" | "assistant"): Message[] | undefined {
  return all(list, (one) => fromMessage(one, role));
}

/** One entry of a conversation, in any of the shapes. */
function fromMessage(value: unknown, role: "user" | "assistant"): Message | undefined {
  if (!isFields(value)) return undefined;
  if (isFields(value["kwargs"]) && Array.isArray(value["id"])) {
    return fromMessage({ role: roleOfClass(String(value["id"].at(-1))), ...value["kwargs"] }, role);
  }
  if (value["type"] === "function_call")
    return message("assistant", [call(value["name"], value["call_id"], value["arguments"])]);
  if (value["type"] === "function_call_output") {
    return message("tool", partsOf(value["output"]), textOf(value["call_id"]));
  }
  if (value["type"] === "reasoning") return message("reasoning", partsOf(value["summary"]));
  const own = textOf(value["role"]) ?? langchainRole(value["type"]);
  if (own === undefined && !("content" in value) && !("parts" in value)) return undefined;
  const calls = Array.isArray(value["tool_calls"]) ? value["tool_calls"].filter(isFields).map(toolCall) : [];
  const parts = [...partsOf(value["content"] ?? value["parts"] ?? value["text"]), ...calls];
  const result = parts.length === 1 ? resultOf(value["content"]) : undefined;
  return message(
    result ? "tool" : own === "model" ? "assistant" : (own ?? role),
    parts,
    textOf(value["tool_call_id"]) ?? result,
  );
}

/** The id of the call that an Anthropic message answers. */
function resultOf(content: unknown): string | undefined {
  const [first] = Array.isArray(content) ? content : [];
  return isFields(first) && first["type"] === "tool_result" ? textOf(first["tool_use_id"]) : undefined;
}

function partsOf(content: unknown): Part[] {
  if (content === null || content === undefined || content === "") return [];
  if (typeof content === "string") return [text(content)];
  return Array.isArray(content) ? content.flatMap(partOf) : [{ kind: "data", value: content }];
}

function partOf(value: unknown): Part[] {
  if (typeof value === "string") return [text(value)];
  if (!isFields(value)) return [{ kind: "data", value }];
  const { type, functionCall, functionResponse, inlineData } = value;
  if (type === "tool_use") return [call(value["name"], value["id"], value["input"])];
  if (type === "tool-call") return [call(value["toolName"], value["toolCallId"], value["input"] ?? value["args"])];
  if (type === "tool_result") return partsOf(value["content"]);
  if (isFields(functionCall)) return [call(functionCall["name"], functionCall["id"], functionCall["args"])];
  if (isFields(functionResponse)) return [{ kind: "data", value: functionResponse["response"] }];
  if (isFields(inlineData)) return [image(`data:${inlineData["mimeType"]};base64,${inlineData["data"]}`)];
  if (isFields(value["image_url"])) return [image(value["image_url"]["url"])];
  if (type === "input_image" || type === "image_url") return [image(value["image_url"])];
  if (type === "image" && isFields(value["source"])) {
    const { media_type, data, url } = value["source"];
    return [image(url ?? `data:${media_type};base64,${data}`)];
  }
  const words = value["text"] ?? value["thinking"] ?? value["refusal"];
  return typeof words === "string" ? [text(words)] : [{ kind: "data", value }];
}

function toolCall(value: Fields): Part {
  const { function: named, id } = value;
  if (isFields(named)) return call(named["name"], id, named["arguments"]);
  return call(value["name"], id, value["args"] ?? value["arguments"]);
}

/** Arguments are a JSON text, mostly. */
function call(name: unknown, id: unknown, input: unknown): Part {
  return {
    kind: "call",
    name: textOf(name) ?? "?",
    id: textOf(id),
    input: typeof input === "string" ? parsed(input) : input,
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

function instructions(value: unknown): Message[] | undefined {
  if (value === undefined || value === null) return undefined;
  return [message("system", isFields(value) ? partsOf(value["parts"] ?? value) : partsOf(value))];
}

function roleOfClass(name: string): string {
  return { HumanMessage: "user", AIMessage: "assistant", SystemMessage: "system", ToolMessage: "tool" }[name] ?? name;
}

function langchainRole(type: unknown): string | undefined {
  return { human: "user", ai: "assistant", system: "system", tool: "tool" }[String(type)];
}

function textMessage(words: unknown, role: string): Message | undefined {
  return typeof words === "string" ? message(role, [text(words)]) : undefined;
}

function message(role: string, parts: readonly Part[], answers?: string): Message {
  return { role, parts, ...(answers !== undefined && { answers }) };
}

function text(words: string): Part {
  return { kind: "text", text: words };
}

function image(url: unknown): Part {
  return { kind: "image", url: textOf(url) ?? "" };
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function one(found: Message | undefined): Message[] | undefined {
  return found && [found];
}

function joined(first: Message[] | undefined, rest: Message[] | undefined): Message[] | undefined {
  return rest && [...(first ?? []), ...rest];
}

/** All messages; `undefined` if an entry has another shape. */
function all(list: readonly unknown[], read: (one: unknown) => Message | undefined): Message[] | undefined {
  const found = list.map(read);
  return found.every((one) => one !== undefined) ? (found as Message[]) : undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
