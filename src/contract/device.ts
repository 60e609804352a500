/**
 * device: the contract that every device keeps, as one suite of checks that throw. A test runner
 * runs each clause under its title.
 *
 * Owns    nothing between two checks; each one makes fresh devices.
 * Used by test/device/contract.test.ts over the registry, and by whoever brings a device from
 *         outside (`rivulet/contract`).
 * Holds   the traffic is random and comes from a seed: the same seed, the same checks.
 */
import type { Device, DeviceSection } from "../device/contract.ts";
import { flattenDeviceTree } from "../device/device-tree.ts";
import { VmError } from "../errors.ts";
import { FakeContext, RAM_BASE } from "./fake-context.ts";
import { Random } from "./random.ts";

const TRAFFIC = 4000;
/** Machines that are copied. */
const ROUNDS = 16;

/** Throws when `isTrue` does not hold. */
function claim(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(what);
}

/** Throws when two values differ as JSON. */
function claimEqual(given: unknown, wanted: unknown, what: string): void {
  const [a, b] = [JSON.stringify(given), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a.slice(0, 400)} instead of ${b.slice(0, 400)}`);
}

/** Throws unless `work` throws VmError "bad-section". */
function claimRefused(work: () => void, what: string): void {
  try {
    work();
  } catch (error) {
    if (error instanceof VmError && error.code === "bad-section") return;
    throw new Error(`${what}: threw ${String(error)} instead of VmError "bad-section"`);
  }
  throw new Error(`${what}: was taken instead of refused with VmError "bad-section"`);
}

/** A device with the machine it sees. */
interface Bench {
  readonly device: Device;
  readonly context: FakeContext;
}

/** What a clause is about. */
interface Subject {
  readonly kind: string;
  make(): Device;
  /** A stream of its own for each clause. */
  random(): Random;
}

function attached(subject: Subject): Bench {
  const device = subject.make();
  const context = new FakeContext();
  device.attach(context);
  return { device, context };
}

function claimSameSection(a: DeviceSection, b: DeviceSection, what: string): void {
  claimEqual([a.name, a.version, [...a.bytes]], [b.name, b.version, [...b.bytes]], what);
}

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
      const isFit = Number.isInteger(value) && value >= 0 && value < 2 ** (8 * size);
      claim(isFit, `a read of ${size} bytes at 0x${offset.toString(16)} gave ${value}`);
      seen.push(value);
    } else device.write(offset, size, registerValue(random) % 2 ** (8 * size));
    if (random.below(50) === 0) context.advance(device, context.ticks + random.below(100_000));
  }
  return seen;
}

function saysWhatItIs(subject: Subject): void {
  const { kind, name, base, bytes, irq } = subject.make();
  claimEqual(kind, subject.kind, "its kind");
  claim(name.length > 0, "it has no name");
  claim(Number.isSafeInteger(bytes) && bytes > 0, `its size is ${bytes}`);
  claim(Number.isSafeInteger(base) && base % 4 === 0, `its base is ${base}`);
  claim(Number.isInteger(irq) && irq >= 0 && irq <= 95, `its irq is ${irq}, not 0 to 95`);
}

function hasNode(subject: Subject): void {
  const { device } = attached(subject);
  const node = device.node();
  if (node === null) return;
  const plic = { name: "plic", label: "plic", properties: {} };
  const harts = Array.from({ length: 8 }, (_, hart) => ({
    name: `intc${hart}`,
    label: `hart${hart}-intc`,
    properties: {},
  }));
  const children = node.label === "plic" ? [...harts, node] : [...harts, plic, node];
  const bytes = flattenDeviceTree({ name: "", properties: {}, children });
  claim(bytes.length > 40, "its node does not flatten");
  const unit = `@${device.base.toString(16)}`;
  claim(node.name.endsWith(unit), `its node is called ${node.name}, not ...${unit}`);
}

function survivesTraffic(subject: Subject): void {
  const bench = attached(subject);
  traffic(bench, subject.random(), TRAFFIC);
  const { length } = bench.device.save().bytes;
  claim(length < 1 << 20, `its section grew to ${length} bytes`);
}

function savesEverything(subject: Subject): void {
  const stream = subject.random();
  // what is high or armed in one round is not in another
  for (let round = 0; round < ROUNDS; round++) survivesCopying(subject, stream);
}

function survivesCopying(subject: Subject, stream: Random): void {
  const original = attached(subject);
  traffic(original, stream, stream.below(TRAFFIC / 4));
  const { context } = original;
  const section = original.device.save();
  const copy = attached(subject);
  copy.context.memory.bytes.set(context.memory.bytes);
  copy.context.ticks = context.ticks;
  copy.device.restore(section);
  claimSameSection(copy.device.save(), section, "saved again after restore");
  claimEqual(copy.context.alarmTicks, context.alarmTicks, "the alarm after restore");
  claimEqual(copy.context.irq, context.irq, "the interrupt line after restore");
  const next = stream.u32();
  const same = traffic(copy, new Random(next), 200);
  claimEqual(same, traffic(original, new Random(next), 200), "what the copy reads");
}

function resets(subject: Subject): void {
  const bench = attached(subject);
  const fresh = bench.device.save();
  traffic(bench, subject.random(), TRAFFIC / 4);
  bench.device.reset();
  claimSameSection(bench.device.save(), fresh, "its section after reset");
  claimEqual(bench.context.irq, false, "its interrupt line after reset");
  claimEqual(bench.context.alarmTicks, null, "its alarm after reset");
}

function refusesBadSections(subject: Subject): void {
  const stream = subject.random();
  const other = attached(subject);
  traffic(other, stream, 200);
  const good = other.device.save();
  // in a state of its own, so that a section that is taken in half shows
  const bench = attached(subject);
  traffic(bench, stream, 200);
  const own = bench.device.save();
  const bad: Record<string, DeviceSection> = {
    "one byte short": { ...good, bytes: good.bytes.subarray(0, good.bytes.length - 1) },
    empty: { ...good, bytes: new Uint8Array(0) },
    "one byte long": { ...good, bytes: Uint8Array.from([...good.bytes, 0]) },
    "of another kind": { ...good, bytes: Uint8Array.from([1, 2, 3, 4, ...good.bytes.subarray(4)]) },
    "of a later version": { ...good, version: good.version + 1 },
    "of version 0": { ...good, version: 0 },
    "of another device": { ...good, name: `${good.name}-other` },
  };
  for (const [what, section] of Object.entries(bad)) {
    claimRefused(() => bench.device.restore(section), `a section ${what}`);
    claimSameSection(bench.device.save(), own, `its state after a section ${what}`);
  }
}

function survivesNoise(subject: Subject): void {
  const bench = attached(subject);
  const stream = subject.random();
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
      const isRefusal = error instanceof VmError && error.code === "bad-section";
      claim(isRefusal, `a section of noise threw ${String(error)}`);
    }
    traffic(bench, stream, 20);
  }
}

function showsItself(subject: Subject): void {
  const bench = attached(subject);
  const { device, context } = bench;
  if (device.inspect === undefined) return;
  const stream = subject.random();
  for (let round = 0; round < 20; round++) {
    traffic(bench, stream, TRAFFIC / 40);
    const before = [context.irq, context.alarmTicks];
    const section = device.save();
    const { registers, figures = {} } = device.inspect();
    claimSameSection(device.save(), section, "its section after inspect");
    claimEqual([context.irq, context.alarmTicks], before, "its interrupt and alarm after inspect");
    for (const { name, offset, value, bytes } of registers) {
      claim(offset >= 0 && offset + bytes <= device.bytes, `${name} lies outside, at ${offset}`);
      const isFitting = value >= 0 && BigInt(value) < 1n << BigInt(8 * bytes);
      claim(isFitting, `${name} is ${value}, of ${bytes} bytes`);
    }
    for (const [name, value] of Object.entries(figures)) {
      claim(Number.isSafeInteger(value), `figure ${name} is ${value}`);
    }
  }
}

const CLAUSES: Readonly<Record<string, (subject: Subject) => void>> = {
  "says what it is and where": saysWhatItIs,
  "has a device-tree node that flattens, or none": hasNode,
  "survives hostile register traffic": survivesTraffic,
  "saves everything: a copy behaves as the original does": savesEverything,
  "goes back to power-on state when it is reset": resets,
  "refuses a bad section and stays as it was": refusesBadSections,
  "survives sections of noise": survivesNoise,
  "shows its registers without changing anything": showsItself,
};

/** One clause of the contract: `check` throws an Error that says what does not hold. */
export interface ContractClause {
  readonly title: string;
  check(): void;
}

/**
 * The contract's clauses for one kind of device. `make` gives a fresh one each time, the same each
 * time; `seed` picks the random traffic (default 1).
 */
export function deviceContract(kind: string, make: () => Device, seed = 1): ContractClause[] {
  const random = () => new Random(seed * 7919 + kind.length);
  return Object.entries(CLAUSES).map(([title, clause]) => ({
    title,
    check: () => clause({ kind, make, random }),
  }));
}
