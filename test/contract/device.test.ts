/**
 * The published contract itself: a sound device keeps it, and each of many planted faults is caught
 * by the clause that is about it.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deviceContract } from "../../src/contract/index.ts";
import type {
  Device,
  DeviceContext,
  DeviceFacts,
  DeviceSection,
  DeviceTreeNode,
} from "../../src/index.ts";
import { deviceProperties, SectionReader, SectionWriter, VmError } from "../../src/index.ts";

const test = suite("contract/device");

/** Adds up what is written to 0, its line high while the sum is odd; a write to 8 arms an alarm. */
class Adder implements Device {
  kind = "adder";
  name = "adder0";
  base = 0x11000000;
  irq = 13;
  bytes = 16;
  sum = 0;
  due: number | null = null;
  context: DeviceContext | null = null;

  attach(context: DeviceContext): void {
    this.context = context;
  }

  read(offset: number, size: number): number {
    return offset === 4 && size === 4 ? this.sum : 0;
  }

  write(offset: number, _size: number, value: number): void {
    if (offset === 0) this.sum = (this.sum + value) >>> 0;
    if (offset === 8) this.due = (this.context?.now() ?? 0) + (value % 1_000_000);
    this.show();
  }

  /** Line and alarm as the state says. */
  show(): void {
    this.context?.setIrq(this.sum % 2 === 1);
    this.context?.setAlarm(this.due);
  }

  alarm(): void {
    this.due = null;
    this.sum = (this.sum + 1) >>> 0;
    this.show();
  }

  retry(): void {}

  reset(): void {
    this.sum = 0;
    this.due = null;
    this.show();
  }

  inspect(): DeviceFacts {
    return { registers: [{ name: "SUM", offset: 4, value: this.sum, bytes: 4 }] };
  }

  node(): DeviceTreeNode {
    const properties = deviceProperties("example,adder", this);
    return { name: `adder@${this.base.toString(16)}`, properties };
  }

  save(): DeviceSection {
    const writer = new SectionWriter("ADDR");
    writer.u32(this.sum);
    writer.u64(BigInt(this.due ?? 0));
    return writer.finish(this.name, 1);
  }

  /** The state in a section. Throws VmError. */
  parse(section: DeviceSection): { readonly sum: number; readonly due: number | null } {
    const reader = new SectionReader(section, this.name, "ADDR", 1);
    const sum = reader.u32();
    const due = Number(reader.u64());
    reader.end();
    if (!Number.isSafeInteger(due)) throw new VmError("bad-section", `an alarm at ${due}`);
    return { sum, due: due === 0 ? null : due };
  }

  restore(section: DeviceSection): void {
    Object.assign(this, this.parse(section));
    this.show();
  }
}

/** Titles of the clauses that the device does not keep. */
function broken(fault: Partial<Adder>): string[] {
  const make = () => Object.assign(new Adder(), fault);
  const titles: string[] = [];
  for (const { title, check } of deviceContract("adder", make)) {
    try {
      check();
    } catch {
      titles.push(title);
    }
  }
  return titles;
}

/** A fault, and the beginning of the clause that must not let it pass. */
const FAULTS: Readonly<Record<string, readonly [string, Partial<Adder>]>> = {
  "another kind": ["says what it is", { kind: "other" }],
  "an interrupt that no PLIC has": ["says what it is", { irq: 200 }],
  "a base between words": ["says what it is", { base: 0x11000002 }],
  "no name": ["says what it is", { name: "" }],
  "a node without its address": [
    "has a device-tree node",
    {
      node: () => ({ name: "adder", properties: {} }),
    },
  ],
  "half a number": ["survives hostile", { read: () => 0.5 }],
  "a number wider than the read": ["survives hostile", { read: () => 0x1_ffff_ffff }],
  "an exception": [
    "survives hostile",
    {
      write(offset) {
        if (offset === 12) throw new Error("never written");
      },
    },
  ],
  "state that is not saved": [
    "saves everything",
    {
      save(this: Adder) {
        const writer = new SectionWriter("ADDR");
        writer.u32(0);
        writer.u64(BigInt(this.due ?? 0));
        return writer.finish(this.name, 1);
      },
    },
  ],
  "a line that restore forgets": [
    "saves everything",
    {
      restore(this: Adder, section) {
        Object.assign(this, this.parse(section));
        this.context?.setAlarm(this.due);
      },
    },
  ],
  "an alarm that restore forgets": [
    "saves everything",
    {
      restore(this: Adder, section) {
        Object.assign(this, this.parse(section));
        this.context?.setIrq(this.sum % 2 === 1);
      },
    },
  ],
  "state that reset forgets": [
    "goes back",
    {
      reset(this: Adder) {
        this.due = null;
        this.show();
      },
    },
  ],
  "a line that reset forgets": [
    "goes back",
    {
      reset(this: Adder) {
        Object.assign(this, { sum: 0, due: null });
        this.context?.setAlarm(null);
      },
    },
  ],
  "an alarm that reset forgets": [
    "goes back",
    {
      reset(this: Adder) {
        Object.assign(this, { sum: 0, due: null });
        this.context?.setIrq(false);
      },
    },
  ],
  "half of a section that is cut short": [
    "refuses a bad section",
    {
      restore(this: Adder, section) {
        const reader = new SectionReader(section, this.name, "ADDR", 1);
        this.sum = reader.u32();
        Adder.prototype.restore.call(this, section);
      },
    },
  ],
  "a section of any version": [
    "refuses a bad section",
    {
      restore(this: Adder, section) {
        Adder.prototype.restore.call(this, { ...section, version: 1 });
      },
    },
  ],
  "another error than it should be": [
    "refuses a bad section",
    {
      parse(this: Adder, section) {
        try {
          return Adder.prototype.parse.call(this, section);
        } catch (error) {
          throw new Error(String(error));
        }
      },
    },
  ],
  "noise as an alarm": [
    "survives sections of noise",
    {
      parse(this: Adder, section) {
        const reader = new SectionReader(section, this.name, "ADDR", 1);
        return { sum: reader.u32(), due: Number(reader.u64()) };
      },
    },
  ],
  "a look that changes it": [
    "shows its registers",
    {
      inspect(this: Adder) {
        this.sum++;
        return { registers: [] };
      },
    },
  ],
  "a register that lies outside": [
    "shows its registers",
    {
      inspect: () => ({ registers: [{ name: "SUM", offset: 16, value: 0, bytes: 4 }] }),
    },
  ],
};

test("a sound device keeps every clause", () => {
  assert.equal(broken({}), []);
});

for (const [what, [clause, fault]] of Object.entries(FAULTS)) {
  test(`${what}: caught`, () => {
    const titles = broken(fault);
    assert.ok(
      titles.some((title) => title.startsWith(clause)),
      `only ${titles.join("; ") || "nothing"}`,
    );
  });
}

test.run();
