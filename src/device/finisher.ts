/**
 * finisher: SiFive's test device: one register with which a guest ends or resets its machine.
 *
 * Used by machine (through context.request), guests (Linux syscon-poweroff and syscon-reboot,
 *         OpenSBI, bare metal).
 * Holds   no state. A write of at least 16 bits to offset 0: low half 0x5555 powers off, 0x7777
 *         resets, 0x3333 fails with the high half as code; any other value does nothing.
 *
 * Saved, version 1: "TEST" and nothing else.
 */
import type { Device, DeviceContext, DeviceFacts, DeviceSection } from "./contract.ts";
import { type DeviceTreeNode, deviceProperties, reference } from "./device-tree.ts";
import { SectionReader, SectionWriter } from "./section.ts";

export const FINISHER_BASE = 0x100000;
const FINISHER_BYTES = 0x1000;
const POWEROFF = 0x5555;
const REBOOT = 0x7777;
const FAILURE = 0x3333;
const LABEL = "finisher";

/** Where the device is. */
export interface FinisherOptions {
  readonly name?: string;
  readonly base?: number;
}

/** A sifive,test1 device. */
export class Finisher implements Device {
  readonly name: string;
  readonly kind = "finisher";
  readonly base: number;
  readonly bytes = FINISHER_BYTES;
  readonly irq = 0;
  #context!: DeviceContext;

  constructor(options: FinisherOptions = {}) {
    this.name = options.name ?? "finisher0";
    this.base = options.base ?? FINISHER_BASE;
  }

  attach(context: DeviceContext): void {
    this.#context = context;
  }

  read(_offset: number, _size: number): number {
    return 0;
  }

  write(offset: number, size: number, value: number): void {
    if (offset !== 0 || size < 2) return;
    const code = value >>> 16;
    switch (value & 0xffff) {
      case POWEROFF:
        this.#context.request({ kind: "poweroff", code: 0 });
        break;
      case REBOOT:
        this.#context.request({ kind: "reboot" });
        break;
      case FAILURE:
        this.#context.request({ kind: "failure", code });
        break;
    }
  }

  /** Asks for no alarm. */
  alarm(): void {}

  /** No DMA, so nothing can lack frames. */
  retry(): void {}

  /** There is nothing to reset. */
  reset(): void {}

  inspect(): DeviceFacts {
    return { registers: [{ name: "TEST", offset: 0, value: 0, bytes: 4 }] };
  }

  /** The two syscon nodes are children: simple-mfd makes Linux look inside. */
  node(): DeviceTreeNode {
    const action = (name: string, value: number): DeviceTreeNode => ({
      name,
      properties: { compatible: `syscon-${name}`, regmap: reference(LABEL), offset: 0, value },
    });
    const compatible = ["sifive,test1", "sifive,test0", "syscon", "simple-mfd"];
    return {
      name: `test@${this.base.toString(16)}`,
      label: LABEL,
      properties: deviceProperties(compatible, this),
      children: [action("poweroff", POWEROFF), action("reboot", REBOOT)],
    };
  }

  save(): DeviceSection {
    return new SectionWriter("TEST").finish(this.name, 1);
  }

  restore(section: DeviceSection): void {
    new SectionReader(section, this.name, "TEST", 1).end();
  }
}
