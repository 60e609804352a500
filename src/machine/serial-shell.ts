/**
 * serial-shell: commands for a guest without the agent, typed at the shell on its console.
 *
 * Owns    what the console said since a command began, and whether a prompt was seen.
 * Used by machine/exec.ts.
 * Holds   the console may say anything at any time: kernel messages, escape sequences, echoes. So
 *         everything typed answers with a mark of a random number that an echo of the line does not
 *         contain, and is typed again when the mark does not come: doing it twice does no harm. The
 *         command writes into files; they come over in blocks as base64 with a SHA-256 each, and a
 *         block that something was printed into is sent again, not made again.
 *
 *   In the guest /bin/sh, base64, sha256sum, setsid, dd, wc, and room in /tmp. In its folder there:
 *   cNNN iNNN  script and input as they come     s i  the whole of them     p  process group
 *   o e r      output, errors, exit status       b    the block on its way
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { ConsoleEnd } from "./console.ts";
import { OutputCollector, type OutputRequest } from "./exec-result.ts";
import type { Patience } from "./patience.ts";

/** What one command came to. */
export interface SerialOutcome {
  readonly status: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly isTruncated: boolean;
}

/** A command to type. */
export interface SerialRequest extends OutputRequest {
  readonly script: string;
  readonly stdin: Uint8Array;
}

/** A mark that was printed: its fields, and where it stands in the text. */
interface Mark {
  readonly fields: string[];
  readonly begin: number;
  readonly end: number;
}

/** Bytes of a script, or of input: they are typed, 300 to a line. */
export const SERIAL_INPUT_BYTES_MAX = 65_536;
/** A shell's line editor may hold no more than 1024 characters. */
const PIECE_BYTES = 300;
/** A prompt is one when nothing comes after it for so long. */
const QUIET_MS = 400;
/** A mark that does not come for so long was lost. */
const AGAIN_MS = 5000;
/** The end of a command may have gone unseen. */
const LOOK_AGAIN_MS = 20_000;
const ATTEMPTS_MAX = 30;
/** What looks like a prompt may be none of a shell. */
const GREETINGS_MAX = 3;
const TEXT_CHARACTERS_MAX = 1 << 17;
const SECTOR_BYTES = 512;
const BLOCK_SECTORS_MAX = 48;
const BASE64_COLUMNS = 76;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPES = /\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]/g;
const PROMPT = /(?:^|[\r\n])[^\r\n]{0,200}[#$%>] ?$/;
/** Ctrl-U: whatever stands behind the prompt already is not part of our line. */
const CLEAR_LINE = "\x15";

/** True when the end of a console's output looks like a shell's prompt. */
export function endsInPrompt(text: string): boolean {
  return PROMPT.test(text.replaceAll(ESCAPES, ""));
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * The bytes of a block from what the console said, without lines that are none of its; null when
 * it is not whole.
 */
export function blockOf(text: string, count: number, hash: string): Uint8Array | null {
  const characters = Math.ceil(count / 3) * 4;
  const lines: string[] = [];
  let left = characters;
  for (const line of text.split(/[\r\n]+/)) {
    const isOurs = line.length === Math.min(left, BASE64_COLUMNS) && left > 0;
    if (!isOurs || !/^[A-Za-z0-9+/]+={0,2}$/.test(line)) continue;
    lines.push(line);
    left -= line.length;
  }
  if (left > 0) return null;
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(lines.join("")), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
  return bytes.length === count && bytesToHex(sha256(bytes)) === hash ? bytes : null;
}

/** The shell at the console of one machine. One command at a time: the caller sees to that. */
export class SerialShell {
  readonly #console: ConsoleEnd;
  readonly #platform: Platform;
  #hasPrompted = false;
  #text = "";
  #onText: () => void = () => {};
  #questions = 0;
  #nonce = "";
  #folder = "";

  constructor(console: ConsoleEnd, platform: Platform) {
    this.#console = console;
    this.#platform = platform;
  }

  /** The guest began anew: a prompt has to be seen again. */
  forget(): void {
    this.#hasPrompted = false;
    this.#console.forgetTail();
  }

  /** Waits for a prompt at which nothing happens. */
  async waitForPrompt(patience: Patience): Promise<void> {
    while (!this.#hasPrompted && !patience.isOver) {
      const isSettled = endsInPrompt(this.#console.tail);
      await patience.wait(this.#quiet(isSettled));
      if (isSettled && endsInPrompt(this.#console.tail)) this.#hasPrompted = true;
    }
  }

  /** Until more was said; or, with `isTimed`, nothing was for a while. */
  #quiet(isTimed: boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        undo();
        resolve();
      };
      const undo = this.#console.tap(end);
      const cancel = isTimed ? this.#platform.after(QUIET_MS, end) : () => {};
    });
  }

  /**
   * Runs a command. `onStarted` is called with what kills it in the guest, and what that returns
   * once it has ended and its output comes over. Throws what `patience` says, VmError "io" when the
   * console garbles everything.
   */
  async run(
    request: SerialRequest,
    patience: Patience,
    onStarted: (kill: () => void) => () => void,
  ): Promise<SerialOutcome> {
    this.#nonce = bytesToHex(this.#platform.entropy(8));
    this.#folder = `/tmp/.rivulet-${this.#nonce}`;
    this.#text = "";
    const folder = this.#folder;
    const undo = this.#console.tap((bytes) => this.#hear(bytes));
    try {
      await this.#ask(`mkdir -p -m 700 ${folder}`, "", patience, GREETINGS_MAX);
      await this.#give("c", "s", new TextEncoder().encode(request.script), patience);
      await this.#give("i", "i", request.stdin, patience);
      await this.#runScript(patience, onStarted);
      const [status, outBytes, errBytes] = await this.#facts(patience);
      const { outputBytesMax } = request;
      const stdout = new OutputCollector(request, "stdout");
      const stderr = new OutputCollector(request, "stderr");
      await this.#fetch("o", Math.min(outBytes, outputBytesMax), stdout, patience);
      await this.#fetch("e", Math.min(errBytes, outputBytesMax), stderr, patience);
      const isTruncated = Math.max(outBytes, errBytes) > outputBytesMax;
      await this.#ask(`rm -rf ${folder}`, "", patience);
      return { status, stdout: stdout.bytes, stderr: stderr.bytes, isTruncated };
    } catch (error) {
      this.#type(`${this.#killLine}; rm -rf ${folder}`);
      throw error;
    } finally {
      undo();
    }
  }

  /** Exit status, bytes of output, bytes of errors. */
  #facts(patience: Patience): Promise<number[]> {
    const folder = this.#folder;
    const fields = `$(cat ${folder}/r):$(wc -c <${folder}/o):$(wc -c <${folder}/e)`;
    return this.#until(async () => {
      const answers = await this.#ask("", fields, patience);
      const isFine = answers.length === 3 && answers.every((one) => /^ *\d{1,15} *$/.test(one));
      return isFine ? answers.map(Number) : null;
    });
  }

  #hear(bytes: Uint8Array): void {
    this.#text += new TextDecoder("latin1").decode(bytes);
    if (this.#text.length > 2 * TEXT_CHARACTERS_MAX) {
      this.#text = this.#text.slice(-TEXT_CHARACTERS_MAX);
    }
    this.#onText();
  }

  #type(line: string): void {
    this.#console.write(`${CLEAR_LINE} ${line}\n`);
  }

  /** What prints a mark; its echo has quotes in it. */
  #mark(tag: string, fields: string): string {
    return `echo "R""V${this.#nonce}:${tag}:${fields}:"`;
  }

  /** The fields behind a mark that was printed, or null. */
  #marked(tag: string): Mark | null {
    const head = `RV${this.#nonce}:${tag}:`;
    const begin = this.#text.lastIndexOf(head);
    if (begin < 0) return null;
    const rest = /^[^\r\n]*:(?=[\r\n])/.exec(this.#text.slice(begin + head.length))?.[0];
    if (rest === undefined) return null;
    const fields = rest.slice(0, -1).split(":");
    return { fields, begin, end: begin + head.length + rest.length };
  }

  /** Waits until a mark is there: null when it does not come in `ms`. */
  #await(tag: string, ms: number, patience: Patience) {
    return patience.wait(
      new Promise<Mark | null>((resolve) => {
        const cancel = this.#platform.after(ms, () => {
          this.#onText = () => {};
          resolve(null);
        });
        this.#onText = () => {
          const found = this.#marked(tag);
          if (found === null) return;
          cancel();
          this.#onText = () => {};
          resolve(found);
        };
        this.#onText();
      }),
    );
  }

  /** Types a line until its mark has come; the fields that the shell put into it. */
  async #ask(
    line: string,
    fields: string,
    patience: Patience,
    attempts = ATTEMPTS_MAX,
  ): Promise<string[]> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const tag = `q${++this.#questions}`;
      this.#type(line === "" ? this.#mark(tag, fields) : `${line}; ${this.#mark(tag, fields)}`);
      const found = await this.#await(tag, AGAIN_MS, patience);
      if (found !== null) return found.fields;
    }
    return this.#giveUp();
  }

  #giveUp(): never {
    const text = "the shell on the guest's console does not answer in a way that can be read";
    throw new VmError("io", text);
  }

  /** Brings bytes into a file of the folder, piece by piece, each checked. */
  async #give(prefix: string, name: string, bytes: Uint8Array, patience: Patience): Promise<void> {
    const folder = this.#folder;
    const pieces = Math.ceil(bytes.length / PIECE_BYTES);
    for (let index = 0; index < pieces; index++) {
      const piece = bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES);
      const file = `${folder}/${prefix}${String(index).padStart(3, "0")}`;
      const line = `printf %s '${toBase64(piece)}' | base64 -d >${file}`;
      await this.#until(async () => {
        const [answer] = await this.#ask(line, `$(sha256sum <${file})`, patience);
        return answer.slice(0, 64) === bytesToHex(sha256(piece)) || null;
      });
    }
    const all = pieces === 0 ? "" : `cat ${folder}/${prefix}[0-9]* `;
    await this.#ask(`${all}>${folder}/${name}`, "", patience);
  }

  /** What `attempt` gives when it gives something. */
  async #until<T>(attempt: () => Promise<T | null>): Promise<T> {
    for (let index = 0; index < ATTEMPTS_MAX; index++) {
      const result = await attempt();
      if (result !== null) return result;
    }
    return this.#giveUp();
  }

  get #killLine(): string {
    return `kill -9 -$(cat ${this.#folder}/p) 2>/dev/null`;
  }

  /** Starts the script once, however often that is typed, and waits for its end. */
  async #runScript(patience: Patience, onStarted: (kill: () => void) => () => void) {
    const folder = this.#folder;
    const group = `setsid sh -c 'echo $$ >${folder}/p; exec sh -c "$(cat ${folder}/s)" sh'`;
    const files = `<${folder}/i >${folder}/o 2>${folder}/e`;
    const done = this.#mark("done", "");
    const work = `${group} ${files}; echo $? >${folder}/q; mv ${folder}/q ${folder}/r; ${done}`;
    await this.#ask(`mkdir ${folder}/l 2>/dev/null && { (${work}) & }`, "", patience);
    const onDone = onStarted(() => this.#type(this.#killLine));
    while ((await this.#await("done", LOOK_AGAIN_MS, patience)) === null) {
      const [isOver] = await this.#ask("", `$(cat ${folder}/r 2>/dev/null)`, patience);
      if (isOver !== "") break;
    }
    onDone();
  }

  /** The first `count` bytes of a file, block by block; smaller ones where much is printed. */
  async #fetch(
    name: string,
    count: number,
    collector: OutputCollector,
    patience: Patience,
  ): Promise<void> {
    let sectors = BLOCK_SECTORS_MAX;
    for (let at = 0; at < count; ) {
      const block = await this.#until(async () => {
        const length = Math.min(count - at, sectors * SECTOR_BYTES);
        const found = await this.#block(name, at, length, patience);
        if (found === null) sectors = Math.max(1, sectors >> 1);
        return found;
      });
      await patience.wait(Promise.resolve(collector.add(block)));
      at += block.length;
    }
  }

  async #block(name: string, at: number, length: number, patience: Patience) {
    const block = `${this.#folder}/b`;
    const tag = `b${++this.#questions}`;
    const place = `skip=${at / SECTOR_BYTES} count=${Math.ceil(length / SECTOR_BYTES)}`;
    const cut = `dd if=${this.#folder}/${name} bs=${SECTOR_BYTES} ${place} 2>/dev/null`;
    const end = this.#mark(`e${tag}`, `$(sha256sum <${block})`);
    const copy = `${cut} | head -c ${length} >${block}`;
    this.#type(`${copy}; ${this.#mark(tag, "")}; base64 ${block}; ${end}`);
    const found = await this.#await(`e${tag}`, AGAIN_MS, patience);
    const begin = this.#marked(tag);
    if (found === null || begin === null) return null;
    const text = this.#text.slice(begin.end, found.begin);
    return blockOf(text, length, found.fields[0].slice(0, 64));
  }
}
