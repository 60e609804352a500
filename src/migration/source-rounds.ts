/**
 * source-rounds: what of the machine is sent: its memory and its carried disks, round by round.
 *
 * Owns    the dirty log, and what was sent last: bases of deltas, marks of disks.
 * Used by source.ts.
 * Holds   a round is sent from what was captured as it began; the guest runs meanwhile.
 */
import type { DirtyLog } from "../core/dirty-log.ts";
import type { PageCodec } from "../core/page-codec.ts";
import type { DiskMark } from "../device/block/disk.ts";
import { VmError } from "../errors.ts";
import type { MachineCapture } from "../machine/capture.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";
import { gather } from "../snapshot/track.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { Channel } from "./channel.ts";
import type { DiskWay } from "./contract.ts";
import type { Standing } from "./convergence.ts";
import { BlockSender, changedBytes } from "./disks.ts";
import type { Downtime } from "./downtime.ts";
import { decodeJson, encodeJson } from "./messages.ts";
import { offerPages } from "./offer.ts";
import type { SessionLog } from "./session-log.ts";
import type { SourceCommit } from "./source-commit.ts";
import { type MemoryCounts, PageSender } from "./source-memory.ts";

/** Sections and what surrounds them, as counted for a prediction. */
const SECTION_BYTES = 100_000;
/** A guest has had so much of the host before it is judged by what it wrote meanwhile. */
const SAMPLE_MS = 2;
/** How often it is looked whether a guest has rebooted. */
const REBOOT_MS = 2;

/** What rounds are made with. */
export interface RoundsParts {
  readonly platform: Platform;
  readonly machine: Machine;
  readonly channel: Channel;
  readonly commit: SourceCommit;
  readonly codec: PageCodec;
  readonly bandwidth: Bandwidth;
  /** By slot. */
  readonly ways: readonly DiskWay[];
  readonly downtime: Downtime;
  readonly log: SessionLog;
  /** The target has an ancestor: pages are offered before the first round. */
  readonly isOffering: boolean;
  /** Throws when the session is over. */
  readonly check: () => void;
}

/** Sends a machine. */
export class SourceRounds {
  readonly #parts: RoundsParts;
  readonly #pages: PageSender;
  readonly #blocks: BlockSender;
  readonly #dirty: DirtyLog;
  #last: MachineCapture | null = null;
  /** Pages that the target has not, though they were taken from the log. */
  #left: Uint32Array = new Uint32Array(0);
  #sending = 0;
  #round = 0;
  /** When the round began, and what the guest had had of the host by then. */
  #beganMs = 0;
  #usedMs = 0;
  /** Pages that the guest writes a millisecond, as its first slice in the round showed. */
  #dirtyPerMs: number | null = null;

  constructor(parts: RoundsParts) {
    const { platform, channel, codec, bandwidth, machine } = parts;
    this.#parts = parts;
    const { ramPages } = machine.config;
    const usedMs = () => machine.share.usedMs;
    this.#pages = new PageSender({ platform, channel, codec, bandwidth, ramPages, usedMs });
    this.#blocks = new BlockSender({ channel, codec, bandwidth });
    this.#dirty = machine.view.openLog();
  }

  /** Rounds that were begun. */
  get count(): number {
    return this.#round;
  }

  /** What was sent last; null before the first round is over. */
  get last(): MachineCapture | null {
    return this.#last;
  }

  get counts(): MemoryCounts {
    return this.#pages.counts;
  }

  /** Bytes of blocks on the wire. */
  get diskBytes(): number {
    return this.#blocks.bytes;
  }

  /** Pages of the round that is on its way; those that were written since it began. */
  get remaining(): { readonly sending: number; readonly dirty: number } {
    return { sending: this.#sending, dirty: this.#dirty.isClosed ? 0 : this.#dirty.count };
  }

  /** Of what the target will have then: every page's hash, summed up. */
  sum(): Uint8Array {
    return this.#pages.hashes.sum();
  }

  /** What a switch-over now would take, ms. */
  get expectedMs(): number {
    return this.#parts.downtime.predict(this.#dirty.count, this.#otherBytes);
  }

  /** For who decides whether it is time. */
  get pace(): Pick<Standing, "expectedMs" | "pages" | "pageMs" | "restMs" | "dirtyPerMs"> {
    const { downtime } = this.#parts;
    this.#sample();
    return {
      expectedMs: this.expectedMs,
      pages: this.#dirty.count,
      pageMs: downtime.pageMs,
      restMs: downtime.predict(0, this.#otherBytes),
      dirtyPerMs: Math.max(1, this.#dirtyPerMs ?? 1),
    };
  }

  get #otherBytes(): number {
    const { machine, ways } = this.#parts;
    return SECTION_BYTES + changedBytes(machine.devices.disks, this.#marks() ?? [], ways);
  }

  /** Later on what the guest writes is what it has written already. */
  #sample(): void {
    const usedMs = this.#parts.machine.share.usedMs - this.#usedMs;
    if (this.#isSampled || usedMs < SAMPLE_MS) return;
    this.#isSampled = true;
    this.#dirtyPerMs = this.#dirty.count / usedMs;
  }

  #isSampled = false;

  /** As the machine is now, or once a reboot that is under way has loaded what it loads. */
  async capture(): Promise<MachineCapture> {
    const { machine, platform, check } = this.#parts;
    for (;;) {
      try {
        return machine.capture({ disks: this.#marks() });
      } catch (error) {
        if (!(error instanceof VmError) || error.code !== "busy") throw error;
      }
      await new Promise<void>((resolve) => platform.after(REBOOT_MS, resolve));
      check();
    }
  }

  #marks(): (DiskMark | null)[] | null {
    const { ways } = this.#parts;
    if (!ways.includes("carried")) return null;
    return ways.map((_, slot) => this.#last?.disks[slot]?.mark ?? null);
  }

  /** Sends what changed since the last round; the capture is the last one from then on. */
  async send(capture: MachineCapture): Promise<number> {
    const { log, machine, platform } = this.#parts;
    const sender = this.#pages;
    const check = () => {
      this.#sample();
      this.#parts.check();
    };
    const before = this.#last;
    try {
      const taken = this.#take();
      const pages = before === null ? gather(capture.root.pages()) : taken;
      this.#round++;
      this.#beganMs = platform.monotonicMs();
      this.#usedMs = machine.share.usedMs;
      this.#isSampled = false;
      log.round(pages.length);
      this.#sending = pages.length;
      if (before === null && this.#parts.isOffering) await this.#offer(capture, pages);
      await sender.send(capture.root, before?.root ?? null, pages, check);
      await this.#sendBlocks(capture);
      this.#sending = 0;
      this.#last = capture;
      before?.release();
      return pages.length;
    } catch (error) {
      capture.release();
      throw error;
    }
  }

  async #sendBlocks(capture: MachineCapture): Promise<void> {
    const { ways, check } = this.#parts;
    const isFirst = this.#last === null;
    for (const [slot, disk] of capture.disks.entries()) {
      if (ways[slot] === "carried") await this.#blocks.send(slot, disk, isFirst, check);
    }
  }

  /** What was written, and what an attempt at post-copy has left. */
  #take(): Uint32Array {
    const taken = gather(this.#dirty.take());
    const left = this.#left;
    this.#left = new Uint32Array(0);
    return left.length === 0 ? taken : Uint32Array.from(new Set([...left, ...taken])).sort();
  }

  /**
   * Of a guest that stands still: sends blocks of its disks, and no page. The pages that the target
   * lacks, from the capture, which is the last one then; another round would send them.
   */
  async leave(capture: MachineCapture): Promise<Uint32Array> {
    const before = this.#last;
    try {
      await this.#sendBlocks(capture);
    } catch (error) {
      capture.release();
      throw error;
    }
    this.#left = this.#take();
    for (const page of this.#left) this.#pages.hashes.clear(page);
    this.#last = capture;
    before?.release();
    return this.#left;
  }

  #offer({ root }: MachineCapture, pages: Uint32Array): Promise<void> {
    const { channel, commit, check, codec } = this.#parts;
    const { hashes } = this.#pages;
    return offerPages({ channel, commit, root, pages, key: codec.hashKey, hashes, check });
  }

  /** Until the target has all of the round. `onStop` is given what ends the wait. */
  async acknowledged(
    pages: number,
    onStop: (stop: (reason: string) => void) => void,
  ): Promise<void> {
    const { commit, downtime, channel, platform } = this.#parts;
    const round = this.#round;
    const answer = new Promise<void>((resolve, reject) => {
      onStop((reason) => reject(new VmError("aborted", reason)));
      commit.onRound = (name, body) => {
        if (name === "roundAck" && decodeJson("roundAck", body).round === round) resolve();
      };
      void commit.word(["refuse"]).then(({ word, why }) => {
        reject(new VmError("io", word === "refuse" ? why : `the link is over: ${why}`));
      });
    });
    answer.catch(() => {}); // told when it is waited for
    const body = encodeJson("roundEnd", { round, pages, blocks: 0 });
    await downtime.time("round-trip", async () => {
      await channel.send("roundEnd", body);
      await answer;
    });
    downtime.tellRound(pages, platform.monotonicMs() - this.#beganMs);
    onStop(() => {});
  }

  /** What was sent last is the caller's from now on. */
  leaveLast(): MachineCapture | null {
    const last = this.#last;
    this.#last = null;
    return last;
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#last?.release();
    this.#last = null;
    this.#dirty.close();
  }
}
