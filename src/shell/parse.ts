/**
 * parse: text of a script or a prompt into statements of words.
 *
 * Used by session.ts (runs them) and complete.ts.
 * Holds   a variable is replaced when its statement runs, never re-read: its value is one piece of
 *         a word, whatever is in it.
 *
 *   words       separated by blanks; statements by line ends and `;`; # begins a comment
 *   'text'      as it stands          "text"  with $NAME and \" \\ \$
 *   \c          c itself when c means something here (blank ' " \ $ ; #); else both: \n stays \n
 *   \LINE-END   the statement goes on in the next line
 *   $NAME ${NAME} $1 $? $#
 */
import { UsageError } from "./command.ts";

/** A piece of a word. */
export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "variable"; readonly name: string };

/** One word before its variables are replaced. */
export interface Word {
  readonly parts: readonly Part[];
  /** Nothing in it is quoted: it may be an alias. */
  readonly isPlain: boolean;
}

/** One command line. */
export interface Statement {
  readonly words: readonly Word[];
  /** From 1. */
  readonly line: number;
}

const SPECIAL = " \t'\"\\$;#";
const IN_QUOTES = '"\\$';
const VARIABLE = /^\$(?:([A-Za-z_]\w*|\d+|[?#])|\{([A-Za-z_]\w*|\d+|[?#])\})/;

/** A text that is no command line; `line` counts from 1. */
export class ParseError extends UsageError {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.name = "ParseError";
    this.line = line;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;
  #line = 1;
  readonly #statements: Statement[] = [];
  #words: Word[] = [];
  #wordsLine = 1;
  #parts: Part[] = [];
  #plain = "";
  #isQuoted = false;
  #hasWord = false;

  constructor(text: string) {
    this.#text = text;
  }

  read(): readonly Statement[] {
    while (this.#at < this.#text.length) this.#step(this.#text[this.#at]);
    this.#endStatement();
    return this.#statements;
  }

  #step(character: string): void {
    switch (character) {
      case "\n":
      case ";":
        this.#endStatement();
        this.#take(1);
        return;
      case " ":
      case "\t":
      case "\r":
        this.#endWord();
        this.#take(1);
        return;
      case "#":
        if (this.#hasWord) this.#add(this.#take(1));
        else while (this.#at < this.#text.length && this.#text[this.#at] !== "\n") this.#take(1);
        return;
      case "'":
        this.#single();
        return;
      case '"':
        this.#double();
        return;
      case "\\":
        this.#escape(SPECIAL);
        return;
      case "$":
        this.#variable();
        return;
      default:
        this.#add(this.#take(1));
    }
  }

  #take(count: number): string {
    const text = this.#text.slice(this.#at, this.#at + count);
    this.#at += count;
    for (const character of text) if (character === "\n") this.#line++;
    return text;
  }

  #add(text: string): void {
    if (!this.#hasWord && this.#words.length === 0) this.#wordsLine = this.#line;
    this.#hasWord = true;
    this.#plain += text;
  }

  #single(): void {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw new ParseError(this.#line, "a ' has no second one");
    this.#isQuoted = true;
    this.#add("");
    this.#add(this.#take(end + 1 - this.#at).slice(1, -1));
  }

  #double(): void {
    const begin = this.#line;
    this.#isQuoted = true;
    this.#add("");
    this.#take(1);
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined) throw new ParseError(begin, 'a " has no second one');
      if (character === '"') break;
      if (character === "\\") this.#escape(IN_QUOTES);
      else if (character === "$") this.#variable();
      else this.#add(this.#take(1));
    }
    this.#take(1);
  }

  #escape(special: string): void {
    const next = this.#text[this.#at + 1];
    if (next === "\n" || next === undefined) {
      this.#take(2);
      return;
    }
    if (special.includes(next)) {
      this.#take(1);
      this.#isQuoted = true;
    } else this.#add(this.#take(1));
    this.#add(this.#take(1));
  }

  #variable(): void {
    const match = VARIABLE.exec(this.#text.slice(this.#at, this.#at + 80));
    if (match === null) {
      this.#add(this.#take(1));
      return;
    }
    this.#add("");
    this.#flushPlain();
    this.#parts.push({ kind: "variable", name: match[1] ?? match[2] });
    this.#take(match[0].length);
  }

  #flushPlain(): void {
    if (this.#plain !== "") this.#parts.push({ kind: "text", text: this.#plain });
    this.#plain = "";
  }

  #endWord(): void {
    if (!this.#hasWord) return;
    this.#flushPlain();
    this.#words.push({ parts: this.#parts, isPlain: !this.#isQuoted });
    this.#parts = [];
    this.#isQuoted = false;
    this.#hasWord = false;
  }

  #endStatement(): void {
    this.#endWord();
    if (this.#words.length === 0) return;
    this.#statements.push({ words: this.#words, line: this.#wordsLine });
    this.#words = [];
  }
}

/** The statements of a text. Throws ParseError. */
export function parse(text: string): readonly Statement[] {
  return new Reader(text).read();
}

/** A word's text. Throws UsageError for a variable that is not set. */
export function expand(word: Word, variables: ReadonlyMap<string, string>): string {
  return word.parts
    .map((part) => {
      if (part.kind === "text") return part.text;
      const value = variables.get(part.name);
      if (value !== undefined) return value;
      const names = [...variables.keys()].filter((name) => /^[A-Za-z_]/.test(name));
      const accepted =
        names.length === 0 ? "`set NAME VALUE` sets one" : `set: ${names.join(", ")}`;
      throw new UsageError(`$${part.name} is not set; ${accepted}`);
    })
    .join("");
}

/** The word as it must be typed to be read as `text`. */
export function quote(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return text.includes("'") ? `"${text.replace(/["\\$]/g, "\\$&")}"` : `'${text}'`;
}

const ESCAPES: Readonly<Record<string, number>> = {
  n: 10,
  r: 13,
  t: 9,
  a: 7,
  b: 8,
  f: 12,
  v: 11,
  e: 27,
  "0": 0,
  "\\": 92,
  "'": 39,
  '"': 34,
};

/**
 * The bytes of a text with C escapes: \n \r \t \a \b \f \v \e \0 \\ \' \" \xHH \NNN (octal) \uHHHH.
 * Throws UsageError naming the one that is none.
 */
export function unescapeBytes(text: string): Uint8Array {
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  const pattern = /\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|([0-7]{2,3})|([\s\S]?))|[^\\]+/g;
  for (const [piece, hex, unicode, octal, single] of text.matchAll(pattern)) {
    if (!piece.startsWith("\\")) for (const byte of encoder.encode(piece)) bytes.push(byte);
    else if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else if (unicode !== undefined) {
      bytes.push(...encoder.encode(String.fromCharCode(Number.parseInt(unicode, 16))));
    } else if (octal !== undefined) bytes.push(Number.parseInt(octal, 8) & 0xff);
    else if (single !== undefined && Object.hasOwn(ESCAPES, single)) bytes.push(ESCAPES[single]);
    else {
      const accepted = "\\n \\r \\t \\a \\b \\f \\v \\e \\0 \\\\ \\' \\\" \\xHH \\NNN \\uHHHH";
      throw new UsageError(`"${piece}": accepted escapes are ${accepted}`);
    }
  }
  return Uint8Array.from(bytes);
}
