// The reasons for which a relay refuses a request, with one stable code each.

/** The stable name of a cause. */
export type RefusalCode =
  /** The method is neither POST nor OPTIONS. */
  | "method_not_allowed"
  /** `Origin` is missing or `null`, so the page's site is unknown. For a relay without `origins`: `Sec-Fetch-Site` is missing. */
  | "origin_missing"
  /** The page's origin is not among `origins`; for a relay without `origins`, it is not the relay's own. */
  | "origin_forbidden"
  /** The content type is neither `text/plain` nor `application/json`. */
  | "content_type"
  /** The body is compressed, so its real size is unknown before unpacking. */
  | "content_encoding"
  /** The caller sent too many requests; see `Retry-After`. */
  | "rate_limited"
  /** The body is longer than `maxBytes`, has more than 1000 rows, or has a row that is too long. */
  | "too_large"
  /** The body took too long to arrive. */
  | "too_slow"
  /** The body is not JSON, or nested too deeply. */
  | "malformed"
  /** The body is not one batch of rows of a kind, or a row has a field that a page must not set or Opik would refuse. */
  | "invalid"
  /** A row names another project than the relay's. */
  | "foreign_project"
  /** An id is not a UUIDv7. */
  | "invalid_id"
  /** An id is more than 24 h in the past or future, or refers to an id more than 24 h ahead; or Opik refused its time. */
  | "clock_skew"
  /** The relay requires a token, and the request has no token. */
  | "token_missing"
  /** The token is forged, or belongs to another relay, project or session. */
  | "token_invalid"
  /** The token expired longer ago than the relay's `lateMs`. For scores: the token has expired or is not yet valid. */
  | "token_expired"
  /** A row began outside the token's life, or belongs to another conversation. */
  | "outside_token"
  /** The id of a row, its trace or its score's target is neither the page's nor the token's. */
  | "foreign_id"
  /** Opik refused a row. */
  | "rejected"
  /** Opik cannot be reached, or does not accept the relay's key. */
  | "unavailable";

const STATUS: Record<RefusalCode, number> = {
  method_not_allowed: 405,
  origin_missing: 403,
  origin_forbidden: 403,
  content_type: 415,
  content_encoding: 415,
  rate_limited: 429,
  too_large: 413,
  too_slow: 408,
  malformed: 400,
  invalid: 422,
  foreign_project: 403,
  invalid_id: 422,
  clock_skew: 425,
  token_missing: 401,
  token_invalid: 401,
  // These codes refuse the rows, but not the page: its other rows are accepted.
  token_expired: 422,
  outside_token: 422,
  foreign_id: 422,
  rejected: 422,
  unavailable: 502,
};

/** A refused request. */
export class Refusal extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }

  /** The HTTP status of its answer. */
  get status(): number {
    return STATUS[this.code];
  }
}
