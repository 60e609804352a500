/**
 * plic: the platform-level interrupt controller: 96 sources, two contexts per hart.
 *
 * Owns    priorities, pending bits, enables, thresholds, and which source is being served.
 * Used by machine: every device's interrupt line ends here (setLevel); what harts see leaves by
 *         `onLines`.
 * Holds   RISC-V PLIC specification 1.0.0 with level-triggered gateways: a line that goes high is
 *         pending once, stays so until claimed even if it falls, and is looked at again when its
 *         service is completed.
 *
 *   0x000000 + 4 s         priority of source s (0: never)      context 2h: hart h in M-mode (MEIP)
 *   0x001000 + s / 8 pending bits context 2h + 1: hart h in S-mode (SEIP)
 *   0x002000 + 0x80 c      enables of context c
 *   0x200000 + 0x1000 c    threshold; + 4: claim (read), complete (write)
 *
 * Saved, version 1: "PLIC", harts u8, then 97 priorities u8, then levels, pending and in service (4
 * words u32 each), then for each context 4 enable words u32 and a threshold u8.
 */
import type {
  Device,
  DeviceContext,
  DeviceFacts,
  DeviceSection,
  RegisterFact,
} from "./contract.ts";
import {
  type DeviceTreeNode,
  deviceProperties,
  hartInterruptLabel,
  PLIC_LABEL,
  reference,
} from "./device-tree.ts";
import { SectionReader, SectionWriter } from "./section.ts";

/** Which harts it serves and how it tells them. */
export interface PlicOptions {
  readonly name?: string;
  readonly base?: number;
  readonly harts: number;
  /** The external interrupt lines of `hart` changed: bit 11 M-mode, bit 9 S-mode. */
  readonly onLines: (hart: number, lines: number) => void;
}

export const PLIC_BASE = 0x0c000000;
export const PLIC_BYTES = 0x600000;
/** Sources 1 to 96. */
export const PLIC_SOURCES = 96;
/** Bit of an M-mode, then of an S-mode context among a hart's lines (mip numbering). */
const MODE_BITS = [11, 9];
const PRIORITY_MAX = 7;
const WORDS = 4;
const PENDING = 0x1000;
const ENABLES = 0x2000;
const ENABLES_STRIDE = 0x80;
const CONTEXTS = 0x200000;
const CONTEXT_STRIDE = 0x1000;
/** No bit for source 0 nor for sources above 96. */
const WORD_MASKS = [0xfffffffe, 0xffffffff, 0xffffffff, 1];

function countOnes(word: number): number {
  let count = 0;
  for (let bits = word; bits !== 0; bits &= bits - 1) count++;
  return count;
}

/** A platform-level interrupt controller. */
export class Plic implements Device {
  readonly name: string;
  readonly kind = "plic";
  readonly base: number;
  readonly bytes = PLIC_BYTES;
  readonly irq = 0;
  readonly #harts: number;
  readonly #contexts: number;
  readonly #onLines: (hart: number, lines: number) => void;
  readonly #priorities = new Uint8Array(PLIC_SOURCES + 1);
  readonly #levels = new Uint32Array(WORDS);
  readonly #pending = new Uint32Array(WORDS);
  readonly #serving = new Uint32Array(WORDS);
  /** WORDS per context. */
  readonly #enables: Uint32Array;
  readonly #thresholds: Uint8Array;
  /** Lines as last told, by hart. */
  readonly #lines: Uint16Array;

  constructor(options: PlicOptions) {
    this.name = options.name ?? "plic0";
    this.base = options.base ?? PLIC_BASE;
    this.#harts = options.harts;
    this.#contexts = options.harts * MODE_BITS.length;
    this.#onLines = options.onLines;
    this.#enables = new Uint32Array(this.#contexts * WORDS);
    this.#thresholds = new Uint8Array(this.#contexts);
    this.#lines = new Uint16Array(options.harts);
  }

  /** Its context has nothing that it needs: its lines go to harts. */
  attach(_context: DeviceContext): void {}

  /** Level of a source's line. Idempotent; sources outside 1 to 96 are nobody's. */
  setLevel(source: number, isHigh: boolean): void {
    if (source < 1 || source > PLIC_SOURCES) return;
    const word = source >> 5;
    const bit = 1 << (source & 31);
    if (((this.#levels[word] & bit) !== 0) === isHigh) return;
    this.#levels[word] ^= bit;
    if (!isHigh || ((this.#pending[word] | this.#serving[word]) & bit) !== 0) return;
    this.#pending[word] |= bit;
    this.#update();
  }

  // ---- arbitration ----

  /**
   * The pending, enabled source of highest priority above `threshold` (lowest id among equals), or
   * 0.
   */
  #best(context: number, threshold: number): number {
    let best = 0;
    let bestPriority = threshold;
    for (let word = 0; word < WORDS; word++) {
      let bits = this.#pending[word] & this.#enables[context * WORDS + word];
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        const source = word * 32 + bit;
        if (this.#priorities[source] <= bestPriority) continue;
        best = source;
        bestPriority = this.#priorities[source];
      }
    }
    return best;
  }

  /** Tells the harts whose lines changed. */
  #update(): void {
    for (let hart = 0; hart < this.#harts; hart++) {
      let lines = 0;
      for (let mode = 0; mode < MODE_BITS.length; mode++) {
        const context = hart * MODE_BITS.length + mode;
        if (this.#best(context, this.#thresholds[context]) !== 0) lines |= 1 << MODE_BITS[mode];
      }
      if (lines === this.#lines[hart]) continue;
      this.#lines[hart] = lines;
      this.#onLines(hart, lines);
    }
  }

  /** Hands the best source to a context. PLIC 1.0.0, 9: a claim ignores the threshold. */
  #claim(context: number): number {
    const source = this.#best(context, 0);
    if (source === 0) return 0;
    this.#pending[source >> 5] &= ~(1 << (source & 31));
    this.#serving[source >> 5] |= 1 << (source & 31);
    this.#update();
    return source;
  }

  /** PLIC 1.0.0, 10: a completion of a source that the context has not enabled is ignored. */
  #complete(context: number, source: number): void {
    if (source < 1 || source > PLIC_SOURCES) return;
    const word = source >> 5;
    const bit = 1 << (source & 31);
    if ((this.#enables[context * WORDS + word] & this.#serving[word] & bit) === 0) return;
    this.#serving[word] &= ~bit;
    if ((this.#levels[word] & bit) === 0) return;
    this.#pending[word] |= bit;
    this.#update();
  }

  // ---- registers: 32 bits wide; other sizes read 0 and write nothing ----

  read(offset: number, size: number): number {
    if (size !== 4 || (offset & 3) !== 0) return 0;
    if (offset < PENDING) {
      const source = offset >> 2;
      return source <= PLIC_SOURCES ? this.#priorities[source] : 0;
    }
    if (offset < ENABLES) {
      const word = (offset - PENDING) >> 2;
      return word < WORDS ? this.#pending[word] : 0;
    }
    if (offset < CONTEXTS) {
      const index = this.#enableIndex(offset);
      return index < 0 ? 0 : this.#enables[index];
    }
    const context = Math.floor((offset - CONTEXTS) / CONTEXT_STRIDE);
    if (context >= this.#contexts) return 0;
    const register = offset % CONTEXT_STRIDE;
    if (register === 0) return this.#thresholds[context];
    return register === 4 ? this.#claim(context) : 0;
  }

  write(offset: number, size: number, value: number): void {
    if (size !== 4 || (offset & 3) !== 0) return;
    if (offset < PENDING) {
      const source = offset >> 2;
      if (source < 1 || source > PLIC_SOURCES) return;
      this.#priorities[source] = value & PRIORITY_MAX;
      this.#update();
    } else if (offset >= CONTEXTS) {
      this.#writeContext(offset, value);
    } else if (offset >= ENABLES) {
      const index = this.#enableIndex(offset);
      if (index < 0) return;
      this.#enables[index] = value & WORD_MASKS[index % WORDS];
      this.#update();
    }
  }

  #writeContext(offset: number, value: number): void {
    const context = Math.floor((offset - CONTEXTS) / CONTEXT_STRIDE);
    if (context >= this.#contexts) return;
    const register = offset % CONTEXT_STRIDE;
    if (register === 4) this.#complete(context, value);
    if (register !== 0) return;
    this.#thresholds[context] = value & PRIORITY_MAX;
    this.#update();
  }

  /** Index into #enables, or -1 where there is no register. */
  #enableIndex(offset: number): number {
    const context = Math.floor((offset - ENABLES) / ENABLES_STRIDE);
    const word = (offset % ENABLES_STRIDE) >> 2;
    return context < this.#contexts && word < WORDS ? context * WORDS + word : -1;
  }

  // ---- life ----

  /** Asks for no alarm. */
  alarm(): void {}

  /** No DMA, so nothing can lack frames. */
  retry(): void {}

  /** Lines that devices hold high are forgotten too: a machine resets its devices with it. */
  reset(): void {
    this.#priorities.fill(0);
    this.#levels.fill(0);
    this.#pending.fill(0);
    this.#serving.fill(0);
    this.#enables.fill(0);
    this.#thresholds.fill(0);
    this.#update();
  }

  /** What is not 0 of the priorities and contexts: there are more than a thousand of them. */
  inspect(): DeviceFacts {
    const registers: RegisterFact[] = [];
    const add = (name: string, offset: number, value: number) => {
      registers.push({ name, offset, value, bytes: 4 });
    };
    this.#pending.forEach((word, index) => {
      add(`PENDING[${index}]`, PENDING + 4 * index, word);
    });
    this.#priorities.forEach((priority, source) => {
      if (priority !== 0) add(`PRIORITY[${source}]`, 4 * source, priority);
    });
    for (let context = 0; context < this.#contexts; context++) {
      for (let word = 0; word < WORDS; word++) {
        const value = this.#enables[context * WORDS + word];
        const offset = ENABLES + ENABLES_STRIDE * context + 4 * word;
        if (value !== 0) add(`ENABLE[${context}][${word}]`, offset, value);
      }
      const threshold = this.#thresholds[context];
      const offset = CONTEXTS + CONTEXT_STRIDE * context;
      if (threshold !== 0) add(`THRESHOLD[${context}]`, offset, threshold);
    }
    const serving = this.#serving.reduce((sum, word) => sum + countOnes(word), 0);
    return { registers, figures: { contexts: this.#contexts, sourcesInService: serving } };
  }

  node(): DeviceTreeNode {
    const targets = Array.from({ length: this.#harts }, (_, hart) => {
      const target = reference(hartInterruptLabel(hart));
      return MODE_BITS.flatMap((bit) => [target, bit]);
    });
    return {
      name: `plic@${this.base.toString(16)}`,
      label: PLIC_LABEL,
      properties: {
        ...deviceProperties(["sifive,plic-1.0.0", "riscv,plic0"], this),
        "interrupt-controller": true,
        "#interrupt-cells": 1,
        "#address-cells": 0,
        "interrupts-extended": targets.flat(),
        "riscv,ndev": PLIC_SOURCES,
      },
    };
  }

  save(): DeviceSection {
    const writer = new SectionWriter("PLIC");
    writer.u8(this.#harts);
    writer.bytes(this.#priorities);
    for (const words of [this.#levels, this.#pending, this.#serving]) {
      for (const word of words) writer.u32(word);
    }
    for (let context = 0; context < this.#contexts; context++) {
      for (let word = 0; word < WORDS; word++) writer.u32(this.#enables[context * WORDS + word]);
      writer.u8(this.#thresholds[context]);
    }
    return writer.finish(this.name, 1);
  }

  restore(section: DeviceSection): void {
    const reader = new SectionReader(section, this.name, "PLIC", 1);
    const harts = reader.u8();
    if (harts !== this.#harts) reader.refuse(`is for ${harts} harts, this one has ${this.#harts}`);
    const priorities = reader.bytes(this.#priorities.length);
    const tooHigh = priorities.find((priority) => priority > PRIORITY_MAX);
    if (tooHigh !== undefined) {
      reader.refuse(`holds ${tooHigh} where at most ${PRIORITY_MAX} is possible`);
    }
    if (priorities[0] !== 0) reader.refuse("gives source 0 a priority");
    const takeWords = () => {
      const words = new Uint32Array(WORDS);
      for (let at = 0; at < WORDS; at++) words[at] = reader.u32() & WORD_MASKS[at];
      return words;
    };
    const levels = takeWords();
    const pending = takeWords();
    const serving = takeWords();
    if (pending.some((word, index) => (word & serving[index]) !== 0)) {
      reader.refuse("has a source pending while it is served");
    }
    const enables: Uint32Array[] = [];
    const thresholds: number[] = [];
    for (let context = 0; context < this.#contexts; context++) {
      enables.push(takeWords());
      thresholds.push(reader.u8(PRIORITY_MAX));
    }
    reader.end();
    this.#priorities.set(priorities);
    this.#levels.set(levels);
    this.#pending.set(pending);
    this.#serving.set(serving);
    for (const [context, words] of enables.entries()) this.#enables.set(words, context * WORDS);
    this.#thresholds.set(thresholds);
    this.#update();
  }
}
