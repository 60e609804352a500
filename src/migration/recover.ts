/**
 * recover: a session whose process has ended, at the end that it had here: the machine is gone from
 * here, and what the journal says decides what the other end is told.
 *
 * Used by manager.ts.
 * Holds   section 9 of the design, step 5: a source with no record has not run past the
 *         switch-over, so that a target that shows "prepared" may have the machine; a target that
 *         was prepared and has no memory any more has lost it, durably, before it says so, and
 *         takes no GO after that.
 */
import { VmError } from "../errors.ts";
import type { Platform } from "../platform/contract.ts";
import type { LinkDoor } from "../platform/link.ts";
import { call, type Line } from "./call.ts";
import type { Channel, Message } from "./channel.ts";
import type { JournalRecord, MigrationJournal, RecordKind, SessionJournal } from "./journal.ts";
import { decodeJson, encodeJson } from "./messages.ts";

const RETRY_MS = 50;
const RETRY_MS_MAX = 30_000;

/** What is known of such a session. */
export interface Recovered {
  readonly id: string;
  readonly side: "source" | "target";
  readonly machine: string;
  readonly peer: string;
  /** The last decision; null while nobody knows. */
  readonly record: JournalRecord | null;
}

/** What it is made with. */
export interface RecoverParts {
  readonly platform: Platform;
  readonly door: LinkDoor;
  readonly journal: MigrationJournal;
  readonly found: SessionJournal;
  /** Where this process is called by now. */
  readonly address: () => string;
  readonly forget: () => void;
}

/** Talks for a process that has ended. */
export class RecoveredSession {
  readonly secret: string;
  readonly #parts: RecoverParts;
  #line: Line | null = null;
  #turn: Promise<void> = Promise.resolve();
  #isOver = false;
  #wake: () => void = () => {};

  constructor(parts: RecoverParts) {
    this.#parts = parts;
    this.secret = parts.found.facts.secret;
    // a target says nothing before it is sure that it takes no GO any more
    if (!this.#isSource && this.#last.kind === "prepared") this.#turn = this.#decide("lost");
    void this.#turn.then(() => this.#run());
  }

  get facts(): Recovered {
    const { facts, last } = this.#parts.found;
    const { session: id, side, machine } = facts;
    return { id, side, machine, peer: this.#peer, record: last };
  }

  get #peer(): string {
    const { facts } = this.#parts.found;
    return facts.side === "source" ? facts.target : facts.source;
  }

  get #isSource(): boolean {
    return this.#parts.found.facts.side === "source";
  }

  /** The other end calls. */
  attach(line: Line): void {
    if (this.#isOver) {
      line.channel.close("the session is over");
      return;
    }
    this.#line?.channel.close("another link took its place");
    this.#line = line;
    const { channel } = line;
    line.give({
      message: (message) => {
        const work = this.#turn.then(() => this.#take(message, channel));
        this.#turn = work.catch(() => {});
        return work;
      },
      begin: ({ name }: Message) => {
        throw new VmError("bad-file", `${channel.peer} sent ${name} for a machine that is gone`);
      },
      closed: () => {
        if (this.#line === line) this.#line = null;
        this.#wake();
      },
    });
    this.#wake();
  }

  // ---- what is decided without the other end, then talks until nobody asks ----

  async #run(): Promise<void> {
    const { found } = this.#parts;
    const { kind } = found.records.at(-1) as JournalRecord;
    if (this.#isSource ? kind === "done" : kind === "began" || kind === "discarded") {
      return this.#forget();
    }
    for (let ms = RETRY_MS; !this.#isOver; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
      if (this.#line === null && this.#peer !== "") {
        await this.#call();
        if (this.#line !== null) ms = RETRY_MS;
      }
      if (this.#isOver) return;
      if (this.#line !== null) await this.#speak(this.#line.channel).catch(() => {});
      await this.#after(ms);
    }
  }

  async #call(): Promise<void> {
    const { door, platform, found, address } = this.#parts;
    const { session, secret, machine } = found.facts;
    try {
      const greeting = { session, secret, machine, purpose: "talk", address: address() } as const;
      const line = await call(door, platform, this.#peer, greeting);
      if (this.#isOver || this.#line !== null) line.channel.close("there is another link");
      else this.attach(line);
    } catch {
      // tried again
    }
  }

  /** What this end has to say or to ask, given what is decided. */
  async #speak(channel: Channel): Promise<void> {
    const { kind, fence } = this.#last;
    if (!this.#isSource) {
      const record = { kind, fence };
      return channel.send("answer", encodeJson("answer", { record, isOpen: false }), { fence });
    }
    if (kind === "handed-over") return channel.send("go", undefined, { fence });
    if (kind === "aborted") return channel.send("abort", undefined, { fence });
    if (kind === "taken-back" || kind === "done") {
      await channel.send("closed", undefined, { fence });
      return this.#forget();
    }
    return channel.send("ask");
  }

  get #last(): JournalRecord {
    return this.#parts.found.records.at(-1) as JournalRecord;
  }

  /** Writes a record until it is durable. */
  async #decide(kind: RecordKind, fence = this.#last.fence): Promise<void> {
    const { found } = this.#parts;
    for (let ms = RETRY_MS; !this.#isOver; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
      try {
        const last = found.last ?? (await found.settle());
        if (last.kind === kind && last.fence === fence) return;
        await found.write(kind, fence);
        return;
      } catch {
        await this.#after(ms);
      }
    }
  }

  async #take(message: Message, channel: Channel): Promise<void> {
    if (this.#isOver) return;
    if (this.#isSource) await this.#takeAsSource(message, channel);
    else await this.#takeAsTarget(message, channel);
  }

  async #takeAsSource({ name, fence, body }: Message, channel: Channel): Promise<void> {
    const { kind } = this.#last;
    if (name === "ask" || name === "ready") {
      // a target asks because it is prepared, and says so when it is asked
      return kind === "began" ? channel.send("ask") : this.#speak(channel);
    }
    if (name === "done") {
      await this.#decide("done", fence);
      return this.#speak(channel);
    }
    if (name === "discarded") return this.#forget();
    if (name !== "answer") return;
    const { record, isOpen } = decodeJson("answer", body);
    if (record?.kind === "owned") {
      await this.#decide("done", record.fence);
      return this.#speak(channel);
    }
    if (kind === "handed-over") {
      if (record?.kind !== "lost") return;
      await this.#decide("taken-back"); // the machine is in neither process any more
      return this.#speak(channel);
    }
    if (kind !== "began" && kind !== "aborted") return;
    if (record?.kind === "prepared" && kind === "began") {
      await this.#decide("handed-over", record.fence);
      return this.#speak(channel);
    }
    if (kind === "aborted" && record?.kind === "prepared" && record.fence > this.#last.fence) {
      // prepared again after the one that was taken back: not decided yet
      await this.#decide("handed-over", record.fence);
      return this.#speak(channel);
    }
    if (kind === "began") await this.#decide("aborted", record?.fence ?? 0);
    if (record === null && !isOpen) return this.#forget();
    // what was said already is said again in time, not for every answer
    if (kind === "began") return this.#speak(channel);
  }

  async #takeAsTarget({ name, fence }: Message, channel: Channel): Promise<void> {
    if (name === "closed") return this.#forget();
    if (name === "abort") {
      await channel.send("discarded", undefined, { fence });
      return this.#forget(); // GO never follows
    }
    if (name === "answer") {
      // the source knows nothing of it any more, and so has nothing to ask
      return this.#forget();
    }
    if (name === "go" && this.#last.kind === "owned" && this.#last.fence === fence) {
      await channel.send("done", undefined, { fence });
      // to a source that still has pages it means that nobody will ask for them
      return this.#speak(channel);
    }
    if (name === "go" || name === "ask") return this.#speak(channel);
  }

  async #forget(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#parts.journal.forget(this.#parts.found).catch(() => {});
    this.#parts.forget();
    this.#line?.channel.close();
    this.#wake();
  }

  #after(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#parts.platform.after(ms, resolve);
      this.#wake = () => {
        stop();
        resolve();
      };
    });
  }

  /** The process ends: the next one goes on. */
  close(): void {
    this.#isOver = true;
    this.#line?.channel.close();
    this.#wake();
  }
}
