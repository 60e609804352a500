/**
 * errors: the one class the host throws, with a closed set of codes.
 *
 * Used by everything. A guest's fault is data, never one of these.
 */

/**
 * Closed set of reasons; the text of each error says what was given and what would have been
 * accepted.
 */
export type VmErrorCode =
  | "aborted"
  | "bad-argument"
  | "bad-config"
  | "bad-file"
  | "bad-section"
  | "bad-state"
  | "busy"
  | "disposed"
  | "io"
  | "limit"
  | "missing-tool"
  | "no-memory"
  | "not-found"
  | "timeout"
  | "unsupported"
  | "vetoed";

/** What a refusal for the state of a machine knows: `error.refusal`. */
export interface StateRefusal {
  /** The state that the machine is in. */
  readonly state: string;
  /** What it does just now, such as "suspend"; null when nothing. */
  readonly underWay: string | null;
  /** States that it could go to from there; none while something is under way. */
  readonly accepted: readonly string[];
}

/** An error of the host's API: `code` for programs, `message` for people. */
export class VmError extends Error {
  readonly code: VmErrorCode;
  /** Of a change of state that was refused. */
  readonly refusal: StateRefusal | null;

  constructor(
    code: VmErrorCode,
    message: string,
    options?: { readonly cause?: unknown; readonly refusal?: StateRefusal },
  ) {
    super(message, options);
    this.name = "VmError";
    this.code = code;
    this.refusal = options?.refusal ?? null;
  }
}
