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
import type { DirtyLog } from "../core/dirty-log.ts";
import { PageCodec } from "../core/page-codec.ts";
import type { DiskMark } from "../device/block/disk.ts";
import { VmError } from "../errors.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";
import type { LinkDoor } from "../platform/link.ts";
import { gather } from "../snapshot/track.ts";
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
import { BlockSender, changedBytes } from "./disks.ts";
import { Downtime } from "./downtime.ts";
import { drawId, lineageOf } from "./ids.ts";
import type { MigrationJournal, SessionJournal } from "./journal.ts";
import { encodeLast } from "./last-section.ts";
import { decodeJson, encodeJson, type JsonMessage } from "./messages.ts";
import { offerPages } from "./offer.ts";
import { SessionLog } from "./session-log.ts";
import { SourceCommit, type TargetWord } from "./source-commit.ts";
import { asked, bringAll, waysOf } from "./source-init.ts";
import { PageSender } from "./source-memory.ts";

const PAGE_BYTES = 4096;
/** Switch-overs that are tried before the policy decides; the journal has room for more. */
export const SWITCHES_MAX = 40;
/** Sections and what surrounds them, as counted for a prediction. */
const SECTION_BYTES = 100_000;
/** A round takes as long at least: the guest has its turns between two. */
const ROUND_MS_MIN = 2;
/** How often it is looked whether a guest has rebooted. */
const REBOOT_MS = 2;
/** Of the host's time, per cent, that a throttled guest gets at first, and at last. */
const CAP_FIRST = 50;
const CAP_LAST = 5;

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
  #result: MigrationResult | null = null;
  #commit: SourceCommit | null = null;
  #pages: PageSender | null = null;
  #blocks: BlockSender | null = null;
  #dirty: DirtyLog | null = null;
  /** What was sent last: bases of deltas, marks of disks. */
  #last: MachineCapture | null = null;
  #cancelled: string | null = null;
  #onCancel: () => void = () => {};
  #isForced = false;
  #limitMs: number;
  #remainingPages = 0;
  #capBefore: number | null = null;
  #throttle = 0;
  #round = 0;

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
    this.#limitMs = options.downtimeLimitMs ?? 300;
    this.#downtime = new Downtime(platform, this.bandwidth);
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

  get progress(): MigrationProgress {
    const counts = this.#pages?.counts;
    const remaining = this.#dirty?.isClosed === false ? this.#dirty.count : 0;
    return this.#log.progress({
      transferred: counts?.bytes ?? 0,
      remaining: (this.#remainingPages + remaining) * PAGE_BYTES,
      total: this.machine.config.memoryBytes,
      duplicate: (counts?.zero ?? 0) + (counts?.same ?? 0),
      normal: (counts?.normal ?? 0) + (counts?.delta ?? 0) + (counts?.lz4 ?? 0),
      delta: counts?.delta ?? 0,
      lz4: counts?.lz4 ?? 0,
      rounds: this.#round,
      bytesPerMs: this.bandwidth.bytesPerMs,
      diskBytes: this.#blocks?.bytes ?? 0,
      throttle: this.#throttle,
      expectedMs: this.#log.phase === "init" ? null : this.#downtime.predict(remaining, 0),
    });
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
    this.#onCancel();
  }

  /** As `cancel`, for who does not mind that it comes too late. */
  cancelIfOpen(): void {
    try {
      this.cancel();
    } catch {
      // it is committed, or over
    }
  }

  /** Milliseconds that the guest may stand still for, from now on. */
  set downtimeLimitMs(ms: number) {
    if (!(ms >= 1 && ms <= 3_600_000)) {
      const accepted = "accepted are 1 to 3600000 ms";
      throw new VmError("bad-argument", `a downtime limit of ${ms} ms: ${accepted}`);
    }
    this.#limitMs = ms;
  }

  get downtimeLimitMs(): number {
    return this.#limitMs;
  }

  /** Switches over at the end of this round, whatever it takes. */
  force(): void {
    this.#isForced = true;
  }

  /** The operator's decision: the machine goes on here although the target may have it. */
  takeByForce(): void {
    if (this.#commit?.verdict !== "handed-over") {
      throw new VmError("bad-state", `${this.name} was not handed over: there is nothing to take`);
    }
    this.#commit.takeByForce();
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
      this.#begin(line, journal, codec);
      this.#offerKey = hasAncestor ? codec.hashKey : null;
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

  #begin(line: Line, journal: SessionJournal, codec: PageCodec): void {
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
    const { ramPages } = machine.config;
    this.#pages = new PageSender({ channel, codec, bandwidth, ramPages });
    this.#blocks = new BlockSender({ channel, codec, bandwidth });
    this.#dirty = machine.view.openLog();
    this.#channel = channel;
    machine.mover.depart();
    this.#log.enter("copy-memory");
  }

  #channel: Line["channel"] | null = null;
  /** Under which pages are offered before the first round; null when they are not. */
  #offerKey: Uint8Array | null = null;

  // ---- rounds ----

  /** COPY_MEMORY: rounds until a switch-over would keep the limit. */
  async #copy(): Promise<void> {
    for (;;) {
      this.#check();
      if (this.#last !== null && this.#isTime()) return;
      const { platform } = this.#parts;
      const beganMs = platform.monotonicMs();
      await this.#acknowledged(await this.#sendRound(await this.#capture()));
      const leftMs = ROUND_MS_MIN - (platform.monotonicMs() - beganMs);
      if (leftMs > 0) await new Promise<void>((resolve) => platform.after(leftMs, resolve));
    }
  }

  /** As the machine is now, or once a reboot that is under way has loaded what it loads. */
  async #capture(): Promise<MachineCapture> {
    for (;;) {
      try {
        return this.machine.capture({ disks: this.#marks() });
      } catch (error) {
        if (!(error instanceof VmError) || error.code !== "busy") throw error;
      }
      await new Promise<void>((resolve) => this.#parts.platform.after(REBOOT_MS, resolve));
      this.#check();
    }
  }

  #marks(): (DiskMark | null)[] | null {
    if (!this.#ways.includes("carried")) return null;
    return this.#ways.map((_, slot) => this.#last?.disks[slot]?.mark ?? null);
  }

  /** True when what is left fits into the limit, or the policy says that it is time. */
  #isTime(): boolean {
    const dirty = this.#dirty as DirtyLog;
    const expectedMs = this.#downtime.predict(dirty.count, SECTION_BYTES + this.#diskBytes());
    this.#log.expect(expectedMs);
    if (this.#isForced || expectedMs <= this.#limitMs) return true;
    const { timeoutMs = 30_000, policy = "throttle" } = this.#parts.options;
    const attempts = this.#log.abandoned.length;
    if (this.#log.totalMs < timeoutMs && attempts < SWITCHES_MAX) return false;
    if (policy === "force") return true;
    if (policy === "cancel" || attempts >= SWITCHES_MAX) {
      const text = `it did not converge in ${Math.round(this.#log.totalMs)} ms`;
      throw new VmError("timeout", `${text}: ${dirty.count} pages are left, ${attempts} attempts`);
    }
    this.#throttleMore();
    return false;
  }

  #throttleMore(): void {
    const { share } = this.machine;
    if (this.#throttle === 0) this.#capBefore = share.capPercent;
    const now = this.#throttle === 0 ? CAP_FIRST : Math.max(CAP_LAST, (100 - this.#throttle) / 1.5);
    share.capPercent = Math.min(now, this.#capBefore ?? 100);
    this.#throttle = 100 - share.capPercent;
  }

  /** Of blocks that the next round would send. */
  #diskBytes(): number {
    const { disks } = this.machine.devices;
    return changedBytes(disks, this.#marks() ?? [], this.#ways);
  }

  /** Sends what changed since the last round; the capture is the last one from then on. */
  async #sendRound(capture: MachineCapture): Promise<number> {
    const [sender, blocks] = [this.#pages as PageSender, this.#blocks as BlockSender];
    const before = this.#last;
    try {
      const taken = gather((this.#dirty as DirtyLog).take());
      const pages = before === null ? gather(capture.root.pages()) : taken;
      this.#round++;
      this.#log.round(pages.length);
      this.#remainingPages = pages.length;
      if (before === null && this.#offerKey !== null) {
        await offerPages({
          channel: this.#channel as Line["channel"],
          commit: this.#commit as SourceCommit,
          ...{ root: capture.root, pages, key: this.#offerKey, hashes: sender.hashes },
          check: this.#check,
        });
      }
      const bytesBefore = sender.counts.bytes;
      await sender.send(capture.root, before?.root ?? null, pages, this.#check);
      this.#downtime.tellRound(pages.length, sender.counts.bytes - bytesBefore);
      for (const [slot, disk] of capture.disks.entries()) {
        if (this.#ways[slot] === "carried") {
          await blocks.send(slot, disk, before === null, this.#check);
        }
      }
      this.#remainingPages = 0;
      this.#last = capture;
      before?.release();
      return pages.length;
    } catch (error) {
      capture.release();
      throw error;
    }
  }

  /** The target has all of the round. */
  async #acknowledged(pages: number): Promise<void> {
    const commit = this.#commit as SourceCommit;
    const round = this.#round;
    const answer = new Promise<void>((resolve, reject) => {
      this.#onCancel = () => reject(new VmError("aborted", this.#cancelled ?? "cancelled"));
      commit.onRound = (name, body) => {
        if (name === "roundAck" && decodeJson("roundAck", body).round === round) resolve();
      };
      void commit.word(["refuse"]).then(({ word, why }) => {
        reject(new VmError("io", word === "refuse" ? why : `the link is over: ${why}`));
      });
    });
    answer.catch(() => {}); // told when it is waited for
    const body = encodeJson("roundEnd", { round, pages, blocks: 0 });
    await this.#downtime.time("round-trip", async () => {
      await (this.#channel as Line["channel"]).send("roundEnd", body);
      await answer;
    });
    this.#onCancel = () => {};
  }

  // ---- the switch-over ----

  /** COPY_DEVICE_STATE and TRANSFER_ACTIVE. False: abandoned, and the guest runs again. */
  async #switchOver(): Promise<boolean> {
    const { platform } = this.#parts;
    const commit = this.#commit as SourceCommit;
    const beganMs = platform.monotonicMs();
    const dirty = this.#dirty as DirtyLog;
    const expectedMs = this.#downtime.predict(dirty.count, SECTION_BYTES + this.#diskBytes());
    this.#log.enter("copy-device-state");
    await this.machine.mover.standStill();
    this.#log.paused(beganMs);
    let isGone = false;
    try {
      const verdict = await this.#sendRest(beganMs);
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
    if (commit.verdict === "aborted") {
      if (!(await commit.isDiscarded())) throw new VmError("io", "the link to the target is over");
      commit.reopen();
    }
    this.#check();
    this.#log.enter("copy-memory");
    return false;
  }

  /** Pages, blocks and sections of the guest that stands still. "over": there is no more time. */
  async #sendRest(beganMs: number): Promise<TargetWord | "over"> {
    const { platform, machine } = this.#parts;
    const commit = this.#commit as SourceCommit;
    const { isPaused } = machine.mover;
    const capture = await this.#capture();
    const { sections, wallMs } = capture;
    await this.#sendRound(capture);
    const leftMs = () => this.#limitMs - (platform.monotonicMs() - beganMs);
    const isForced = this.#isForced || this.#parts.options.policy === "force";
    if (leftMs() <= this.#downtime.commitMs && !isForced) return "over";
    this.#check();
    commit.fence++;
    const { fence } = commit;
    const sum = (this.#pages as PageSender).hashes.sum();
    const body = encodeLast(sections, { wallMs, isPaused, sum });
    commit.pending();
    const answer = commit.word(["ready", "refuse"]);
    await (this.#channel as Line["channel"]).send("sections", body, { fence });
    const ms = isForced ? null : Math.max(0, leftMs() - this.#downtime.commitMs);
    return this.#inTime(answer, ms);
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
    const outcome = await commit.untilTaken();
    if (outcome === "done") {
      this.#log.resumed();
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
    if (outcome === "lost") await this.#forget(journal);
    return isHere
      ? { kind: "taken-back", machine: "at-source", reason }
      : { kind: "lost", machine: "nowhere", reason: `${reason}, and it was ended here` };
  }

  /** The machine may come back: what it had here need not be sent then. */
  #keepAncestor(): void {
    const { platform, ancestors, machine } = this.#parts;
    const last = this.#last;
    this.#last = null;
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
    this.#last?.release();
    this.#last = null;
    if (this.#throttle > 0) this.machine.share.capPercent = this.#capBefore;
    this.#dirty?.close();
  }
}
