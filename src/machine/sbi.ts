/**
 * sbi: the built-in supervisor binary interface, version 2.0: BASE, TIME, IPI, RFENCE, HSM, SRST,
 * DBCN.
 *
 * Owns    no state: what a call changes is in the hart blocks.
 * Used by runner.ts on EXIT_SBI.
 * Holds   whatever the guest passes is answered with an SBI error code, never an exception. The
 *         legacy extensions are absent, as the specification allows.
 */
import { HART_MSTATUS, HART_SATP, HART_SENVCFG, HART_STIMECMP } from "../../assembly/layout.ts";
import { type HartView, HSM_STARTED, HSM_STOPPED, MSTATUS_SIE, PRIV_S } from "../core/hart-view.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { MachineRequest } from "../device/contract.ts";

/** What SBI calls reach besides harts and memory. */
export interface SbiHost {
  /** Console output. */
  putConsole(bytes: Uint8Array): void;
  /** At most `most` bytes of console input. */
  takeConsole(most: number): Uint8Array;
  /** Counts host work, in about nanoseconds. */
  charge(work: number): void;
  /** The guest asked for the end of the machine. */
  request(what: MachineRequest): void;
}

/**
 * "done": the ECALL is complete. "memory": frames ran out, or "page": one is not here; the same
 * ECALL is to be served again.
 */
export type SbiOutcome = "done" | "memory" | "page";

const A0 = 10;
const A1 = 11;
const A6 = 16;
const A7 = 17;

const SUCCESS = 0n;
const ERR_NOT_SUPPORTED = -2n;
const ERR_INVALID_PARAM = -3n;
const ERR_INVALID_ADDRESS = -5n;
const ERR_ALREADY_AVAILABLE = -6n;

const EXT_BASE = 0x10n;
const EXT_TIME = 0x54494d45n;
const EXT_IPI = 0x735049n;
const EXT_RFENCE = 0x52464e43n;
const EXT_HSM = 0x48534dn;
const EXT_SRST = 0x53525354n;
const EXT_DBCN = 0x4442434en;
const EXTENSIONS: readonly bigint[] = [
  EXT_BASE,
  EXT_TIME,
  EXT_IPI,
  EXT_RFENCE,
  EXT_HSM,
  EXT_SRST,
  EXT_DBCN,
];

const SPEC_VERSION = 2n << 24n;
/** Not in the list of registered implementations: "RVL". */
const IMPLEMENTATION_ID = 0x52564cn;
const IMPLEMENTATION_VERSION = 1n;
const SSIP = 0x2n;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;
/**
 * Most bytes that one DBCN call moves; the specification lets a call move fewer than were asked
 * for.
 */
const CONSOLE_BYTES_MAX = 4096;
/** Host work of a start or a non-retentive wake: every translation is dropped. */
const SYNC_WORK = 50_000;
const SUSPEND_RETENTIVE = 0n;
const SUSPEND_NON_RETENTIVE = 0x8000_0000n;

interface Answer {
  readonly error: bigint;
  readonly value: bigint;
}

const answer = (error: bigint, value = 0n): Answer => ({ error, value });
const DONE = answer(SUCCESS);

/** Serves one machine's SBI calls. */
export class Sbi {
  readonly #view: MachineView;
  readonly #host: SbiHost;

  constructor(view: MachineView, host: SbiHost) {
    this.#view = view;
    this.#host = host;
  }

  /**
   * Serves the call at which the exiting hart stands, and retires the ECALL unless frames ran out.
   */
  serve(): SbiOutcome {
    const hart = this.#view.exitHart;
    const extension = hart.x(A7) & 0xffff_ffffn;
    const call = hart.x(A6) & 0xffff_ffffn;
    if (extension === EXT_HSM && (call === 1n || call === 3n)) {
      this.#leave(hart, call);
      return "done";
    }
    const result = this.#call(hart, extension, Number(call));
    if (result === null) return this.#view.memory.isAbsent ? "page" : "memory";
    this.#finish(hart, result);
    return "done";
  }

  #finish(hart: HartView, { error, value }: Answer): void {
    hart.setX(A0, error);
    hart.setX(A1, value);
    this.#view.ecallDone();
  }

  #call(hart: HartView, extension: bigint, call: number): Answer | null {
    switch (extension) {
      case EXT_BASE:
        return base(hart, call);
      case EXT_TIME:
        return this.#time(hart, call);
      case EXT_IPI:
        return this.#ipi(hart, call);
      case EXT_RFENCE:
        return this.#fence(hart, call);
      case EXT_HSM:
        return this.#hsm(hart, call);
      case EXT_SRST:
        return this.#reset(hart, call);
      case EXT_DBCN:
        return this.#console(hart, call);
      default:
        return answer(ERR_NOT_SUPPORTED);
    }
  }

  /**
   * TIME 0, set_timer. The supervisor's timer is Sstc's comparator, which also clears a pending
   * one.
   */
  #time(hart: HartView, call: number): Answer {
    if (call !== 0) return answer(ERR_NOT_SUPPORTED);
    hart.set64(HART_STIMECMP, hart.x(A0));
    return DONE;
  }

  /** The harts that a mask names (SBI 3.1), or null when one of them does not exist. */
  #harts(mask: bigint, base: bigint): HartView[] | null {
    const { harts } = this.#view;
    if (base === ALL_ONES) return [...harts];
    const chosen: HartView[] = [];
    for (let bit = 0n; bit < 64n; bit++) {
      if (((mask >> bit) & 1n) === 0n) continue;
      const id = base + bit;
      if (id >= BigInt(harts.length)) return null;
      chosen.push(harts[Number(id)]);
    }
    return chosen;
  }

  #ipi(hart: HartView, call: number): Answer {
    if (call !== 0) return answer(ERR_NOT_SUPPORTED);
    const targets = this.#harts(hart.x(A0), hart.x(A1));
    if (targets === null) return answer(ERR_INVALID_PARAM);
    for (const target of targets) target.raiseSoft(SSIP);
    return DONE;
  }

  /**
   * Translations and decoded code are coherent in this machine, so that a remote fence has nothing
   * to do.
   */
  #fence(hart: HartView, call: number): Answer {
    // 0 fence.i, 1 sfence.vma, 2 sfence.vma with ASID; the rest needs the hypervisor extension
    if (call > 2) return answer(ERR_NOT_SUPPORTED);
    const targets = this.#harts(hart.x(A0), hart.x(A1));
    return targets === null ? answer(ERR_INVALID_PARAM) : DONE;
  }

  #hsm(hart: HartView, call: number): Answer {
    if (call === 0) return this.#start(hart);
    if (call !== 2) return answer(ERR_NOT_SUPPORTED);
    const id = hart.x(A0);
    if (id >= BigInt(this.#view.harts.length)) return answer(ERR_INVALID_PARAM);
    return answer(SUCCESS, this.#view.harts[Number(id)].hsm === HSM_STARTED ? 0n : 1n);
  }

  #start(hart: HartView): Answer {
    const id = hart.x(A0);
    if (id >= BigInt(this.#view.harts.length)) return answer(ERR_INVALID_PARAM);
    const target = this.#view.harts[Number(id)];
    if (target.hsm !== HSM_STOPPED) return answer(ERR_ALREADY_AVAILABLE);
    const address = hart.xNumber(A1);
    if (!this.#isCode(address)) return answer(ERR_INVALID_ADDRESS);
    this.#enter(target, address, hart.x(12));
    target.hsm = HSM_STARTED;
    this.#sync();
    return DONE;
  }

  #isCode(address: number): boolean {
    return address % 2 === 0 && this.#view.memory.contains(address, 2);
  }

  /**
   * SBI 9.1: a hart begins in S-mode, untranslated, supervisor interrupts off, a0 its id, a1 the
   * opaque word.
   */
  #enter(target: HartView, address: number, opaque: bigint): void {
    target.pc = BigInt(address);
    target.privilege = PRIV_S;
    target.set64(HART_SATP, 0n);
    target.set64(HART_SENVCFG, 0n);
    target.set64(HART_MSTATUS, target.get64(HART_MSTATUS) & ~MSTATUS_SIE);
    target.setX(A0, BigInt(target.id));
    target.setX(A1, opaque);
    target.isWaiting = false;
  }

  /** hart_stop and hart_suspend: the calls that do not simply return. */
  #leave(hart: HartView, call: bigint): void {
    if (call === 1n) {
      this.#finish(hart, DONE);
      hart.hsm = HSM_STOPPED;
      return;
    }
    const kind = hart.x(A0) & 0xffff_ffffn;
    const resumeAt = hart.xNumber(A1);
    const opaque = hart.x(12);
    if (kind === SUSPEND_RETENTIVE) {
      this.#finish(hart, DONE);
      hart.isWaiting = true;
    } else if (kind !== SUSPEND_NON_RETENTIVE) {
      // The platform's own kinds begin at 0x10000000 in both halves; the rest is reserved.
      const isPlatform = (kind & 0x7fff_ffffn) >= 0x1000_0000n;
      this.#finish(hart, answer(isPlatform ? ERR_NOT_SUPPORTED : ERR_INVALID_PARAM));
    } else if (!this.#isCode(resumeAt)) {
      this.#finish(hart, answer(ERR_INVALID_ADDRESS));
    } else {
      this.#finish(hart, DONE);
      this.#enter(hart, resumeAt, opaque);
      hart.isWaiting = true;
      this.#sync();
    }
  }

  #sync(): void {
    this.#view.sync();
    this.#host.charge(SYNC_WORK);
  }

  #reset(hart: HartView, call: number): Answer {
    if (call !== 0) return answer(ERR_NOT_SUPPORTED);
    const kind = hart.x(A0) & 0xffff_ffffn;
    const reason = hart.x(A1) & 0xffff_ffffn;
    if (kind > 2n || reason > 1n) return answer(ERR_INVALID_PARAM);
    if (kind === 0n) this.#host.request({ kind: "poweroff", code: Number(reason) });
    else this.#host.request({ kind: "reboot" });
    return DONE;
  }

  #console(hart: HartView, call: number): Answer | null {
    if (call === 2) {
      this.#host.putConsole(Uint8Array.of(Number(hart.x(A0) & 0xffn)));
      return DONE;
    }
    if (call > 2) return answer(ERR_NOT_SUPPORTED);
    const bytes = hart.xNumber(A0);
    const address = hart.xNumber(A1);
    if (hart.x(12) !== 0n || !this.#view.memory.contains(address, bytes)) {
      return answer(ERR_INVALID_PARAM);
    }
    const count = Math.min(bytes, CONSOLE_BYTES_MAX);
    return call === 0 ? this.#write(address, count) : this.#read(address, count);
  }

  #write(address: number, count: number): Answer | null {
    const bytes = new Uint8Array(count);
    if (!this.#view.memory.read(address, bytes)) return null; // it lies in RAM

    this.#host.putConsole(bytes);
    return answer(SUCCESS, BigInt(count));
  }

  #read(address: number, count: number): Answer | null {
    if (count > 0 && !this.#view.memory.reserve(address, count)) return null;
    const bytes = this.#host.takeConsole(count);
    this.#view.memory.write(address, bytes);
    return answer(SUCCESS, BigInt(bytes.length));
  }
}

function base(hart: HartView, call: number): Answer {
  switch (call) {
    case 0:
      return answer(SUCCESS, SPEC_VERSION);
    case 1:
      return answer(SUCCESS, IMPLEMENTATION_ID);
    case 2:
      return answer(SUCCESS, IMPLEMENTATION_VERSION);
    case 3:
      return answer(SUCCESS, EXTENSIONS.includes(hart.x(A0)) ? 1n : 0n);
    case 4: // mvendorid, marchid, mimpid: none was registered
    case 5:
    case 6:
      return DONE;
    default:
      return answer(ERR_NOT_SUPPORTED);
  }
}
