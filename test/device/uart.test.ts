/**
 * uart: the 16550A as Linux's 8250 driver, OpenSBI and bare metal use it.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext } from "../../src/contract/fake-context.ts";
import { Uart } from "../../src/device/uart.ts";
import { Random } from "../helpers/random.ts";

const test = suite("device/uart");

const [RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7];
const FCR = IIR;
const DLAB = 0x80;

function port() {
  const output: number[] = [];
  const context = new FakeContext();
  const uart = new Uart({ output: (byte) => output.push(byte) });
  uart.attach(context);
  return {
    uart,
    context,
    output,
    read: (offset: number) => uart.read(offset, 1),
    write: (offset: number, value: number) => uart.write(offset, 1, value),
    type: (text: string) => uart.offer(new TextEncoder().encode(text)),
  };
}

/** What a driver does when it opens the port: FIFO on and reset, then receive interrupts. */
function open(p: ReturnType<typeof port>): void {
  p.write(FCR, 7);
  p.write(LCR, 3);
  p.write(IER, 1);
}

test("the 8250 probe finds a 16550A: scratch, interrupt enable, FIFO, loopback", () => {
  const p = port();
  for (const value of [0x55, 0xaa, 0]) {
    p.write(SCR, value);
    assert.is(p.read(SCR), value);
  }
  p.write(IER, 0xff);
  assert.is(p.read(IER), 0x0f, "only four interrupts exist");
  p.write(IER, 0);
  p.write(FCR, 1);
  assert.is(p.read(IIR) & 0xc0, 0xc0, "FIFOs work");
  p.write(FCR, 0);
  assert.is(p.read(IIR) & 0xc0, 0);
  p.write(MCR, 0x1a); // loopback with RTS and OUT2, as the driver's test does
  assert.is(p.read(MSR) & 0xf0, 0x90);
  p.write(MCR, 0);
});

test("the divisor hides behind DLAB", () => {
  const p = port();
  p.write(LCR, DLAB | 3);
  p.write(0, 0x34);
  p.write(1, 0x12);
  assert.equal([p.read(0), p.read(1)], [0x34, 0x12]);
  p.write(LCR, 3);
  assert.equal(p.output, [], "no byte was sent by that");
  assert.is(p.read(IER), 0);
});

test("bytes leave at once and in order, and the transmitter is always empty", () => {
  const p = port();
  for (const byte of [72, 105]) {
    p.write(RBR, byte);
    assert.is(p.read(LSR) & 0x60, 0x60);
  }
  assert.equal(p.output, [72, 105]);
});

test("the transmit interrupt comes when enabled, goes when IIR names it, comes again with the next byte", () => {
  const p = port();
  p.write(IER, 2);
  assert.is(p.context.irq, true);
  assert.is(p.read(IIR) & 0xf, 2);
  assert.is(p.context.irq, false, "reading IIR took it");
  assert.is(p.read(IIR) & 0xf, 1);
  p.write(RBR, 65);
  assert.is(p.context.irq, true);
  p.write(IER, 0);
  assert.is(p.context.irq, false);
});

test("input waits until the guest has receive interrupts on, and survives the driver's FIFO reset", () => {
  const p = port();
  p.type("early");
  assert.is(p.read(LSR) & 1, 0, "nobody listens");
  open(p);
  let got = "";
  for (let guard = 0; guard < 10 && (p.read(LSR) & 1) === 1; guard++) {
    got += String.fromCharCode(p.read(RBR));
  }
  assert.is(got, "early");
});

test("a guest that polls gets its input without interrupts", () => {
  const p = port();
  p.type("x");
  let reads = 0;
  while (reads < 100 && (p.read(LSR) & 1) === 0) reads++;
  assert.is(reads, 16, "held for 16 reads in a row, then offered");
  assert.is(p.read(RBR), 120);
});

test("another access between polls starts the count again", () => {
  const p = port();
  p.type("x");
  for (let round = 0; round < 50; round++) {
    for (let poll = 0; poll < 10; poll++) assert.is(p.read(LSR) & 1, 0);
    p.read(SCR);
  }
});

test("receive interrupts follow the trigger level, the rest comes with the time-out", () => {
  const p = port();
  p.write(FCR, 0x87); // trigger at 8
  p.write(IER, 1);
  p.type("12345678");
  assert.is(p.context.irq, true);
  assert.is(p.read(IIR) & 0xf, 4);
  for (let round = 0; round < 8; round++) p.read(RBR);
  assert.is(p.context.irq, false);
  p.type("ab");
  p.context.advance(p.uart, p.context.ticks + 1_000_000);
  assert.is(p.read(IIR) & 0xf, 12, "character time-out");
  assert.equal([p.read(RBR), p.read(RBR)], [97, 98]);
  assert.is(p.context.irq, false);
});

test("a flood of input is bounded, and nothing taken is lost or reordered", () => {
  const p = port();
  open(p);
  const random = new Random(11);
  const sent: number[] = [];
  const got: number[] = [];
  for (let round = 0; round < 3000; round++) {
    const count = Math.min(p.uart.inputRoom, random.below(40));
    const bytes = Uint8Array.from({ length: count }, () => random.below(256));
    p.uart.offer(bytes);
    sent.push(...bytes);
    for (let reads = random.below(40); reads > 0 && (p.read(LSR) & 1) === 1; reads--) {
      got.push(p.read(RBR));
    }
    assert.ok(sent.length - got.length <= 300, "bounded");
  }
  while ((p.read(LSR) & 1) === 1) got.push(p.read(RBR));
  assert.equal(got, sent);
});

test("loopback sends to itself and to nobody else", () => {
  const p = port();
  p.write(FCR, 1);
  p.write(MCR, 0x10);
  p.write(RBR, 0x42);
  assert.is(p.read(LSR) & 1, 1);
  assert.is(p.read(RBR), 0x42);
  assert.equal(p.output, []);
});

test("saved in the middle of things, a copy goes on where the original does", () => {
  const p = port();
  open(p);
  p.type("some input that is longer than the FIFO is");
  for (let round = 0; round < 5; round++) p.read(RBR);
  const copy = port();
  copy.uart.restore(p.uart.save());
  for (let round = 0; round < 40; round++) assert.is(copy.read(RBR), p.read(RBR));
});

test.run();
