/**
 * facts: what a snapshot says of its machine comes back as it was; anything else is refused by what
 * is wrong.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readFacts, type SnapshotFacts, saveFacts } from "../../src/snapshot/facts.ts";

const test = suite("snapshot/facts");

const FACTS: SnapshotFacts = {
  shape: {
    ...{ ramBytes: 1 << 24, harts: 2, quantum: 10_000, mmu: "sv57", clock: "virtual" },
    ...{ epochMs: 1, consoleDevice: "uart", agent: false },
    devices: [{ kind: "uart", name: "uart0" }],
    customDevices: [{ kind: "mine", name: "mine0", base: 0x4000_0000, irq: 40 }],
    disks: [{ bytes: 4096, isReadOnly: false }],
  },
  wallMs: 1_700_000_000_000,
  wholeDisks: [true],
  origin: { any: ["thing", null, 3] },
};
const other = { name: "core", version: 1, bytes: Uint8Array.of(1) };

function refusal(change: (facts: Record<string, never>) => unknown): string {
  const plain = JSON.parse(JSON.stringify(FACTS)) as Record<string, never>;
  const changed = change(plain) ?? plain;
  const bytes = new TextEncoder().encode(JSON.stringify(changed));
  try {
    readFacts([{ name: "snapshot", version: 1, bytes }]);
  } catch (error) {
    return (error as Error).message;
  }
  return "none";
}

test("facts come back, and the machine's own sections without them", () => {
  assert.equal(readFacts([other, saveFacts(FACTS)]), { facts: FACTS, own: [other] });
});

test("what is missing, newer or no JSON is refused", () => {
  const code = (sections: Parameters<typeof readFacts>[0]) => {
    try {
      readFacts(sections);
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`;
    }
    return "none";
  };
  assert.match(code([other]), /^bad-section: .*is missing/);
  assert.match(code([{ ...saveFacts(FACTS), version: 2 }]), /version 2; accepted is 1/);
  assert.match(code([{ ...saveFacts(FACTS), bytes: Uint8Array.of(0xff) }]), /is not JSON/);
  assert.match(code([{ ...saveFacts(FACTS), bytes: new Uint8Array(2 << 20) }]), /2097152 bytes/);
});

test("every field is looked at", () => {
  const shape = (change: object) => (facts: object) => {
    return { ...facts, shape: { ...FACTS.shape, ...change } };
  };
  const wrong: readonly [(facts: Record<string, never>) => unknown, RegExp][] = [
    [() => [], /no object in it/],
    [() => 3, /no object in it/],
    [(facts) => ({ ...facts, shape: null }), /no object in shape/],
    [shape({ ramBytes: -1 }), /no whole number in shape.ramBytes/],
    [shape({ harts: "2" }), /no whole number in shape.harts/],
    [shape({ quantum: 1e300 }), /no whole number in shape.quantum/],
    [shape({ mmu: "sv99" }), /no sv39 or sv48 or sv57 in shape.mmu/],
    [shape({ agent: 1 }), /no true or false in shape.agent/],
    [shape({ devices: {} }), /no list in shape.devices/],
    [shape({ devices: [{ kind: "x".repeat(300), name: "y" }] }), /no short text in .*\[0\].kind/],
    [shape({ customDevices: Array(2000).fill({}) }), /no list in shape.customDevices/],
    [shape({ disks: [] }), /does not agree about its disks/],
    [(facts) => ({ ...facts, wholeDisks: [1] }), /no true or false in it.wholeDisks/],
    [(facts) => ({ ...facts, wallMs: null }), /no whole number in it.wallMs/],
  ];
  for (const [change, pattern] of wrong) assert.match(refusal(change), pattern);
});

test.run();
