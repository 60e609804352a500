/**
 * virtio-console: the port's control protocol as Linux's driver speaks it, and input that waits for
 * the guest's side of the port to open.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext } from "../../src/contract/fake-context.ts";
import { FEATURE_MULTIPORT, VirtioConsole } from "../../src/device/virtio/console.ts";
import { FEATURE_VERSION_1 } from "../../src/device/virtio/transport.ts";
import { VirtioDriver } from "../helpers/virtio-driver.ts";

const test = suite("device/virtio-console");

const [INPUT, OUTPUT, CONTROL_IN, CONTROL_OUT] = [0, 1, 2, 3];
const [DEVICE_READY, PORT_ADD, PORT_READY, CONSOLE_PORT, PORT_OPEN] = [0, 1, 3, 4, 6];
const PORT_NAME = 7;
const NEEDS_RESET = 64;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A driver with control queues, and a sender that gives what the port asks for. */
class Terminal {
  readonly context = new FakeContext();
  readonly device: VirtioConsole;
  driver: VirtioDriver;
  printed = "";
  sender: number[] = [];
  readonly #rooms: { gpa: number; bytes: number }[] = [];

  constructor() {
    this.device = new VirtioConsole({
      output: (bytes) => {
        this.printed += text(bytes);
      },
      onInputRoom: () => this.pump(),
    });
    this.device.attach(this.context);
    this.driver = this.start();
  }

  start(): VirtioDriver {
    this.#rooms.length = 0;
    this.context.memory.bytes.fill(0);
    this.driver = new VirtioDriver(this.device, this.context);
    this.driver.start(4, FEATURE_VERSION_1 | FEATURE_MULTIPORT);
    return this.driver;
  }

  type(line: string): void {
    this.sender.push(...new TextEncoder().encode(line));
    this.pump();
  }

  pump(): void {
    const count = Math.min(this.device.inputRoom, this.sender.length);
    if (count > 0)
      assert.is(this.device.offer(Uint8Array.from(this.sender.splice(0, count))), count);
  }

  giveControlRoom(count: number): void {
    for (let index = 0; index < count; index++) {
      const room = this.driver.room(8);
      this.#rooms.push(room);
      this.driver.submit(CONTROL_IN, [room]);
    }
  }

  say(event: number, value: number, id = 0): void {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, id, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    this.driver.submit(CONTROL_OUT, [this.driver.give(bytes)]);
    assert.is(this.driver.completed(CONTROL_OUT).length, 1);
  }

  /** Messages that came: id, event, value. */
  heard(): number[][] {
    return this.driver.completed(CONTROL_IN).map(({ written }) => {
      assert.is(written, 8);
      const bytes = this.driver.contents(this.#rooms.shift() as { gpa: number; bytes: number });
      const view = new DataView(bytes.buffer);
      return [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true)];
    });
  }

  /** Everything up to the moment when the guest listens. */
  open(): void {
    this.giveControlRoom(4);
    this.say(DEVICE_READY, 1);
    this.say(PORT_READY, 1);
    this.say(PORT_OPEN, 1);
    this.heard();
  }
}

test("one port is offered, and introduces itself step by step", () => {
  const terminal = new Terminal();
  assert.is(terminal.driver.register(0x104), 1, "max_nr_ports");
  terminal.giveControlRoom(4);
  assert.equal(terminal.heard(), []);
  terminal.say(DEVICE_READY, 1);
  assert.equal(terminal.heard(), [[0, PORT_ADD, 1]]);
  terminal.say(PORT_READY, 1);
  assert.equal(terminal.heard(), [
    [0, CONSOLE_PORT, 1],
    [0, PORT_OPEN, 1],
  ]);
});

test("input is held until the port is open, though buffers are there", () => {
  const terminal = new Terminal();
  terminal.giveControlRoom(4);
  terminal.say(DEVICE_READY, 1);
  const room = terminal.driver.room(64);
  terminal.driver.submit(INPUT, [room]);
  terminal.type("early");
  terminal.say(PORT_READY, 1);
  terminal.driver.submit(OUTPUT, [terminal.driver.give(new TextEncoder().encode("log"))]);
  assert.is(terminal.printed, "log");
  assert.equal(terminal.driver.completed(INPUT), []);
  assert.is(terminal.sender.length, 5, "the sender was not even asked");
  terminal.say(PORT_OPEN, 1);
  assert.is(terminal.driver.completed(INPUT)[0]?.written, 5);
  assert.is(text(terminal.driver.contents(room).subarray(0, 5)), "early");
});

test("a closed port takes no input until it is opened again", () => {
  const terminal = new Terminal();
  terminal.open();
  terminal.driver.submit(INPUT, [terminal.driver.room(64)]);
  terminal.say(PORT_OPEN, 0);
  terminal.type("later");
  assert.equal(terminal.driver.completed(INPUT), []);
  terminal.say(PORT_OPEN, 1);
  assert.is(terminal.driver.completed(INPUT)[0]?.written, 5);
});

test("messages wait for buffers, in order", () => {
  const terminal = new Terminal();
  terminal.say(DEVICE_READY, 1);
  terminal.say(PORT_READY, 1);
  assert.equal(terminal.heard(), []);
  terminal.giveControlRoom(1);
  assert.equal(terminal.heard(), [[0, PORT_ADD, 1]]);
  terminal.giveControlRoom(2);
  assert.equal(
    terminal.heard().map(([, event]) => event),
    [CONSOLE_PORT, PORT_OPEN],
  );
});

test("messages about other ports, refusals and unknown ones change nothing", () => {
  const terminal = new Terminal();
  terminal.giveControlRoom(4);
  const before = terminal.device.save().bytes.length;
  terminal.say(DEVICE_READY, 0);
  terminal.say(PORT_READY, 0);
  terminal.say(PORT_OPEN, 1, 7);
  terminal.say(PORT_READY, 1, 7);
  terminal.say(99, 1);
  assert.equal(terminal.heard(), []);
  assert.is(terminal.device.inputRoom, 0);
  assert.is(terminal.device.save().bytes.length, before);
});

test("a driver that asks again and again without buffers is told to reset", () => {
  const terminal = new Terminal();
  const message = new Uint8Array(8);
  message[6] = 1;
  for (let round = 0; round < 17; round++) {
    terminal.driver.submit(CONTROL_OUT, [terminal.driver.give(message)]);
  }
  assert.is(terminal.driver.register(0x70) & NEEDS_RESET, NEEDS_RESET);
});

test("control messages and buffers that are too short are broken rules", () => {
  const short = new Terminal();
  short.driver.submit(CONTROL_OUT, [short.driver.give(new Uint8Array(7))]);
  assert.is(short.driver.register(0x70) & NEEDS_RESET, NEEDS_RESET);
  const narrow = new Terminal();
  narrow.driver.submit(CONTROL_IN, [narrow.driver.room(7)]);
  const message = new Uint8Array(8);
  message[6] = 1;
  narrow.driver.submit(CONTROL_OUT, [narrow.driver.give(message)]);
  assert.is(narrow.driver.register(0x70) & NEEDS_RESET, NEEDS_RESET);
});

test("a reset closes the port and forgets messages, but not what was typed", () => {
  const terminal = new Terminal();
  terminal.open();
  terminal.type("typed");
  assert.is(terminal.sender.length, 0, "the port was asked and took it");
  terminal.say(DEVICE_READY, 1);
  terminal.start();
  assert.is(terminal.device.inputRoom, 0);
  terminal.open();
  const room = terminal.driver.room(64);
  terminal.driver.submit(INPUT, [room]);
  assert.is(text(terminal.driver.contents(room).subarray(0, 5)), "typed");
});

test("what waits is saved: a copy goes on with the same messages and the same input", () => {
  const terminal = new Terminal();
  terminal.open();
  terminal.type("kept");
  terminal.say(PORT_READY, 1); // its answers find buffers for one of the two
  const section = terminal.device.save();
  const copy = new VirtioConsole({ output: () => {} });
  copy.attach(new FakeContext());
  copy.restore(section);
  assert.equal(copy.save(), section);
  assert.is(copy.inputRoom, terminal.device.inputRoom);
  assert.is(copy.inputRoom > 0, true, "the port is open in the copy");
});

test("a named port says its name instead of being a console, and begins anew when closed", () => {
  const context = new FakeContext();
  const opens: boolean[] = [];
  const device = new VirtioConsole({
    port: "some.port",
    output: () => {},
    onOpen: (isOpen) => opens.push(isOpen),
  });
  device.attach(context);
  const driver = new VirtioDriver(device, context);
  driver.start(4, FEATURE_VERSION_1 | FEATURE_MULTIPORT);
  const rooms = [64, 64, 64].map((bytes) => driver.room(bytes));
  for (const room of rooms) driver.submit(CONTROL_IN, [room]);
  const say = (event: number, value: number) => {
    const bytes = new Uint8Array([0, 0, 0, 0, event, 0, value, 0]);
    driver.submit(CONTROL_OUT, [driver.give(bytes)]);
  };
  say(DEVICE_READY, 1);
  say(PORT_READY, 1);
  const heard = driver.completed(CONTROL_IN).map(({ written }, index) => {
    const bytes = driver.contents(rooms[index]).subarray(0, written);
    return [bytes[4], text(bytes.subarray(8))];
  });
  assert.equal(heard, [
    [PORT_ADD, ""],
    [PORT_NAME, "some.port"],
    [PORT_OPEN, ""],
  ]);
  say(PORT_OPEN, 1);
  assert.is(device.offer(new Uint8Array(5)), 5);
  say(PORT_OPEN, 1); // no news
  say(PORT_OPEN, 0);
  say(PORT_OPEN, 1);
  const room = driver.room(64);
  driver.submit(INPUT, [room]);
  assert.equal(driver.completed(INPUT), [], "what was for the last one is gone");
  device.reset();
  assert.equal(opens, [true, false, true, false]);
});

test("a control buffer that the name does not fit into is a broken rule", () => {
  const context = new FakeContext();
  const device = new VirtioConsole({ port: "some.port", output: () => {} });
  device.attach(context);
  const driver = new VirtioDriver(device, context);
  driver.start(4, FEATURE_VERSION_1 | FEATURE_MULTIPORT);
  for (const bytes of [8, 8, 8]) driver.submit(CONTROL_IN, [driver.room(bytes)]);
  for (const event of [DEVICE_READY, PORT_READY]) {
    driver.submit(CONTROL_OUT, [driver.give(new Uint8Array([0, 0, 0, 0, event, 0, 1, 0]))]);
  }
  assert.is(driver.register(0x70) & NEEDS_RESET, NEEDS_RESET);
});

test.run();
