/**
 * rng: the virtio entropy source (virtio 1.2, 5.4).
 *
 * Owns    nothing beyond its queue. Used by machine/devices.ts.
 * Holds   a request gets at most REQUEST_BYTES_MAX bytes; the driver asks again for more.
 *
 * Saved, version 1: the transport's part alone.
 */
import type { SectionReader, SectionWriter } from "../section.ts";
import { firstBytes, reserveAll, scatter, segmentBytes } from "./queue.ts";
import { VirtioDevice } from "./transport.ts";

const REQUEST_BYTES_MAX = 4096;

/** A virtio entropy source. */
export class VirtioRng extends VirtioDevice {
  constructor(options: { readonly slot?: number } = {}) {
    super({
      kind: "virtio-rng",
      tag: "VRNG",
      version: 1,
      deviceId: 4,
      slot: options.slot ?? 0,
      queues: 1,
      features: 0n,
    });
  }

  protected configByte(): number {
    return 0;
  }

  protected notified(): void {
    const { memory } = this.context;
    this.eachRequest(0, (chain) => {
      const writable = firstBytes(chain.writable, REQUEST_BYTES_MAX);
      if (!reserveAll(memory, writable)) return "short";
      const count = segmentBytes(writable);
      scatter(memory, writable, this.context.entropy(count));
      return count;
    });
  }

  /** Asks for no alarm. */
  alarm(): void {}

  /** There is nothing of its own to reset, save or read. */
  protected resetOwn(): void {}

  protected saveOwn(_writer: SectionWriter): void {}

  protected readOwn(_reader: SectionReader): () => void {
    return () => {};
  }
}
