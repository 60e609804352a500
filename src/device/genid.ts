/**
 * genid: the virtual machine's generation id: 16 bytes that change when the machine becomes a copy
 * of another, so that the guest reseeds its random generator (Linux: CONFIG_VMGENID,
 * "microsoft,vmgenid").
 *
 * Owns    the id. Used by machine/devices.ts; later by fork and restore, through `renew`.
 * Holds   the id lives through resets; reads like memory, writes do nothing.
 *
 * At 0x102000, interrupt 12: neither is used by QEMU's virt machine.
 * Saved, version 1: "VGID", the 16 bytes.
 */
import type { Device, DeviceContext, DeviceFacts, DeviceSection } from "./contract.ts";
import { type DeviceTreeNode, deviceProperties } from "./device-tree.ts";
import { SectionReader, SectionWriter } from "./section.ts";

const GENID_BASE = 0x102000;
const GENID_BYTES = 16;
const GENID_IRQ = 12;

/** A generation id device. */
export class GenerationId implements Device {
  readonly name = "genid0";
  readonly kind = "vmgenid";
  readonly base = GENID_BASE;
  readonly bytes = GENID_BYTES;
  readonly irq = GENID_IRQ;
  #context!: DeviceContext;
  #id: Uint8Array = new Uint8Array(GENID_BYTES);

  attach(context: DeviceContext): void {
    this.#context = context;
    this.#id = context.entropy(GENID_BYTES);
  }

  /** The id, 16 bytes. */
  get id(): Uint8Array {
    return this.#id.slice();
  }

  /** This machine is a copy now: a fresh id, and an interrupt that says so. */
  renew(): void {
    this.#id = this.#context.entropy(GENID_BYTES);
    // a pulse: the PLIC keeps it pending until the guest claims it
    this.#context.setIrq(true);
    this.#context.setIrq(false);
  }

  read(offset: number, size: number): number {
    let value = 0;
    for (let index = size - 1; index >= 0; index--) {
      value = value * 256 + (this.#id[offset + index] ?? 0);
    }
    return value;
  }

  /** The guest cannot change it. */
  write(_offset: number, _size: number, _value: number): void {}

  /** Asks for no alarm. */
  alarm(): void {}

  /** No DMA, so nothing can lack frames. */
  retry(): void {}

  /** The machine is still the same one. */
  reset(): void {}

  inspect(): DeviceFacts {
    const view = new DataView(this.id.buffer);
    const half = (name: string, offset: number) => {
      return { name, offset, value: view.getBigUint64(offset, true), bytes: 8 };
    };
    return { registers: [half("ID_LOW", 0), half("ID_HIGH", 8)] };
  }

  node(): DeviceTreeNode {
    return {
      name: `vmgenid@${this.base.toString(16)}`,
      properties: deviceProperties("microsoft,vmgenid", this),
    };
  }

  save(): DeviceSection {
    const writer = new SectionWriter("VGID");
    writer.bytes(this.#id);
    return writer.finish(this.name, 1);
  }

  restore(section: DeviceSection): void {
    const reader = new SectionReader(section, this.name, "VGID", 1);
    const id = reader.bytes(GENID_BYTES);
    reader.end();
    this.#id = id;
  }
}
