/**
 * source-commit: whose machine it is, as the source decides it: section 9 of the design.
 *
 * Owns    the session's journal at the source; what was decided about the last switch-over; the
 *         talks with a target that the first link has lost.
 * Used by source.ts.
 * Holds   the source runs the machine again after its last section was sent only when "aborted" is
 *         durable or the target has acknowledged the discard; after "handed-over" only when the
 *         target has lost it, and "taken-back" is durable. What nobody knows keeps it standing.
 *
 *   open ──last section sent──► pending ──READY──► "handed-over" ──GO, DONE──► "done"
 *     ▲                            │                     └─────lost──────► "taken-back"
 *     └──── "aborted" ◄── overrun, link lost, cancelled
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { Line } from "./call.ts";
import type { Channel, DataSink, Message } from "./channel.ts";
import type { JournalRecord, RecordKind, SessionJournal } from "./journal.ts";
import { decodeJson, encodeJson } from "./messages.ts";

/** What is decided about the switch-over with the latest fence. */
export type Verdict = "open" | "pending" | "handed-over" | "aborted" | "taken-back" | "done";

/** First and longest wait before something that failed is tried again. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 5_000;

const NO_REASON = "it was closed";

/** What the target has said about a fence. */
export type TargetWord = "ready" | "done" | "discarded" | "lost" | "unknown" | "refuse" | "closed";

/** What a commit needs of its session. */
export interface SourceCommitOwner {
  readonly platform: Platform;
  readonly journal: SessionJournal;
  /** Calls the target. */
  dial(): Promise<Line>;
  /** Whether anybody knows what was decided. */
  doubt(isInDoubt: boolean): void;
}

/** The source's decisions. */
export class SourceCommit {
  #verdict: Verdict = "open";
  /** Of the latest switch-over. */
  fence = 0;
  readonly #owner: SourceCommitOwner;
  #line: Line | null = null;
  /** Why there is none. */
  #why = NO_REASON;
  /** Told of every word of the target. */
  #onWord: (word: TargetWord, fence: number, why: string) => void = () => {};
  #wake: () => void = () => {};
  /** The operator's decision, outside "never two". */
  #isTakenByForce = false;
  #isClosed = false;

  constructor(owner: SourceCommitOwner) {
    this.#owner = owner;
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  /** Throws "io", saying why, when there is no link to the target. */
  checkLink(): void {
    if (this.#line === null) throw new VmError("io", `the link is over: ${this.#why}`);
  }

  // ---- links ----

  /** A link to the target, in place of any before. */
  attach(line: Line): void {
    if (this.#isClosed) {
      line.channel.close("the session is over");
      return;
    }
    const before = this.#line;
    this.#line = line;
    this.#why = NO_REASON;
    before?.channel.close("another link took its place");
    line.give({
      message: (message) => this.message(message),
      begin: (message) => this.begin(message),
      closed: (why) => this.#closed(line, why),
    });
    if (this.#verdict !== "open") void this.#tell();
    this.#wake();
    this.onLink();
  }

  message({ name, fence, body }: Message): void {
    switch (name) {
      case "ready":
      case "done":
      case "discarded":
        this.#onWord(name, fence, "");
        break;
      case "refuse":
        this.#why = decodeJson("refuse", body).reason;
        this.#onWord("refuse", this.fence, this.#why);
        break;
      case "ask":
        void this.#tell();
        break;
      case "answer":
        this.#answered(decodeJson("answer", body).record, fence);
        break;
      case "roundAck":
      case "have":
        this.onRound(name, body);
        break;
      case "fetch":
      case "missing":
      case "complete":
        this.onPages(name, body);
        break;
      default:
        throw new VmError("bad-file", `the target sent ${name}`);
    }
  }

  #answered(
    record: { readonly kind: RecordKind; readonly fence: number } | null,
    fence: number,
  ): void {
    if (record === null) this.#onWord("unknown", fence, "it knows nothing of it");
    else if (record.kind === "owned") {
      this.#onWord("done", record.fence, "");
      // one whose process has gone on since would have said "done"
      if (this.#verdict === "handed-over") this.onRestarted();
    } else if (record.kind === "lost") this.#onWord("lost", record.fence, "its process ended");
    else if (record.kind === "discarded") this.#onWord("discarded", record.fence, "");
  }

  /** Messages that are about pages: the session's. */
  onRound: (name: "roundAck" | "have", body: Uint8Array) => void = () => {};

  /** Under post-copy. */
  onPages: (name: "fetch" | "missing" | "complete", body: Uint8Array) => void = () => {};
  /** The target runs no more: its process is another one, which has the record alone. */
  onRestarted: () => void = () => {};
  /** A link has come, or gone. */
  onLink: () => void = () => {};

  /** To the target; null while there is no link. */
  get channel(): Channel | null {
    return this.#line?.channel ?? null;
  }

  begin(message: Message): DataSink {
    throw new VmError("bad-file", `the target sent ${message.name}`);
  }

  #closed(line: Line, why: string): void {
    if (this.#line !== line) return; // another one took its place
    this.#line = null;
    this.onLink();
    if (this.#why === NO_REASON) this.#why = why; // a refusal says more
    this.#onWord("closed", this.fence, why);
  }

  /** Says what is decided; what has not changed is said again. */
  async #tell(): Promise<void> {
    const { fence } = this;
    const channel = this.#line?.channel;
    if (channel === undefined) return;
    try {
      switch (this.#verdict) {
        case "handed-over":
          return await channel.send("go", undefined, { fence });
        case "aborted":
          return await channel.send("abort", undefined, { fence });
        case "done":
        case "taken-back":
          return await channel.send("closed", undefined, { fence });
        default: {
          const answer = encodeJson("answer", { record: null, isOpen: true });
          return await channel.send("answer", answer, { fence });
        }
      }
    } catch {
      // the link is over, and that is told
    }
  }

  // ---- decisions ----

  /** The last section is about to be sent: from now on it takes a record to run on. */
  pending(): void {
    this.#verdict = "pending";
  }

  /** The next word that is one of `words`, of the latest fence; "closed" when the link is over. */
  word(words: readonly TargetWord[]): Promise<{ word: TargetWord; why: string }> {
    return new Promise((resolve) => {
      if (this.#line === null) return resolve({ word: "closed", why: this.#why });
      this.#onWord = (word, fence, why) => {
        const isWanted = word === "closed" || (words.includes(word) && fence === this.fence);
        if (isWanted) resolve({ word, why });
      };
    });
  }

  /** Decides for the target. False: it is decided that nothing was, durably. */
  async handOver(): Promise<boolean> {
    const { journal } = this.#owner;
    try {
      await journal.write("handed-over", this.fence);
    } catch {
      const last = await this.#settled();
      if (last.kind !== "handed-over" || last.fence !== this.fence) return false;
    }
    this.#verdict = "handed-over";
    return true;
  }

  /**
   * Decides for the source. Resolves when the machine may run: the record is durable, or the target
   * has acknowledged the discard.
   */
  async abort(): Promise<void> {
    this.#verdict = "aborted";
    const { fence } = this;
    let hasAcknowledged = false;
    const acknowledged = new Promise<void>((resolve) => {
      this.#onWord = (word, of) => {
        if ((word === "discarded" || word === "unknown") && of === fence) {
          hasAcknowledged = true;
          resolve();
        }
      };
    });
    void this.#tell();
    const isOver = () => hasAcknowledged;
    await Promise.race([this.#decide("aborted", isOver), acknowledged]);
    this.#wake();
  }

  /** The target knows: another switch-over may follow. False when the link is over. */
  async isDiscarded(): Promise<boolean> {
    if (this.#line === null) return false;
    const answer = this.word(["discarded", "unknown"]);
    void this.#tell(); // what was said before may have been answered before we listened
    return (await answer).word !== "closed";
  }

  /** After an abort that the target has acknowledged: the next switch-over is open. */
  reopen(): void {
    this.#verdict = "open";
  }

  /** Writes a record until it is durable, or nobody needs it any more. */
  async #decide(kind: RecordKind, isOver: () => boolean = () => false): Promise<void> {
    const { journal } = this.#owner;
    for (let ms = RETRY_MS; !isOver() && !this.#isClosed; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
      try {
        const last = journal.last ?? (await journal.settle());
        if (last.kind === kind && last.fence === this.fence) break;
        await journal.write(kind, this.fence);
        break;
      } catch {
        this.#owner.doubt(true);
        await this.#after(ms);
      }
    }
    this.#owner.doubt(false);
  }

  async #settled(): Promise<JournalRecord> {
    for (let ms = RETRY_MS; ; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
      try {
        const last = await this.#owner.journal.settle();
        this.#owner.doubt(false);
        return last;
      } catch {
        this.#owner.doubt(true);
        await this.#after(ms);
      }
    }
  }

  /** Waits, or less when there is a link again. */
  #after(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#owner.platform.after(ms, resolve);
      this.#wake = () => {
        stop();
        resolve();
      };
    });
  }

  /**
   * Until the target runs it, or has lost it: says GO over whatever link there is. "taken": the
   * operator took the machine.
   */
  async untilTaken(): Promise<"done" | "lost" | "taken"> {
    for (let ms = RETRY_MS; ; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
      if (this.#isTakenByForce) return "taken";
      if (this.#line !== null) {
        const answer = this.word(["done", "lost"]);
        void this.#tell();
        const { word } = await answer;
        if (word === "done" || word === "lost") {
          this.#owner.doubt(false);
          return word;
        }
      }
      this.#owner.doubt(true);
      await this.#connect(ms);
    }
  }

  /** Waits, then calls unless the target has. */
  async #connect(ms: number): Promise<void> {
    await this.#after(ms);
    await this.connect().catch(() => {}); // tried again
  }

  /** Calls the target unless there is a link. Rejects with "io" and what a refusal says. */
  async connect(): Promise<void> {
    if (this.#line !== null || this.#isClosed) return;
    const line = await this.#owner.dial();
    if (this.#isClosed || this.#line !== null) line.channel.close("there is another link");
    else this.attach(line);
  }

  /** The operator's decision: the machine is taken whatever the target does. */
  takeByForce(): void {
    this.#isTakenByForce = true;
    this.#line?.channel.close("the operator took the machine");
    this.#wake();
  }

  /** The machine goes on here: durable when it resolves. */
  async takeBack(): Promise<void> {
    await this.#decide("taken-back");
    this.#verdict = "taken-back";
    await this.#tell();
  }

  /**
   * The target runs it. It is told that nobody will ask again once that is durable: who is started
   * again before asks, and the target has to know. `onceTried` hears when it was tried once.
   */
  async done(onceTried: () => void): Promise<void> {
    const { journal } = this.#owner;
    await journal.write("done", this.fence).catch(onceTried);
    await this.#decide("done");
    this.#verdict = "done";
    await this.#tell();
    onceTried();
  }

  /** Until the target has heard that it was aborted; it may hold the machine's memory till then. */
  async untilHeard(): Promise<void> {
    for (let ms = RETRY_MS; !this.#isClosed; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
      if (await this.isDiscarded()) return;
      await this.#connect(ms);
    }
  }

  /** Nothing is said or waited for any more. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
    this.#line?.channel.close();
  }
}
