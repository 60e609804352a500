/**
 * rtc: Google's goldfish real-time clock, as QEMU's virt machine has it: nanoseconds since 1970 and
 * one alarm.
 *
 * Owns    the offset that the guest has set, the alarm, the interrupt.
 * Used by machine/devices.ts. Linux reads it once, at boot.
 * Holds   reading TIME_LOW latches TIME_HIGH, so that the two halves fit.
 *
 *   0x00 TIME_LOW │ 0x04 TIME_HIGH │ 0x08 ALARM_LOW (arms) │ 0x0c ALARM_HIGH │ 0x10 IRQ_ENABLED │ 0x14 CLEAR_ALARM
 *   0x18 ALARM_STATUS │ 0x1c CLEAR_INTERRUPT
 *
 * Saved, version 1: "GRTC", offset i64 ns, latched high u32, time high written u32, alarm u64 ns,
 * alarm high u32, armed u8, enabled u8, pending u8, machine time of the alarm u64 (all ones: none).
 */
import type { Device, DeviceContext, DeviceFacts, DeviceSection } from "./contract.ts";
import { type DeviceTreeNode, deviceProperties } from "./device-tree.ts";
import { SectionReader, SectionWriter } from "./section.ts";

const RTC_BASE = 0x101000;
const RTC_BYTES = 0x1000;
const RTC_IRQ = 11;
const NS_PER_MS = 1_000_000n;
const NS_PER_TICK = 100n;
const LOW = 0xffff_ffffn;
/** Furthest alarm, in ticks from now: what a later one does no run lives to see. */
const ALARM_TICKS_MAX = 1n << 50n;

/** A goldfish RTC. */
export class Rtc implements Device {
  readonly name = "rtc0";
  readonly kind = "goldfish-rtc";
  readonly base = RTC_BASE;
  readonly bytes = RTC_BYTES;
  readonly irq = RTC_IRQ;
  #context!: DeviceContext;
  #offset = 0n;
  #latchedHigh = 0;
  #writtenHigh = 0;
  #alarm = 0n;
  #alarmHigh = 0;
  #isArmed = false;
  #isEnabled = false;
  #isPending = false;
  /** When `alarm` was asked for: state, because wall time is coarser than machine time. */
  #dueTicks: number | null = null;

  attach(context: DeviceContext): void {
    this.#context = context;
  }

  #now(): bigint {
    const host = BigInt(Math.floor(this.#context.wallMs())) * NS_PER_MS;
    return BigInt.asUintN(64, host + this.#offset);
  }

  read(offset: number, size: number): number {
    if (size !== 4) return 0;
    switch (offset) {
      case 0x00: {
        const now = this.#now();
        this.#latchedHigh = Number(now >> 32n);
        return Number(now & LOW);
      }
      case 0x04:
        return this.#latchedHigh;
      case 0x08:
        return Number(this.#alarm & LOW);
      case 0x0c:
        return Number(this.#alarm >> 32n);
      case 0x10:
        return this.#isEnabled ? 1 : 0;
      case 0x18:
        return this.#isArmed ? 1 : 0;
      default:
        return 0;
    }
  }

  write(offset: number, size: number, value: number): void {
    if (size !== 4) return;
    switch (offset) {
      case 0x00: {
        const wanted = (BigInt(this.#writtenHigh) << 32n) | BigInt(value >>> 0);
        this.#offset = BigInt.asIntN(64, this.#offset + wanted - this.#now());
        this.#schedule();
        break;
      }
      case 0x04:
        this.#writtenHigh = value >>> 0;
        break;
      case 0x08:
        this.#alarm = (BigInt(this.#alarmHigh) << 32n) | BigInt(value >>> 0);
        this.#isArmed = true;
        this.#schedule();
        break;
      case 0x0c:
        this.#alarmHigh = value >>> 0;
        break;
      case 0x10:
        this.#isEnabled = (value & 1) !== 0;
        this.#drive();
        break;
      case 0x14:
        this.#isArmed = false;
        this.#schedule();
        break;
      case 0x1c:
        this.#isPending = false;
        this.#drive();
        break;
    }
  }

  #drive(): void {
    this.#context.setIrq(this.#isPending && this.#isEnabled);
  }

  /** Asks for the alarm in machine time; one that is due fires at once. */
  #schedule(): void {
    if (!this.#isArmed) {
      this.#wake(null);
      return;
    }
    const left = this.#alarm - this.#now();
    if (left <= 0n) {
      this.#fire();
      return;
    }
    const ticks = (left + NS_PER_TICK - 1n) / NS_PER_TICK;
    const bounded = ticks < ALARM_TICKS_MAX ? ticks : ALARM_TICKS_MAX;
    this.#wake(this.#context.now() + Number(bounded));
  }

  #wake(ticks: number | null): void {
    this.#dueTicks = ticks;
    this.#context.setAlarm(ticks);
  }

  #fire(): void {
    this.#isArmed = false;
    this.#isPending = true;
    this.#wake(null);
    this.#drive();
  }

  /** Wall time may have run slower than machine time: then the rest is waited for. */
  alarm(): void {
    this.#schedule();
  }

  /** No DMA, so nothing can lack frames. */
  retry(): void {}

  reset(): void {
    this.#offset = 0n;
    this.#latchedHigh = 0;
    this.#writtenHigh = 0;
    this.#alarm = 0n;
    this.#alarmHigh = 0;
    this.#isArmed = false;
    this.#isEnabled = false;
    this.#isPending = false;
    this.#wake(null);
    this.#drive();
  }

  inspect(): DeviceFacts {
    const wide = (name: string, offset: number, value: bigint) => {
      return { name, offset, value, bytes: 8 };
    };
    const flag = (name: string, offset: number, isSet: boolean) => {
      return { name, offset, value: isSet ? 1 : 0, bytes: 4 };
    };
    return {
      registers: [
        wide("TIME", 0x00, this.#now()),
        wide("ALARM", 0x08, this.#alarm),
        flag("IRQ_ENABLED", 0x10, this.#isEnabled),
        flag("ALARM_STATUS", 0x18, this.#isArmed),
      ],
      figures: { isInterruptPending: this.#isPending ? 1 : 0 },
    };
  }

  node(): DeviceTreeNode {
    return {
      name: `rtc@${this.base.toString(16)}`,
      properties: deviceProperties("google,goldfish-rtc", this),
    };
  }

  save(): DeviceSection {
    const writer = new SectionWriter("GRTC");
    writer.u64(this.#offset);
    writer.u32(this.#latchedHigh);
    writer.u32(this.#writtenHigh);
    writer.u64(this.#alarm);
    writer.u32(this.#alarmHigh);
    writer.flag(this.#isArmed);
    writer.flag(this.#isEnabled);
    writer.flag(this.#isPending);
    writer.ticks(this.#dueTicks);
    return writer.finish(this.name, 1);
  }

  restore(section: DeviceSection): void {
    const reader = new SectionReader(section, this.name, "GRTC", 1);
    const offset = BigInt.asIntN(64, reader.u64());
    const [latchedHigh, writtenHigh] = [reader.u32(), reader.u32()];
    const alarm = reader.u64();
    const alarmHigh = reader.u32();
    const [isArmed, isEnabled, isPending] = [reader.flag(), reader.flag(), reader.flag()];
    const dueTicks = reader.ticks();
    if (isArmed !== (dueTicks !== null)) reader.refuse("has an alarm without a time");
    reader.end();
    this.#offset = offset;
    this.#latchedHigh = latchedHigh;
    this.#writtenHigh = writtenHigh;
    this.#alarm = alarm;
    this.#alarmHigh = alarmHigh;
    this.#isArmed = isArmed;
    this.#isEnabled = isEnabled;
    this.#isPending = isPending;
    this.#drive();
    this.#wake(dueTicks);
  }
}
