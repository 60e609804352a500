/**
 * agent: the host's side of the channel to the agent in a Linux guest (guest/agent-protocol.ts).
 *
 * Owns    bytes on their way to the guest, the frame that is coming in, the jobs under way.
 * Used by machine/exec.ts, which asks for jobs; machine/devices.ts, which connects the port.
 * Holds   everything that comes from the guest is checked and bounded: a frame is at most 32 KiB,
 *         output beyond a job's limit is dropped, a job whose output is handed on slower than it
 *         comes is told to hold it, and an agent that says nonsense is not listened to until the
 *         guest opens the port anew. Bytes enter the guest between two instructions, as console
 *         input does.
 */
import type { DeviceSection } from "../device/contract.ts";
import { VmError } from "../errors.ts";
import {
  AGENT_ERRORS,
  AGENT_EXIT,
  AGENT_HEADER_BYTES,
  AGENT_HELLO,
  AGENT_HOLD,
  AGENT_INPUT,
  AGENT_JOBS_MAX,
  AGENT_KILL,
  AGENT_OPEN,
  AGENT_OUTPUT,
  AGENT_PAYLOAD_BYTES_MAX,
  AGENT_REFUSED,
  AGENT_RUN,
  AGENT_VERSION,
} from "../guest/agent-protocol.ts";
import type { ConsolePort } from "./console.ts";
import { OutputCollector, type OutputRequest } from "./exec-result.ts";
import { readAgent, saveAgent } from "./sections.ts";

/** A command for the guest. */
export interface AgentRequest extends OutputRequest {
  /** For /bin/sh -c, without NUL. */
  readonly script: string;
  readonly stdin: Uint8Array;
}

/** A job under way. */
export interface AgentJob {
  readonly stdout: OutputCollector;
  readonly stderr: OutputCollector;
  /**
   * The status as wait4 gives it. Rejects with VmError "io" when the agent went away, could not
   * start it, or does not hold output; and with what `onOutput` throws.
   */
  readonly done: Promise<number>;
  /** Sends a signal to the command and all that it started; the job is over when `done` settles. */
  kill(signal: number): void;
  /** Kills it; what it still says is nobody's. */
  abandon(): void;
}

interface Entry extends AgentJob {
  readonly id: number;
  readonly request: AgentRequest;
  readonly resolve: (status: number) => void;
  readonly reject: (error: unknown) => void;
  isAbandoned: boolean;
  /** As the guest was told. */
  isHeld: boolean;
  /** Pieces of output that `onOutput` has not taken yet, and what keeping them costs. */
  piecesBehind: number;
  bytesBehind: number;
}

/** Bytes of a script that fit into its frame, behind them a NUL. */
export const AGENT_SCRIPT_BYTES_MAX = AGENT_PAYLOAD_BYTES_MAX - 1;
/** Jobs that wait for their turn. */
const WAITING_MAX = 1024;
/** Output that may come before a job that was told to hold it does. */
const BEHIND_BYTES_MAX = 16 << 20;
/** What keeping a piece costs beside its bytes. */
const PIECE_BYTES = 256;
const SIGKILL = 9;
const NONE = new Uint8Array(0);

function frame(type: number, job: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(AGENT_HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, job, true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, AGENT_HEADER_BYTES);
  return bytes;
}

const isData = (type: number) => type === AGENT_OUTPUT || type === AGENT_ERRORS;

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** The channel of one machine. */
export class AgentChannel {
  readonly #onInput: () => void;
  #port: ConsolePort | null = null;
  #isUp = false;
  /** It said nonsense. */
  #isDeaf = false;
  readonly #hellos = new Set<() => void>();
  #outgoing: Uint8Array[] = [];
  #outgoingTaken = 0;
  /** Room for a frame; comes with the first byte. */
  #incoming: Uint8Array<ArrayBuffer> = NONE;
  #incomingUsed = 0;
  readonly #jobs = new Map<number, Entry>();
  /** Jobs whose guest may have to be told about holding, once it has read what waits for it. */
  readonly #holdsDue = new Set<Entry>();
  readonly #waiting: Entry[] = [];
  /** Commands of the machine that this one was copied from: they run, and nobody waits for them. */
  readonly #orphans = new Set<number>();
  #lastId = 0;

  /** `onInput` is called when there is something for the guest. */
  constructor(onInput: () => void) {
    this.#onInput = onInput;
  }

  /** True while an agent serves. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Calls `listener` when an agent has come up; the returned function ends that. */
  onHello(listener: () => void): () => void {
    this.#hellos.add(listener);
    return () => this.#hellos.delete(listener);
  }

  /** Queues a command; it runs when fewer than 16 others do. Throws VmError "limit". */
  start(request: AgentRequest): AgentJob {
    if (this.#waiting.length >= WAITING_MAX) {
      throw new VmError(
        "limit",
        `${WAITING_MAX} commands wait for the guest: accepted are no more`,
      );
    }
    const id = ++this.#lastId;
    let resolve: Entry["resolve"] = () => {};
    let reject: Entry["reject"] = () => {};
    const done = new Promise<number>((one, other) => {
      resolve = one;
      reject = other;
    });
    done.catch(() => {}); // whoever started it may have given up waiting
    const entry: Entry = {
      ...{ id, request, done, resolve, reject },
      ...{ isAbandoned: false, isHeld: false, piecesBehind: 0, bytesBehind: 0 },
      stdout: new OutputCollector(request, "stdout"),
      stderr: new OutputCollector(request, "stderr"),
      kill: (signal) => this.#kill(entry, signal),
      abandon: () => {
        entry.isAbandoned = true;
        this.#kill(entry, SIGKILL);
      },
    };
    this.#waiting.push(entry);
    this.#sendWaiting();
    return entry;
  }

  #sendWaiting(): void {
    while (this.#isUp && this.#jobs.size + this.#orphans.size < AGENT_JOBS_MAX) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      const { id, request } = entry;
      const { stdin, script } = request;
      this.#jobs.set(id, entry);
      this.#send(AGENT_OPEN, id);
      for (let at = 0; at < stdin.length; at += AGENT_PAYLOAD_BYTES_MAX) {
        this.#send(AGENT_INPUT, id, stdin.subarray(at, at + AGENT_PAYLOAD_BYTES_MAX));
      }
      this.#send(AGENT_RUN, id, new TextEncoder().encode(`${script}\0`));
    }
  }

  #kill(entry: Entry, signal: number): void {
    if (this.#jobs.get(entry.id) === entry) {
      this.#send(AGENT_KILL, entry.id, word(signal));
      return;
    }
    const at = this.#waiting.indexOf(entry);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    entry.resolve(SIGKILL);
  }

  #send(type: number, job: number, payload: Uint8Array = new Uint8Array(0)): void {
    this.#outgoing.push(frame(type, job, payload));
    this.#onInput();
  }

  // ---- the machine's side ----

  /** Names the device whose port the agent opens. */
  connect(port: ConsolePort): void {
    this.#port = port;
  }

  /** Moves bytes to the port as far as it has room. Called at instruction boundaries only. */
  pump(): void {
    const port = this.#port;
    while (port !== null && this.#hasOutgoing()) {
      const room = port.inputRoom;
      if (room <= 0) return;
      const [first] = this.#outgoing;
      const piece = first.subarray(this.#outgoingTaken, this.#outgoingTaken + room);
      this.#outgoingTaken += piece.length;
      if (this.#outgoingTaken === first.length) {
        this.#outgoing.shift();
        this.#outgoingTaken = 0;
      }
      port.offer(piece);
    }
  }

  #hasOutgoing(): boolean {
    if (this.#outgoing.length === 0 && this.#holdsDue.size > 0) this.#sendHolds();
    return this.#outgoing.length > 0;
  }

  /** The guest opened or closed the port: whatever was under way is over. */
  opened(): void {
    this.#isDeaf = false;
    this.#hangUp("the guest's agent went away before the command was done");
  }

  #hangUp(text: string): void {
    this.#isUp = false;
    this.#incomingUsed = 0;
    this.#outgoing = [];
    this.#outgoingTaken = 0;
    this.#holdsDue.clear();
    this.#orphans.clear();
    this.#rejectJobs(text);
  }

  #rejectJobs(text: string): void {
    const jobs = [...this.#jobs.values()];
    this.#jobs.clear();
    for (const { reject } of jobs) reject(new VmError("io", text));
  }

  /** What the channel of a copy needs to go on from here. */
  save(): DeviceSection {
    return saveAgent({
      isUp: this.#isUp,
      isDeaf: this.#isDeaf,
      lastId: this.#lastId,
      incoming: this.#incoming.subarray(0, this.#incomingUsed),
      outgoing: this.#outgoing.map((piece, at) =>
        at === 0 ? piece.subarray(this.#outgoingTaken) : piece,
      ),
      jobs: [
        ...[...this.#jobs.values()].map(({ id, isHeld }) => ({ id, isHeld })),
        ...[...this.#orphans].map((id) => ({ id, isHeld: false })),
      ],
    });
  }

  /**
   * Checks what `save` gave; the returned function takes it over. Commands that were under way then
   * go on in the guest without anybody who waits for them; those that are under way here are over.
   */
  read(section: DeviceSection): () => void {
    const facts = readAgent(section, this.#incomingMax, AGENT_JOBS_MAX);
    return () => {
      this.#hangUp("the machine was made what it was before the command began");
      this.#isUp = facts.isUp;
      this.#isDeaf = facts.isDeaf;
      this.#lastId = Math.max(this.#lastId, facts.lastId);
      this.#incoming = new Uint8Array(facts.incoming.length === 0 ? 0 : this.#incomingMax);
      this.#incoming.set(facts.incoming);
      this.#incomingUsed = facts.incoming.length;
      this.#outgoing = facts.outgoing;
      for (const { id, isHeld } of facts.jobs) {
        this.#orphans.add(id);
        if (isHeld) this.#send(AGENT_HOLD, id, word(0));
      }
      if (!this.#isUp) return;
      for (const listener of [...this.#hellos]) listener();
      this.#sendWaiting();
    };
  }

  get #incomingMax(): number {
    return AGENT_HEADER_BYTES + AGENT_PAYLOAD_BYTES_MAX;
  }

  /** Bytes from the guest. */
  take(bytes: Uint8Array): void {
    if (this.#incoming.length === 0) this.#incoming = new Uint8Array(this.#incomingMax);
    for (let at = 0; at < bytes.length && !this.#isDeaf; ) {
      const isHeader = this.#incomingUsed < AGENT_HEADER_BYTES;
      const end = isHeader ? AGENT_HEADER_BYTES : this.#frameBytes;
      const piece = bytes.subarray(at, at + end - this.#incomingUsed);
      this.#incoming.set(piece, this.#incomingUsed);
      this.#incomingUsed += piece.length;
      at += piece.length;
      if (this.#incomingUsed < end) return;
      if (isHeader) this.#checkHeader();
      if (!this.#isDeaf && this.#incomingUsed === this.#frameBytes) this.#understand();
    }
  }

  /** A number of the header that has come. */
  #field(index: number): number {
    return new DataView(this.#incoming.buffer).getUint32(4 * index, true);
  }

  get #frameBytes(): number {
    return AGENT_HEADER_BYTES + this.#field(2);
  }

  /** Before anything behind the header is read: types have lengths. */
  #checkHeader(): void {
    const [type, length] = [this.#field(0), this.#field(2)];
    const isWord = type === AGENT_HELLO || type === AGENT_EXIT || type === AGENT_REFUSED;
    const isFine = isWord ? length === 4 : isData(type) && length <= AGENT_PAYLOAD_BYTES_MAX;
    if (isFine) return;
    this.#isDeaf = true;
    this.#hangUp(`the guest's agent sent a frame of type ${type} with ${length} bytes`);
  }

  /** A whole frame has come. */
  #understand(): void {
    const [type, job] = [this.#field(0), this.#field(1)];
    const payload = this.#incoming.slice(AGENT_HEADER_BYTES, this.#incomingUsed);
    this.#incomingUsed = 0;
    if (isData(type)) this.#output(type, job, payload);
    else this.#tell(type, job, new DataView(payload.buffer).getUint32(0, true));
  }

  #output(type: number, job: number, payload: Uint8Array): void {
    const entry = this.#jobs.get(job);
    if (entry === undefined || entry.isAbandoned) return;
    try {
      const taken = (type === AGENT_OUTPUT ? entry.stdout : entry.stderr).add(payload);
      if (taken !== undefined) this.#hold(entry, taken, PIECE_BYTES + payload.length);
    } catch (error) {
      this.#fail(entry, error);
    }
  }

  #fail(entry: Entry, error: unknown): void {
    entry.abandon();
    entry.reject(error);
  }

  /** Whoever takes the output needs time: the rest waits in the guest meanwhile. */
  #hold(entry: Entry, taken: Promise<void>, count: number): void {
    entry.bytesBehind += count;
    if (entry.piecesBehind++ === 0) this.#holdDue(entry);
    if (entry.bytesBehind > BEHIND_BYTES_MAX) {
      const pieces = `${entry.piecesBehind} pieces of output`;
      const text = `told to hold it, the guest's agent sent ${pieces}`;
      this.#fail(entry, new VmError("io", `${text}: accepted are agents that know HOLD`));
      return;
    }
    const goOn = () => {
      entry.bytesBehind -= count;
      if (--entry.piecesBehind === 0) this.#holdDue(entry);
    };
    taken.then(goOn, (error) => this.#fail(entry, error));
  }

  #holdDue(entry: Entry): void {
    this.#holdsDue.add(entry);
    this.#onInput();
  }

  /** However often output came and was taken, a job is told what holds now. */
  #sendHolds(): void {
    for (const entry of this.#holdsDue) {
      const isHeld = entry.piecesBehind > 0;
      if (this.#jobs.get(entry.id) !== entry || isHeld === entry.isHeld) continue;
      entry.isHeld = isHeld;
      this.#outgoing.push(frame(AGENT_HOLD, entry.id, word(isHeld ? 1 : 0)));
    }
    this.#holdsDue.clear();
  }

  #tell(type: number, job: number, value: number): void {
    if (type === AGENT_HELLO) {
      this.#hangUp("the guest's agent began anew before the command was done");
      this.#isDeaf = value !== AGENT_VERSION;
      this.#isUp = !this.#isDeaf;
      if (!this.#isUp) return;
      for (const listener of [...this.#hellos]) listener();
      this.#sendWaiting();
      return;
    }
    const entry = this.#jobs.get(job);
    if (entry === undefined) {
      if (this.#orphans.delete(job)) this.#sendWaiting();
      return;
    }
    this.#jobs.delete(job);
    if (type === AGENT_EXIT) entry.resolve(value);
    else entry.reject(new VmError("io", `the guest could not start the command: errno ${value}`));
    this.#sendWaiting();
  }
}
