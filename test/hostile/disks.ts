/**
 * disks: backends that let a machine down: they fail, shrink, answer late, or answer nonsense.
 *
 * Used by virtio.test.ts and campaign.ts.
 * Holds   the same calls get the same answers, so that a run can be repeated.
 */
import type { BlockBackend } from "../../src/device/block/contract.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { VmError } from "../../src/errors.ts";

const BYTES = 1 << 16;

function memory(): MemoryBackend {
  return new MemoryBackend(Uint8Array.from({ length: BYTES }, (_, at) => (at * 5) & 0xff));
}

/** Calls `before` ahead of every operation. */
function over(before: (call: number) => void | Promise<void>, base = memory()): BlockBackend {
  let calls = 0;
  const after = (work: () => void): void | Promise<void> => {
    const late = before(calls++);
    if (late === undefined) return work();
    return late.then(work);
  };
  return {
    ...{ bytes: BYTES, isReadOnly: false, close: () => {} },
    read: (offset, target) => after(() => base.read(offset, target)),
    write: (offset, bytes) => after(() => base.write(offset, bytes)),
    flush: () => after(() => {}),
  };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Fresh disks by what is wrong with them. */
export const DISKS = {
  sound: memory,
  /** Throws, or rejects, two times of three. */
  failing: () =>
    over((call) => {
      if (call % 3 === 0) throw new VmError("io", "the disk is on fire");
      return call % 3 === 1 ? Promise.reject(new Error("too late")) : undefined;
    }),
  /** Gets smaller with every call. */
  shrinking: () => {
    const state = { bytes: BYTES };
    const disk = over(() => {
      state.bytes = Math.max(512, state.bytes - 4096);
    });
    Object.defineProperty(disk, "bytes", { get: () => state.bytes });
    return disk;
  },
  /** Answers after some turns of the event loop. */
  late: () => over((call) => turns(call % 4)),
  /** Answers what no disk may. */
  mad: () => {
    const answers: unknown[] = [null, 7, {}, "done", Promise.resolve(5)];
    let calls = 0;
    const answer = () => answers[calls++ % answers.length] as undefined;
    return {
      ...{ bytes: BYTES, isReadOnly: false, close: () => {} },
      ...{ read: answer, write: answer, flush: answer },
    } satisfies BlockBackend;
  },
} as const;

export type DiskKind = keyof typeof DISKS;
export const DISK_KINDS = Object.keys(DISKS) as DiskKind[];
