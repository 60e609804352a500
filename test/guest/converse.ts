/**
 * converse: holds the conversation with a guest in another process, typing a line at each prompt.
 *
 * Used by test/guest/*.test.ts.
 * Holds   a process that does not end by itself is ended after `GUARD_MS`.
 */
import { spawn } from "node:child_process";
import { typedLines } from "./transcript.ts";

export const GUARD_MS = 120_000;

/** What a process printed and how it ended. */
export interface Conversation {
  readonly text: string;
  readonly errors: string;
  readonly code: number | null;
}

/** Starts a command and types each line of the transcript when a prompt has come. */
export function converse(command: string, options: readonly string[]): Promise<Conversation> {
  const child = spawn(command, options, { timeout: GUARD_MS });
  const lines = typedLines();
  let text = "";
  let errors = "";
  let seen = 0;
  child.stderr.on("data", (bytes: Uint8Array) => {
    errors += Buffer.from(bytes).toString();
  });
  child.stdout.on("data", (bytes: Uint8Array) => {
    text += Buffer.from(bytes).toString("latin1");
    for (;;) {
      const prompt = text.indexOf("\n> ", seen);
      if (prompt < 0) return;
      seen = prompt + 3;
      const line = lines.shift();
      if (line !== undefined) child.stdin.write(line + "\r");
    }
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ text, errors, code }));
  });
}
