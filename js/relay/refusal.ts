// Why a relay refuses a request: one code for each cause, for programs and for people.

/** The stable name of a cause. */
export type RefusalCode =
  /** Only POST and OPTIONS are answered. */
  | "method_not_allowed"
  /** There is no `Origin` header, or it is `null`: not a page of a known site. For a relay without `origins`: no `Sec-Fetch-Site`. */
  | "origin_missing"
  /** The page's origin is not among `origins`, or for a relay without them not its own. */
  | "origin_forbidden"
  /** Neither `text/plain` nor `application/json`. */
  | "content_type"
  /** The body is compressed: its size could not be bounded before it is unpacked. */
  | "content_encoding"
  /** Too many requests; see `Retry-After`. */
  | "rate_limited"
  /** The body is longer than `maxBytes`, has more than 1000 rows, or a row that is too long. */
  | "too_large"
  /** The body took too long to arrive. */
  | "too_slow"
  /** The body is not JSON, or nested too deeply. */
  | "malformed"
  /** It is not one batch of rows of a kind, or a row has a field that is not its to set, or that Opik would refuse. */
  | "invalid"
  /** A row names a project that is not the relay's. */
  | "foreign_project"
  /** An id is no UUIDv7. */
  | "invalid_id"
  /** An id was made more than 24 h ago or ahead, or refers to what is more than 24 h ahead; or Opik finds it too old or too new. */
  | "clock_skew"
  /** A token is asked for, and there is none. */
  | "token_missing"
  /** The token is forged, or of another relay, project or session. */
  | "token_invalid"
  /** The token's time has been over for longer than the relay's `lateMs`; for scores, it is over or has not come. */
  | "token_expired"
  /** A row began before the token's life or after it, or is of another conversation. */
  | "outside_token"
  /** An id, its trace's, or what is scored was not made by the page, and is not the trace that the token names. */
  | "foreign_id"
  /** Opik refuses a row. */
  | "rejected"
  /** Opik can not be reached, or does not accept the relay's key. */
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
  // Of these the rows are refused, and not the page: what it sends beside them is taken.
  token_expired: 422,
  outside_token: 422,
  foreign_id: 422,
  rejected: 422,
  unavailable: 502,
};

/** A request that is not carried out. */
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
