/**
 * protocol: what a page and a machine in a worker say to each other: calls with replies, console
 * bytes, events.
 *
 * Owns    the types. Used by remote-machine.ts (one side) and serve-machine.ts (the other).
 * Holds   every message is plain data that a structured clone carries.
 *
 *   page                                     worker
 *    │ call {id, method, args} ───────────────► │
 *    │ ◄─────────────── reply or error {id} ─── │    in any order; `run` answers when it ends
 *    │ input {bytes} ─────────────────────────► │
 *    │ ◄──────────────────── output {bytes} ─── │
 *    │ taken {count} ─────────────────────────► │    with too much output not taken, guest waits
 *    │ ◄──────────── event {event, payload} ─── │
 */
import type { VmErrorCode } from "../errors.ts";
import type { MachineConfig } from "../machine/config.ts";
import type { ExecOptions, ExecWay, WaitOptions } from "../machine/exec.ts";
import type { ExecResult } from "../machine/exec-result.ts";
import type { HostStats } from "../machine/host.ts";
import type { MachineEvents, MachineStats, RunBudget } from "../machine/machine.ts";
import type { RunResult } from "../machine/result.ts";
import type { RemoteDisk } from "./disk.ts";

/** One end of a channel between two threads. */
export interface Port {
  /** Sends; the buffers in `transfer` go over instead of being copied. */
  post(message: unknown, transfer: readonly ArrayBuffer[]): void;
  /** Calls `listener` with every message that comes. Called once. */
  listen(listener: (message: unknown) => void): void;
}

/** A machine's configuration as data. `Base` names what disks the other side's world can open. */
export interface RemoteConfig<Base = unknown> extends Omit<MachineConfig, "disks" | "devices"> {
  readonly disks?: readonly RemoteDisk<Base>[];
}

/** How the worker makes its host. */
export interface RemoteHostOptions {
  /** Address space to reserve; by default 4 GiB, or the most that can be had. */
  readonly arenaBytes?: number;
  /** Where machine.wasm is served, when a bundler does not find it by itself. */
  readonly coreUrl?: string;
}

/** Figures about a machine and the host that it has for itself. */
export interface RemoteStats extends MachineStats {
  readonly host: HostStats;
}

/** A wait without a signal, which cannot be sent. */
export type RemoteWaitOptions = Omit<WaitOptions, "signal">;
/** A command's options without a signal and a listener, which cannot be sent. */
export type RemoteExecOptions = Omit<ExecOptions, "signal" | "onOutput">;

/** What can be called, as on a Machine. */
export interface RemoteCalls {
  create(config: RemoteConfig, options: RemoteHostOptions): void;
  boot(): void;
  run(budget?: RunBudget): RunResult;
  stop(): void;
  pause(reason?: string): void;
  resume(): void;
  openInput(): void;
  closeInput(): void;
  stateDigest(): string;
  stats(): RemoteStats;
  exec(command: string | readonly string[], options?: RemoteExecOptions): ExecResult;
  ready(options?: RemoteWaitOptions): ExecWay;
  powerdown(options?: RemoteWaitOptions): RunResult;
}

/** A name among the calls. */
export type RemoteMethod = keyof RemoteCalls;

/** An event and what comes with it. */
export type RemoteEvent = {
  [K in keyof MachineEvents]: { readonly event: K; readonly payload: MachineEvents[K] };
}[keyof MachineEvents];

/** From the page. */
export type PageMessage =
  | {
      readonly kind: "call";
      readonly id: number;
      readonly method: RemoteMethod;
      readonly args: readonly unknown[];
    }
  | { readonly kind: "input"; readonly bytes: Uint8Array }
  | { readonly kind: "taken"; readonly count: number };

/** An error on its way: without a code it is not one of ours. */
export interface RemoteFailure {
  readonly code: VmErrorCode | null;
  readonly message: string;
}

/** From the worker. */
export type WorkerMessage =
  | { readonly kind: "reply"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: RemoteFailure }
  | { readonly kind: "output"; readonly bytes: Uint8Array }
  | ({ readonly kind: "event" } & RemoteEvent);
