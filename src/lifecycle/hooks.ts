/**
 * hooks: who is asked before something is done to a machine, and told afterwards.
 *
 * Owns    the hooks, in the order in which they came.
 * Used by manager.ts.
 * Holds   a hook that vetoes, throws or does not answer in time keeps the operation from being
 *         done; one that is told afterwards cannot harm it. None is waited for without a limit.
 */
import { VmError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import type { MachineState } from "../machine/result.ts";
import type { Platform } from "../platform/contract.ts";
import type { Operation } from "./contract.ts";

/** What is about to be done, or has been. */
export interface HookCall {
  readonly machine: Machine;
  /** Null when nobody asked: the guest or the host did it by itself. Hooks are only told then. */
  readonly operation: Operation | null;
  readonly from: MachineState;
  /** The state that follows; as `from` for what changes none. */
  readonly to: MachineState;
  readonly reason: string;
}

/** What a hook that is asked before may answer: nothing, or why not. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook need not return anything
export type HookAnswer = void | { readonly veto: string };

/** A function that is asked or told. */
export type Hook = (call: HookCall) => HookAnswer | Promise<HookAnswer>;

/** Which calls a hook is for. */
export interface HookOptions {
  /** For messages and lists; default "hook N". */
  readonly name?: string;
  /** Default: every operation, and what happens without one. */
  readonly operations?: readonly Operation[];
  /** Default: every machine. By name: a machine that is made anew keeps its hooks. */
  readonly machine?: string;
  /** How long it may take, in host milliseconds; default 10 s. */
  readonly timeoutMs?: number;
}

/** A hook as lists show it. */
export interface HookFacts {
  readonly id: number;
  readonly name: string;
  readonly when: "before" | "after";
  /** Null: every one. */
  readonly operations: readonly Operation[] | null;
  readonly machine: string | null;
  readonly timeoutMs: number;
  /** How often it was called, and how often it refused or failed. */
  readonly calls: number;
  readonly failures: number;
}

interface Entry {
  readonly facts: Omit<HookFacts, "calls" | "failures">;
  readonly hook: Hook;
  calls: number;
  failures: number;
}

const TIMEOUT_MS = 10_000;

/** The hooks of one manager. */
export class HookTable {
  readonly #platform: Platform;
  readonly #entries = new Map<number, Entry>();
  #lastId = 0;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Asks `hook` before anything of `options` is done; the number that `remove` takes. */
  before(hook: Hook, options: HookOptions = {}): number {
    return this.#add("before", hook, options);
  }

  /** Tells `hook` when something of `options` has been done; the number that `remove` takes. */
  after(hook: Hook, options: HookOptions = {}): number {
    return this.#add("after", hook, options);
  }

  #add(when: "before" | "after", hook: Hook, options: HookOptions): number {
    const { timeoutMs = TIMEOUT_MS, operations = null, machine = null } = options;
    if (!(timeoutMs > 0)) {
      throw new VmError("bad-argument", `a hook with ${timeoutMs} ms: accepted are times above 0`);
    }
    const id = ++this.#lastId;
    const name = options.name ?? `hook ${id}`;
    const facts = { id, name, when, operations, machine, timeoutMs };
    this.#entries.set(id, { facts, hook, calls: 0, failures: 0 });
    return id;
  }

  /** True when there was such a hook. */
  remove(id: number): boolean {
    return this.#entries.delete(id);
  }

  /** Every hook, or those that concern a machine, in the order in which they are called. */
  list(machine?: string): HookFacts[] {
    return [...this.#entries.values()]
      .filter(({ facts }) => machine === undefined || (facts.machine ?? machine) === machine)
      .map(({ facts, calls, failures }) => ({ ...facts, calls, failures }));
  }

  #of(when: HookFacts["when"], { machine, operation }: HookCall): Entry[] {
    return [...this.#entries.values()].filter(({ facts }) => {
      const isMine = facts.machine === null || facts.machine === machine.name;
      const { operations } = facts;
      const isMeant = operations === null || (operation !== null && operations.includes(operation));
      return facts.when === when && isMine && isMeant;
    });
  }

  /** Asks one after the other. Throws "vetoed" or "timeout" for the first that is not content. */
  async ask(call: HookCall): Promise<void> {
    for (const entry of this.#of("before", call)) {
      entry.calls++;
      try {
        await this.#askOne(entry, call);
      } catch (error) {
        entry.failures++;
        throw error;
      }
    }
  }

  async #askOne(entry: Entry, call: HookCall): Promise<void> {
    const what = `${call.machine.name}: ${call.operation} is refused`;
    const { name } = entry.facts;
    let answer: HookAnswer;
    try {
      answer = await this.#answer(entry, call);
    } catch (cause) {
      if (cause instanceof VmError && cause.code === "timeout") throw cause;
      throw new VmError("vetoed", `${what}: ${name} failed: ${messageOf(cause)}`, { cause });
    }
    if (answer?.veto === undefined) return;
    throw new VmError("vetoed", `${what} by ${name}: ${answer.veto}`);
  }

  /** Tells one after the other; what failed of them. */
  async tell(call: HookCall): Promise<string[]> {
    const failures: string[] = [];
    for (const entry of this.#of("after", call)) {
      entry.calls++;
      try {
        await this.#answer(entry, call);
      } catch (error) {
        entry.failures++;
        failures.push(`${entry.facts.name}: ${messageOf(error)}`);
      }
    }
    return failures;
  }

  /** What the hook says, within its time. */
  #answer({ hook, facts }: Entry, call: HookCall): Promise<HookAnswer> {
    const { name, timeoutMs } = facts;
    return new Promise((resolve, reject) => {
      const cancel = this.#platform.after(timeoutMs, () => {
        const text = `${call.machine.name}: ${name} did not answer within ${timeoutMs} ms`;
        reject(new VmError("timeout", text));
      });
      const asked = (async () => hook(call))();
      asked.then(resolve, reject).finally(cancel);
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
