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
  | "unsupported";

/** An error of the host's API: `code` for programs, `message` for people. */
export class VmError extends Error {
  readonly code: VmErrorCode;

  constructor(code: VmErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "VmError";
    this.code = code;
  }
}
