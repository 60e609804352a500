/**
 * uart: a 16550A serial port: the guest's first console.
 *
 * Owns    the register file, both ends of the receive FIFO and the input that waits for it.
 * Used by machine (console), registry. Programmed by Linux 8250, OpenSBI, U-Boot, bare metal.
 * Holds   what is sent is sent at once, so the transmitter is always empty; input is never lost: it
 *         waits in a queue until the guest listens, and a FIFO reset puts what was not read back
 *         into that queue. The guest listens once it has receive interrupts on, or has read LSR 16
 *         times in a row and done nothing else (it polls); a FIFO reset with receive interrupts off
 *         ends that. LSR reads and THR writes allocate nothing.
 *
 *   offset 0 RBR/THR (DLL) 1 IER (DLM) 2 IIR/FCR 3 LCR 4 MCR 5 LSR 6 MSR 7 SCR (DLAB in LCR bit 7)
 *
 * Saved, version 1: "UART", divisor u16, IER u8, LCR u8, MCR u8, SCR u8, FCR u8, LSR errors u8, MSR
 * changes u8, THRE pending u8, time-out pending u8, time-out at u64 (all ones: none), listening u8,
 * LSR reads in a row u8, FIFO holds loopback bytes u8, FIFO (count u16, bytes), waiting input
 * (count u16, bytes).
 */
import type { Device, DeviceContext, DeviceFacts, DeviceSection } from "./contract.ts";
import { type DeviceTreeNode, deviceProperties } from "./device-tree.ts";
import { InputQueue } from "./input-queue.ts";
import { SectionReader, SectionWriter } from "./section.ts";

/** Where the port is and what it is wired to. */
export interface UartOptions {
  readonly name?: string;
  readonly base?: number;
  readonly irq?: number;
  /** Takes each byte that the guest sends. */
  readonly output: (byte: number) => void;
  /** Called when `inputRoom` grew because of what the guest did; may call `offer`. */
  readonly onInputRoom?: () => void;
}

export const UART_BASE = 0x10000000;
export const UART_IRQ = 10;
const UART_BYTES = 0x100;
/** Input clock of QEMU virt's port: 16 times 230400 baud. */
const CLOCK_HZ = 3686400;
const TICKS_PER_SECOND = 10_000_000;
const FIFO_BYTES = 16;
/** Waiting input; more stays with the sender. */
const QUEUE_BYTES = 256;
/** LSR reads in a row that make a polling guest. */
const POLLS = 16;
/**
 * Divisor of 115200 baud at power-on, so that character times mean something before the guest sets
 * one.
 */
const DIVISOR_DEFAULT = 2;

const IER_RECEIVE = 1;
const IER_TRANSMIT = 2;
const IER_LINE = 4;
const IER_MODEM = 8;
const IIR_NONE = 1;
const IIR_MODEM = 0;
const IIR_TRANSMIT = 2;
const IIR_RECEIVE = 4;
const IIR_LINE = 6;
const IIR_TIMEOUT = 12;
const IIR_FIFO_ON = 0xc0;
const FCR_ENABLE = 1;
const FCR_RESET_RECEIVE = 2;
/** Bits of FCR that stay: enable, DMA mode, trigger level. */
const FCR_KEPT = 0xc9;
const LCR_DLAB = 0x80;
const LCR_DEFAULT = 3;
const MCR_LOOP = 0x10;
const MCR_BITS = 0x1f;
const LSR_READY = 1;
const LSR_OVERRUN = 2;
/** THRE and TEMT: nothing ever waits to be sent. */
const LSR_SENT = 0x60;
/** CTS, DSR and DCD: somebody is at the other end. */
const MSR_CONNECTED = 0xb0;
const MSR_RING = 0x40;
const TRIGGERS = [1, 4, 8, 14];

/** A 16550A. */
export class Uart implements Device {
  readonly name: string;
  readonly kind = "uart16550";
  readonly base: number;
  readonly bytes = UART_BYTES;
  readonly irq: number;
  readonly #output: (byte: number) => void;
  readonly #onInputRoom: () => void;
  #context!: DeviceContext;
  /** Room for what a FIFO reset gives back, too. */
  readonly #queue = new InputQueue(QUEUE_BYTES + FIFO_BYTES);
  readonly #fifo = new InputQueue(FIFO_BYTES);
  #divisor = DIVISOR_DEFAULT;
  #ier = 0;
  #lcr = LCR_DEFAULT;
  #mcr = 0;
  #scr = 0;
  #fcr = 0;
  #lineErrors = 0;
  #modemChanges = 0;
  #isTransmitPending = false;
  #isTimeoutPending = false;
  #timeoutAt: number | null = null;
  #isListening = false;
  #polls = 0;
  /** Loopback bytes are in the FIFO: they never were input. */
  #isFifoLooped = false;

  constructor(options: UartOptions) {
    this.name = options.name ?? "uart0";
    this.base = options.base ?? UART_BASE;
    this.irq = options.irq ?? UART_IRQ;
    this.#output = options.output;
    this.#onInputRoom = options.onInputRoom ?? (() => {});
  }

  attach(context: DeviceContext): void {
    this.#context = context;
  }

  // ---- input ----

  /** True when the guest would see input now. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /**
   * Bytes that this port asks for: 0 while the guest does not listen, so that they stay with the
   * sender.
   */
  get inputRoom(): number {
    return this.#isListening ? Math.max(0, QUEUE_BYTES - this.#queue.length) : 0;
  }

  /** Bytes offered that the guest has not read. */
  get pending(): number {
    return this.#queue.length + (this.#isFifoLooped ? 0 : this.#fifo.length);
  }

  /** Takes bytes as far as the queue has room, listening or not; returns how many. */
  offer(bytes: Uint8Array): number {
    const room = Math.max(0, QUEUE_BYTES - this.#queue.length);
    const taken = this.#queue.pushAll(bytes.length > room ? bytes.subarray(0, room) : bytes);
    this.#deliver();
    return taken;
  }

  /** Takes back input that waits, for a guest that reads its console another way (SBI). */
  takeInput(most: number): Uint8Array {
    return this.#queue.take(most);
  }

  /** Moves waiting input into the FIFO as far as the guest has made room. */
  #deliver(): void {
    const isLooped = (this.#mcr & MCR_LOOP) !== 0 || this.#isFifoLooped;
    if (this.#isListening && !isLooped && this.#queue.length > 0) {
      const most = (this.#fcr & FCR_ENABLE) !== 0 ? FIFO_BYTES : 1;
      while (this.#fifo.length < most && this.#queue.length > 0) {
        this.#fifo.push(this.#queue.shift());
      }
      this.#restartTimeout();
    }
    this.#update();
  }

  /**
   * Gives what the guest has not read back to the queue (what was looped back is dropped) and
   * empties the FIFO.
   */
  #resetReceive(): void {
    if (!this.#isFifoLooped) {
      while (this.#fifo.length > 0 && this.#queue.unshift(this.#fifo.pop()));
    }
    this.#fifo.clear();
    this.#isFifoLooped = false;
    this.#restartTimeout();
  }

  // ---- interrupts ----

  get #trigger(): number {
    return (this.#fcr & FCR_ENABLE) !== 0 ? TRIGGERS[this.#fcr >> 6] : 1;
  }

  /** Four character times at the programmed speed. */
  get #timeoutTicks(): number {
    const parity = (this.#lcr >> 3) & 1;
    const stops = (this.#lcr & 4) !== 0 ? 2 : 1;
    const bits = 1 + 5 + (this.#lcr & 3) + parity + stops;
    const baud = CLOCK_HZ / (16 * Math.max(1, this.#divisor));
    return Math.ceil((4 * bits * TICKS_PER_SECOND) / baud);
  }

  /**
   * The receiver was touched: bytes below the trigger level are announced once it has been left
   * alone a while.
   */
  #restartTimeout(): void {
    this.#isTimeoutPending = false;
    const count = this.#fifo.length;
    const isWaiting = (this.#ier & IER_RECEIVE) !== 0 && count > 0 && count < this.#trigger;
    this.#setTimeout(isWaiting ? this.#context.now() + this.#timeoutTicks : null);
  }

  #setTimeout(ticks: number | null): void {
    if (ticks === this.#timeoutAt) return;
    this.#timeoutAt = ticks;
    this.#context.setAlarm(ticks);
  }

  alarm(): void {
    this.#timeoutAt = null;
    this.#isTimeoutPending = this.#fifo.length > 0;
    this.#update();
  }

  /** The most urgent interrupt as IIR shows it. */
  #interrupt(): number {
    const ier = this.#ier;
    if ((ier & IER_LINE) !== 0 && this.#lineErrors !== 0) return IIR_LINE;
    if ((ier & IER_RECEIVE) !== 0) {
      if (this.#fifo.length >= this.#trigger) return IIR_RECEIVE;
      if (this.#isTimeoutPending) return IIR_TIMEOUT;
    }
    if ((ier & IER_TRANSMIT) !== 0 && this.#isTransmitPending) return IIR_TRANSMIT;
    if ((ier & IER_MODEM) !== 0 && this.#modemChanges !== 0) return IIR_MODEM;
    return IIR_NONE;
  }

  #update(): void {
    this.#context.setIrq(this.#interrupt() !== IIR_NONE);
  }

  // ---- registers ----

  read(offset: number, _size: number): number {
    if (offset === 5) return this.#readLsr();
    this.#polls = 0;
    switch (offset) {
      case 0:
        return (this.#lcr & LCR_DLAB) !== 0 ? this.#divisor & 0xff : this.#receive();
      case 1:
        return (this.#lcr & LCR_DLAB) !== 0 ? this.#divisor >> 8 : this.#ier;
      case 2:
        return this.#readIir();
      case 3:
        return this.#lcr;
      case 4:
        return this.#mcr;
      case 6:
        return this.#readMsr();
      case 7:
        return this.#scr;
      default:
        return 0;
    }
  }

  write(offset: number, _size: number, value: number): void {
    const byte = value & 0xff;
    this.#polls = 0;
    switch (offset) {
      case 0:
        if ((this.#lcr & LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0xff00) | byte;
        else this.#send(byte);
        break;
      case 1:
        if ((this.#lcr & LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0xff) | (byte << 8);
        else this.#writeIer(byte & 0x0f);
        break;
      case 2:
        this.#writeFcr(byte);
        break;
      case 3:
        this.#lcr = byte;
        break;
      case 4:
        this.#writeMcr(byte & MCR_BITS);
        break;
      case 7:
        this.#scr = byte;
        break;
    }
  }

  #lsr(): number {
    return LSR_SENT | this.#lineErrors | (this.#fifo.length > 0 ? LSR_READY : 0);
  }

  #readLsr(): number {
    const value = this.#lsr();
    if (this.#lineErrors !== 0) {
      this.#lineErrors = 0;
      this.#update();
    }
    if (!this.#isListening && ++this.#polls === POLLS) {
      this.#polls = 0;
      this.#listen();
    }
    return value;
  }

  #listen(): void {
    this.#isListening = true;
    this.#onInputRoom();
    this.#deliver();
  }

  #receive(): number {
    const byte = this.#fifo.shift();
    if (byte < 0) return 0;
    if (this.#fifo.length === 0) this.#isFifoLooped = false;
    this.#restartTimeout();
    this.#deliver();
    if (this.#isListening) this.#onInputRoom();
    return byte;
  }

  #send(byte: number): void {
    if ((this.#mcr & MCR_LOOP) === 0) this.#output(byte);
    else this.#loopBack(byte);
    this.#isTransmitPending = true;
    this.#update();
  }

  /** MCR bit 4: what is sent comes back as received. */
  #loopBack(byte: number): void {
    if (!this.#isFifoLooped) this.#resetReceive();
    const isFifoOn = (this.#fcr & FCR_ENABLE) !== 0;
    if (!isFifoOn && this.#fifo.length > 0) {
      this.#fifo.clear(); // a lone buffer register is overwritten, a full FIFO is not
      this.#lineErrors |= LSR_OVERRUN;
    }
    if (!this.#fifo.push(byte)) this.#lineErrors |= LSR_OVERRUN;
    this.#isFifoLooped = true;
    this.#restartTimeout();
  }

  #writeIer(value: number): void {
    const changed = this.#ier ^ value;
    this.#ier = value;
    // Enabling the interrupt of an empty transmitter raises it even when IIR had already shown it.
    if ((changed & IER_TRANSMIT) !== 0) this.#isTransmitPending = (value & IER_TRANSMIT) !== 0;
    if ((changed & IER_RECEIVE) !== 0) this.#restartTimeout();
    if ((value & IER_RECEIVE) !== 0 && !this.#isListening) this.#listen();
    else this.#update();
  }

  #readIir(): number {
    const value = this.#iir();
    if (this.#interrupt() === IIR_TRANSMIT) {
      this.#isTransmitPending = false;
      this.#update();
    }
    return value;
  }

  #iir(): number {
    return this.#interrupt() | ((this.#fcr & FCR_ENABLE) !== 0 ? IIR_FIFO_ON : 0);
  }

  #writeFcr(value: number): void {
    const isSwitched = ((this.#fcr ^ value) & FCR_ENABLE) !== 0;
    // With the FIFOs off, the other bits are not programmed.
    this.#fcr = (value & FCR_ENABLE) !== 0 ? value & FCR_KEPT : 0;
    const isReset = (value & FCR_RESET_RECEIVE) !== 0;
    if (isReset || isSwitched) this.#resetReceive();
    else this.#restartTimeout(); // what had reached the old trigger level may be below the new one
    if (isReset && (this.#ier & IER_RECEIVE) === 0) this.#isListening = false;
    this.#deliver();
  }

  /** MSR without the change bits: in loopback the modem outputs come back as inputs. */
  #modemLines(): number {
    const mcr = this.#mcr;
    if ((mcr & MCR_LOOP) === 0) return MSR_CONNECTED;
    const [dtr, rts, outs] = [mcr & 1, (mcr >> 1) & 1, (mcr >> 2) & 3];
    return (rts << 4) | (dtr << 5) | (outs << 6);
  }

  #writeMcr(value: number): void {
    const before = this.#modemLines();
    this.#mcr = value;
    const after = this.#modemLines();
    const changed = (before ^ after) >> 4;
    // The ring indicator reports its trailing edge only.
    const isRingStart = (changed & (MSR_RING >> 4)) !== 0 && (after & MSR_RING) !== 0;
    this.#modemChanges |= isRingStart ? changed & ~(MSR_RING >> 4) : changed;
    this.#deliver();
  }

  #readMsr(): number {
    const value = this.#modemLines() | this.#modemChanges;
    if (this.#modemChanges !== 0) {
      this.#modemChanges = 0;
      this.#update();
    }
    return value;
  }

  // ---- life ----

  /** No DMA, so nothing can lack frames. */
  retry(): void {}

  /** Input that waits survives: it is the line's, not the chip's. */
  reset(): void {
    this.#resetReceive();
    this.#lineErrors = 0;
    this.#divisor = DIVISOR_DEFAULT;
    this.#ier = 0;
    this.#lcr = LCR_DEFAULT;
    this.#mcr = 0;
    this.#scr = 0;
    this.#fcr = 0;
    this.#modemChanges = 0;
    this.#isTransmitPending = false;
    this.#isListening = false;
    this.#polls = 0;
    this.#update();
  }

  inspect(): DeviceFacts {
    const register = (name: string, offset: number, value: number) => {
      return { name, offset, value, bytes: 1 };
    };
    return {
      registers: [
        register("DLL", 0, this.#divisor & 0xff),
        register("DLM", 1, this.#divisor >> 8),
        register("IER", 1, this.#ier),
        register("IIR", 2, this.#iir()),
        register("FCR", 2, this.#fcr),
        register("LCR", 3, this.#lcr),
        register("MCR", 4, this.#mcr),
        register("LSR", 5, this.#lsr()),
        register("MSR", 6, this.#modemLines() | this.#modemChanges),
        register("SCR", 7, this.#scr),
      ],
      figures: {
        fifoBytes: this.#fifo.length,
        waitingInputBytes: this.#queue.length,
        isListening: this.#isListening ? 1 : 0,
      },
    };
  }

  node(): DeviceTreeNode {
    return {
      name: `serial@${this.base.toString(16)}`,
      properties: { ...deviceProperties("ns16550a", this), "clock-frequency": CLOCK_HZ },
    };
  }

  save(): DeviceSection {
    const writer = new SectionWriter("UART");
    writer.u16(this.#divisor);
    for (const byte of [this.#ier, this.#lcr, this.#mcr, this.#scr, this.#fcr]) writer.u8(byte);
    writer.u8(this.#lineErrors);
    writer.u8(this.#modemChanges);
    writer.flag(this.#isTransmitPending);
    writer.flag(this.#isTimeoutPending);
    writer.ticks(this.#timeoutAt);
    writer.flag(this.#isListening);
    writer.u8(this.#polls);
    writer.flag(this.#isFifoLooped);
    this.#fifo.save(writer);
    this.#queue.save(writer);
    return writer.finish(this.name, 1);
  }

  restore(section: DeviceSection): void {
    const reader = new SectionReader(section, this.name, "UART", 1);
    const divisor = reader.u16();
    const ier = reader.u8(0x0f);
    const lcr = reader.u8();
    const mcr = reader.u8(MCR_BITS);
    const scr = reader.u8();
    const fcr = reader.u8();
    if ((fcr & ~FCR_KEPT) !== 0) reader.refuse(`holds FCR ${fcr}`);
    const lineErrors = reader.u8(LSR_OVERRUN);
    const modemChanges = reader.u8(0x0f);
    const isTransmitPending = reader.flag();
    const isTimeoutPending = reader.flag();
    const timeoutAt = reader.ticks();
    const isListening = reader.flag();
    const polls = reader.u8(POLLS - 1);
    const isFifoLooped = reader.flag();
    const fifo = this.#fifo.read(reader);
    const queue = this.#queue.read(reader);
    reader.end();
    this.#divisor = divisor;
    this.#ier = ier;
    this.#lcr = lcr;
    this.#mcr = mcr;
    this.#scr = scr;
    this.#fcr = fcr;
    this.#lineErrors = lineErrors;
    this.#modemChanges = modemChanges;
    this.#isTransmitPending = isTransmitPending;
    this.#isTimeoutPending = isTimeoutPending;
    this.#isListening = isListening;
    this.#polls = polls;
    this.#isFifoLooped = isFifoLooped;
    this.#fifo.assign(fifo);
    this.#queue.assign(queue);
    this.#timeoutAt = timeoutAt;
    this.#context.setAlarm(timeoutAt);
    this.#update();
  }
}
