/**
 * console: the virtio console with one port (virtio 1.2, 5.3). Linux shows it as hvc0.
 *
 * Owns    input that the driver has given no buffer for yet.
 * Used by machine/devices.ts, for machines whose console it is.
 * Holds   input is bounded: what does not fit stays with the sender; what waits survives a reset,
 *         as on a serial line. Output of one request is bounded too.
 *
 * Saved, version 1, behind the transport's part: the input queue (count u16, bytes).
 */
import { InputQueue } from "../input-queue.ts";
import type { SectionReader, SectionWriter } from "../section.ts";
import {
  BadQueue,
  firstBytes,
  gather,
  QUEUE_SIZE_MAX,
  reserveAll,
  scatter,
  segmentBytes,
} from "./queue.ts";
import { VirtioDevice } from "./transport.ts";

const QUEUE_INPUT = 0;
const QUEUE_OUTPUT = 1;
const INPUT_BYTES_MAX = 4096;
const OUTPUT_BYTES_MAX = 1 << 20;

/** What a console is made from. */
export interface ConsoleOptions {
  readonly slot?: number;
  /** Takes output; the bytes are its own. */
  readonly output: (bytes: Uint8Array) => void;
  /** There is room for input again. */
  readonly onInputRoom?: () => void;
}

/** A virtio console. */
export class VirtioConsole extends VirtioDevice {
  readonly #options: ConsoleOptions;
  readonly #input = new InputQueue(INPUT_BYTES_MAX);

  constructor(options: ConsoleOptions) {
    super({
      kind: "virtio-console",
      tag: "VCON",
      version: 1,
      deviceId: 3,
      slot: options.slot ?? 0,
      queues: 2,
      features: 0n,
    });
    this.#options = options;
  }

  /** Bytes that `offer` takes now; none before the driver has given buffers. */
  get inputRoom(): number {
    return this.isLive && this.queues[QUEUE_INPUT].isReady ? this.#input.room : 0;
  }

  /** Takes input as far as there is room; returns how much. */
  offer(bytes: Uint8Array): number {
    const taken = this.#input.pushAll(bytes);
    if (this.isLive) this.guarded(() => this.#deliver());
    return taken;
  }

  protected configByte(): number {
    return 0;
  }

  protected notified(index: number): void {
    if (index === QUEUE_OUTPUT) this.#print();
    else if (index === QUEUE_INPUT) {
      this.#deliver();
      this.#options.onInputRoom?.();
    }
  }

  #print(): void {
    const { memory } = this.context;
    const queue = this.queues[QUEUE_OUTPUT];
    if (!queue.reserveUsed(memory)) return;
    let isWanted = false;
    for (let round = 0; round < QUEUE_SIZE_MAX; round++) {
      const head = queue.next(memory);
      if (head < 0) break;
      const { readable } = queue.chain(memory, head, this.ring);
      const count = segmentBytes(readable);
      if (count > OUTPUT_BYTES_MAX) throw new BadQueue("output too long");
      const bytes = new Uint8Array(count);
      gather(memory, readable, bytes);
      queue.advance();
      queue.askForNotice(memory, this.ring);
      this.#options.output(bytes);
      if (queue.finish(memory, head, 0, this.ring)) isWanted = true;
    }
    if (isWanted) this.interruptUsed();
  }

  #deliver(): void {
    const { memory } = this.context;
    const queue = this.queues[QUEUE_INPUT];
    if (this.#input.length === 0 || !queue.isReady || !queue.reserveUsed(memory)) return;
    let isWanted = false;
    for (let round = 0; round < QUEUE_SIZE_MAX && this.#input.length > 0; round++) {
      const head = queue.next(memory);
      if (head < 0) break;
      const chain = queue.chain(memory, head, this.ring);
      const writable = firstBytes(chain.writable, this.#input.length);
      if (!reserveAll(memory, writable)) break;
      const bytes = this.#input.take(segmentBytes(writable));
      scatter(memory, writable, bytes);
      queue.advance();
      queue.askForNotice(memory, this.ring);
      if (queue.finish(memory, head, bytes.length, this.ring)) isWanted = true;
    }
    if (isWanted) this.interruptUsed();
  }

  /** Asks for no alarm. */
  alarm(): void {}

  retry(): void {
    if (!this.isLive) return;
    this.guarded(() => {
      this.#print();
      this.#deliver();
    });
  }

  /** Waiting input is the line's, not the device's. */
  protected resetOwn(): void {}

  protected saveOwn(writer: SectionWriter): void {
    this.#input.save(writer);
  }

  protected readOwn(reader: SectionReader): () => void {
    const input = this.#input.read(reader);
    return () => this.#input.assign(input);
  }
}
