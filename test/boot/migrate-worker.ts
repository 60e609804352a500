/**
 * migrate-worker: a process that has a Debian, or takes one in, and does what it is told over IPC.
 * The guest's console goes to stdout.
 *
 * Used by migrate-kit.ts, which starts it: `node migrate-worker.js STATE-DIRECTORY PORT`.
 */
import { fileURLToPath } from "node:url";
import {
  Host,
  type Machine,
  MemoryBackend,
  MigrationManager,
  nodeLinks,
  openStoreDirectory,
  SourceSession,
  TargetSession,
} from "../../src/node.ts";
import { debian, say } from "../helpers/debian.ts";

/** Bytes of its disk: a record of 512 bytes for each number. */
const DISK_BYTES = 16 << 20;
const RECORD_BYTES = 512;
const OPERATOR_MS = 100;

/** What it can be told. */
export type Order =
  | { readonly do: "boot" }
  | {
      readonly do: "send";
      readonly address: string;
      readonly isPostcopy: boolean;
      readonly bandwidth: number | null;
    }
  /** The other process is dead: a post-copy to it is taken back. */
  | { readonly do: "abandon" }
  | { readonly do: "stand" }
  | { readonly do: "check"; readonly last: number };

/** How it stands. */
export interface Stand {
  /** Sessions, and those of processes before it, that are not settled. */
  readonly open: readonly string[];
  /** State and instructions of every machine that runs, or could. */
  readonly machines: readonly { readonly state: string; readonly instructions: number }[];
}

/** Writes each number to the disk, durably, then to the console, and changes memory. */
const LOG = `echo; i=0; while :; do
  i=$((i+1))
  echo n$i | dd of=/dev/vda bs=${RECORD_BYTES} seek=$i conv=notrunc,fsync 2>/dev/null
  echo n$i
  head -c 262144 /dev/urandom > /tmp/f
done`;

class Worker {
  readonly #host: Host;
  #manager: MigrationManager | null = null;
  #machine: Machine | null = null;

  constructor(host: Host) {
    this.#host = host;
  }

  async open(state: string, port: string): Promise<string> {
    this.#manager = await MigrationManager.create({
      host: this.#host,
      door: nodeLinks(),
      state: await openStoreDirectory(state),
      arrive: () => ({ disks: [new MemoryBackend(new Uint8Array(DISK_BYTES))] }),
      arrived: (machine) => this.#run(machine),
    });
    const { address } = await this.#manager.listen(`tcp://127.0.0.1:${port}`);
    this.#watch();
    return address;
  }

  #run(machine: Machine): void {
    this.#machine?.dispose();
    this.#machine = machine;
    machine.console.onOutput((bytes) => void process.stdout.write(bytes));
    void machine.run().catch(() => {});
  }

  #watch(): void {
    this.#host.platform.after(OPERATOR_MS, () => {
      this.#operate(false);
      this.#watch();
    });
  }

  /** What an operator does about links that were lost. */
  #operate(isAbandoning: boolean): void {
    for (const session of this.#manager?.sessions ?? []) {
      if (session.status !== "postcopy-paused") continue;
      if (session instanceof SourceSession) void session.recover({ isAbandoning }).catch(() => {});
      else if (session instanceof TargetSession) void session.recover().catch(() => {});
    }
  }

  async take(order: Order): Promise<unknown> {
    switch (order.do) {
      case "boot": {
        const disks = [new MemoryBackend(new Uint8Array(DISK_BYTES))];
        const machine = this.#host.createMachine(debian({ name: "deb", disks, noReboot: true }));
        await machine.boot();
        this.#run(machine);
        await say(machine, `setsid sh -c '${LOG}' > /dev/console 2>&1 &`);
        return null;
      }
      case "send": {
        const { address, isPostcopy, bandwidth } = order;
        const session = await (this.#manager as MigrationManager).start(
          this.#machine as Machine,
          address,
          { bandwidth },
        );
        if (isPostcopy) session.convergence.postcopy();
        return null;
      }
      case "abandon":
        this.#operate(true);
        return null;
      case "stand":
        return this.#stand();
      case "check":
        return this.#check(order.last);
    }
  }

  #stand(): Stand {
    const { sessions, recovered } = this.#manager as MigrationManager;
    const open = sessions.map(({ side, status, phase }) => `${side} ${status} ${phase}`);
    const left = recovered.map(({ side, record }) => `${side} recovered ${record?.kind}`);
    const machines = this.#host.machines.filter(({ state }) => {
      return state !== "terminated" && state !== "created";
    });
    return {
      open: [...open, ...left],
      machines: machines.map(({ state, instructions }) => ({ state, instructions })),
    };
  }

  /** Numbers up to `last` that are not on the disk. */
  async #check(last: number): Promise<number[]> {
    const disk = (this.#machine as Machine).devices.disks[0];
    const record = new Uint8Array(RECORD_BYTES);
    const missing: number[] = [];
    for (let number = 1; number <= last; number++) {
      const late = disk.read(number * RECORD_BYTES, record);
      if (late !== undefined) await late;
      const text = `n${number}\n`;
      if (new TextDecoder().decode(record.subarray(0, text.length)) !== text) missing.push(number);
    }
    return missing;
  }
}

/** As a process of its own. */
async function main(state: string, port: string): Promise<void> {
  const worker = new Worker(await Host.create());
  const address = await worker.open(state, port);
  process.send?.({ id: 0, answer: address });
  process.on("message", ({ id, order }: { id: number; order: Order }) => {
    worker.take(order).then(
      (answer) => process.send?.({ id, answer }),
      (error: Error) => process.send?.({ id, error: error.message }),
    );
  });
  process.on("disconnect", () => process.exit(0));
}

const [, script, state, port] = process.argv;
if (script === fileURLToPath(import.meta.url)) await main(state, port);
