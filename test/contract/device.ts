/**
 * device: the contract that every device keeps, as one suite. Run over the registry by
 * test/device/contract.test.ts, and by whoever adds a device from outside.
 *
 * Holds   random traffic comes from a seed (SEED=... reruns one).
 */
import * as assert from "uvu/assert";
import type { Device, DeviceSection } from "../../src/device/contract.ts";
import { flattenDeviceTree } from "../../src/device/device-tree.ts";
import { VmError } from "../../src/errors.ts";
import { FakeContext, RAM_BASE } from "../helpers/fake-context.ts";
import { Random } from "../helpers/random.ts";

const SEED = Number(process.env.SEED ?? 1);
const TRAFFIC = 4000;

/** A device with the machine it sees. */
interface Bench {
  readonly device: Device;
  readonly context: FakeContext;
}

function attached(make: () => Device): Bench {
  const device = make();
  const context = new FakeContext();
  device.attach(context);
  return { device, context };
}

const sameSection = (a: DeviceSection, b: DeviceSection, what: string) =>
  assert.equal([a.name, a.version, [...a.bytes]], [b.name, b.version, [...b.bytes]], what);

/**
 * Values that registers care about: small numbers, single bits, all ones, addresses in and out of
 * RAM.
 */
function registerValue(random: Random): number {
  switch (random.below(6)) {
    case 0:
      return random.below(8);
    case 1:
      return (1 << random.below(32)) >>> 0;
    case 2:
      return 0xffffffff;
    case 3:
      return (RAM_BASE + random.below(1 << 21)) >>> 0;
    case 4:
      return random.below(256);
    default:
      return random.u32();
  }
}

/** Random register traffic; the values read, which tell two devices apart. */
function traffic({ device, context }: Bench, random: Random, count: number): number[] {
  const seen: number[] = [];
  for (let step = 0; step < count; step++) {
    const size = [1, 2, 4, 4][random.below(4)];
    const reach = random.below(4) === 0 ? device.bytes : Math.min(device.bytes, 0x140);
    const offset = Math.floor(random.below(reach) / size) * size;
    if (offset + size > device.bytes) continue;
    if (random.below(2) === 0) {
      const value = device.read(offset, size);
      const most = 2 ** (8 * size);
      assert.ok(
        Number.isInteger(value) && value >= 0 && value < most,
        `read ${size} at 0x${offset.toString(16)} gave ${value}`,
      );
      seen.push(value);
    } else device.write(offset, size, registerValue(random) % 2 ** (8 * size));
    if (random.below(50) === 0) context.advance(device, context.ticks + random.below(100_000));
  }
  return seen;
}

function saysWhatItIs(make: () => Device, kind: string): void {
  const device = make();
  assert.is(device.kind, kind);
  assert.ok(device.name.length > 0 && device.bytes > 0 && device.base % 4 === 0);
  assert.ok(Number.isInteger(device.irq) && device.irq >= 0 && device.irq <= 95);
}

function hasNode(make: () => Device): void {
  const node = attached(make).device.node();
  if (node === null) return;
  const plic = { name: "plic", label: "plic", properties: {} };
  const harts = Array.from({ length: 8 }, (_, hart) => ({
    name: `intc${hart}`,
    label: `hart${hart}-intc`,
    properties: {},
  }));
  const children = node.label === "plic" ? [...harts, node] : [...harts, plic, node];
  const bytes = flattenDeviceTree({ name: "", properties: {}, children });
  assert.ok(bytes.length > 40);
  assert.match(node.name, new RegExp(`@${make().base.toString(16)}$`));
}

function survivesTraffic(make: () => Device, kind: string): void {
  const bench = attached(make);
  traffic(bench, randomFor(kind), TRAFFIC);
  assert.ok(bench.device.save().bytes.length < 1 << 20, "its state stays bounded");
}

function savesEverything(make: () => Device, kind: string): void {
  const original = attached(make);
  const stream = randomFor(kind);
  traffic(original, stream, TRAFFIC / 2);
  const section = original.device.save();
  const copy = attached(make);
  copy.context.memory.bytes.set(original.context.memory.bytes);
  copy.context.ticks = original.context.ticks;
  copy.context.entropy(0);
  copy.device.restore(section);
  sameSection(copy.device.save(), section, "saved again");
  assert.is(copy.context.alarmTicks, original.context.alarmTicks, "the alarm");
  const next = stream.u32();
  const same = traffic(copy, new Random(next), 500);
  assert.equal(same, traffic(original, new Random(next), 500), "what it reads");
}

function resets(make: () => Device, kind: string): void {
  const bench = attached(make);
  const fresh = bench.device.save();
  traffic(bench, randomFor(kind), TRAFFIC / 4);
  bench.device.reset();
  sameSection(bench.device.save(), fresh, "after reset");
  assert.is(bench.context.irq, false, "the line is low");
  assert.is(bench.context.alarmTicks, null, "no alarm is left");
}

function refusesBadSections(make: () => Device, kind: string): void {
  const bench = attached(make);
  traffic(bench, randomFor(kind), 200);
  const good = bench.device.save();
  const bad: DeviceSection[] = [
    { ...good, bytes: good.bytes.subarray(0, good.bytes.length - 1) },
    { ...good, bytes: new Uint8Array(0) },
    { ...good, bytes: Uint8Array.from([...good.bytes, 0]) },
    { ...good, bytes: Uint8Array.from([1, 2, 3, 4, ...good.bytes.subarray(4)]) },
    { ...good, version: good.version + 1 },
    { ...good, version: 0 },
    { ...good, name: "another0" },
  ];
  for (const section of bad) {
    assert.throws(
      () => bench.device.restore(section),
      (error: unknown) => error instanceof VmError && error.code === "bad-section",
    );
    sameSection(bench.device.save(), good, "after the refusal");
  }
}

function survivesNoise(make: () => Device, kind: string): void {
  const bench = attached(make);
  const stream = randomFor(kind);
  const good = bench.device.save();
  for (let round = 0; round < 300; round++) {
    const bytes = good.bytes.slice();
    for (let flips = 1 + stream.below(4); flips > 0; flips--) {
      const at = 4 + stream.below(Math.max(1, bytes.length - 4));
      if (at < bytes.length) bytes[at] = stream.u32() & 0xff;
    }
    try {
      bench.device.restore({ ...good, bytes });
    } catch (error) {
      assert.ok(error instanceof VmError && error.code === "bad-section", String(error));
    }
    traffic(bench, stream, 20);
  }
}

const randomFor = (kind: string) => new Random(SEED * 7919 + kind.length);

const CLAUSES: readonly (readonly [string, (make: () => Device, kind: string) => void])[] = [
  ["says what it is and where", saysWhatItIs],
  ["has a device-tree node that flattens, or none", hasNode],
  ["survives hostile register traffic", survivesTraffic],
  ["saves everything: a copy behaves as the original does", savesEverything],
  ["goes back to power-on state when it is reset", resets],
  ["refuses a bad section and stays as it was", refusesBadSections],
  ["survives sections of noise", survivesNoise],
];

/** The contract's clauses for one kind: title and check. */
export function deviceContract(
  kind: string,
  make: () => Device,
): readonly (readonly [title: string, check: () => void])[] {
  return CLAUSES.map(([title, check]) => [title, () => check(make, kind)] as const);
}
