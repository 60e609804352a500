/**
 * exec-script: a command with its environment and folder, as one script for a POSIX shell.
 *
 * Used by machine/exec.ts.
 * Holds   whatever the caller gives stands between quotes: nothing in it is read by the shell but
 *         a command that was given as one string, which is a script.
 */
import { VmError } from "../errors.ts";

/** Where and with what a command runs. */
export interface ScriptOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** `text` as one word. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function checked(what: string, text: string): string {
  if (typeof text === "string" && !text.includes("\0")) return text;
  throw new VmError("bad-argument", `${what}: accepted is text without NUL`);
}

/**
 * The script: a string is one already, a list is a program with its arguments. Throws VmError
 * "bad-argument".
 */
export function scriptOf(command: string | readonly string[], options: ScriptOptions): string {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(options.env ?? {})) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      const accepted = "accepted are letters, digits and _, no digit first";
      throw new VmError("bad-argument", `env "${name}": ${accepted}`);
    }
    lines.push(`export ${name}=${shellQuote(checked(`env ${name}`, value))}`);
  }
  if (options.cwd !== undefined) {
    lines.push(`cd -- ${shellQuote(checked("cwd", options.cwd))} || exit 126`);
  }
  if (typeof command === "string") lines.push(checked("command", command));
  else {
    if (command.length === 0) {
      throw new VmError("bad-argument", "command []: accepted is a program with its arguments");
    }
    const words = command.map((one) => shellQuote(checked("command", one)));
    lines.push(`exec ${words.join(" ")}`);
  }
  return lines.join("\n");
}
