/**
 * gdb-session: one gdb at one machine: the remote serial protocol in all-stop mode. A thread of
 * gdb's is a hart: thread 1 is hart 0.
 *
 * Owns    the points that gdb sets, and while it is attached the machine's stops: they pause the
 *         machine instead of ending its run.
 * Used by gdb-server.ts.
 * Holds   nothing that a peer sends throws: what is wrong is answered with an error packet. When
 *         the connection is over, the points are gone and the machine goes on, as QEMU does it.
 */
import { VmError } from "../errors.ts";
import { type DebugPoints, isSameWatch } from "../machine/debug-points.ts";
import type { Machine } from "../machine/machine.ts";
import type { DebugStop, RunResult } from "../machine/result.ts";
import {
  readGeneral,
  readRegister,
  registerHex,
  writeGeneral,
  writeRegister,
} from "./gdb-registers.ts";
import { hartText, type MonitorState, runMonitor } from "./monitor.ts";
import {
  bytesOf,
  frame,
  fromHex,
  type Incoming,
  latin1,
  PACKET_BYTES_MAX,
  PacketReader,
  toHex,
} from "./packet.ts";
import type { GdbPeer } from "./peer.ts";
import { NUMBER_PC, targetXml } from "./target-description.ts";

/** What a session works on, and what it cannot do itself. */
export interface GdbTarget {
  readonly machine: Machine;
  /** Lets the machine go on, starting a run when none is under way. */
  resume(): void;
  /** gdb's `kill`: ends the machine. */
  kill(): void;
}

/** Lets a booted machine go on, in a run of its own when none is under way. */
export function letGo(machine: Machine): void {
  // one that waits for memory goes on by itself
  if (machine.state === "paused" && machine.reason !== "memory") machine.resume();
  if (!machine.hasRun) machine.run().catch(() => {});
}

const OK = "OK";
/** Errors as gdb shows them: numbers of errno. */
const E_INVALID = "E16";
const E_FAULT = "E0e";
const E_NO_SPACE = "E1c";
const E_TOO_LONG = "E07";
const REASON = "gdb";
const SIGNAL_INTERRUPT = "02";
const SIGNAL_TRAP = "05";
const SIGNAL_ABORT = "06";
/** What a gdb begins with; a web page that was made to post to this port does not. */
const FIRST_BYTES = "+-$\u0003";
/** Packets asked for again in a row, and output that waits, before the peer is left. */
const NACKS_MAX = 16;
const PENDING_BYTES_MAX = 4 << 20;
const REGISTER_SP = 2;
const REGISTER_FP = 8;
const FEATURES = [
  `PacketSize=${PACKET_BYTES_MAX.toString(16)}`,
  "QStartNoAckMode+",
  "qXfer:features:read+",
  "qXfer:threads:read+",
  "vContSupported+",
  "swbreak+",
  "hwbreak+",
];

/** How the machine was let go. */
interface Going {
  /** The hart that steps, or null. */
  readonly hart: number | null;
  /** It steps on while its pc is in [start, end). */
  readonly range: { readonly start: bigint; readonly end: bigint } | null;
}

/** Answers a packet, given what stands behind its name. Null when the answer comes later. */
type Handler = (rest: string, payload: Uint8Array) => string | Uint8Array | null;

/** A number in hex without a prefix; null when it is none. */
function hexNumber(text: string): bigint | null {
  return /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : null;
}

/** "addr,length" in hex. */
function hexPair(text: string): { first: bigint; second: number } | null {
  const [one, other, ...more] = text.split(",");
  const [first, second] = [hexNumber(one ?? ""), hexNumber(other ?? "")];
  if (first === null || second === null || more.length > 0) return null;
  return { first, second: Number(second) };
}

/** One connection. */
export class GdbSession {
  readonly #peer: GdbPeer;
  readonly #target: GdbTarget;
  readonly #machine: Machine;
  readonly #software: DebugPoints;
  readonly #hardware: DebugPoints;
  readonly #reader = new PacketReader();
  readonly #monitor: MonitorState & { hart: number };
  readonly #ends: (() => void)[];
  readonly #wasHolding: boolean;
  #sent: Uint8Array | null = null;
  #nacks = 0;
  #needsAcks = true;
  #isGdb = false;
  /** The stop was let go by gdb and has not ended. */
  #going: Going | null = null;
  #lastStop: string;
  #isKilled = false;
  #isOver = false;

  /** Stops the machine, which is booted, and waits for packets. */
  constructor(peer: GdbPeer, target: GdbTarget, onOver: () => void) {
    const { machine } = target;
    this.#peer = peer;
    this.#target = target;
    this.#machine = machine;
    this.#software = machine.debugger.openPoints();
    this.#hardware = machine.debugger.openPoints();
    this.#wasHolding = machine.debugger.isHolding;
    machine.debugger.isHolding = true;
    machine.pause(REASON);
    this.#monitor = { machine, hart: this.#firstHart(), isPhysical: false };
    this.#lastStop = this.#stopReply(SIGNAL_TRAP);
    this.#ends = [
      machine.on("stop", (stop) => this.#stopped(stop)),
      machine.on("end", (result) => this.#ended(result)),
      machine.on("state", ({ reason }) => {
        if (reason === "disposed") this.close();
      }),
      onOver,
    ];
    peer.onBytes((bytes) => this.#take(bytes));
    peer.onClose(() => this.close());
  }

  /** A hart that executes something, or 0. */
  #firstHart(): number {
    const { debugger: dbg } = this.#machine;
    for (let hart = 0; hart < dbg.harts; hart++) {
      const { isWaiting, isStopped } = dbg.registers(hart);
      if (!isWaiting && !isStopped) return hart;
    }
    return 0;
  }

  /** True once it has ended; it may have before it was made, when the peer was gone already. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends the session: points away, machine running. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const machine = this.#machine;
    this.#software.close();
    this.#hardware.close();
    if (!machine.isDisposed) {
      machine.debugger.disarmStep();
      machine.debugger.isHolding = this.#wasHolding;
      if (machine.state === "paused" && !this.#isKilled) this.#target.resume();
    }
    for (const end of this.#ends) end();
    this.#peer.close();
  }

  // ---- bytes ----

  #take(bytes: Uint8Array): void {
    const isStranger = !this.#isGdb && !FIRST_BYTES.includes(String.fromCharCode(bytes[0]));
    if (isStranger || this.#machine.isDisposed) {
      this.close();
      return;
    }
    this.#isGdb = true;
    for (const incoming of this.#reader.take(bytes)) {
      if (this.#isOver) return;
      this.#incoming(incoming);
    }
  }

  #incoming(incoming: Incoming): void {
    if (incoming.kind !== "nack") this.#nacks = 0;
    switch (incoming.kind) {
      case "packet":
        if (this.#needsAcks) this.#write(bytesOf("+"));
        this.#packet(incoming.payload);
        return;
      case "damaged":
        if (this.#needsAcks) this.#write(bytesOf("-"));
        else this.#send(E_INVALID);
        return;
      case "too-long":
        if (this.#needsAcks) this.#write(bytesOf("+"));
        this.#send(E_TOO_LONG);
        return;
      case "nack":
        this.#nacks++;
        if (this.#nacks > NACKS_MAX) this.close();
        else if (this.#needsAcks && this.#sent !== null) this.#write(this.#sent);
        return;
      case "interrupt":
        this.#interrupt();
        return;
      case "ack":
    }
  }

  #write(bytes: Uint8Array): void {
    if (this.#isOver) return;
    if (this.#peer.pendingBytes > PENDING_BYTES_MAX) this.close();
    else this.#peer.write(bytes);
  }

  #send(payload: string | Uint8Array): void {
    this.#sent = frame(typeof payload === "string" ? bytesOf(payload) : payload);
    this.#write(this.#sent);
  }

  #packet(payload: Uint8Array): void {
    const text = latin1(payload);
    const name = Object.keys(this.#handlers).find((one) => text.startsWith(one));
    if (name === undefined) {
      this.#send(""); // not supported
      return;
    }
    let answer: string | Uint8Array | null;
    try {
      answer = this.#handlers[name](text.slice(name.length), payload);
    } catch (error) {
      if (!(error instanceof VmError)) throw error;
      answer =
        error.code === "limit" ? E_NO_SPACE : error.code === "bad-argument" ? E_INVALID : "E01";
    }
    if (answer !== null) this.#send(answer);
    if (name === "QStartNoAckMode") this.#needsAcks = false;
    if (name === "D") this.close();
  }

  /** By the first letters; the longer ones of those that begin alike come first. */
  readonly #handlers: Readonly<Record<string, Handler>> = {
    "!": () => OK,
    "?": () => this.#lastStop,
    QStartNoAckMode: () => OK,
    qSupported: () => FEATURES.join(";"),
    "qXfer:features:read:target.xml:": (rest) => this.#transfer(bytesOf(targetXml()), rest),
    "qXfer:threads:read::": (rest) => this.#transfer(bytesOf(this.#threadsXml()), rest),
    qfThreadInfo: () => `m${this.#threads().join(",")}`,
    qsThreadInfo: () => "l",
    "qThreadExtraInfo,": (rest) => this.#threadInfo(rest),
    qAttached: () => "1",
    "qSymbol::": () => OK,
    "qRcmd,": (rest) => this.#command(rest),
    "qCRC:": () => "",
    qC: () => `QC${this.#thread()}`,
    H: (rest) => this.#select(rest),
    T: (rest) => (this.#hartOf(rest) === null ? E_INVALID : OK),
    g: () => readGeneral(this.#machine.debugger, this.#monitor.hart),
    G: (rest) => {
      return writeGeneral(this.#machine.debugger, this.#monitor.hart, rest) ? OK : E_INVALID;
    },
    p: (rest) => this.#readRegister(rest),
    P: (rest) => this.#writeRegister(rest),
    m: (rest) => this.#readMemory(rest),
    M: (rest) => this.#writeHex(rest),
    X: (rest, payload) => this.#writeBinary(rest, payload),
    Z: (rest) => this.#point(rest, true),
    z: (rest) => this.#point(rest, false),
    "vCont?": () => "vCont;c;C;s;S;r",
    "vCont;": (rest) => this.#continueActions(rest),
    "vKill;": () => this.#kill(OK),
    c: (rest) => this.#goFrom(rest, null),
    C: (rest) => this.#goFrom(rest.split(";")[1] ?? "", null),
    s: (rest) => this.#goFrom(rest, this.#monitor.hart),
    S: (rest) => this.#goFrom(rest.split(";")[1] ?? "", this.#monitor.hart),
    D: () => OK,
    k: () => this.#kill(null),
    R: () => this.#restart(),
  };

  /** A piece of a document: "offset,length". */
  #transfer(content: Uint8Array, rest: string): Uint8Array | string {
    const wish = hexPair(rest);
    if (wish === null || wish.first > BigInt(content.length)) return E_INVALID;
    const from = Number(wish.first);
    // escapes may double what is sent
    const to = Math.min(content.length, from + Math.min(wish.second, PACKET_BYTES_MAX / 2 - 8));
    const piece = content.subarray(from, to);
    return bytesOf((to === content.length ? "l" : "m") + latin1(piece));
  }

  // ---- threads ----

  #thread(hart = this.#monitor.hart): string {
    return (hart + 1).toString(16);
  }

  #threads(): string[] {
    return Array.from({ length: this.#machine.debugger.harts }, (_, hart) => this.#thread(hart));
  }

  /** The hart of a thread's number: any thread and all threads are the hart looked at. */
  #hartOf(text: string): number | null {
    if (text === "0" || text === "-1") return this.#monitor.hart;
    const number = hexNumber(text);
    const isThere = number !== null && number >= 1n && number <= this.#machine.debugger.harts;
    return isThere ? Number(number) - 1 : null;
  }

  #threadInfo(rest: string): string {
    const hart = this.#hartOf(rest);
    return hart === null ? E_INVALID : toHex(bytesOf(hartText(this.#machine, hart)));
  }

  #threadsXml(): string {
    const lines = this.#threads().map((thread, hart) => {
      const text = hartText(this.#machine, hart);
      return `<thread id="${thread}" core="${hart}" name="hart ${hart}">${text}</thread>`;
    });
    return `<?xml version="1.0"?>\n<threads>\n${lines.join("\n")}\n</threads>\n`;
  }

  #select(rest: string): string {
    const hart = this.#hartOf(rest.slice(1));
    if (hart === null || !/^[gc]/.test(rest)) return E_INVALID;
    this.#monitor.hart = hart;
    return OK;
  }

  // ---- registers and memory ----

  #readRegister(rest: string): string {
    const number = hexNumber(rest);
    if (number === null) return E_INVALID;
    return readRegister(this.#machine.debugger, this.#monitor.hart, Number(number));
  }

  #writeRegister(rest: string): string {
    const [name, value = ""] = rest.split("=");
    const number = hexNumber(name);
    if (number === null) return E_INVALID;
    const { debugger: dbg } = this.#machine;
    return writeRegister(dbg, this.#monitor.hart, Number(number), value) ? OK : E_INVALID;
  }

  get #space() {
    const { hart, isPhysical } = this.#monitor;
    return { hart, isPhysical };
  }

  #readMemory(rest: string): string {
    const wish = hexPair(rest);
    if (wish === null) return E_INVALID;
    const count = Math.min(wish.second, PACKET_BYTES_MAX / 2 - 8);
    const bytes = this.#machine.debugger.readMemory(wish.first, count, this.#space);
    return bytes.length === 0 && count > 0 ? E_FAULT : toHex(bytes);
  }

  #writeMemory(rest: string, bytes: Uint8Array | null): string {
    const wish = hexPair(rest);
    if (wish === null || bytes === null || bytes.length !== wish.second) return E_INVALID;
    try {
      this.#machine.debugger.writeMemory(wish.first, bytes, this.#space);
    } catch (error) {
      if (error instanceof VmError) return E_FAULT;
      throw error;
    }
    return OK;
  }

  #writeHex(rest: string): string {
    const colon = rest.indexOf(":");
    if (colon < 0) return E_INVALID;
    return this.#writeMemory(rest.slice(0, colon), fromHex(rest.slice(colon + 1)));
  }

  #writeBinary(rest: string, payload: Uint8Array): string {
    const colon = rest.indexOf(":");
    if (colon < 0) return E_INVALID;
    return this.#writeMemory(rest.slice(0, colon), payload.subarray(colon + 2));
  }

  /** Sets or takes away a point: "type,address,kind". */
  #point(rest: string, isSet: boolean): string {
    const [type, ...more] = rest.split(";")[0].split(",");
    const place = hexPair(more.join(","));
    if (place === null) return E_INVALID;
    const { first: address, second: bytes } = place;
    const watch = ({ "2": "write", "3": "read", "4": "access" } as const)[type];
    const points = type === "0" ? this.#software : this.#hardware;
    if (type === "0" || type === "1") {
      if (isSet) points.setBreakpoint(address);
      else points.clearBreakpoint(address);
      return OK;
    }
    if (watch === undefined) return "";
    if (isSet) points.setWatchpoint(address, bytes, watch);
    else points.clearWatchpoint(address, bytes, watch);
    return OK;
  }

  #command(rest: string): string {
    const line = fromHex(rest);
    if (line === null) return E_INVALID;
    const text = runMonitor(new TextDecoder().decode(line), this.#monitor);
    const most = PACKET_BYTES_MAX / 2 - 8;
    return toHex(new TextEncoder().encode(`${text}\n`).subarray(0, most));
  }

  // ---- running ----

  /** The actions of vCont: the first one that names a thread, or names none, is that thread's. */
  #continueActions(rest: string): string | null {
    let stepping: Going | null = null;
    for (const action of rest.split(";")) {
      const match = /^(?:(c|C..|s|S..)|r([0-9a-f]+),([0-9a-f]+))(?::(.*))?$/i.exec(action);
      if (match === null) return E_INVALID;
      const [, kind, start, end, thread = "0"] = match;
      const hart = this.#hartOf(thread);
      if (hart === null) return E_INVALID;
      if (stepping !== null || /^c/i.test(kind ?? "")) continue;
      const [from, to] = [hexNumber(start ?? ""), hexNumber(end ?? "")];
      const range = from === null || to === null ? null : { start: from, end: to };
      stepping = { hart, range };
    }
    return this.#go(stepping ?? { hart: null, range: null });
  }

  /** `c` and `s`, with an address to go on from or none. */
  #goFrom(address: string, hart: number | null): string | null {
    const pc = hexNumber(address);
    if (address !== "" && pc === null) return E_INVALID;
    if (pc !== null) this.#machine.debugger.setRegister(this.#monitor.hart, "pc", pc);
    return this.#go({ hart, range: null });
  }

  #go(going: Going): string | null {
    if (this.#machine.state === "terminated") return this.#lastStop;
    this.#going = going;
    if (going.hart !== null) this.#machine.debugger.armStep(going.hart);
    this.#target.resume();
    return null;
  }

  /** Ctrl-C in gdb. */
  #interrupt(): void {
    if (this.#going === null || this.#machine.state === "terminated") return;
    this.#machine.debugger.disarmStep();
    this.#machine.pause(REASON);
    this.#tell(this.#stopReply(SIGNAL_INTERRUPT));
  }

  #tell(reply: string): void {
    this.#lastStop = reply;
    if (this.#going === null) return;
    this.#going = null;
    this.#send(reply);
  }

  /** The machine has stopped for the debugger, whoever set the point. */
  #stopped(stop: DebugStop): void {
    const going = this.#going;
    if (going?.range && stop.cause === "step" && stop.hart === going.hart) {
      const { start, end } = going.range;
      if (stop.pc >= start && stop.pc < end) {
        this.#go(going);
        return;
      }
    }
    this.#monitor.hart = stop.hart;
    this.#tell(this.#stopReply(SIGNAL_TRAP, this.#reasonOf(stop)));
  }

  /** Why, for points of this gdb: it passes over a report of one that it did not set. */
  #reasonOf({ cause, address, watchpoint }: DebugStop): string {
    if (cause === "watchpoint" && watchpoint !== undefined) {
      const isOurs = this.#hardware.watchpoints.some((one) => isSameWatch(one, watchpoint));
      const kinds = { write: "watch", read: "rwatch", access: "awatch" } as const;
      return isOurs ? `${kinds[watchpoint.kind]}:${address.toString(16)};` : "";
    }
    if (cause !== "breakpoint") return "";
    if (this.#hardware.breakpoints.includes(address)) return "hwbreak:;";
    return this.#software.breakpoints.includes(address) ? "swbreak:;" : "";
  }

  /** A stop of the hart looked at, with the registers that gdb asks for next anyhow. */
  #stopReply(signal: string, reason = ""): string {
    const { x, pc } = this.#machine.debugger.registers(this.#monitor.hart);
    const registers = [
      [REGISTER_SP, x[REGISTER_SP]],
      [REGISTER_FP, x[REGISTER_FP]],
      [NUMBER_PC, pc],
    ] as const;
    const pairs = registers.map(
      ([number, value]) => `${number.toString(16)}:${registerHex(value)};`,
    );
    return `T${signal}thread:${this.#thread()};${reason}${pairs.join("")}`;
  }

  /** A run is over. */
  #ended(result: RunResult): void {
    switch (result.kind) {
      case "break":
        return; // told as a stop
      case "poweroff":
      case "htif":
      case "failure":
        this.#tell(`W${(Math.min(result.code, 255) & 0xff).toString(16).padStart(2, "0")}`);
        return;
      case "reboot":
        this.#tell("W00");
        return;
      case "trap-loop":
        this.#tell(`X${SIGNAL_ABORT}`);
        return;
      case "stopped":
        return; // for a moment, or for good: then its state tells
      default:
        // it stands where it is, and nothing is going to happen
        this.#tell(this.#stopReply(SIGNAL_INTERRUPT));
    }
  }

  #kill(answer: string | null): string | null {
    this.#software.close();
    this.#hardware.close();
    this.#going = null;
    this.#isKilled = true;
    if (answer !== null) this.#send(answer);
    this.#target.kill();
    return null;
  }

  #restart(): null {
    this.#machine.devices.hub.request ??= { kind: "reboot" };
    return null;
  }
}
