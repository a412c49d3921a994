// An answer that is not a success.

/** Where in a batch it went wrong. */
export interface Place {
  /** The number of the row in its batch, from 0. */
  readonly row?: number | undefined;
  /** Such as `usage.total_tokens`. */
  readonly field?: string | undefined;
  /** The value of the field. */
  readonly value?: unknown;
  /** The row, if the body has it in another form. */
  readonly entry?: unknown;
}

/** The status, the message of the answer's body and, where there are some, its details. */
export class Refusal extends Error {
  constructor(
    readonly status: 400 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 422 | 503,
    message: string,
    readonly details?: string,
    readonly place: Place = {},
  ) {
    super(message);
  }
}
