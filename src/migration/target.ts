/**
 * target: the end of a migration that a machine arrives at.
 *
 * Owns    one session from INIT on: the machine that is being made, until it runs, or is discarded.
 * Used by manager.ts.
 * Holds   it never runs without GO, and never discards without ABORT what it has prepared: section
 *         9 of the design. Whatever else the other end sends is checked before it is used, and what
 *         is wrong ends the session, not the process.
 *
 *   receiving ──last section──► "prepared", READY ──GO──► "owned", runs, DONE ──CLOSED──► forgotten
 *       ▲                             └──ABORT──► "discarded", DISCARDED ──┐
 *       └──────────────────────────────────────────────────────────────────┘
 */
import { VmError } from "../errors.ts";
import type { Job } from "../machine/jobs.ts";
import type { Machine } from "../machine/machine.ts";
import { call, type Greeting, type Line } from "./call.ts";
import type { DataSink, Message, Receiver } from "./channel.ts";
import type { MigrationProgress, MigrationResult, MigrationSession } from "./contract.ts";
import { setLineage } from "./ids.ts";
import type { RecordKind, SessionJournal } from "./journal.ts";
import { decodeLast, type LastFacts } from "./last-section.ts";
import { decodeJson, encodeJson, type InitFacts, initFacts, type JsonMessage } from "./messages.ts";
import { fetchBody, type RemoteOwner, RemotePages } from "./postcopy-target.ts";
import { SessionLog, updatesOf } from "./session-log.ts";
import { dismantle, type Incoming, makeIncoming, type TargetParts } from "./target-init.ts";

/** First and longest wait before the source is asked again. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 5_000;
const PAGE_BYTES = 4096;
/** After so long pages for which there was no frame are asked for again. */
const SHORT_MS = 100;

/** What of the machine is decided. */
type Standing = "receiving" | "prepared" | "owned" | "discarded";

/** The end that a machine arrives at. */
export class TargetSession implements MigrationSession, Receiver {
  readonly side = "target";
  readonly id: string;
  readonly secret: string;
  readonly name: string;
  readonly ended: Promise<MigrationResult>;
  readonly #parts: TargetParts;
  readonly #greeting: Greeting;
  readonly #log: SessionLog;
  #line: Line | null;
  #standing: Standing = "receiving";
  /** Of what is prepared, or was decided last. */
  #fence = 0;
  #last: LastFacts | null = null;
  #incoming: Incoming | null = null;
  #journal: SessionJournal | null = null;
  /** What stayed at the source, under post-copy; null once all is here. */
  #remote: RemotePages | null = null;
  #job: Job | null = null;
  #rounds = 0;
  #result: MigrationResult | null = null;
  #end: (result: MigrationResult) => void = () => {};
  /** One thing at a time, whichever link it came by. */
  #turn: Promise<void> = Promise.resolve();
  #isClosed = false;
  #isAsking = false;
  #wake: () => void = () => {};

  constructor(parts: TargetParts, line: Line, greeting: Greeting) {
    this.#parts = parts;
    this.#line = line;
    this.#greeting = greeting;
    this.id = greeting.session;
    this.secret = greeting.secret;
    this.name = greeting.machine;
    this.#log = new SessionLog(parts.platform);
    this.ended = new Promise((resolve) => {
      this.#end = (result) => {
        if (this.#result !== null) return;
        this.#result = result;
        this.#log.end(result);
        resolve(result);
      };
    });
    line.give(this.#on(line));
  }

  // ---- looking ----

  get peer(): string {
    return this.#line?.channel.peer ?? this.#greeting.address;
  }

  get machine(): Machine | null {
    return this.#incoming?.machine ?? null;
  }

  get phase() {
    return this.#log.phase;
  }

  get status() {
    return this.#log.status;
  }

  get timeline() {
    return this.#log.timeline;
  }

  get result(): MigrationResult | null {
    return this.#result;
  }

  /** What is decided, for whoever asks. */
  get standing(): Standing {
    return this.#standing;
  }

  get progress(): MigrationProgress {
    const incoming = this.#incoming;
    const remote = this.#remote;
    return this.#log.progress({
      transferred: (incoming?.pages.bytes ?? 0) + (remote?.bytes ?? 0),
      remaining: (remote?.missing.count ?? 0) * PAGE_BYTES,
      total: incoming?.machine.config.memoryBytes ?? 0,
      duplicate: 0,
      normal: Math.floor((incoming?.pages.bytes ?? 0) / PAGE_BYTES),
      delta: 0,
      lz4: 0,
      rounds: this.#rounds,
      bytesPerMs: null,
      diskBytes: incoming?.blocks.bytes ?? 0,
      throttle: 0,
      expectedMs: null,
      requests: remote?.faults ?? 0,
    });
  }

  updates(everyMs?: number): AsyncIterable<MigrationProgress> {
    return updatesOf(this, this.#parts.platform, everyMs);
  }

  // ---- links ----

  /** The source calls again. */
  attach(line: Line): void {
    if (this.#isClosed) {
      line.channel.close("the session is over");
      return;
    }
    const before = this.#line;
    this.#line = line;
    before?.channel.close("another link took its place");
    line.give(this.#on(line));
    this.#wake();
  }

  /** What a link that is not the session's any more says does not count. */
  #on(line: Line): Receiver {
    return {
      message: (message) => this.message(message),
      begin: (message, bytes) => this.begin(message, bytes),
      closed: (why) => {
        if (this.#line === line) this.closed(why);
      },
    };
  }

  message(message: Message): Promise<void> {
    const work = this.#turn.then(() => this.#take(message));
    this.#turn = work.catch(() => {});
    return work;
  }

  begin({ name, body }: Message, dataBytes: number): DataSink {
    const incoming = this.#incoming;
    if (name === "pages" && this.#standing === "owned" && this.#remote !== null) {
      return this.#remote.begin(body, dataBytes);
    }
    if (incoming === null || this.#standing !== "receiving") {
      throw new VmError("bad-file", `the source sent ${name} while nothing was to come`);
    }
    const to = name === "pages" ? incoming.pages : incoming.blocks;
    return to.begin(body, dataBytes);
  }

  closed(why: string): void {
    this.#line = null;
    this.#turn = this.#turn.then(() => {
      if (this.#standing === "owned" && this.#remote !== null) this.#log.postcopy("paused");
      else if (this.#standing === "prepared" || this.#standing === "owned") this.#ask();
      else if (this.#standing === "receiving") return this.#discard(`the link is over: ${why}`);
    });
  }

  async #take({ name, fence, body }: Message): Promise<void> {
    if (this.#isClosed) return;
    switch (name) {
      case "init":
        return this.#init(initFacts(decodeJson("init", body)));
      case "offer":
        return this.#say("have", this.#need().pages.offer(body));
      case "roundEnd":
        return this.#roundEnd(body);
      case "sections":
        return this.#prepare(body, fence);
      case "go":
        return this.#go(fence);
      case "abort":
        return this.#abort(fence);
      case "ask":
        return this.#say("answer", this.#answer());
      case "closed":
        return this.#closedBySource();
      case "answer":
        return this.#answered(decodeJson("answer", body));
      case "refuse":
        return;
      default:
        throw new VmError("bad-file", `the source sent ${name}`);
    }
  }

  async #say(name: Message["name"], body?: Uint8Array): Promise<void> {
    // that a link is over is told elsewhere
    await this.#line?.channel.send(name, body, { fence: this.#fence }).catch(() => {});
  }

  #answer(): Uint8Array {
    const kind: RecordKind | null = this.#standing === "receiving" ? null : this.#standing;
    const record = kind === null ? null : { kind, fence: this.#fence };
    return encodeJson("answer", { record, isOpen: this.#standing === "receiving" });
  }

  // ---- INIT ----

  async #init(facts: InitFacts): Promise<void> {
    if (this.#incoming !== null) throw new VmError("bad-file", "the source sent init twice");
    const { platform, journal, address } = this.#parts;
    const { session, secret, machine, address: source } = this.#greeting;
    const incoming = await makeIncoming(this.#parts, facts, {
      session,
      name: this.name,
      shape: facts.shape,
      disks: facts.disks,
      peer: this.peer,
    });
    try {
      this.#journal = await journal.begin({
        ...{ session, secret, machine, source, target: address },
        side: "target",
        beganMs: platform.wallMs(),
      });
    } catch (error) {
      await dismantle(incoming);
      throw error;
    }
    this.#incoming = incoming;
    this.#log.enter("copy-memory");
    await this.#say("accept", encodeJson("accept", { hasAncestor: incoming.pages.hasOffers }));
  }

  // ---- COPY_MEMORY, COPY_DEVICE_STATE ----

  #need(): Incoming {
    if (this.#incoming === null) throw new VmError("bad-file", "the source sent no init");
    return this.#incoming;
  }

  async #roundEnd(body: Uint8Array): Promise<void> {
    this.#need().pages.roundEnd();
    const facts = decodeJson("roundEnd", body);
    this.#rounds = facts.round;
    await this.#say("roundAck", encodeJson("roundAck", facts));
  }

  /** All is here: it is what the source has, and that is written down. */
  async #prepare(body: Uint8Array, fence: number): Promise<void> {
    const { machine, facts, pages, blocks } = this.#need();
    if (this.#standing !== "receiving" || fence <= this.#fence) {
      throw new VmError("bad-file", `the source sent sections with fence ${fence}`);
    }
    this.#log.enter("copy-device-state");
    const { sections, facts: last } = decodeLast(body);
    pages.roundEnd();
    const pagesLeft = last.remote === null ? null : this.#remotePages(last.remote);
    const remote = pagesLeft?.missing.count === 0 ? null : pagesLeft;
    const sum = pages.hashes.sum();
    if (sum.some((byte, at) => byte !== last.sum[at])) {
      throw new VmError("bad-file", "the memory that arrived is not the source's");
    }
    const { shape } = facts;
    const { wallMs } = last;
    await machine.adopt({ shape, sections, wallMs, fill: () => {} }, { identity: "same" });
    if (facts.disks.some(({ way }) => way === "carried")) await blocks.flush();
    remote?.spread();
    machine.setPager(remote);
    this.#remote = remote;
    this.#last = last;
    this.#fence = fence;
    // from here on only the source's word counts, even when the record fails
    this.#standing = "prepared";
    await this.#write("prepared");
    this.#log.enter("transfer-active");
    await this.#say("ready");
    if (this.#line === null) this.#ask();
  }

  /** Those that stay at the source do not count for the sum. */
  #remotePages(bits: Uint8Array): RemotePages {
    const { machine, pages } = this.#need();
    const { view } = machine;
    const owner: RemoteOwner = {
      ...{ view, codec: pages.codec },
      fetch: (wanted) => void this.#say("fetch", fetchBody(wanted)),
      short: () => this.#missLater(),
      over: () => {
        // one that is disposed before it is ours was not completed by that
        if (this.#standing === "owned") void this.#completed();
      },
    };
    const remote = new RemotePages(owner, bits);
    for (const [first, count] of remote.missing.runs()) {
      for (let page = first; page < first + count; page++) pages.hashes.clear(page);
    }
    return remote;
  }

  /** Writes a record, or throws: it is then known not to be there, or there in spite of that. */
  async #write(kind: RecordKind): Promise<void> {
    const journal = this.#journal as SessionJournal;
    if (journal.last === null) await journal.settle();
    await journal.write(kind, this.#fence);
  }

  // ---- the source's word ----

  async #go(fence: number): Promise<void> {
    if (this.#standing === "owned" && fence === this.#fence) return this.#sayDone();
    if (this.#standing !== "prepared" || fence !== this.#fence) {
      return this.#say("answer", this.#answer());
    }
    await this.#own();
    await this.#sayDone();
  }

  /** It runs here; what it lacks is asked for over this link from now on. */
  async #sayDone(): Promise<void> {
    await this.#say("done");
    const remote = this.#remote;
    if (remote === null) {
      if (this.#last?.remote !== null) await this.#say("complete");
      return;
    }
    this.#log.postcopy("active");
    await this.#say("missing", remote.missing.bytes);
    remote.askAgain();
  }

  /** There was no frame for some pages: they are asked for again once there may be. */
  #missLater(): void {
    if (this.#isMissing) return;
    this.#isMissing = true;
    this.#parts.platform.after(SHORT_MS, () => {
      this.#isMissing = false;
      if (this.#remote !== null) void this.#say("missing", this.#remote.missing.bytes);
    });
  }

  #isMissing = false;

  /** Every page is here, or the machine has ended. */
  async #completed(): Promise<void> {
    const { machine, unpromise } = this.#need();
    const remote = this.#remote as RemotePages;
    this.#remote = null;
    unpromise();
    if (!machine.isDisposed) machine.pages.done(remote);
    this.#job?.end();
    this.#log.postcopy(null);
    this.#log.enter("cleanup");
    await this.#say("complete");
    this.#end({ kind: "completed", machine: "at-target" });
    if (this.#line === null) this.#ask();
  }

  /** The source has lost what the machine lacks, or has taken the machine back. */
  async #lose(reason: string): Promise<void> {
    const { machine } = this.#need();
    const remote = this.#remote as RemotePages;
    this.#remote = null;
    const text = `${remote.missing.count} pages of ${machine.name} are lost: ${reason}`;
    remote.fail(text);
    if (!machine.isDisposed && machine.state !== "terminated") machine.terminate("pages lost");
    this.#need().unpromise();
    this.#job?.end();
    this.#log.postcopy(null);
    this.#end({ kind: "lost", machine: "nowhere", reason: text });
    await this.#forget();
  }

  /**
   * Under post-copy, when the link was lost: calls the source again, at `address` where it is
   * another one by now. Throws "bad-state", "io".
   */
  async recover(address = this.#greeting.address): Promise<void> {
    if (this.status !== "postcopy-paused") {
      const text = `the migration of ${this.name} is ${this.status}`;
      throw new VmError("bad-state", `${text}: only one that is postcopy-paused is recovered`);
    }
    if (address === "") {
      const how = "give its address, or recover it there";
      throw new VmError("bad-state", `${this.name} came from where nobody listens: ${how}`);
    }
    const { door, platform, address: here } = this.#parts;
    const { session, secret, machine } = this.#greeting;
    const greeting = { session, secret, machine, purpose: "talk", address: here } as const;
    this.attach(await call(door, platform, address, greeting));
    await this.#say("ask");
  }

  /** Until it is durable that the machine is ours. */
  async #own(): Promise<void> {
    for (let ms = RETRY_MS; !this.#isClosed; ms = Math.min(ms * 2, RETRY_MS_MAX)) {
      try {
        const journal = this.#journal as SessionJournal;
        const last = journal.last ?? (await journal.settle());
        if (last.kind !== "owned" || last.fence !== this.#fence) await this.#write("owned");
        break;
      } catch {
        this.#log.doubt(true);
        await this.#after(ms);
      }
    }
    if (this.#isClosed) return;
    this.#log.doubt(false);
    this.#standing = "owned";
    this.#run();
  }

  #run(): void {
    const { machine, facts, unpromise } = this.#need();
    this.#log.enter("resume-target");
    if (this.#remote === null) unpromise();
    else {
      this.#log.postcopy("active");
      // nobody has had it yet: it begins at once
      void machine.jobs.begin("postcopy").then((job) => {
        this.#job = job;
        if (this.#remote === null) job.end();
      });
    }
    setLineage(machine, facts.lineage);
    machine.mover.arrive(this.#last?.isPaused === true ? "paused" : "running");
    this.#parts.arrived(machine, this);
    if (this.#remote !== null) return;
    this.#log.enter("cleanup");
    this.#end({ kind: "completed", machine: "at-target" });
  }

  async #abort(fence: number): Promise<void> {
    if (this.#standing === "owned") return this.#say("answer", this.#answer());
    if (this.#standing === "prepared" && fence === this.#fence) {
      this.#standing = "receiving";
      this.#last = null;
      this.#absentNoMore();
      this.#log.enter("copy-memory");
      // best effort: a process that ends now says "lost", and the source runs anyway
      await this.#write("discarded").catch(() => {});
    }
    if (this.#standing === "prepared") return this.#say("answer", this.#answer());
    await this.#line?.channel.send("discarded", undefined, { fence }).catch(() => {});
    if (this.#line === null) await this.#discard("the source runs on, and the link is over");
  }

  /** What was to stay at the source comes with a later round. */
  #absentNoMore(): void {
    const remote = this.#remote;
    if (remote === null) return;
    this.#remote = null;
    remote.undo();
    this.#need().machine.pages.done(remote);
  }

  /** The source will ask no more. */
  async #closedBySource(): Promise<void> {
    if (this.#standing === "prepared") return;
    if (this.#remote !== null) return this.#lose("the source has them no more");
    if (this.#standing === "receiving") await this.#discard("the source gave it up");
    await this.#forget();
  }

  /** A source that knows nothing of it has heard that it runs here. */
  async #answered({ record, isOpen }: JsonMessage<"answer">): Promise<void> {
    if (this.#standing !== "owned" || record !== null || isOpen) return;
    if (this.#remote !== null) await this.#lose("the source knows nothing of it");
    else await this.#forget();
  }

  /** Nothing of it is needed here. */
  async #discard(reason: string): Promise<void> {
    if (this.#standing === "owned") return;
    this.#standing = "discarded";
    const incoming = this.#incoming;
    this.#incoming = null;
    if (incoming !== null) await dismantle(incoming);
    this.#log.enter("cleanup");
    this.#end({ kind: "failed", machine: "at-source", reason });
    await this.#forget();
  }

  async #forget(): Promise<void> {
    this.#isClosed = true;
    this.#line?.channel.close();
    if (this.#journal !== null) await this.#parts.journal.forget(this.#journal).catch(() => {});
    this.#parts.forget();
  }

  // ---- in doubt ----

  /** Prepared, and no link: asks the source until it says what is to be. */
  #ask(): void {
    if (this.#isAsking || this.#greeting.address === "") {
      this.#log.doubt(this.#standing === "prepared");
      return;
    }
    this.#isAsking = true;
    void this.#askUntilTold().finally(() => {
      this.#isAsking = false;
      this.#log.doubt(false);
    });
  }

  async #askUntilTold(): Promise<void> {
    const { door, platform, address } = this.#parts;
    const { session, secret, machine, address: source } = this.#greeting;
    const isWaiting = () => {
      return !this.#isClosed && (this.#standing === "prepared" || this.#standing === "owned");
    };
    for (let ms = RETRY_MS; isWaiting(); ) {
      this.#log.doubt(this.#standing === "prepared");
      if (this.#line === null) {
        try {
          const greeting = { session, secret, machine, purpose: "talk", address } as const;
          const line = await call(door, platform, source, greeting);
          if (this.#line === null && !this.#isClosed) this.attach(line);
          else line.channel.close("there is another link");
          ms = RETRY_MS;
        } catch {
          // asked again below
        }
      }
      if (!isWaiting()) return;
      await this.#say("ask");
      await this.#after(ms);
      ms = Math.min(ms * 2, RETRY_MS_MAX);
    }
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

  /** The operator's decision, outside "never two": it runs here without the source's word. */
  async takeByForce(): Promise<void> {
    if (this.#standing !== "prepared") {
      throw new VmError("bad-state", `${this.name} is not in doubt here: it is ${this.#standing}`);
    }
    const work = this.#turn.then(() => this.#own());
    this.#turn = work.catch(() => {});
    await work;
  }

  /** See MigrationSession. */
  cancel(reason = "cancelled"): void {
    if (this.#standing !== "receiving" || this.#result !== null) {
      const what = this.#result?.kind ?? this.#standing;
      throw new VmError("bad-state", `the migration of ${this.name} is ${what}: ask the source`);
    }
    const line = this.#line;
    if (line === null) return;
    void line.channel.hangUp(new VmError("busy", reason));
  }

  /** The process ends, or the host goes: nothing is answered any more. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
    this.#line?.channel.close();
  }
}
