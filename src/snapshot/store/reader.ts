/**
 * reader: reads one snapshot, its chain as one.
 *
 * Owns    pins on the segments that it reads, until `close`.
 * Used by store.ts.
 * Holds   one look-up and one read per page, however long the chain is; no page is given out that
 *         is not what was written. Snapshots and segments that go meanwhile stay for it.
 */
import type { DeviceSection } from "../../device/contract.ts";
import { VmError } from "../../errors.ts";
import type { StoreReader } from "../store-port.ts";
import { segmentsOf } from "./manifest.ts";
import { columnsOf, findPage, type Regions } from "./page-columns.ts";
import type { StoreState } from "./state.ts";
import { readWorkingSet } from "./working-set.ts";

/** A snapshot that is read. */
export class SnapshotReader implements StoreReader {
  readonly id: string;
  readonly sections: readonly DeviceSection[];
  readonly workingSet: Uint32Array;
  readonly #state: StoreState;
  readonly #regions: Regions;
  readonly #pinned: readonly number[];
  #isClosed = false;

  /** For SnapshotStore.reader. Throws "not-found", "bad-file". */
  constructor(state: StoreState, id: string) {
    const [manifest] = state.chainOf(id);
    this.id = id;
    this.#state = state;
    this.#regions = state.resolve(id);
    this.#pinned = segmentsOf(this.#regions);
    for (const number of this.#pinned) state.tableOf(number);
    this.sections = manifest.sections.map((one) => ({ ...one, bytes: one.bytes.slice() }));
    this.workingSet = readWorkingSet(state.directory, manifest);
    state.pin(this.#pinned);
  }

  pages(region: number): Uint32Array {
    return columnsOf(this.#regions, region).pages;
  }

  read(region: number, page: number, target: Uint8Array): boolean {
    if (this.#isClosed) throw new VmError("disposed", `the reader of ${this.id} is closed`);
    const columns = this.#regions.get(region);
    if (columns === undefined) return false;
    const at = findPage(columns, page);
    if (at < 0) return false;
    this.#state.readPage(columns.segments[at], columns.slots[at], target);
    return true;
  }

  /** Once is enough; what nobody needs any more goes. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#state.unpin(this.#pinned);
    await this.#state.collectSoon();
  }
}
