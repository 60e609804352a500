/**
 * record: what the lifecycle manager knows of one machine: what is being done to it, since when it
 * is in its state, where its state is while it is suspended.
 *
 * Owns    the claim by which one caller changes the machine at a time.
 * Used by manager.ts.
 * Holds   between a claim and its end no other caller begins anything, but the end of the machine.
 */
import type { Machine } from "../machine/machine.ts";
import { type MachineState, type RunResult, refuseState, statesAfter } from "../machine/result.ts";
import type { KeptState, LifeEvent, Operation, StateFacts } from "./contract.ts";
import type { LifeHistory } from "./history.ts";

/** A machine's suspended state, and where it is. */
export interface Kept {
  readonly state: KeptState;
  readonly where: string;
}

/** What a record tells its manager. */
export interface RecordOwner {
  readonly history: LifeHistory;
  wallMs(): number;
  /** The state changed without anybody having asked the manager for it. */
  changed(machine: Machine, from: MachineState, reason: string): void;
  /** The machine was disposed of. */
  gone(record: LifeRecord): void;
}

function endText(result: RunResult): string {
  return "code" in result ? `${result.kind}, code ${result.code}` : result.kind;
}

/** One machine. */
export class LifeRecord {
  readonly machine: Machine;
  readonly #owner: RecordOwner;
  readonly #undo: (() => void)[];
  /** What is being done. */
  #operation: Operation | null = null;
  /** A call of `terminate` is under way: it alone comes in beside another operation. */
  #isEnding = false;
  #since: { ticks: number; instructions: number; wallMs: number };
  /** Where the machine is while it is suspended. */
  kept: Kept | null = null;

  constructor(machine: Machine, owner: RecordOwner) {
    this.machine = machine;
    this.#owner = owner;
    this.#since = this.#now();
    this.#undo = [
      machine.on("state", ({ from, to, reason }) => this.#changed(from, to, reason)),
      machine.on("reboot", ({ count, cause }) => {
        this.note("reboot", `number ${count}, ${cause === "guest" ? "by the guest" : "a reset"}`);
      }),
      machine.on("memory", ({ isShort, framesFree }) => {
        this.note("memory", `${isShort ? "short" : "enough"}: ${framesFree} frames free`);
      }),
      machine.on("end", (result) => {
        const { kind } = result;
        if (kind === "poweroff" || kind === "htif") this.note("shutdown", endText(result));
        if (kind === "failure" || kind === "trap-loop") this.note("crash", endText(result));
      }),
      machine.on("disposed", () => this.#gone()),
    ];
  }

  #now(): { ticks: number; instructions: number; wallMs: number } {
    const { ticks, instructions } = this.machine.stats();
    return { ticks, instructions, wallMs: this.#owner.wallMs() };
  }

  #changed(from: MachineState, state: MachineState, reason: string): void {
    this.#since = this.#now();
    this.#add({ kind: "state", from, state, reason });
    if (this.#operation === null && !this.#isEnding)
      this.#owner.changed(this.machine, from, reason);
  }

  #gone(): void {
    for (const undo of this.#undo) undo();
    this.#owner.gone(this);
  }

  #add(facts: Pick<LifeEvent, "kind" | "from" | "state" | "reason">): void {
    const { name: machine, incarnation } = this.machine;
    const operation = this.#isEnding ? "terminate" : this.#operation;
    this.#owner.history.add({ ...facts, ...this.#now(), machine, incarnation, operation });
  }

  /** Puts something into the history that changes no state. */
  note(kind: LifeEvent["kind"], reason: string): void {
    if (this.machine.isDisposed) return;
    this.#add({ kind, from: null, state: this.machine.state, reason });
  }

  /**
   * Takes the machine for one operation; the returned function gives it back. Throws "busy" when
   * another one has it.
   */
  claim(operation: Operation): () => void {
    const { name, state } = this.machine;
    if (operation === "terminate") {
      if (this.#isEnding) throw refuseState(name, state, operation, "terminate");
      this.#isEnding = true;
      return () => {
        this.#isEnding = false;
      };
    }
    const underWay = this.#isEnding ? "terminate" : this.#operation;
    if (underWay !== null) throw refuseState(name, state, operation, underWay);
    this.#operation = operation;
    return () => {
      this.#operation = null;
    };
  }

  get facts(): StateFacts {
    const { name: machine, state, reason, incarnation } = this.machine;
    const { ticks, instructions, wallMs } = this.#since;
    return {
      ...{ machine, state, reason, incarnation },
      sinceTicks: ticks,
      sinceInstructions: instructions,
      sinceWallMs: wallMs,
      underWay: this.#isEnding ? "terminate" : this.#operation,
      accepted: statesAfter(state),
      keptIn: this.kept?.where ?? null,
      keptBytes: this.kept?.state.bytes ?? 0,
    };
  }
}
