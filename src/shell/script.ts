/**
 * script: commands read from stdin and run line by line, as they come.
 *
 * Used by main.ts.
 */
import type { Caller } from "./call.ts";
import { ParseError, parse } from "./parse.ts";
import type { Session } from "./session.ts";
import type { World } from "./world.ts";

/** A statement may go on over lines up to this many characters. */
const STATEMENT_MAX = 1 << 20;
/** Text that waits before reading stops. */
const WAITING_MAX = 1 << 20;

/** Lines of stdin, in order, at the reader's pace. */
class LineSource {
  readonly #world: World;
  readonly #decoder = new TextDecoder();
  #text = "";
  #isEnded = false;
  #wake = () => {};
  readonly #endInput: () => void;

  constructor(world: World) {
    this.#world = world;
    this.#endInput = world.streams.listen((bytes) => {
      if (bytes === null) this.#isEnded = true;
      else this.#text += this.#decoder.decode(bytes, { stream: true });
      if (this.#text.length > WAITING_MAX) world.streams.holdInput(true);
      this.#wake();
    });
  }

  /** The next line with its end; null behind the last. */
  async next(): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) return this.#cut(end + 1);
      if (this.#isEnded) return this.#text === "" ? null : this.#cut(this.#text.length);
      // a line may be longer than what waits otherwise
      this.#world.streams.holdInput(false);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #cut(count: number): string {
    const line = this.#text.slice(0, count);
    this.#text = this.#text.slice(count);
    return line;
  }

  end(): void {
    this.#isEnded = true;
    this.#text = "";
    this.#endInput();
    this.#wake();
  }
}

/** True when a statement goes on in the next line: an open quote, a backslash at the end. */
function goesOn(text: string): boolean {
  if (text.endsWith("\\\n")) return true;
  try {
    parse(text);
    return false;
  } catch (error) {
    return error instanceof ParseError;
  }
}

/** Runs stdin's lines up to the first that fails, to `exit` or to the end; the status. */
export async function runLines(
  world: World,
  session: Session,
  caller: Caller,
  isKeepingGoing: boolean,
): Promise<number> {
  const source = new LineSource(world);
  const abort = () => source.end();
  caller.signal.addEventListener("abort", abort);
  let failed = 0;
  let text = "";
  let lines = 0;
  try {
    for (let line = await source.next(); line !== null || text !== ""; line = await source.next()) {
      text += line ?? "";
      lines++;
      if (line !== null && text.length < STATEMENT_MAX && goesOn(text)) continue;
      const firstLine = lines - text.replace(/\n$/, "").split("\n").length + 1;
      const options = { name: "stdin", isKeepingGoing, label: "", firstLine };
      const status = await session.run(text, caller, options);
      text = "";
      if (session.exit !== null) return session.exit;
      if (status !== 0) failed = status;
      if (status !== 0 && !isKeepingGoing) break;
    }
    return caller.signal.aborted ? caller.signal.status : failed;
  } finally {
    caller.signal.removeEventListener("abort", abort);
    source.end();
  }
}
