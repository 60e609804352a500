/**
 * serve-machine: the side of a remote machine that has it: answers calls, sends output and events.
 *
 * Owns    one host with one machine, and the count of output that the page has not taken.
 * Used by src/browser-worker.ts.
 * Holds   with more than OUTPUT_BYTES_MAX of output not taken machine time stands still, so that a
 *         guest that floods its console fills no queue. The guest cannot tell.
 */
import type { BlockBackend } from "../device/block/contract.ts";
import { VmError } from "../errors.ts";
import { Host } from "../machine/host.ts";
import type { Machine, MachineEvents } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";
import { openRemoteDisk } from "./disk.ts";
import type {
  PageMessage,
  Port,
  RemoteCalls,
  RemoteEvent,
  RemoteFailure,
  RemoteMethod,
  WorkerMessage,
} from "./protocol.ts";

/** What the thread's world can do. */
export interface RemoteWorld {
  platform(options: { readonly coreUrl?: string }): Platform;
  /** Opens a disk that is not sent as bytes. */
  openBlock(source: unknown): Promise<BlockBackend>;
}

/** Output on its way to the page or in it. */
const OUTPUT_BYTES_MAX = 256 << 10;
/** Every event, which the record's type sees to. */
const EVENTS: Readonly<Record<keyof MachineEvents, true>> = {
  state: true,
  memory: true,
  pageError: true,
  reboot: true,
  end: true,
  stop: true,
  disposed: true,
};

/** Counts what was sent and not taken, and holds the machine while that is too much. */
class OutputGate {
  #pending = 0;
  #letGo: (() => void) | null = null;

  /** `hold` keeps machine time still until a promise settles. */
  sent(count: number, hold: (work: Promise<void>) => void): void {
    this.#pending += count;
    if (this.#pending <= OUTPUT_BYTES_MAX || this.#letGo !== null) return;
    hold(
      new Promise((resolve) => {
        this.#letGo = resolve;
      }),
    );
  }

  taken(count: number): void {
    this.#pending -= count;
    if (this.#pending > OUTPUT_BYTES_MAX) return;
    this.#letGo?.();
    this.#letGo = null;
  }
}

type Calls = {
  [M in RemoteMethod]: (
    ...args: Parameters<RemoteCalls[M]>
  ) => ReturnType<RemoteCalls[M]> | Promise<ReturnType<RemoteCalls[M]>>;
};

class MachineServer {
  readonly #port: Port;
  readonly #world: RemoteWorld;
  readonly #gate = new OutputGate();
  #host: Host | null = null;
  #made: Machine | null = null;

  constructor(port: Port, world: RemoteWorld) {
    this.#port = port;
    this.#world = world;
  }

  get #machine(): Machine {
    if (this.#made === null) throw new VmError("bad-state", "no machine was created yet");
    return this.#made;
  }

  readonly #calls: Calls = {
    create: async ({ disks = [], ...config }, options) => {
      if (this.#host !== null) throw new VmError("bad-state", "one worker has one machine");
      const platform = this.#world.platform(options);
      const { arenaBytes } = options;
      this.#host = await Host.create({ platform, arenaBytes, machinesMax: 1 });
      const open = (source: unknown) => this.#world.openBlock(source);
      const backends = await Promise.all(disks.map((disk) => openRemoteDisk(disk, open)));
      this.#made = this.#host.createMachine({ ...config, disks: backends });
      this.#connect(this.#made);
    },
    boot: () => this.#machine.boot(),
    run: (budget) => this.#machine.run(budget),
    stop: () => this.#machine.stop(),
    pause: (reason) => this.#machine.pause(reason),
    resume: () => this.#machine.resume(),
    openInput: () => this.#machine.console.openInput(),
    closeInput: () => this.#machine.console.closeInput(),
    stateDigest: () => this.#machine.stateDigest(),
    exec: (command, options) => this.#machine.exec(command, options),
    ready: (options) => this.#machine.ready(options),
    powerdown: (options) => this.#machine.powerdown(options),
    stats: () => ({ ...this.#machine.stats(), host: (this.#host as Host).stats() }),
  };

  #connect(machine: Machine): void {
    machine.console.onOutput((bytes) => {
      this.#gate.sent(bytes.length, (work) => machine.devices.hub.hold(work));
      this.#send({ kind: "output", bytes }, [bytes.buffer as ArrayBuffer]);
    });
    for (const event of Object.keys(EVENTS) as (keyof MachineEvents)[]) {
      machine.on(event, (payload) => {
        this.#send({ kind: "event", ...({ event, payload } as RemoteEvent) });
      });
    }
  }

  #send(message: WorkerMessage, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.post(message, transfer);
  }

  take(message: PageMessage): void {
    if (message.kind === "call") void this.#answer(message.id, message.method, message.args);
    else if (message.kind === "input") this.#made?.console.write(message.bytes);
    else this.#gate.taken(message.count);
  }

  async #answer(id: number, method: RemoteMethod, args: readonly unknown[]): Promise<void> {
    try {
      if (!Object.hasOwn(this.#calls, method)) {
        const accepted = `accepted are ${Object.keys(this.#calls).join(", ")}`;
        throw new VmError("bad-argument", `call of ${String(method)}: ${accepted}`);
      }
      const call = this.#calls[method] as (...args: readonly unknown[]) => unknown;
      const value = await call(...args);
      this.#send({ kind: "reply", id, value });
    } catch (error) {
      this.#send({ kind: "error", id, error: failureOf(error) });
    }
  }
}

function failureOf(error: unknown): RemoteFailure {
  if (error instanceof VmError) return { code: error.code, message: error.message };
  return { code: null, message: String(error) };
}

/** Serves one machine to whoever is at the other end of `port`. */
export function serveMachine(port: Port, world: RemoteWorld): void {
  const server = new MachineServer(port, world);
  port.listen((message) => server.take(message as PageMessage));
}
