/**
 * uart-driver: what Linux's 8250 driver does to the port, access by access: open, speed, console
 * output beside it, interrupts; with people typing all the time. Nothing typed may be lost, doubled
 * or reordered.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FakeContext } from "../../src/contract/fake-context.ts";
import { Uart } from "../../src/device/uart.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("device/uart-driver");

const [DATA, IER, IIR, LCR, MCR, LSR, MSR] = [0, 1, 2, 3, 4, 5, 6];
const FCR = IIR;
const [RDI, THRI, RLSI] = [1, 2, 4];
const text = (bytes: readonly number[]) => String.fromCharCode(...bytes);

/** The driver: shadow registers and the sequences of 8250_port.c, in its order. */
class Driver {
  readonly output: number[] = [];
  readonly received: number[] = [];
  readonly context = new FakeContext();
  readonly uart: Uart;
  /** What the sender still holds. */
  readonly sender: number[] = [];
  readonly transmit: number[] = [];
  ier = 0;

  constructor() {
    this.uart = new Uart({
      output: (byte) => this.output.push(byte),
      onInputRoom: () => this.pump(),
    });
    this.uart.attach(this.context);
  }

  /** Gives the port what it asks for. */
  pump(): void {
    const count = Math.min(this.uart.inputRoom, this.sender.length);
    if (count === 0) return;
    assert.is(this.uart.offer(Uint8Array.from(this.sender.splice(0, count))), count);
  }

  type(bytes: readonly number[]): void {
    this.sender.push(...bytes);
    this.pump();
  }

  in(register: number): number {
    return this.uart.read(register, 1);
  }

  out(register: number, value: number): void {
    this.uart.write(register, 1, value);
  }

  clear(): void {
    for (const register of [LSR, DATA, IIR, MSR]) this.in(register);
  }

  startup(): void {
    for (const value of [1, 7, 0]) this.out(FCR, value);
    this.clear();
    this.out(LCR, 3);
    this.out(MCR, 0x08);
    // does the transmitter interrupt work?
    this.out(IER, THRI);
    assert.is(this.in(IIR) & 0x0f, 2);
    assert.is(this.in(LSR) & 0x60, 0x60);
    this.out(IER, 0);
    this.clear();
    this.ier = RDI | RLSI;
  }

  setSpeed(): void {
    this.out(IER, this.ier);
    this.out(LCR, 0x83);
    this.out(0, 2);
    this.out(1, 0);
    this.out(LCR, 3);
    this.out(FCR, 1);
    this.out(FCR, 0x81); // trigger at 8
    this.out(MCR, 0x0b);
  }

  shutdown(): void {
    this.ier = 0;
    this.out(IER, 0);
    this.out(MCR, 0);
    for (const value of [1, 7, 0]) this.out(FCR, value);
    this.in(DATA);
  }

  /**
   * printk's way out: interrupts of the port off, each byte after a look at LSR, interrupts on
   * again.
   */
  print(bytes: readonly number[]): void {
    this.out(IER, 0);
    for (const byte of bytes) {
      while ((this.in(LSR) & 0x20) === 0) assert.unreachable("the transmitter is always empty");
      this.out(DATA, byte);
    }
    this.out(IER, this.ier);
  }

  /** A process writes to the terminal. */
  send(bytes: readonly number[]): void {
    this.transmit.push(...bytes);
    if (this.transmit.length > 0 && (this.ier & THRI) === 0) {
      this.ier |= THRI;
      this.out(IER, this.ier);
    }
  }

  /**
   * serial8250_handle_irq, as often as the line asks for it; a level that never falls fails the
   * test.
   */
  serve(): void {
    for (let round = 0; this.context.irq; round++) {
      assert.ok(round < 200, "the interrupt never ends");
      const cause = this.in(IIR) & 0x0f;
      if (cause === 1) continue;
      let status = this.in(LSR);
      for (let count = 0; (status & 1) === 1 && count < 256; count++) {
        this.received.push(this.in(DATA));
        status = this.in(LSR);
      }
      this.in(MSR);
      if ((status & 0x20) !== 0 && (this.ier & THRI) !== 0) this.#transmitChars();
    }
  }

  #transmitChars(): void {
    for (let count = 0; count < 16 && this.transmit.length > 0; count++) {
      this.out(DATA, this.transmit.shift() as number);
    }
    if (this.transmit.length > 0) return;
    this.ier &= ~THRI;
    this.out(IER, this.ier);
  }

  /** Time passes; what interrupts is served. */
  wait(): void {
    this.context.advance(this.uart, this.context.ticks + 100_000);
    this.serve();
  }
}

const bytes = (line: string) => [...line].map((letter) => letter.charCodeAt(0));

test("bytes typed before the port is open arrive once it is", () => {
  const driver = new Driver();
  driver.type(bytes("uname -a\n"));
  driver.startup();
  driver.setSpeed();
  driver.wait();
  assert.is(text(driver.received), "uname -a\n");
});

test("the port is closed and opened again without losing what was not read", () => {
  const driver = new Driver();
  driver.startup();
  driver.setSpeed();
  driver.type(bytes("first"));
  driver.wait();
  driver.type(bytes(" second"));
  driver.shutdown();
  driver.type(bytes(" third"));
  driver.startup();
  driver.setSpeed();
  driver.wait();
  assert.is(text(driver.received), "first second third");
});

test("a kernel that reboots gets what nobody read", () => {
  const driver = new Driver();
  driver.startup();
  driver.setSpeed();
  driver.type(bytes("left over"));
  driver.uart.reset();
  assert.is(driver.context.irq, false);
  driver.startup();
  driver.setSpeed();
  driver.wait();
  assert.is(text(driver.received), "left over");
});

test("printk beside a terminal loses neither output nor input", () => {
  const seed = seedOf(31);
  const random = new Random(seed);
  const driver = new Driver();
  driver.startup();
  driver.setSpeed();
  const typed: number[] = [];
  const sent: number[] = [];
  for (let step = 0; step < 4000; step++) {
    const some = Array.from({ length: random.below(40) }, () => random.below(256));
    switch (random.below(6)) {
      case 0:
        typed.push(...some);
        driver.type(some);
        break;
      case 1:
        driver.print([]);
        break;
      case 2:
        // the kernel's own output and the terminal's are one stream only when nothing waits
        driver.wait();
        sent.push(...some);
        driver.print(some);
        break;
      case 3:
        sent.push(...some);
        driver.send(some);
        break;
      case 4:
        driver.setSpeed();
        break;
      default:
        driver.wait();
    }
  }
  driver.wait();
  assert.is(driver.sender.length, 0, "everything was asked for");
  assert.equal(driver.received, typed, `input, SEED=${seed}`);
  assert.equal(driver.output, sent, `output, SEED=${seed}`);
});

test("a long paste is read in few interrupts", () => {
  const driver = new Driver();
  driver.startup();
  driver.setSpeed();
  driver.context.levels.length = 0;
  const paste = Array.from({ length: 2000 }, (_, index) => index & 0x7f);
  driver.type(paste);
  driver.wait();
  assert.equal(driver.received, paste);
});

test("line status comes before received data, data before the transmitter, the modem last", () => {
  const driver = new Driver();
  driver.out(MCR, 0x10);
  driver.out(DATA, 1);
  driver.out(DATA, 2); // overruns the single buffer
  driver.out(MCR, 0x1f); // modem lines change
  driver.out(IER, 0x0f);
  const causes: number[] = [];
  causes.push(driver.in(IIR));
  assert.is(driver.in(LSR), 0x63, "overrun and data");
  causes.push(driver.in(IIR));
  assert.is(driver.in(DATA), 2, "the later byte is there");
  causes.push(driver.in(IIR), driver.in(IIR));
  // RI rose, which does not count: only its fall does
  assert.is(driver.in(MSR), 0xfb);
  causes.push(driver.in(IIR));
  assert.equal(causes, [6, 4, 2, 0, 1]);
  driver.out(MCR, 0x10);
  assert.is(driver.in(MSR), 0x0f, "now RI fell");
});

test("a full FIFO keeps what it has and reports the overrun once", () => {
  const driver = new Driver();
  driver.out(FCR, 1);
  driver.out(MCR, 0x10);
  for (let byte = 0; byte < 17; byte++) driver.out(DATA, byte);
  assert.is(driver.in(LSR), 0x63);
  assert.is(driver.in(LSR), 0x61);
  const got = Array.from({ length: 16 }, () => driver.in(DATA));
  assert.equal(
    got,
    Array.from({ length: 16 }, (_, byte) => byte),
  );
  assert.is(driver.in(LSR) & 1, 0);
});

test("a FIFO reset drops what was looped back", () => {
  const driver = new Driver();
  driver.out(FCR, 1);
  driver.out(MCR, 0x10);
  driver.out(DATA, 9);
  driver.out(FCR, 3);
  driver.out(MCR, 0);
  driver.out(IER, RDI);
  driver.type([5]);
  driver.wait();
  assert.equal(driver.received, [5]);
});

test("in loopback the line is disconnected: input waits and comes behind what was looped", () => {
  const driver = new Driver();
  driver.out(FCR, 1);
  driver.out(IER, RDI);
  driver.out(MCR, 0x10);
  driver.type([5, 6]);
  driver.out(DATA, 9);
  assert.is(driver.in(DATA), 9);
  assert.is(driver.in(LSR) & 1, 0, "nothing from the line");
  driver.out(DATA, 8);
  driver.out(MCR, 0);
  driver.wait();
  assert.equal(driver.received, [8, 5, 6]);
});

test("the character time-out is four characters at the programmed speed", () => {
  for (const [divisor, lcr, ticks] of [
    [2, 3, 3473], // 115200 baud, 8n1: 10 bits
    [24, 3, 41667], // 9600 baud
    [2, 0x1f, 4167], // parity and two stop bits: 12 bits
  ]) {
    const driver = new Driver();
    driver.out(LCR, 0x80);
    driver.out(0, divisor & 0xff);
    driver.out(1, divisor >> 8);
    driver.out(LCR, lcr);
    driver.out(FCR, 0xc7);
    driver.out(IER, RDI);
    driver.type([1]);
    assert.is(driver.context.alarmTicks, ticks, `divisor ${divisor}`);
    driver.context.advance(driver.uart, ticks - 1);
    assert.is(driver.context.irq, false);
    driver.context.advance(driver.uart, ticks);
    assert.is(driver.in(IIR) & 0x0f, 0x0c);
  }
});

test("input that the console takes back for the SBI is gone from the port", () => {
  const driver = new Driver();
  driver.uart.offer(Uint8Array.from(bytes("abc")));
  assert.is(driver.uart.pending, 3);
  assert.is(text([...driver.uart.takeInput(2)]), "ab");
  driver.startup();
  driver.setSpeed();
  driver.wait();
  assert.is(text(driver.received), "c");
});

test.run();
