/**
 * custom: devices of registered kinds: their place in the map, refused collisions, and their part
 * in the digest.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Device, DevicePlace, DeviceSection, MachineConfig } from "../../src/index.ts";
import {
  type Host as AnyHost,
  Host,
  SectionReader,
  SectionWriter,
  VmError,
} from "../../src/node.ts";

const test = suite("device/custom");

/** One register of 32 bits at its base. */
class Register implements Device {
  readonly kind: string;
  readonly name: string;
  readonly base: number;
  readonly bytes = 4096;
  readonly irq: number;
  value = 0;

  constructor(place: DevicePlace, kind = "register") {
    this.kind = kind;
    this.name = place.name;
    this.base = place.base;
    this.irq = place.irq;
    if (typeof place.options === "number") this.value = place.options;
  }
  attach(): void {}
  read(): number {
    return this.value;
  }
  write(_offset: number, _size: number, value: number): void {
    this.value = value;
  }
  alarm(): void {}
  retry(): void {}
  reset(): void {}
  node(): null {
    return null;
  }
  save(): DeviceSection {
    const writer = new SectionWriter("REGI");
    writer.u32(this.value);
    return writer.finish(this.name, 1);
  }
  restore(section: DeviceSection): void {
    const reader = new SectionReader(section, this.name, "REGI", 1);
    this.value = reader.u32();
  }
}

async function withHost(work: (host: AnyHost) => void | Promise<void>): Promise<void> {
  const host = await Host.create({ arenaBytes: 64 << 20, machinesMax: 2 });
  try {
    host.registerDevice("register", (place) => new Register(place));
    await work(host);
  } finally {
    host.dispose();
  }
}

function refused(host: AnyHost, config: MachineConfig, text: RegExp): void {
  const framesFree = host.stats().framesFree;
  assert.throws(
    () => host.createMachine({ memoryBytes: "1M", ...config }),
    (error: unknown) =>
      error instanceof VmError && error.code === "bad-config" && text.test(error.message),
  );
  assert.is(host.stats().framesFree, framesFree, "nothing is kept of a refused machine");
  assert.is(host.machines.length, 0);
}

test("requests get places and names one behind the other", () =>
  withHost((host) => {
    const devices = [{ kind: "register" }, { kind: "register", options: 7 }];
    const machine = host.createMachine({ memoryBytes: "1M", devices });
    const made = machine.devices.bus.devices.filter(({ kind }) => kind === "register");
    const places = made.map(({ name, base, irq }) => [name, base, irq]);
    assert.equal(places, [
      ["register0", 0x1100_0000, 13],
      ["register1", 0x1101_0000, 14],
    ]);
    assert.is(made[1].read(0, 4), 7);
  }));

test("its section is part of the digest", () =>
  withHost((host) => {
    const machine = (value: number) =>
      host.createMachine({ memoryBytes: "1M", devices: [{ kind: "register", options: value }] });
    const [a, b] = [machine(1), machine(2)];
    assert.is.not(a.stateDigest(), b.stateDigest());
    b.dispose();
    assert.is(machine(1).stateDigest(), a.stateDigest());
  }));

test("what collides or lies outside is refused, and nothing leaks", () =>
  withHost((host) => {
    const one = (request: object) => ({ devices: [{ kind: "register", ...request }] });
    refused(host, one({ base: 0x1000_0000 }), /uart0.* and .*register0.*overlap|overlap/);
    refused(host, one({ base: 0x200_f000 }), /overlaps the CLINT/);
    refused(host, one({ irq: 10 }), /both have interrupt 10/);
    refused(host, one({ name: "uart0" }), /both have name uart0/);
    refused(host, one({ base: 0x1100_0004 }), /multiples of 4096/);
    refused(host, one({ base: 0x8000_0000 }), /multiples of 4096/);
    refused(host, one({ irq: 96 }), /integers from 0 to 95/);
    refused(host, { devices: [{ kind: "bell" }] }, /device kind "bell": accepted are register/);
    const many = Array.from({ length: 20 }, () => ({ kind: "register" }));
    refused(host, { devices: many }, /up to 19/);
  }));

test("a factory that throws, or makes another device, is named", () =>
  withHost((host) => {
    host.registerDevice("broken", () => {
      throw new Error("no bell");
    });
    host.registerDevice("liar", (place) => new Register({ ...place, base: 0x1200_0000 }, "liar"));
    refused(host, { devices: [{ kind: "broken" }] }, /"broken" threw Error: no bell/);
    refused(host, { devices: [{ kind: "liar" }] }, /made liar liar0 at 0x12000000 irq 13, asked/);
  }));

test("a kind is registered once, under a plain name", () =>
  withHost((host) => {
    const factory = (place: DevicePlace) => new Register(place);
    assert.throws(() => host.registerDevice("register", factory), /registered already/);
    assert.throws(() => host.registerDevice("Two Words", factory), /lower-case letters/);
  }));

test.run();
