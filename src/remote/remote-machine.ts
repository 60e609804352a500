/**
 * remote-machine: a machine that runs in another thread, used nearly as one that runs in this.
 *
 * Owns    the calls that wait for an answer. Used by src/browser.ts.
 * Holds   calls reach the machine in the order made, and so does input among them; output and
 *         events come in the order in which they happened.
 */
import { VmError } from "../errors.ts";
import { Emitter, tellAll } from "../machine/events.ts";
import type { ExecWay } from "../machine/exec.ts";
import type { ExecResult } from "../machine/exec-result.ts";
import type { MachineEvents, RunBudget } from "../machine/machine.ts";
import type { MachineState, RunResult } from "../machine/result.ts";
import type {
  PageMessage,
  Port,
  RemoteCalls,
  RemoteConfig,
  RemoteExecOptions,
  RemoteHostOptions,
  RemoteMethod,
  RemoteStats,
  RemoteWaitOptions,
  WorkerMessage,
} from "./protocol.ts";

/** Output kept for a listener that has not come yet, as a Machine keeps it. */
const BACKLOG_BYTES_MAX = 1 << 20;

/** The other thread, and how to end it. */
export interface RemoteThread {
  readonly port: Port;
  /** Calls `listener` once when the thread cannot go on. */
  onFailure(listener: (reason: string) => void): void;
  terminate(): void;
}

/**
 * Takes output. A promise means that more is welcome once it settles: what a terminal cannot show
 * yet holds the guest up instead of filling memory.
 */
export type OutputListener = (bytes: Uint8Array) => void | Promise<void>;

/** The terminal of a machine in another thread. */
export interface RemoteConsole {
  /** Queues input; strings as UTF-8. */
  write(data: Uint8Array | string): void;
  /** Hands every piece of output to `listener`; the returned function ends that. */
  onOutput(listener: OutputListener): () => void;
  /** From now on an idle machine waits for input instead of racing through virtual time. */
  openInput(): Promise<void>;
  /** No more input comes. The machine goes on. */
  closeInput(): Promise<void>;
}

interface Waiting {
  readonly method: RemoteMethod;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A machine in another thread: what Machine does at once, this does with a promise. Errors are the
 * same. It has a host for itself.
 */
export class RemoteMachine {
  readonly console: RemoteConsole;
  readonly #thread: RemoteThread;
  readonly #events = new Emitter<MachineEvents>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<OutputListener>();
  /** Output that nobody has listened for yet; the oldest goes when it becomes too much. */
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  #state: MachineState = "created";
  #reason = "";
  #nextId = 0;
  /** Why nothing can be called any more. */
  #end: VmError | null = null;

  private constructor(thread: RemoteThread) {
    this.#thread = thread;
    thread.port.listen((message) => this.#take(message as WorkerMessage));
    thread.onFailure((reason) => this.#finish(new VmError("io", `the worker failed: ${reason}`)));
    this.console = {
      write: (data) => this.#write(data),
      onOutput: (listener) => this.#onOutput(listener),
      openInput: () => this.#call("openInput"),
      closeInput: () => this.#call("closeInput"),
    };
  }

  /**
   * Makes a host and a machine in `thread`. Throws what `Host.create` and `createMachine` throw,
   * and "io" when the thread does not start.
   */
  static async create(
    thread: RemoteThread,
    config: RemoteConfig,
    options: RemoteHostOptions = {},
  ): Promise<RemoteMachine> {
    const machine = new RemoteMachine(thread);
    try {
      await machine.#call("create", config, options);
    } catch (error) {
      machine.dispose();
      throw error;
    }
    return machine;
  }

  /** As of the last event. */
  get state(): MachineState {
    return this.#state;
  }

  /** Why the machine is in its state. */
  get reason(): string {
    return this.#reason;
  }

  /** Calls `listener` on every `event`; the returned function ends that. */
  on<K extends keyof MachineEvents>(event: K, listener: (e: MachineEvents[K]) => void): () => void {
    return this.#events.on(event, listener);
  }

  /** Loads what the configuration names and makes the machine ready to run. */
  boot(): Promise<void> {
    return this.#call("boot");
  }

  /** Runs until the budget is spent or something ends the run. A pause does not end it. */
  run(budget?: RunBudget): Promise<RunResult> {
    return this.#call("run", budget);
  }

  /** Ends the run under way at the next slice's end, with "stopped". */
  stop(): Promise<void> {
    return this.#call("stop");
  }

  /** Machine time stands still from the next instruction boundary on. */
  pause(reason?: string): Promise<void> {
    return this.#call("pause", reason);
  }

  /** Takes a pause back. */
  resume(): Promise<void> {
    return this.#call("resume");
  }

  /** Hash of everything the machine is; equal digests are equal machines. Only between runs. */
  stateDigest(): Promise<string> {
    return this.#call("stateDigest");
  }

  stats(): Promise<RemoteStats> {
    return this.#call("stats");
  }

  /** Runs a command in a Linux guest, as `Machine.exec` does. */
  exec(command: string | readonly string[], options?: RemoteExecOptions): Promise<ExecResult> {
    return this.#call("exec", command, options);
  }

  /** Waits until a Linux guest takes commands. */
  ready(options?: RemoteWaitOptions): Promise<ExecWay> {
    return this.#call("ready", options);
  }

  /** Asks the guest to switch itself off. */
  powerdown(options?: RemoteWaitOptions): Promise<RunResult> {
    return this.#call("powerdown", options);
  }

  /** Ends the thread and everything in it. A run under way ends with "stopped". */
  dispose(): void {
    this.#finish(new VmError("disposed", "the machine is disposed"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  #call<M extends RemoteMethod>(
    method: M,
    ...args: Parameters<RemoteCalls[M]>
  ): Promise<ReturnType<RemoteCalls[M]>> {
    if (this.#end !== null) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      try {
        this.#send({ kind: "call", id, method, args });
      } catch (cause) {
        const text = `${method}: an argument cannot be sent to a worker; plain data is accepted`;
        throw new VmError("bad-argument", text, { cause });
      }
      this.#waiting.set(id, { method, resolve, reject });
    });
  }

  #send(message: PageMessage, transfer: readonly ArrayBuffer[] = []): void {
    this.#thread.port.post(message, transfer);
  }

  #write(data: Uint8Array | string): void {
    if (this.#end !== null) return;
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data.slice();
    this.#send({ kind: "input", bytes }, [bytes.buffer as ArrayBuffer]);
  }

  #onOutput(listener: OutputListener): () => void {
    this.#listeners.add(listener);
    const backlog = this.#backlog;
    this.#backlog = [];
    this.#backlogBytes = 0;
    for (const bytes of backlog) tellAll([listener], bytes);
    return () => this.#listeners.delete(listener);
  }

  #take(message: WorkerMessage): void {
    if (this.#end !== null) return;
    switch (message.kind) {
      case "output":
        void this.#show(message.bytes);
        return;
      case "event":
        if (message.event === "state") {
          this.#state = message.payload.to;
          this.#reason = message.payload.reason;
        }
        this.#events.emit(message.event, message.payload);
        return;
      case "reply":
        this.#settle(message.id)?.resolve(message.value as never);
        return;
      case "error": {
        const { code, message: text } = message.error;
        this.#settle(message.id)?.reject(code === null ? new Error(text) : new VmError(code, text));
      }
    }
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /**
   * Hands output over and, once every listener is done with it, says so. What a listener throws is
   * nobody's to catch, but does not keep the guest waiting.
   */
  async #show(bytes: Uint8Array): Promise<void> {
    if (this.#listeners.size === 0) this.#keep(bytes);
    const shown = [...this.#listeners].map(async (listener) => listener(bytes));
    const outcomes = await Promise.allSettled(shown);
    if (this.#end === null) this.#send({ kind: "taken", count: bytes.length });
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  #keep(bytes: Uint8Array): void {
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
    while (this.#backlogBytes > BACKLOG_BYTES_MAX) {
      this.#backlogBytes -= (this.#backlog.shift() as Uint8Array).length;
    }
  }

  #finish(error: VmError): void {
    if (this.#end !== null) return;
    this.#end = error;
    this.#thread.terminate();
    for (const { method, resolve, reject } of this.#waiting.values()) {
      const isStopped = method === "run" && error.code === "disposed";
      if (isStopped) (resolve as (result: RunResult) => void)({ kind: "stopped" });
      else reject(error);
    }
    this.#waiting.clear();
    if (this.#state !== "terminated") {
      const from = this.#state;
      this.#state = "terminated";
      this.#reason = error.code === "disposed" ? "disposed" : "error";
      this.#events.emit("state", { from, to: "terminated", reason: this.#reason });
    }
  }
}
