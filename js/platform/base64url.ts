// Base64url, and the expiry of a token, which a page reads without a secret to know when to ask for another.

/** Bytes as base64url (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/==?$/, "");
}

/** The bytes of `text`. Throws if it is not base64url in its canonical spelling: the last character may carry unused bits. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  if (toBase64Url(bytes) !== text) throw new SyntaxError("not base64url");
  return bytes;
}

/** The expiry that a token states, in ms since 1970; `undefined` if it cannot be read. */
export function tokenExpiry(token: string): number | undefined {
  try {
    const payload: unknown = JSON.parse(new TextDecoder().decode(fromBase64Url(token.split(".")[1] ?? "")));
    const { exp } = payload as { readonly exp?: number };
    return Number.isFinite(exp) ? exp : undefined;
  } catch {
    return undefined;
  }
}
