/**
 * disks: blocks of carried disks, on their way and where they arrive.
 *
 * Used by source.ts, target.ts.
 * Holds   a carried disk is whole at the target: every block that is not zero is sent, whatever it
 *         lies in here, and each block again that was written since. Blocks are checked against
 *         their hashes before they are written.
 */
import type { PageCodec } from "../core/page-codec.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import type { DiskCapture, DiskMark } from "../device/block/disk.ts";
import { BLOCK_BYTES, blockCount } from "../device/block/frozen.ts";
import { VmError } from "../errors.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { Channel, DataSink } from "./channel.ts";
import type { DiskWay } from "./contract.ts";
import { checkBlocks, EntryWriter, hashAt, readEntries } from "./page-message.ts";
import { BATCH_PAGES } from "./wire.ts";

/** Bytes of blocks of carried disks that were written since marks of them, by slot. */
export function changedBytes(
  disks: readonly BlockBackend[],
  marks: readonly (DiskMark | null)[],
  ways: readonly DiskWay[],
): number {
  let blocks = 0;
  for (const [slot, mark] of marks.entries()) {
    if (mark === null || mark.disk !== disks[slot] || ways[slot] !== "carried") continue;
    blocks += mark.disk.changedSince(mark).length;
  }
  return blocks * BLOCK_BYTES;
}

/** What a sender of blocks needs. */
export interface BlockSenderParts {
  readonly channel: Channel;
  readonly codec: PageCodec;
  readonly bandwidth: Bandwidth;
}

/** Sends blocks of captured disks. */
export class BlockSender {
  /** Bytes on the wire. */
  bytes = 0;
  readonly #parts: BlockSenderParts;
  readonly #writer = new EntryWriter();
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #data: Uint8Array[] = [];

  constructor(parts: BlockSenderParts) {
    this.#parts = parts;
  }

  /**
   * Sends the captured blocks of one disk, or, `isFirst`, all of it: the target's is zeros then.
   * Throws "aborted" by `check`, "io".
   */
  async send(slot: number, disk: DiskCapture, isFirst: boolean, check: () => void): Promise<void> {
    const blocks = isFirst ? null : disk.blocks;
    const count = blocks?.length ?? blockCount(disk.bytes);
    for (let index = 0; index < count; index++) {
      const block = blocks?.[index] ?? index;
      const late = disk.read(block, this.#block);
      if (late !== undefined) await late;
      const bytes = Math.min(BLOCK_BYTES, disk.bytes - block * BLOCK_BYTES);
      this.#block.fill(0, bytes); // behind the disk's end
      const isZero = this.#parts.codec.isZero(this.#block);
      if (isZero && isFirst) continue;
      this.#add(slot, block, isZero ? 0 : bytes);
      if (!this.#writer.lacks(1)) continue;
      await this.#flush();
      check();
    }
    await this.#flush();
  }

  #add(slot: number, block: number, bytes: number): void {
    const hash = bytes === 0 ? null : this.#parts.codec.hash(this.#block).slice();
    const words = hash === null ? null : new Uint32Array(hash.buffer);
    this.#writer.add({ page: block, kind: slot, length: bytes }, words);
    if (bytes > 0) this.#data.push(this.#block.slice(0, bytes));
  }

  async #flush(): Promise<void> {
    if (this.#writer.isEmpty) return;
    const data = this.#data;
    this.#data = [];
    const control = this.#writer.take();
    const bytes = data.reduce((sum, { length }) => sum + length, control.length);
    this.bytes += bytes;
    const { bandwidth, channel } = this.#parts;
    await bandwidth.take(bytes);
    await channel.send("blocks", control, { data });
    bandwidth.left(bytes);
  }
}

/** Takes blocks. */
export class BlockReceiver {
  bytes = 0;
  /** Blocks that were written. */
  blocks = 0;
  readonly #disks: readonly BlockBackend[];
  readonly #codec: PageCodec;
  readonly #data = new Uint8Array(BATCH_PAGES * BLOCK_BYTES);

  /** `disks` by slot. */
  constructor(disks: readonly BlockBackend[], codec: PageCodec) {
    this.#disks = disks;
    this.#codec = codec;
  }

  /** Where the data of one message go. Throws "bad-file" for what cannot be. */
  begin(control: Uint8Array, dataBytes: number): DataSink {
    const entries = readEntries(control, dataBytes);
    checkBlocks(entries, this.#disks, dataBytes);
    this.bytes += control.length + dataBytes;
    let filled = 0;
    return {
      data: (bytes) => {
        this.#data.set(bytes, filled);
        filled += bytes.length;
      },
      end: async () => {
        let at = 0;
        for (const [index, { page: block, kind: slot, length }] of entries.list.entries()) {
          const disk = this.#disks[slot];
          const whole = Math.min(BLOCK_BYTES, disk.bytes - block * BLOCK_BYTES);
          const bytes = length === 0 ? new Uint8Array(whole) : this.#data.slice(at, at + length);
          if (length > 0) this.#check(slot, block, bytes, entries.words, hashAt(index));
          const late = disk.write(block * BLOCK_BYTES, bytes);
          if (late !== undefined) await late;
          this.blocks++;
          at += length;
        }
      },
    };
  }

  #check(slot: number, block: number, bytes: Uint8Array, words: Uint32Array, at: number): void {
    const page = new Uint8Array(BLOCK_BYTES);
    page.set(bytes);
    const hash = new Uint32Array(this.#codec.hash(page).slice().buffer);
    if (hash.every((word, lane) => word === words[at + lane])) return;
    throw new VmError("bad-file", `block ${block} of disk ${slot} arrived damaged`);
  }

  /** What was written is durable when it resolves. */
  async flush(): Promise<void> {
    for (const disk of this.#disks) if (!disk.isReadOnly) await disk.flush();
  }
}
