/**
 * source: the end of a migration that has the machine: copies its memory while it runs, stops it
 * for the rest, hands it over.
 *
 * Owns    one session from HELLO until the machine is elsewhere, or stays.
 * Used by manager.ts.
 * Holds   until the commit every failure leaves the machine running here. A switch-over that would
 *         not keep the limit is not begun, one that does not is abandoned; its pause counts.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { PageCodec } from "../core/page-codec.ts";
import { VmError } from "../errors.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";
import type { LinkDoor } from "../platform/link.ts";
import type { Ancestors } from "./ancestors.ts";
import { Bandwidth } from "./bandwidth.ts";
import { call, type Line } from "./call.ts";
import type {
  DiskWay,
  MigrateOptions,
  MigrationProgress,
  MigrationResult,
  MigrationSession,
} from "./contract.ts";
import { Convergence } from "./convergence.ts";
import { Downtime } from "./downtime.ts";
import { drawId, lineageOf } from "./ids.ts";
import type { MigrationJournal, SessionJournal } from "./journal.ts";
import { encodeLast } from "./last-section.ts";
import type { JsonMessage } from "./messages.ts";
import { PageServer } from "./postcopy-source.ts";
import { SessionLog, updatesOf } from "./session-log.ts";
import { SourceCommit, type TargetWord, type Verdict } from "./source-commit.ts";
import { asked, bringAll, waysOf } from "./source-init.ts";
import { SourceRounds } from "./source-rounds.ts";

const PAGE_BYTES = 4096;
/** A round takes as long at least: the guest has its turns between two. */
const ROUND_MS_MIN = 2;

/** What a session is begun with. */
export interface SourceParts {
  readonly platform: Platform;
  readonly door: LinkDoor;
  readonly journal: MigrationJournal;
  /** For all sessions. */
  readonly bandwidth: Bandwidth;
  readonly machine: Machine;
  readonly address: string;
  /** Where this end is called back; empty when it is not. */
  readonly callback: string;
  readonly options: MigrateOptions;
  /** Of this host: what left is kept, in case it comes back. */
  readonly ancestors: Ancestors;
  /** Nobody has to find the session any more. */
  readonly forget: (session: SourceSession) => void;
}

/** The end that has the machine. */
export class SourceSession implements MigrationSession {
  readonly side = "source";
  readonly id: string;
  readonly secret: string;
  readonly name: string;
  readonly machine: Machine;
  readonly ended: Promise<MigrationResult>;
  readonly bandwidth: Bandwidth;
  readonly #parts: SourceParts;
  readonly #ways: readonly DiskWay[];
  readonly #log: SessionLog;
  readonly #downtime: Downtime;
  /** When it is switched over. */
  readonly convergence: Convergence;
  #result: MigrationResult | null = null;
  #commit: SourceCommit | null = null;
  #channel: Line["channel"] | null = null;
  #rounds: SourceRounds | null = null;
  /** Of what stays behind, under post-copy. */
  #server: PageServer | null = null;
  #codec: PageCodec | null = null;
  #cancelled: string | null = null;
  #onCancel: (reason: string) => void = () => {};

  constructor(parts: SourceParts) {
    const { platform, machine, options } = parts;
    this.#parts = parts;
    this.id = drawId(platform);
    this.secret = drawId(platform);
    this.machine = machine;
    this.name = options.name ?? machine.name;
    this.#ways = waysOf(machine, options);
    this.bandwidth = new Bandwidth(platform, parts.bandwidth);
    this.bandwidth.limit = options.bandwidth ?? null;
    this.convergence = new Convergence(machine.share, options);
    this.#downtime = new Downtime(platform, () => machine.share.usedMs);
    this.#log = new SessionLog(platform);
    this.ended = this.#run().then((result) => {
      this.#result = result;
      this.#log.end(result);
      return result;
    });
  }

  // ---- looking ----

  get peer(): string {
    return this.#parts.address;
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

  /** What is decided about the latest switch-over. */
  get verdict(): Verdict {
    return this.#commit?.verdict ?? "open";
  }

  get progress(): MigrationProgress {
    const rounds = this.#rounds;
    const counts = rounds?.counts;
    const { sending, dirty } = rounds?.remaining ?? { sending: 0, dirty: 0 };
    return this.#log.progress({
      transferred: counts?.bytes ?? 0,
      remaining: (this.#server?.missing.count ?? sending + dirty) * PAGE_BYTES,
      total: this.machine.config.memoryBytes,
      duplicate: (counts?.zero ?? 0) + (counts?.same ?? 0),
      normal: (counts?.normal ?? 0) + (counts?.delta ?? 0) + (counts?.lz4 ?? 0),
      delta: counts?.delta ?? 0,
      lz4: counts?.lz4 ?? 0,
      rounds: rounds?.count ?? 0,
      bytesPerMs: this.bandwidth.bytesPerMs,
      diskBytes: rounds?.diskBytes ?? 0,
      throttle: this.convergence.throttlePercent,
      expectedMs: this.#log.phase === "init" ? null : this.#downtime.predict(dirty, 0),
      requests: this.#server?.requests ?? 0,
    });
  }

  updates(everyMs?: number): AsyncIterable<MigrationProgress> {
    return updatesOf(this, this.#parts.platform, everyMs);
  }

  // ---- asking ----

  /** See MigrationSession. */
  cancel(reason = "cancelled"): void {
    const verdict = this.#commit?.verdict ?? "open";
    if (this.#result !== null || verdict === "handed-over" || verdict === "done") {
      const text = `the migration of ${this.name} is ${this.#result?.kind ?? "committed"}`;
      throw new VmError("bad-state", `${text}: it cannot be cancelled`);
    }
    this.#cancelled ??= reason;
    this.bandwidth.goOn();
    this.#onCancel(this.#cancelled);
  }

  /** As `cancel`, for who does not mind that it comes too late. */
  cancelIfOpen(): void {
    try {
      this.cancel();
    } catch {
      // it is committed, or over
    }
  }

  /** Sends nothing until `resume`; the guest runs on, and the machine stays where it is. */
  pause(): void {
    const { phase } = this.#log;
    if (phase !== "init" && phase !== "copy-memory") {
      const text = `the migration of ${this.name} is in phase ${phase}`;
      throw new VmError("bad-state", `${text}: only one that copies memory is paused`);
    }
    this.bandwidth.hold();
  }

  /** Goes on. Throws "bad-state" unless it is paused. */
  resume(): void {
    if (!this.bandwidth.isHeld) {
      throw new VmError("bad-state", `the migration of ${this.name} is not paused`);
    }
    this.bandwidth.goOn();
  }

  /** The operator's decision: the machine goes on here although the target may have it. */
  takeByForce(): void {
    if (this.#commit?.verdict !== "handed-over") {
      throw new VmError("bad-state", `${this.name} was not handed over: there is nothing to take`);
    }
    this.#commit.takeByForce();
    this.#server?.take();
  }

  /**
   * Under post-copy, when the link was lost: calls the target again. `isAbandoning`: the target is
   * known to be dead, and the machine goes on here from where it was switched over; what it did
   * since is lost. Throws "bad-state", "io".
   */
  async recover({ isAbandoning = false } = {}): Promise<void> {
    if (this.status !== "postcopy-paused") {
      const text = `the migration of ${this.name} is ${this.status}`;
      throw new VmError("bad-state", `${text}: only one that is postcopy-paused is recovered`);
    }
    if (isAbandoning) this.takeByForce();
    else await (this.#commit as SourceCommit).connect();
  }

  /** The target calls. */
  attach(line: Line): void {
    if (this.#commit !== null) this.#commit.attach(line);
    else line.channel.close("not yet");
  }

  #check = (): void => {
    if (this.#cancelled !== null) throw new VmError("aborted", this.#cancelled);
    const { machine } = this;
    if (machine.isDisposed || machine.state === "terminated") {
      throw new VmError("aborted", `${machine.name} ended meanwhile: ${machine.reason}`);
    }
    this.#commit?.checkLink();
  };

  // ---- the session ----

  async #run(): Promise<MigrationResult> {
    const { signal } = this.#parts.options;
    const onAbort = () => this.cancelIfOpen();
    signal?.addEventListener("abort", onAbort);
    let journal: SessionJournal | null = null;
    try {
      if (signal?.aborted === true) this.cancel();
      this.#check();
      journal = await this.#setUp();
      do await this.#copy();
      while (!(await this.#switchOver()));
      return await this.#resumeTarget(journal);
    } catch (error) {
      return this.#stay(error, journal);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#release();
    }
  }

  /** INIT: the target takes the machine, or says why not. */
  async #setUp(): Promise<SessionJournal> {
    const { platform, door, address, callback, machine } = this.#parts;
    const beganMs = platform.wallMs();
    const facts = { session: this.id, secret: this.secret, machine: this.name };
    const greeting = { ...facts, purpose: "bring" as const, address: callback };
    const line = await call(door, platform, address, greeting);
    const ends = { source: callback, target: address, beganMs };
    let journal: SessionJournal | null = null;
    try {
      this.#check();
      journal = await this.#downtime.time("journal", () => {
        return this.#parts.journal.begin({ ...facts, side: "source", ...ends });
      });
      const hashKey = drawId(platform);
      const codec = await PageCodec.create({ platform, key: hexToBytes(hashKey) });
      await bringAll(machine, this.#check);
      const init = this.#init(hashKey);
      const { hasAncestor } = await asked(line, init, (stop) => {
        this.#onCancel = stop;
      });
      this.#onCancel = () => {};
      this.#check();
      this.#begin(line, journal, codec, hasAncestor);
      return journal;
    } catch (error) {
      line.channel.close((error as Error).message);
      if (journal !== null) await this.#parts.journal.forget(journal).catch(() => {});
      throw error;
    }
  }

  #init(hashKey: string): JsonMessage<"init"> {
    const { machine } = this;
    const { shape, sections } = machine.mover.facts();
    return {
      shape,
      sections: [...sections],
      disks: this.#ways.map((way, slot) => ({ way, name: `disk${slot}` })),
      pages: machine.view.frames,
      hashKey,
      lineage: lineageOf(machine, this.#parts.platform),
      isPaused: machine.mover.isPaused,
    };
  }

  #begin(line: Line, journal: SessionJournal, codec: PageCodec, isOffering: boolean): void {
    const { platform, door, address, callback, machine } = this.#parts;
    const { bandwidth } = this;
    this.#commit = new SourceCommit({
      platform,
      journal,
      dial: () => {
        const { id: session, secret, name } = this;
        const greeting = { session, secret, purpose: "talk", machine: name } as const;
        return call(door, platform, address, { ...greeting, address: callback });
      },
      doubt: (isInDoubt) => this.#log.doubt(isInDoubt),
    });
    this.#commit.attach(line);
    const { channel } = line;
    this.#channel = channel;
    const commit = this.#commit;
    this.#codec = codec;
    this.#rounds = new SourceRounds({
      ...{ platform, machine, channel, commit, codec, bandwidth, isOffering },
      ...{ ways: this.#ways, downtime: this.#downtime, log: this.#log, check: this.#check },
    });
    machine.mover.depart();
    this.#log.enter("copy-memory");
  }

  // ---- rounds ----

  /** COPY_MEMORY: rounds until a switch-over would keep the limit. */
  async #copy(): Promise<void> {
    const rounds = this.#rounds as SourceRounds;
    const onStop = (stop: (reason: string) => void) => {
      this.#onCancel = stop;
    };
    for (;;) {
      await this.bandwidth.held();
      this.#check();
      if (rounds.last !== null && this.#isTime(rounds)) return;
      const { platform } = this.#parts;
      const beganMs = platform.monotonicMs();
      this.convergence.beginRound();
      await rounds.acknowledged(await rounds.send(await rounds.capture()), onStop);
      const leftMs = ROUND_MS_MIN - (platform.monotonicMs() - beganMs);
      if (leftMs > 0) await new Promise<void>((resolve) => platform.after(leftMs, resolve));
    }
  }

  /** True when what is left fits into the limit, or the policy says that it is time. */
  #isTime(rounds: SourceRounds): boolean {
    const { pace } = rounds;
    this.#log.expect(pace.expectedMs);
    const { totalMs, abandoned } = this.#log;
    return this.convergence.isTime({ ...pace, totalMs, attempts: abandoned.length });
  }

  // ---- the switch-over ----

  /** COPY_DEVICE_STATE and TRANSFER_ACTIVE. False: abandoned, and the guest runs again. */
  async #switchOver(): Promise<boolean> {
    const { platform } = this.#parts;
    const commit = this.#commit as SourceCommit;
    const beganMs = platform.monotonicMs();
    const rounds = this.#rounds as SourceRounds;
    const { expectedMs } = rounds;
    this.#log.enter("copy-device-state");
    await this.machine.mover.standStill();
    this.#log.paused(beganMs);
    let isGone = false;
    try {
      const verdict = await this.#sendRest(rounds, beganMs);
      this.#check();
      if (verdict === "ready" && (await commit.handOver())) {
        isGone = true;
        this.#log.enter("transfer-active");
        return true;
      }
      if (commit.verdict === "pending") await commit.abort();
    } catch (error) {
      if (commit.verdict === "pending") await commit.abort();
      throw error;
    } finally {
      if (!isGone) {
        this.machine.mover.goOn();
        const ms = platform.monotonicMs() - beganMs;
        this.#log.abandon(ms);
        this.#downtime.tellAttempt(expectedMs, ms);
      }
    }
    this.#server = null;
    if (commit.verdict === "aborted") {
      if (!(await commit.isDiscarded())) throw new VmError("io", "the link to the target is over");
      commit.reopen();
    }
    this.#check();
    this.#log.enter("copy-memory");
    return false;
  }

  /** Pages, blocks and sections of the guest that stands still. "over": there is no more time. */
  async #sendRest(rounds: SourceRounds, beganMs: number): Promise<TargetWord | "over"> {
    const { platform, machine } = this.#parts;
    const commit = this.#commit as SourceCommit;
    const { isPaused } = machine.mover;
    const capture = await rounds.capture();
    const { sections, wallMs } = capture;
    const { limitMs, isForced, isPostcopy } = this.convergence;
    const remote = isPostcopy ? await this.#leave(rounds, capture) : null;
    if (!isPostcopy) await rounds.send(capture);
    const leftMs = () => limitMs - (platform.monotonicMs() - beganMs);
    if (leftMs() <= this.#downtime.commitMs && !isForced) return "over";
    this.#check();
    commit.fence++;
    const { fence } = commit;
    const sum = rounds.sum();
    const body = encodeLast(sections, { wallMs, isPaused, sum, remote });
    commit.pending();
    const answer = commit.word(["ready", "refuse"]);
    await (this.#channel as Line["channel"]).send("sections", body, { fence });
    const ms = isForced ? null : Math.max(0, leftMs() - this.#downtime.commitMs);
    return this.#inTime(answer, ms);
  }

  /** What changed stays here: the bits of its pages; null when there are none. */
  async #leave(rounds: SourceRounds, capture: MachineCapture): Promise<Uint8Array | null> {
    const commit = this.#commit as SourceCommit;
    const left = await rounds.leave(capture);
    if (left.length === 0) return null;
    const { ramPages } = this.machine.config;
    const server = new PageServer(
      {
        platform: this.#parts.platform,
        ...{ root: capture.root, ramPages, codec: this.#codec as PageCodec },
        ...{ bandwidth: this.bandwidth, counts: rounds.counts, channel: () => commit.channel },
        paused: (isPaused) => this.#log.postcopy(isPaused ? "paused" : "active"),
      },
      left,
    );
    this.#server = server;
    commit.onPages = (name, body) => server.message(name, body);
    commit.onLink = () => server.linkChanged();
    commit.onRestarted = () => server.restarted();
    return server.missing.bytes.slice();
  }

  /** What the target says, unless it takes too long or somebody cancels. */
  #inTime(
    answer: Promise<{ word: TargetWord; why: string }>,
    ms: number | null,
  ): Promise<TargetWord | "over"> {
    return new Promise((resolve, reject) => {
      const stop = ms === null ? () => {} : this.#parts.platform.after(ms, () => resolve("over"));
      this.#onCancel = () => resolve("over");
      void answer.then(({ word, why }) => {
        stop();
        this.#onCancel = () => {};
        if (word === "ready") resolve(word);
        else reject(new VmError("io", `${this.peer}: ${why}`));
      });
    });
  }

  // ---- the end ----

  /** RESUME_TARGET and CLEANUP: until the machine runs there, or is known to be lost. */
  async #resumeTarget(journal: SessionJournal): Promise<MigrationResult> {
    const commit = this.#commit as SourceCommit;
    const { machine } = this;
    this.#log.enter("resume-target");
    let outcome = await commit.untilTaken();
    if (outcome === "done") this.#log.resumed();
    if (outcome === "done" && this.#server !== null) {
      const end = await this.#server.run();
      this.#log.postcopy(null);
      if (end === "taken") outcome = end;
    }
    if (outcome === "done") {
      this.#log.enter("cleanup");
      if (!machine.isDisposed && machine.state !== "terminated") machine.terminate("migrated");
      machine.mover.goOn(); // another life may begin here
      this.#keepAncestor();
      // a journal that fails keeps the session, and nobody else
      await new Promise<void>((resolve) => {
        void commit.done(resolve).then(() => this.#forget(journal));
      });
      return { kind: "completed", machine: "at-target" };
    }
    const reason = outcome === "lost" ? "the target lost it" : "the operator took it";
    await commit.takeBack();
    this.#log.enter("cleanup");
    const isHere = !machine.isDisposed && machine.state !== "terminated";
    if (isHere) machine.mover.remain(reason);
    // a target that runs it without its pages is told the same by who knows nothing of it
    if (outcome === "lost" || this.#server !== null) await this.#forget(journal);
    return isHere
      ? { kind: "taken-back", machine: "at-source", reason }
      : { kind: "lost", machine: "nowhere", reason: `${reason}, and it was ended here` };
  }

  /** The machine may come back: what it had here need not be sent then. */
  #keepAncestor(): void {
    const { platform, ancestors, machine } = this.#parts;
    const last = this.#rounds?.leaveLast() ?? null;
    if (last !== null) ancestors.keep(lineageOf(machine, platform), last.leaveRoot());
  }

  /** The machine runs on. */
  async #stay(error: unknown, journal: SessionJournal | null): Promise<MigrationResult> {
    const { machine } = this;
    const commit = this.#commit;
    this.#log.enter("cleanup");
    const reason = error instanceof Error ? error.message : String(error);
    if (!machine.isDisposed && machine.state === "migration-source") machine.mover.remain(reason);
    if (journal !== null && commit !== null) {
      // a target that may be prepared has to hear of it, however long that takes
      if (commit.verdict === "aborted") {
        void commit.untilHeard().then(() => this.#forget(journal));
      } else await this.#forget(journal);
    } else this.#parts.forget(this);
    const machineAt = { machine: "at-source", reason } as const;
    if (this.#cancelled !== null || (error instanceof VmError && error.code === "aborted")) {
      return { kind: "cancelled", ...machineAt };
    }
    if (commit === null) return { kind: "refused", ...machineAt };
    return { kind: "failed", ...machineAt };
  }

  async #forget(journal: SessionJournal): Promise<void> {
    this.#commit?.close();
    await this.#parts.journal.forget(journal).catch(() => {});
    this.#parts.forget(this);
  }

  #release(): void {
    this.convergence.release();
    this.#rounds?.close();
  }
}
