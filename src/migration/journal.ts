/**
 * journal: what the ends of migrations have decided, durably: who a machine belongs to.
 *
 * Owns    a directory, for one process at a time: one file for each end of each session.
 * Used by source.ts, target.ts, manager.ts.
 * Holds   a record is decided when `write` resolves. When it rejects nobody knows until `settle`
 *         has resolved: what it finds is made durable, or found to be gone, before it is told. A
 *         file is never written in place but for its next slot, so that what was decided stays
 *         readable whatever happens to the next decision.
 *
 *   0     "RVMJ" ─ format u32 ─ facts bytes u32 ─ CRC-32C of the facts u32 ─ facts (JSON)
 *   4096  slot 0: "RVMR" ─ slot u32 ─ kind u32 ─ zero u32 ─ fence u64 ─ wall time f64 ─ zeros ─
 *   4608  slot 1 ...                                                            CRC-32C at 508
 */
import { z } from "zod";
import { VmError } from "../errors.ts";
import type { Platform, StoreDirectory, StoreFile, StoreLock } from "../platform/contract.ts";
import { crc32c } from "./wire.ts";

/** What can be decided; the first five by a source, the others by a target. */
export const RECORD_KINDS = [
  "began",
  "handed-over",
  "aborted",
  "taken-back",
  "done",
  "prepared",
  "owned",
  "lost",
  "discarded",
] as const;

/** One of RECORD_KINDS. */
export type RecordKind = (typeof RECORD_KINDS)[number];

/** A decision about one switch-over. */
export interface JournalRecord {
  readonly kind: RecordKind;
  /** Which switch-over of the session, from 1; 0 before the first. */
  readonly fence: number;
  /** When, in ms since 1970. */
  readonly wallMs: number;
}

const FOLDER = "sessions";
const FILE_MAGIC = 0x4a4d_5652;
const SLOT_MAGIC = 0x524d_5652;
const FORMAT = 1;
const HEAD_BYTES = 4096;
const FACTS_AT = 16;
const SLOT_BYTES = 512;
/** Switch-overs of one session are far fewer: see SWITCHES_MAX in convergence.ts. */
const SLOTS = 120;
const FILE_BYTES = HEAD_BYTES + SLOTS * SLOT_BYTES;
const SESSIONS_MAX = 4096;

const Facts = z.strictObject({
  session: z.string().regex(/^[0-9a-f]{32}$/),
  secret: z.string().regex(/^[0-9a-f]{32}$/),
  side: z.enum(["source", "target"]),
  machine: z.string().min(1).max(256),
  /** Where each end is called. */
  source: z.string().max(512),
  target: z.string().max(512),
  beganMs: z.number(),
});

/** What a session is, as both ends write it down. Addresses may be empty: nobody listens there. */
export type SessionFacts = z.infer<typeof Facts>;

function slotBytes(slot: number, record: JournalRecord): Uint8Array {
  const bytes = new Uint8Array(SLOT_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, SLOT_MAGIC, true);
  view.setUint32(4, slot, true);
  view.setUint32(8, RECORD_KINDS.indexOf(record.kind), true);
  view.setBigUint64(16, BigInt(record.fence), true);
  view.setFloat64(24, record.wallMs, true);
  view.setUint32(SLOT_BYTES - 4, crc32c(bytes.subarray(0, SLOT_BYTES - 4)), true);
  return bytes;
}

/** The record of a slot; null when it holds none, whole. */
function recordOf(bytes: Uint8Array, slot: number): JournalRecord | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SLOT_BYTES);
  const isWhole =
    view.getUint32(0, true) === SLOT_MAGIC &&
    view.getUint32(4, true) === slot &&
    view.getUint32(SLOT_BYTES - 4, true) === crc32c(bytes.subarray(0, SLOT_BYTES - 4));
  const kind = RECORD_KINDS[view.getUint32(8, true)];
  if (!isWhole || kind === undefined) return null;
  return { kind, fence: Number(view.getBigUint64(16, true)), wallMs: view.getFloat64(24, true) };
}

function headBytes(facts: SessionFacts): Uint8Array {
  const bytes = new Uint8Array(FILE_BYTES);
  const text = new TextEncoder().encode(JSON.stringify(facts));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FILE_MAGIC, true);
  view.setUint32(4, FORMAT, true);
  view.setUint32(8, text.length, true);
  view.setUint32(12, crc32c(text), true);
  bytes.set(text, FACTS_AT);
  return bytes;
}

function factsOf(bytes: Uint8Array, what: string): SessionFacts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const refuse = (why: string): never => {
    throw new VmError("bad-file", `${what} ${why}`);
  };
  if (bytes.length !== FILE_BYTES || view.getUint32(0, true) !== FILE_MAGIC) {
    return refuse("is no journal of a migration");
  }
  if (view.getUint32(4, true) !== FORMAT) {
    throw new VmError("unsupported", `${what} has format ${view.getUint32(4, true)}: 1 is read`);
  }
  const length = view.getUint32(8, true);
  if (length > HEAD_BYTES - FACTS_AT) return refuse(`says ${length} bytes of facts`);
  const text = bytes.subarray(FACTS_AT, FACTS_AT + length);
  if (crc32c(text) !== view.getUint32(12, true)) return refuse("has facts that are damaged");
  const facts = Facts.safeParse(JSON.parse(new TextDecoder().decode(text)));
  return facts.success ? facts.data : refuse("has facts that are none");
}

/** One end of one session. */
export class SessionJournal {
  readonly facts: SessionFacts;
  readonly #file: StoreFile;
  readonly #wallMs: () => number;
  #records: JournalRecord[];
  #isKnown = true;
  #isClosed = false;

  constructor(
    facts: SessionFacts,
    file: StoreFile,
    records: JournalRecord[],
    wallMs: () => number,
  ) {
    this.facts = facts;
    this.#file = file;
    this.#records = records;
    this.#wallMs = wallMs;
  }

  /** What is decided, oldest first. */
  get records(): readonly JournalRecord[] {
    return this.#records;
  }

  /** The last decision; null while nobody knows: `settle` finds out. */
  get last(): JournalRecord | null {
    return this.#isKnown ? (this.#records.at(-1) as JournalRecord) : null;
  }

  /** Decides. Rejects with "io": then nobody knows whether it is decided. */
  async write(kind: RecordKind, fence: number): Promise<void> {
    if (!this.#isKnown) throw new VmError("bad-state", "what was decided last is not known yet");
    const slot = this.#records.length;
    if (slot === SLOTS) throw new VmError("limit", `a session decides ${SLOTS} times at most`);
    const record = { kind, fence, wallMs: this.#wallMs() };
    this.#isKnown = false;
    await this.#file.write(HEAD_BYTES + slot * SLOT_BYTES, slotBytes(slot, record));
    await this.#file.sync();
    this.#records.push(record);
    this.#isKnown = true;
  }

  /**
   * Finds out what was decided, and makes that durable: it is written once more, as a system that
   * failed to sync may have forgotten that it has to. Rejects with "io": nobody knows still.
   */
  async settle(): Promise<JournalRecord> {
    if (!this.#isKnown) {
      const slot = this.#records.length;
      const bytes = new Uint8Array(SLOT_BYTES);
      const at = HEAD_BYTES + slot * SLOT_BYTES;
      this.#file.read(at, bytes);
      const record = recordOf(bytes, slot);
      await this.#file.write(at, record === null ? new Uint8Array(SLOT_BYTES) : bytes);
      await this.#file.sync();
      if (record !== null) this.#records.push(record);
      this.#isKnown = true;
    }
    return this.#records.at(-1) as JournalRecord;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#file.close();
  }
}

function pathOf({ session, side }: Pick<SessionFacts, "session" | "side">): string {
  return `${FOLDER}/${session}.${side}`;
}

/** A file that cannot be read: whose machine it is about cannot be told. */
export interface DamagedJournal {
  readonly path: string;
  readonly reason: string;
}

/** The journal of one process. */
export class MigrationJournal {
  readonly #directory: StoreDirectory;
  readonly #platform: Platform;
  readonly #lock: StoreLock;
  readonly #damaged: DamagedJournal[] = [];
  /** Of processes before this one. */
  readonly #found = new Map<string, SessionJournal>();

  private constructor(directory: StoreDirectory, platform: Platform, lock: StoreLock) {
    this.#directory = directory;
    this.#platform = platform;
    this.#lock = lock;
  }

  /** Opens a directory, which may be empty. Rejects with "busy" when a process has it, "io". */
  static async open(directory: StoreDirectory, platform: Platform): Promise<MigrationJournal> {
    const lock = await directory.lock();
    try {
      await directory.prepare(FOLDER);
      await directory.sync("");
      const journal = new MigrationJournal(directory, platform, lock);
      await journal.#load();
      return journal;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  get name(): string {
    return this.#directory.name;
  }

  async #load(): Promise<void> {
    const names = this.#directory.list(FOLDER);
    for (const name of names) {
      const path = `${FOLDER}/${name}`;
      if (name.endsWith(".tmp")) await this.#directory.remove(path);
      else if (this.#found.size < SESSIONS_MAX) await this.#read(path);
    }
  }

  /** What is found is written as a new file: it is durable then, whatever it was before. */
  async #read(path: string): Promise<void> {
    const bytes = new Uint8Array(FILE_BYTES);
    try {
      const file = this.#directory.open(path);
      const count = file.read(0, bytes);
      file.close();
      const facts = factsOf(bytes.subarray(0, count), path);
      if (pathOf(facts) !== path) throw new VmError("bad-file", `${path} is of another session`);
      const records: JournalRecord[] = [];
      for (let slot = 0; slot < SLOTS; slot++) {
        const at = HEAD_BYTES + slot * SLOT_BYTES;
        const record = recordOf(bytes.subarray(at, at + SLOT_BYTES), slot);
        if (record === null) break;
        records.push(record);
      }
      if (records.length === 0) throw new VmError("bad-file", `${path} has no record`);
      const known = await this.#make(facts, records);
      this.#found.set(path, known);
    } catch (error) {
      if (!(error instanceof VmError) || error.code === "io") throw error;
      this.#damaged.push({ path, reason: error.message });
    }
  }

  async #make(facts: SessionFacts, records: JournalRecord[]): Promise<SessionJournal> {
    const path = pathOf(facts);
    const file = await this.#directory.create(`${path}.tmp`);
    try {
      const bytes = headBytes(facts);
      records.forEach((record, slot) => {
        bytes.set(slotBytes(slot, record), HEAD_BYTES + slot * SLOT_BYTES);
      });
      await file.write(0, bytes);
      await file.sync();
      await this.#directory.rename(`${path}.tmp`, path);
      await this.#directory.sync(FOLDER);
    } catch (error) {
      file.close();
      throw error;
    }
    return new SessionJournal(facts, file, records, () => this.#platform.wallMs());
  }

  /** Begins one end of a session. Rejects with "io": then there is none. */
  async begin(facts: SessionFacts): Promise<SessionJournal> {
    const began = { kind: "began", fence: 0, wallMs: this.#platform.wallMs() } as const;
    return this.#make(Facts.parse(facts), [began]);
  }

  /** Those of processes before this one. */
  get found(): readonly SessionJournal[] {
    return [...this.#found.values()];
  }

  /** Files that cannot be read. They stay. */
  get damaged(): readonly DamagedJournal[] {
    return this.#damaged;
  }

  /** Nobody asks about it any more. */
  async forget(session: SessionJournal): Promise<void> {
    session.close();
    const path = pathOf(session.facts);
    this.#found.delete(path);
    await this.#directory.remove(path);
    await this.#directory.sync(FOLDER);
  }

  async close(): Promise<void> {
    for (const session of this.#found.values()) session.close();
    await this.#lock.release();
  }
}
