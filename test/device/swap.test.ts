/**
 * swap: a device that is saved, thrown away and restored into a fresh one in the middle of real
 * work is not noticed: the same script with and without swaps leaves the same trace, memory, line
 * and alarm.
 *
 * Holds   each script drives its device as a driver does, so that queues, FIFOs and claims are in
 *         use when it is swapped.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext } from "../../src/contract/fake-context.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import type { Device } from "../../src/device/contract.ts";
import { Plic } from "../../src/device/plic.ts";
import { Rtc } from "../../src/device/rtc.ts";
import { Uart } from "../../src/device/uart.ts";
import { VirtioBlk } from "../../src/device/virtio/blk.ts";
import { VirtioConsole } from "../../src/device/virtio/console.ts";
import { VirtioRng } from "../../src/device/virtio/rng.ts";
import {
  FEATURE_EVENT_INDEX,
  FEATURE_INDIRECT,
  FEATURE_VERSION_1,
} from "../../src/device/virtio/transport.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { VirtioDriver } from "../helpers/virtio-driver.ts";

const test = suite("device/swap");

const STEPS = 300;

/** A place where a device sits; whoever drives it does not see that it is another one now. */
class Socket<D extends Device> {
  readonly context = new FakeContext();
  readonly trace: unknown[] = [];
  current: D;
  readonly #make: (trace: unknown[]) => D;

  constructor(make: (trace: unknown[]) => D) {
    this.#make = make;
    this.current = make(this.trace);
    this.current.attach(this.context);
  }

  /** What a driver holds: forwards to the device of the moment. */
  get face(): Device {
    const { current } = this;
    return {
      name: current.name,
      kind: current.kind,
      base: current.base,
      bytes: current.bytes,
      irq: current.irq,
      attach: () => assert.unreachable(),
      read: (offset, size) => this.current.read(offset, size),
      write: (offset, size, value) => this.current.write(offset, size, value),
      alarm: () => this.current.alarm(),
      retry: () => this.current.retry(),
      reset: () => this.current.reset(),
      node: () => this.current.node(),
      save: () => this.current.save(),
      restore: (section) => this.current.restore(section),
    };
  }

  swap(): void {
    const section = this.current.save();
    const before = this.#outside();
    this.context.irq = false;
    this.context.alarmTicks = null;
    this.current = this.#make(this.trace);
    this.current.attach(this.context);
    this.current.restore(section);
    assert.equal(this.#outside(), before, "line and alarm after the swap");
    assert.equal(this.current.save(), section, "saved again");
  }

  advance(ticks: number): void {
    this.context.advance(this.face, this.context.ticks + ticks);
  }

  #outside(): unknown[] {
    return [this.context.irq, this.context.alarmTicks];
  }
}

type Script<D extends Device> = (socket: Socket<D>, random: Random) => () => void;

/** Runs the script twice, once with swaps, and compares all that can be seen. */
function compare<D extends Device>(
  what: string,
  make: (trace: unknown[]) => D,
  script: Script<D>,
): void {
  test(`${what} can be swapped at any moment`, () => {
    const seed = seedOf(41);
    const [plain, swapped] = [false, true].map((isSwapped) => {
      const socket = new Socket(make);
      const random = new Random(seed);
      const swaps = new Random(seed + 1);
      const step = script(socket, random);
      for (let count = 0; count < STEPS; count++) {
        step();
        socket.trace.push(socket.context.irq, socket.context.alarmTicks);
        if (swaps.chance(30) && isSwapped) socket.swap();
      }
      return socket;
    });
    assert.ok(plain.trace.length > STEPS);
    assert.equal(swapped.trace, plain.trace, `SEED=${seed}`);
    assert.equal(swapped.context.memory.bytes, plain.context.memory.bytes, `SEED=${seed}`);
    assert.equal(swapped.current.save(), plain.current.save());
  });
}

compare(
  "a UART",
  (trace) => new Uart({ output: (byte) => trace.push(`out ${byte}`) }),
  (socket, random) => () => {
    const { current, trace } = socket;
    const register = random.below(8);
    switch (random.below(8)) {
      case 0:
        current.offer(Uint8Array.from({ length: random.below(20) }, () => random.below(256)));
        break;
      case 1:
        current.write(2, 1, random.pick([0, 1, 3, 7, 0x41, 0x81, 0xc1]));
        break;
      case 2:
        current.write(1, 1, random.below(16));
        break;
      case 3:
        current.write(4, 1, random.pick([0, 0x0b, 0x10, 0x1f]));
        break;
      case 4:
        current.write(random.pick([0, 7]), 1, random.below(256));
        break;
      case 5:
        socket.advance(random.below(5000));
        break;
      case 6:
        for (let polls = random.below(20); polls > 0; polls--) trace.push(current.read(5, 1));
        break;
      default:
        trace.push(current.read(register, 1));
    }
  },
);

const LINES = new WeakMap<unknown[], number[]>();

/** Lines of the harts; a PLIC that is new says again what they are. */
function linesOf(trace: unknown[]): number[] {
  const known = LINES.get(trace) ?? [0, 0];
  LINES.set(trace, known);
  return known;
}

compare(
  "a PLIC",
  (trace) => new Plic({ harts: 2, onLines: (hart, lines) => (linesOf(trace)[hart] = lines) }),
  (socket, random) => {
    const serving: number[] = [];
    return () => {
      const { current, trace } = socket;
      const source = random.pick([1, 10, 31, 32, 63, 64, 96]);
      const context = random.below(4);
      const claim = 0x200004 + 0x1000 * context;
      switch (random.below(7)) {
        case 0:
          current.write(4 * source, 4, random.below(8));
          break;
        case 1:
          current.setLevel(source, random.chance(50));
          break;
        case 2:
          current.write(0x2000 + 0x80 * context + 4 * random.below(4), 4, random.u32());
          break;
        case 3:
          current.write(0x200000 + 0x1000 * context, 4, random.below(4));
          break;
        case 4:
        case 5: {
          const taken = current.read(claim, 4);
          if (taken !== 0) serving.push(taken);
          trace.push(taken);
          break;
        }
        default:
          current.write(claim, 4, serving.splice(random.below(serving.length + 1), 1)[0] ?? 0);
      }
      trace.push(current.read(0x1000 + 4 * random.below(4), 4), ...linesOf(trace));
    };
  },
);

compare(
  "a real-time clock",
  () => new Rtc(),
  (socket, random) => () => {
    const { current, trace } = socket;
    const offset = 4 * random.below(8);
    const what = random.below(5);
    if (what === 0) socket.advance(random.below(50_000));
    else if (what === 1) {
      const wall = BigInt(current.read(0, 4)) | (BigInt(current.read(4, 4)) << 32n);
      const due = wall + BigInt(random.below(5_000_000));
      current.write(0x0c, 4, Number(due >> 32n));
      current.write(0x08, 4, Number(due & 0xffffffffn));
    } else if (what < 4) current.write(offset, 4, random.pick([0, 1, random.u32()]));
    else trace.push(current.read(offset, 4));
  },
);

const FEATURES = FEATURE_VERSION_1 | FEATURE_INDIRECT | (1n << 9n);

/** A driver that looks at interrupts and now and then starts over. */
function drive<D extends Device>(
  socket: Socket<D>,
  queues: number,
  random: Random,
  submit: Submit,
): () => void {
  const features = FEATURES & ~(queues === 2 ? 1n << 9n : 0n);
  let driver = new VirtioDriver(socket.face, socket.context);
  const begin = () => {
    const isEvented = random.chance(50);
    const isBlk = socket.current.kind === "virtio-blk";
    const taken = isBlk ? features : features & ~(1n << 9n);
    socket.context.memory.bytes.fill(0);
    driver = new VirtioDriver(socket.face, socket.context);
    driver.start(queues, taken | (isEvented ? FEATURE_EVENT_INDEX : 0n));
  };
  begin();
  let submitted = 0;
  return () => {
    if (submitted >= 12) {
      begin();
      submitted = 0;
    }
    if (random.chance(50)) {
      submit(driver, submitted++);
    } else socket.advance(random.below(1500));
    for (let queue = 0; queue < queues; queue++) socket.trace.push(driver.completed(queue));
    for (const register of [0x60, 0x70, 0xfc]) socket.trace.push(driver.register(register));
    if (random.chance(40)) driver.setRegister(0x64, random.below(4));
  };
}

type Submit = (driver: VirtioDriver, index: number) => void;

const contents = new Uint8Array(64 * 512);
compare(
  "a virtio disk",
  () => new VirtioBlk({ backend: new MemoryBackend(contents) }),
  (socket, random) => {
    contents.fill(3);
    return drive(socket, 1, random, (driver, index) => {
      const type = random.pick([0, 0, 1, 4, 8, 77]);
      const header = new Uint8Array(16);
      header[0] = type;
      header[8] = random.below(70);
      const bytes = 512 * (1 + random.below(4));
      const data = new Uint8Array(bytes).fill(index + 1);
      const body = type === 1 ? driver.give(data) : driver.room(type === 8 ? 20 : bytes);
      const chain = [driver.give(header), body, driver.room(1)];
      if (random.chance(3)) driver.offer(0, 99);
      else driver.submit(0, random.chance(95) ? chain : chain.slice(0, 1), true);
    });
  },
);

compare(
  "a virtio console",
  (trace) => new VirtioConsole({ output: (bytes) => trace.push([...bytes]) }),
  (socket, random) =>
    drive(socket, 2, random, (driver, index) => {
      const typed = Uint8Array.from({ length: random.below(8) }, () => random.below(256));
      socket.current.offer(typed);
      if (random.chance(50)) driver.submit(0, [driver.room(1 + random.below(8))], true);
      else driver.submit(1, [driver.give(Uint8Array.of(index, 65, 66))], true);
    }),
);

compare(
  "a virtio entropy source",
  () => new VirtioRng(),
  (socket, random) =>
    drive(socket, 1, random, (driver) => driver.submit(0, [driver.room(random.below(64))], true)),
);

test.run();
