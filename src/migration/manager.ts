/**
 * manager: the migrations of one process: those that leave, those that arrive, and those of which
 * a process before this one left a record.
 *
 * Owns    the sessions, the journal, the address where others call.
 * Used by the shell and programs.
 * Holds   at most `sessionsMax` sessions at a time; frames promised to one that arrives are not
 *         promised to another.
 */
import { VmError } from "../errors.ts";
import type { Host } from "../machine/host.ts";
import type { Machine } from "../machine/machine.ts";
import type { Platform, StoreDirectory } from "../platform/contract.ts";
import type { ByteLink, LinkDoor, LinkListener } from "../platform/link.ts";
import { MemoryDirectory } from "../platform/memory-directory.ts";
import { Ancestors } from "./ancestors.ts";
import { Bandwidth } from "./bandwidth.ts";
import { type Greeting, type Line, takeCall } from "./call.ts";
import type { Message } from "./channel.ts";
import type {
  Arrival,
  ArrivalParts,
  MigrateOptions,
  MigrationResult,
  MigrationSession,
} from "./contract.ts";
import { MigrationJournal } from "./journal.ts";
import { encodeJson } from "./messages.ts";
import { type Recovered, RecoveredSession } from "./recover.ts";
import { SourceSession } from "./source.ts";
import { TargetSession } from "./target.ts";

/** Sessions of one process at a time, unless it was told otherwise. */
export const SESSIONS_MAX = 64;
/** Ended sessions of which the figures are kept. */
const HISTORY_MAX = 256;

/** What a manager is made with. */
export interface MigrationOptions {
  readonly host: Host;
  readonly door: LinkDoor;
  /** Time and randomness of the sessions; by default the host's. */
  readonly platform?: Platform;
  /** Where decisions are kept. By default in memory: they end with the process. */
  readonly state?: StoreDirectory;
  readonly sessionsMax?: number;
  /** What there is for a machine that arrives; throw to refuse it. By default what it needs. */
  readonly arrive?: (arrival: Arrival) => Promise<ArrivalParts> | ArrivalParts;
  /** A machine has arrived; by default it is run. */
  readonly arrived?: (machine: Machine, session: MigrationSession) => void;
}

/** The migrations of one process. */
export class MigrationManager {
  readonly host: Host;
  /** A limit for all sessions together. */
  readonly bandwidth: Bandwidth;
  readonly journal: MigrationJournal;
  readonly #options: MigrationOptions;
  readonly #sessions = new Map<string, SourceSession | TargetSession>();
  /** Ended, oldest first. */
  readonly #history: MigrationSession[] = [];
  readonly #recovered = new Map<string, RecoveredSession>();
  readonly #listeners = new Set<LinkListener>();
  readonly #ancestors: Ancestors;
  #promisedFrames = 0;
  #isClosed = false;

  private constructor(options: MigrationOptions, journal: MigrationJournal) {
    this.#options = options;
    this.host = options.host;
    this.journal = journal;
    this.bandwidth = new Bandwidth(options.platform ?? options.host.platform);
    this.#ancestors = new Ancestors(options.host);
  }

  /**
   * Opens the state directory. What a process before this one left undecided is decided with the
   * other ends: see `recovered`. Rejects with "busy" when another process has the directory, "io",
   * "bad-argument".
   */
  static async create(options: MigrationOptions): Promise<MigrationManager> {
    const { sessionsMax = SESSIONS_MAX, host } = options;
    if (!Number.isInteger(sessionsMax) || sessionsMax < 1 || sessionsMax > 1024) {
      const text = `sessionsMax ${sessionsMax}`;
      throw new VmError("bad-argument", `${text}: accepted are whole numbers from 1 to 1024`);
    }
    const { platform = host.platform } = options;
    const directory = options.state ?? new MemoryDirectory();
    const journal = await MigrationJournal.open(directory, platform);
    const manager = new MigrationManager(options, journal);
    for (const found of journal.found) manager.#recover(found.facts.session, found);
    return manager;
  }

  get #platform(): Platform {
    return this.#options.platform ?? this.host.platform;
  }

  #recover(id: string, found: MigrationJournal["found"][number]): void {
    const recovered = new RecoveredSession({
      platform: this.#platform,
      door: this.#options.door,
      journal: this.journal,
      found,
      address: () => this.address,
      forget: () => this.#recovered.delete(id),
    });
    this.#recovered.set(id, recovered);
  }

  // ---- looking ----

  /** Sessions under way, oldest first; one that has ended stays while its other end must hear. */
  get sessions(): readonly MigrationSession[] {
    return [...this.#sessions.values()];
  }

  /** Sessions that have ended, oldest first; of the last 256. */
  get history(): readonly MigrationSession[] {
    return this.#history;
  }

  /** What processes before this one left behind, and is not settled. */
  get recovered(): readonly Recovered[] {
    return [...this.#recovered.values()].map((one) => one.facts);
  }

  /** Where others call; empty while nobody can. */
  get address(): string {
    const [first] = this.#listeners;
    return first?.address ?? "";
  }

  // ---- leaving ----

  /**
   * Sends a machine to whoever listens at `address`. Throws "bad-argument", "limit", "busy" (a job
   * is under way); everything later is the session's result.
   */
  async start(
    machine: Machine,
    address: string,
    options: MigrateOptions = {},
  ): Promise<SourceSession> {
    this.#needRoom();
    const job = await machine.jobs.begin("migration", options.signal);
    try {
      this.#needRoom();
      const session = new SourceSession({
        platform: this.#platform,
        door: this.#options.door,
        journal: this.journal,
        bandwidth: this.bandwidth,
        machine,
        address,
        callback: this.address,
        options,
        ancestors: this.#ancestors,
        forget: (one) => this.#forget(one),
      });
      this.#sessions.set(session.id, session);
      job.signal.addEventListener("abort", () => session.cancelIfOpen());
      void session.ended.then((result) => {
        job.end();
        this.#remember(session, result);
      });
      return session;
    } catch (error) {
      job.end();
      throw error;
    }
  }

  #needRoom(): void {
    if (this.#isClosed) throw new VmError("disposed", "the migration manager is closed");
    const { sessionsMax = SESSIONS_MAX } = this.#options;
    const open = [...this.#sessions.values()].filter(({ result }) => result === null).length;
    if (open < sessionsMax) return;
    throw new VmError("limit", `${open} migrations are under way: sessionsMax allows no more`);
  }

  #forget(session: SourceSession | TargetSession): void {
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
  }

  #remember(session: MigrationSession, _result: MigrationResult): void {
    this.#history.push(session);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
  }

  // ---- arriving ----

  /** Lets others call: machines arrive, and ends of sessions that lost their link talk again. */
  async listen(address: string): Promise<LinkListener> {
    if (this.#isClosed) throw new VmError("disposed", "the migration manager is closed");
    const listener = await this.#options.door.listen(address, (link) => void this.#answer(link));
    const mine: LinkListener = {
      address: listener.address,
      close: async () => {
        this.#listeners.delete(mine);
        await listener.close();
      },
    };
    this.#listeners.add(mine);
    return mine;
  }

  async #answer(link: ByteLink): Promise<void> {
    try {
      const check = (greeting: Greeting) => this.#checkCall(greeting);
      const { line, greeting } = await takeCall(link, this.#platform, check);
      if (this.#isClosed) line.channel.close("the process ends");
      else this.#connect(line, greeting);
    } catch {
      // the caller was told why
    }
  }

  /** Throws when the call is refused. */
  #checkCall({ session, secret, purpose }: Greeting): void {
    const known = this.#sessions.get(session) ?? this.#recovered.get(session);
    if (known !== undefined && known.secret !== secret) {
      throw new VmError("bad-argument", `session ${session} has another secret`);
    }
    if (purpose === "talk") return;
    if (known !== undefined) throw new VmError("busy", `session ${session} is known already`);
    this.#needRoom();
  }

  #connect(line: Line, greeting: Greeting): void {
    const { session: id, purpose } = greeting;
    const known = this.#sessions.get(id) ?? this.#recovered.get(id);
    if (known !== undefined) known.attach(line);
    else if (purpose === "talk") answerForNobody(line);
    else this.#receive(line, greeting);
  }

  #receive(line: Line, greeting: Greeting): void {
    const { arrive = () => ({}), arrived } = this.#options;
    const session: TargetSession = new TargetSession(
      {
        platform: this.#platform,
        door: this.#options.door,
        host: this.host,
        journal: this.journal,
        address: this.address,
        arrive,
        arrived: arrived ?? ((machine) => void machine.run().catch(() => {})),
        promise: (frames) => this.#promise(frames),
        ancestors: this.#ancestors,
        forget: () => this.#forget(session),
      },
      line,
      greeting,
    );
    this.#sessions.set(session.id, session);
    void session.ended.then((result) => this.#remember(session, result));
  }

  #promise(frames: number): () => void {
    const { framesFree } = this.host.stats();
    const left = framesFree - this.#promisedFrames;
    if (frames > left) {
      const text = `it has ${frames} frames of memory`;
      throw new VmError("no-memory", `${text}: ${Math.max(0, left)} are free for it here`);
    }
    this.#promisedFrames += frames;
    let isKept = true;
    return () => {
      if (isKept) this.#promisedFrames -= frames;
      isKept = false;
    };
  }

  /** Nobody is answered any more; sessions that are not committed are given up. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const listener of [...this.#listeners]) await listener.close();
    const open = [...this.#sessions.values()];
    for (const session of open) {
      if (session.side === "source" && session.result === null) {
        try {
          session.cancel("the process ends");
          await session.ended;
        } catch {
          // committed: the journal says so to the next process
        }
      } else if (session instanceof TargetSession) session.close();
    }
    for (const one of this.#recovered.values()) one.close();
    this.#ancestors.close();
    await this.journal.close();
  }
}

/** What is said of a session that nobody here knows: it is not prepared here, nor decided. */
function answerForNobody(line: Line): void {
  const { channel } = line;
  line.give({
    message: async ({ name, fence }: Message) => {
      if (name === "abort") await channel.send("discarded", undefined, { fence });
      else if (name === "closed") channel.close();
      else {
        const body = encodeJson("answer", { record: null, isOpen: false });
        await channel.send("answer", body, { fence });
      }
    },
    begin: ({ name }) => {
      throw new VmError("bad-file", `${channel.peer} sent ${name} for a session nobody knows`);
    },
    closed: () => {},
  });
}
