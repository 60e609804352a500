/**
 * console: the virtio console with one port (virtio 1.2, 5.3). Linux shows it as hvc0; or, when the
 * port has a name, as a character device /dev/vportNp0 without a terminal's manners.
 *
 * Owns    input that the driver has not taken yet, the port's state, messages to the driver.
 * Used by machine/devices.ts, for machines whose console it is, and for the agent's port.
 * Holds   input is held until the guest's side of the port is open: Linux throws away what comes
 *         before. A driver that takes MULTIPORT says when (PORT_OPEN); one that does not is ready
 *         once it has given buffers. Input is bounded, what does not fit stays with the sender;
 *         what waits survives a reset, as on a serial line, but not on a named port, whose two ends
 *         begin anew when one is closed. Output of one request is bounded too.
 *
 *   driver                        device
 *     DEVICE_READY ─────────────►          control messages (5.3.6.2):
 *                  ◄───────────── PORT_ADD          id u32 │ event u16 │ value u16
 *     PORT_READY   ─────────────►
 *                  ◄───────────── CONSOLE_PORT, or PORT_NAME with the name; PORT_OPEN
 *     PORT_OPEN    ─────────────►          from here on input flows
 *
 * Saved, version 1, behind the transport's part: port open u8, count of control messages u8, then
 * {event u16, value u16} each, then the input queue (count u16, bytes).
 */
import type { DeviceFacts } from "../contract.ts";
import { InputQueue } from "../input-queue.ts";
import type { SectionReader, SectionWriter } from "../section.ts";
import { BadQueue, firstBytes, gather, reserveAll, scatter, segmentBytes } from "./queue.ts";
import { VirtioDevice } from "./transport.ts";

/** Feature bit: control queues, and with them word of when the port is open. */
export const FEATURE_MULTIPORT = 1n << 1n;

const QUEUE_INPUT = 0;
const QUEUE_OUTPUT = 1;
const QUEUE_CONTROL_IN = 2;
const QUEUE_CONTROL_OUT = 3;
const INPUT_BYTES_MAX = 4096;
const OUTPUT_BYTES_MAX = 1 << 20;
/** Offset of max_nr_ports in the configuration; 1 is its value. */
const CONFIG_PORTS = 4;

const DEVICE_READY = 0;
const PORT_ADD = 1;
const PORT_READY = 3;
const CONSOLE_PORT = 4;
const PORT_OPEN = 6;
const PORT_NAME = 7;
const MESSAGE_BYTES = 8;
/** Messages that wait for the driver's buffers; a driver that asks for more has gone astray. */
const MESSAGES_MAX = 16;

/** A control message for the one port there is. */
interface Message {
  readonly event: number;
  readonly value: number;
}

/** What a console is made from. */
export interface ConsoleOptions {
  readonly slot?: number;
  /** Takes output; the bytes are its own. */
  readonly output: (bytes: Uint8Array) => void;
  /** There is room for input again. */
  readonly onInputRoom?: () => void;
  /** Makes it no console but a port of this name. */
  readonly port?: string;
  /** The guest's side of the port was opened or closed. */
  readonly onOpen?: (isOpen: boolean) => void;
}

/** A virtio console. */
export class VirtioConsole extends VirtioDevice {
  readonly #options: ConsoleOptions;
  readonly #input = new InputQueue(INPUT_BYTES_MAX);
  readonly #portName: Uint8Array;
  #isPortOpen = false;
  #messages: Message[] = [];

  constructor(options: ConsoleOptions) {
    super({
      kind: "virtio-console",
      tag: "VCON",
      version: 1,
      deviceId: 3,
      slot: options.slot ?? 0,
      queues: 4,
      features: FEATURE_MULTIPORT,
    });
    this.#options = options;
    this.#portName = new TextEncoder().encode(options.port ?? "");
  }

  /** True when the guest would see input now. */
  get #isListening(): boolean {
    if (!this.isLive) return false;
    return this.hasFeature(FEATURE_MULTIPORT) ? this.#isPortOpen : this.queues[QUEUE_INPUT].isReady;
  }

  /** Bytes that `offer` takes now; none while the guest does not listen. */
  get inputRoom(): number {
    return this.#isListening ? this.#input.room : 0;
  }

  /** Takes input as far as there is room; returns how much. */
  offer(bytes: Uint8Array): number {
    const taken = this.#input.pushAll(bytes);
    if (this.isLive) this.guarded(() => this.#deliver());
    return taken;
  }

  protected configByte(offset: number): number {
    return offset === CONFIG_PORTS ? 1 : 0;
  }

  protected notified(index: number): void {
    switch (index) {
      case QUEUE_INPUT:
        this.#deliver();
        this.#options.onInputRoom?.();
        break;
      case QUEUE_OUTPUT:
        this.#print();
        break;
      case QUEUE_CONTROL_IN:
        this.#tell();
        break;
      case QUEUE_CONTROL_OUT:
        if (!this.#listen()) break;
        this.#deliverAndAsk();
        this.#tell();
        break;
    }
  }

  #print(): void {
    this.eachRequest(QUEUE_OUTPUT, ({ readable }) => {
      const count = segmentBytes(readable);
      if (count > OUTPUT_BYTES_MAX) throw new BadQueue("output too long");
      const bytes = new Uint8Array(count);
      gather(this.context.memory, readable, bytes);
      this.#options.output(bytes);
      return 0;
    });
  }

  #deliver(): void {
    if (!this.#isListening || this.#input.length === 0) return;
    this.eachRequest(QUEUE_INPUT, ({ writable }) => {
      if (this.#input.length === 0) return "left";
      if (writable.length === 0) throw new BadQueue("input buffer without room");
      const room = firstBytes(writable, this.#input.length);
      if (!reserveAll(this.context.memory, room)) return "short";
      const bytes = this.#input.take(segmentBytes(room));
      scatter(this.context.memory, room, bytes);
      return bytes.length;
    });
  }

  // ---- control ----

  /**
   * Takes the driver's control messages. Those about ports that do not exist mean nothing. False:
   * some are left until `retry`.
   */
  #listen(): boolean {
    return this.eachRequest(QUEUE_CONTROL_OUT, ({ readable }) => {
      if (segmentBytes(readable) < MESSAGE_BYTES) throw new BadQueue("control message too short");
      const bytes = new Uint8Array(MESSAGE_BYTES);
      gather(this.context.memory, readable, bytes);
      const view = new DataView(bytes.buffer);
      const event = view.getUint16(4, true);
      const isOurs = event === DEVICE_READY || view.getUint32(0, true) === 0;
      if (isOurs) this.#understand({ event, value: view.getUint16(6, true) });
      return 0;
    });
  }

  /** The driver's side of the port may be open now. */
  #deliverAndAsk(): void {
    if (!this.#isListening) return;
    this.#deliver();
    this.#options.onInputRoom?.();
  }

  #understand({ event, value }: Message): void {
    if (event === PORT_OPEN) this.#setOpen(value !== 0);
    if (value === 0) return;
    if (event === DEVICE_READY) this.#send({ event: PORT_ADD, value: 1 });
    if (event !== PORT_READY) return;
    const isNamed = this.#options.port !== undefined;
    this.#send({ event: isNamed ? PORT_NAME : CONSOLE_PORT, value: 1 });
    this.#send({ event: PORT_OPEN, value: 1 });
  }

  #setOpen(isOpen: boolean): void {
    if (isOpen === this.#isPortOpen) return;
    this.#isPortOpen = isOpen;
    if (this.#options.port !== undefined) this.#input.clear();
    this.#options.onOpen?.(isOpen);
  }

  #send(message: Message): void {
    if (this.#messages.length === MESSAGES_MAX) throw new BadQueue("control messages pile up");
    this.#messages.push(message);
  }

  /** Gives the driver what waits for it, as far as it has given buffers. */
  #tell(): void {
    if (this.#messages.length === 0) return;
    this.eachRequest(QUEUE_CONTROL_IN, ({ writable }) => {
      const [message] = this.#messages;
      if (message === undefined) return "left";
      const name = message.event === PORT_NAME ? this.#portName : new Uint8Array(0);
      const count = MESSAGE_BYTES + name.length;
      const room = firstBytes(writable, count);
      if (segmentBytes(room) < count) throw new BadQueue("control buffer too short");
      if (!reserveAll(this.context.memory, room)) return "short";
      const bytes = new Uint8Array(count);
      bytes.set(name, MESSAGE_BYTES);
      const view = new DataView(bytes.buffer);
      view.setUint16(4, message.event, true);
      view.setUint16(6, message.value, true);
      scatter(this.context.memory, room, bytes);
      this.#messages.shift();
      return count;
    });
  }

  // ---- life ----

  override inspect(): DeviceFacts {
    const figures = {
      isPortOpen: this.#isPortOpen ? 1 : 0,
      waitingInputBytes: this.#input.length,
      waitingMessages: this.#messages.length,
    };
    return { ...super.inspect(), figures };
  }

  /** Asks for no alarm. */
  alarm(): void {}

  /** Waiting input is the line's, not the device's: on a console it stays. */
  protected resetOwn(): void {
    this.#setOpen(false);
    this.#messages = [];
  }

  protected saveOwn(writer: SectionWriter): void {
    writer.flag(this.#isPortOpen);
    writer.u8(this.#messages.length);
    for (const { event, value } of this.#messages) {
      writer.u16(event);
      writer.u16(value);
    }
    this.#input.save(writer);
  }

  protected readOwn(reader: SectionReader): () => void {
    const isPortOpen = reader.flag();
    const count = reader.u8(MESSAGES_MAX);
    const messages: Message[] = [];
    for (let index = 0; index < count; index++) {
      messages.push({ event: reader.u16(), value: reader.u16() });
    }
    const input = this.#input.read(reader);
    return () => {
      this.#isPortOpen = isPortOpen;
      this.#messages = messages;
      this.#input.assign(input);
    };
  }
}
