/**
 * recorder: a console's output as an asciicast (version 2), which asciinema and others play.
 *
 * Used by vm.ts.
 * Holds   times are wall times: what a person at the console would have seen.
 */
import type { ConsoleLog } from "./console-log.ts";
import type { FileWriter, World } from "./world.ts";

/** Size that players show; a serial line has none. */
const COLUMNS = 80;
const ROWS = 24;

/** What a recording came to. */
export interface Recording {
  readonly file: string;
  readonly seconds: number;
  readonly bytes: number;
}

/** Records from now on, until `stop`. */
export class Recorder {
  readonly file: string;
  readonly #writer: FileWriter;
  readonly #world: World;
  readonly #begin: number;
  readonly #decoder = new TextDecoder();
  readonly #end: () => void;
  #bytes = 0;

  /** Throws VmError "io". */
  static async open(file: string, title: string, log: ConsoleLog, world: World): Promise<Recorder> {
    return new Recorder(file, title, log, world, await world.openWriter(file));
  }

  private constructor(
    file: string,
    title: string,
    log: ConsoleLog,
    world: World,
    writer: FileWriter,
  ) {
    this.file = file;
    this.#writer = writer;
    this.#world = world;
    this.#begin = world.monotonicMs();
    const timestamp = Math.floor(world.wallMs() / 1000);
    this.#line({ version: 2, width: COLUMNS, height: ROWS, timestamp, title });
    this.#end = log.onAppend((bytes) => {
      this.#bytes += bytes.length;
      const text = this.#decoder.decode(bytes, { stream: true });
      if (text !== "") this.#line([Number(this.#seconds().toFixed(6)), "o", text]);
    });
  }

  #seconds(): number {
    return (this.#world.monotonicMs() - this.#begin) / 1000;
  }

  #line(value: unknown): void {
    this.#writer.write(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
  }

  /** Ends it; the file is whole then. Throws VmError "io" when it could not be written. */
  async stop(): Promise<Recording> {
    this.#end();
    const seconds = Number(this.#seconds().toFixed(3));
    await this.#writer.close();
    return { file: this.file, seconds, bytes: this.#bytes };
  }
}
