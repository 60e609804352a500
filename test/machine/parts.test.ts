/**
 * parts: the pieces between a machine and its devices, each alone: bus, hub, console, waiter,
 * scheduler, ...
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { MachineView } from "../../src/core/machine-view.ts";
import type { Device, DeviceContext } from "../../src/device/contract.ts";
import { Share } from "../../src/machine/accounting.ts";
import { Bus } from "../../src/machine/bus.ts";
import { ConsoleEnd } from "../../src/machine/console.ts";
import { Emitter } from "../../src/machine/events.ts";
import { DeviceHub, WORK_MAX } from "../../src/machine/hub.ts";
import { SeededRandom } from "../../src/machine/random.ts";
import { Scheduler } from "../../src/machine/scheduler.ts";
import { Waiter } from "../../src/machine/waiter.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";

const test = suite("machine/parts");
const sim = () => new SimPlatform(new Uint8Array(0));

/** A device that remembers what was done to it. */
class Recorder implements Device {
  readonly kind = "recorder";
  readonly log: string[] = [];
  readonly name: string;
  readonly base: number;
  readonly bytes: number;
  readonly irq: number;
  context!: DeviceContext;

  constructor(name: string, base: number, bytes = 0x100, irq = 0) {
    this.irq = irq;
    this.name = name;
    this.base = base;
    this.bytes = bytes;
  }

  attach(context: DeviceContext): void {
    this.context = context;
  }
  read(offset: number, size: number): number {
    this.log.push(`r${offset}:${size}`);
    return 0x11111111 * (offset / 4 + 1);
  }
  write(offset: number, size: number, value: number): void {
    this.log.push(`w${offset}:${size}=${value.toString(16)}`);
  }
  alarm(): void {
    this.log.push(`alarm@${this.context.now()}`);
  }
  retry(): void {
    this.log.push("retry");
  }
  reset(): void {}
  node(): null {
    return null;
  }
  save() {
    return { name: this.name, version: 1, bytes: new Uint8Array(0) };
  }
  restore(): void {}
}

/** The part of a MachineView that the bus uses. */
function access(address: number, size: number, write?: [number, number]) {
  const done: unknown[] = [];
  const view = {
    exitAddress: address,
    exitSize: size,
    isExitWrite: write !== undefined,
    exitValueLow: write?.[0] ?? 0,
    exitValueHigh: write?.[1] ?? 0,
    mmioDone: (low: number, high: number, isOk: boolean) => done.push([low, high, isOk]),
  };
  return { view: view as unknown as MachineView, done };
}

test("bus: sizes, splitting, faults", () => {
  const device = new Recorder("a", 0x1000);
  const bus = new Bus([device]);
  const serve = (address: number, size: number, write?: [number, number]) => {
    const { view, done } = access(address, size, write);
    bus.serve(view);
    return done;
  };
  assert.equal(serve(0x1004, 4), [[0x22222222, 0, true]]);
  assert.equal(serve(0x1008, 8), [[0x33333333, 0x44444444, true]]);
  assert.equal(serve(0x1001, 1, [0xabcd, 0]), [[0, 0, true]]);
  assert.equal(serve(0x1002, 2, [0xabcdef, 0]), [[0, 0, true]]);
  assert.equal(serve(0x1010, 8, [1, 2]), [[0, 0, true]]);
  assert.equal(device.log, ["r4:4", "r8:4", "r12:4", "w1:1=cd", "w2:2=cdef", "w16:4=1", "w20:4=2"]);
  device.log.length = 0;
  for (const [address, size] of [
    [0xfff, 1],
    [0x1100, 4],
    [0x1002, 4],
    [0x10fe, 4],
    [0, 8],
    [2 ** 52, 8],
  ]) {
    assert.equal(serve(address, size), [[0, 0, false]], `${address} ${size}`);
  }
  assert.equal(device.log, []);
});

test("bus: finds among many, refuses overlaps", () => {
  const devices = [0x5000, 0x1000, 0x3000].map((base) => new Recorder(`d${base}`, base));
  const bus = new Bus(devices);
  for (const device of devices) {
    assert.is(bus.find(device.base), device);
    assert.is(bus.find(device.base + 0xff), device);
    assert.is(bus.find(device.base + 0x100), null);
    assert.is(bus.find(device.base - 1), null);
  }
  assert.throws(() => new Bus([new Recorder("a", 0), new Recorder("b", 0xff)]), /overlap/);
  assert.throws(() => new Bus([new Recorder("a", 0x200_ff00)]), /overlaps the CLINT/);
  const twice = () => new Bus([new Recorder("a", 0), new Recorder("a", 0x1000)]);
  assert.throws(twice, /a and a both have name a/);
  const shared = () => new Bus([new Recorder("a", 0, 4, 9), new Recorder("b", 8, 4, 9)]);
  assert.throws(shared, /a and b both have interrupt 9/);
});

function makeHub() {
  const state = { now: 0, irqs: [] as string[], isFull: false };
  const hub = new DeviceHub({
    memory: {
      contains: (gpa) => gpa >= 100,
      read: () => true,
      write: () => !state.isFull,
      reserve: () => !state.isFull,
      isAbsent: false,
    },
    absentPage: () => 0,
    now: () => state.now,
    wallMs: () => 0,
    entropy: (count) => new Uint8Array(count),
    setIrq: (irq, isHigh) => state.irqs.push(`${irq}${isHigh}`),
  });
  const devices = [new Recorder("a", 0x1000), new Recorder("b", 0x2000)];
  for (const device of devices) hub.attach(device);
  return { hub, devices, state };
}

test("hub: alarms fire once, at their time, in order of address", () => {
  const { hub, devices, state } = makeHub();
  const [a, b] = devices;
  b.context.setAlarm(5);
  a.context.setAlarm(5);
  assert.is(hub.nextAlarm, 5);
  state.now = 4;
  hub.fire(devices, 4);
  assert.equal([a.log, b.log], [[], []]);
  state.now = 6;
  hub.fire(devices, 6);
  hub.fire(devices, 6);
  assert.equal([a.log, b.log], [["alarm@6"], ["alarm@6"]]);
  assert.is(hub.nextAlarm, Number.POSITIVE_INFINITY);
  a.context.setAlarm(9);
  a.context.setAlarm(null);
  assert.is(hub.nextAlarm, Number.POSITIVE_INFINITY);
  b.context.setAlarm(7);
  b.context.setAlarm(8);
  assert.is(hub.alarmOf(b), 8);
  assert.is(hub.alarmOf(a), null);
});

test("hub: what an alarm leaves undone is done before the next alarm of the same moment", () => {
  const { hub, devices } = makeHub();
  const [a, b] = devices;
  const alarm = a.alarm.bind(a);
  a.alarm = () => {
    alarm();
    hub.charge(WORK_MAX);
    assert.not(a.context.mayGoOn());
  };
  for (const device of devices) device.context.setAlarm(5);
  hub.fire(devices, 5);
  assert.equal([a.log, b.log], [["alarm@0"], []]);
  hub.beginSlice();
  hub.goOn();
  assert.equal([a.log, b.log, hub.isUnfinished], [["alarm@0", "retry"], [], false]);
  hub.fire(devices, 5);
  assert.equal(b.log, ["alarm@0"]);
});

test("hub: who lacked frames is asked again, addresses outside RAM are not a lack", () => {
  const { hub, devices, state } = makeHub();
  const [a, b] = devices;
  state.isFull = true;
  assert.not(a.context.memory.reserve(10, 1));
  assert.not(hub.isStarved);
  assert.not(b.context.memory.reserve(100, 1));
  assert.ok(hub.isStarved);
  hub.retry(devices);
  assert.equal([a.log, b.log], [[], ["retry"]]);
  assert.not(hub.isStarved);
});

test("hub: holds keep time still until they settle, whichever way", async () => {
  const { hub, devices } = makeHub();
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  devices[0].context.hold(new Promise<void>((done) => (resolve = done)));
  devices[1].context.hold(new Promise<void>((_, fail) => (reject = fail)));
  assert.ok(hub.isHeld);
  const released = hub.released();
  resolve();
  await Promise.resolve();
  await Promise.resolve();
  assert.ok(hub.isHeld);
  reject(new Error("the disk broke"));
  await released;
  assert.not(hub.isHeld);
});

test("hub: the first request counts", () => {
  const { hub, devices } = makeHub();
  devices[0].context.request({ kind: "poweroff", code: 1 });
  devices[1].context.request({ kind: "reboot" });
  assert.equal(hub.request, { kind: "poweroff", code: 1 });
  hub.reset();
  assert.is(hub.request, null);
});

test("console: input is handed over as far as the port has room", () => {
  const taken: number[] = [];
  const port = { inputRoom: 3, offer: (bytes: Uint8Array) => taken.push(...bytes) };
  const end = new ConsoleEnd(false, () => {});
  end.write("ab");
  end.write(Uint8Array.of(99, 100, 101));
  end.connect({
    get inputRoom() {
      return port.inputRoom - taken.length;
    },
    offer: (bytes) => void port.offer(bytes),
  });
  end.pump();
  assert.equal(taken, [97, 98, 99]);
  assert.is(end.inputPending, 2);
  port.inputRoom = 100;
  end.pump();
  assert.equal(taken, [97, 98, 99, 100, 101]);
  assert.is(end.take(5).length, 0);
});

test("console: what the caller changes after write does not change the input", () => {
  const end = new ConsoleEnd(true, () => {});
  const bytes = Uint8Array.of(1, 2);
  end.write(bytes);
  bytes[0] = 9;
  assert.equal([...end.take(2)], [1, 2]);
});

test("console: the async iterator sees everything and ends", async () => {
  const end = new ConsoleEnd(false, () => {});
  end.putAll(new TextEncoder().encode("one"));
  end.flush();
  let text = "";
  const reading = (async () => {
    for await (const bytes of end) text += new TextDecoder().decode(bytes);
  })();
  await Promise.resolve();
  end.putAll(new Uint8Array(10_000).fill(46));
  end.put(33);
  end.end();
  await reading;
  assert.is(text, `one${".".repeat(10_000)}!`);
});

test("waiter: woken before, during, by time", async () => {
  const platform = sim();
  const waiter = new Waiter(platform);
  waiter.wake();
  await waiter.sleep(null);
  const byWake = waiter.sleep(null);
  waiter.wake();
  await byWake;
  const byTime = waiter.sleep(5);
  platform.advance(4);
  assert.is(platform.nextTimerMs, 1);
  platform.advance(1);
  await byTime;
  const both = waiter.sleep(5);
  waiter.wake();
  await both;
  assert.is(platform.nextTimerMs, null, "a timer was left behind");
  waiter.wake();
  waiter.clear();
  const cleared = waiter.sleep(1);
  assert.is(platform.nextTimerMs, 1);
  platform.advance(1);
  await cleared;
});

test("scheduler: round-robin over what is ready", async () => {
  const scheduler = new Scheduler(sim());
  const log: string[] = [];
  const task = (name: string, slices: number) => {
    let left = slices;
    return {
      share: new Share(),
      slice: () => {
        log.push(name);
        return --left > 0;
      },
    };
  };
  const [a, b, c] = [task("a", 4), task("b", 2), task("c", 3)];
  scheduler.add(a);
  scheduler.add(b);
  scheduler.add(a);
  scheduler.add(c);
  for (let turn = 0; turn < 40; turn++) await Promise.resolve();
  assert.is(log.join(""), "abcabcaca");
  assert.is(scheduler.readyCount, 0);
  scheduler.add(task("d", 1));
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  assert.is(log.at(-1), "d");
});

test("random: a stream depends on seed and purpose, and goes on from its counter", () => {
  const bytes = (seed: bigint, purpose: string) => [...new SeededRandom(seed, purpose).bytes(40)];
  assert.equal(bytes(1n, "x"), bytes(1n, "x"));
  assert.not.equal(bytes(1n, "x"), bytes(2n, "x"));
  assert.not.equal(bytes(1n, "x"), bytes(1n, "y"));
  const first = new SeededRandom(7n, "x");
  assert.not.equal([...first.bytes(32)], [...first.bytes(32)]);
  const second = new SeededRandom(7n, "x");
  second.begin(first.seed, first.counter);
  assert.equal([...second.bytes(8)], [...first.bytes(8)]);
});

test("events: listeners in order, removal, and one that throws", async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown) => unhandled.push((error as Error).message);
  process.on("unhandledRejection", onUnhandled);
  const events = new Emitter<{ tick: number }>();
  const log: string[] = [];
  const stop = events.on("tick", (value) => log.push(`a${value}`));
  events.on("tick", () => {
    throw new Error("listener");
  });
  events.on("tick", (value) => log.push(`c${value}`));
  events.emit("tick", 1);
  stop();
  events.emit("tick", 2);
  assert.equal(log, ["a1", "c1", "c2"]);
  await new Promise(setImmediate);
  process.off("unhandledRejection", onUnhandled);
  assert.equal(unhandled, ["listener", "listener"], "the errors are not lost");
});

test.run();
