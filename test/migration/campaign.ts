/**
 * campaign: many runs of the world, each with faults drawn from its number.
 *
 * Used by sim.test.ts, sim.deep.ts.
 */
import { Random } from "../helpers/random.ts";
import { type Faults, type Outcome, runWorld, Scene } from "./world.ts";

/** What may become of a chunk. */
export const LINK_FAULTS = ["lose", "double", "swap", "cut", "cut-within", "cut-behind"] as const;
/** Chunks that a run without faults sends, and a few of the talks that follow faults. */
const CHUNKS = 24;
/** Operations of a journal that a run without faults does, and a few more. */
const OPERATIONS = 20;
/** Operation of a journal that writes its first decision behind "began". */
const DECISION = 7;
/** Runs after which hosts are made anew: what a killed process had stays in theirs. */
const SCENE_RUNS = 300;

/** How often each outcome came. */
export type Tally = Partial<Record<Outcome, number>>;

/** Faults for one run. Of two that fall together each hides what the other one would show. */
export function drawFaults(random: Random): Faults {
  const process = () => (random.chance(50) ? "a" : "b");
  const link = random.chance(50)
    ? { at: random.between(1, CHUNKS), fault: random.pick(LINK_FAULTS) }
    : null;
  const isNear = link !== null && random.chance(60);
  const killAt = isNear ? link.at + random.between(0, 2) : random.between(1, CHUNKS);
  return {
    link,
    kill: random.chance(40)
      ? { at: killAt, process: process(), afterMs: random.pick([0, 0, 1, 40]) }
      : null,
    disk: random.chance(40) ? { process: process(), at: random.between(2, OPERATIONS) } : null,
    crash: random.chance(25)
      ? { process: process(), at: random.pick([random.between(2, OPERATIONS), DECISION]) }
      : null,
    cancelAt: random.chance(10) ? random.between(1, CHUNKS) : null,
    latencyMs: random.pick([0, 0, 1, 4, 30]),
    downtimeLimitMs: random.pick([300, 300, 300, 5]),
    isPostcopy: random.chance(40),
  };
}

/** True when nothing keeps the machine from arriving. */
function isFaultless({ downtimeLimitMs, latencyMs, isPostcopy: _, ...faults }: Faults): boolean {
  const { link, kill, disk, crash, cancelAt } = faults;
  const hasFault = [link, kill, disk, crash, cancelAt].some((fault) => (fault ?? null) !== null);
  return !hasFault && downtimeLimitMs === 300 && (latencyMs ?? 0) < 10;
}

/** Runs `count` schedules from `first` on. Throws at the first that breaks the law. */
export async function runCampaign(
  first: number,
  count: number,
  onRun: (run: number) => void = () => {},
): Promise<Tally> {
  const tally: Tally = {};
  let scene = await Scene.create();
  for (let run = first; run < first + count; run++) {
    if ((run - first) % SCENE_RUNS === SCENE_RUNS - 1) {
      scene.dispose();
      scene = await Scene.create();
    }
    const random = new Random(run);
    const faults = drawFaults(random);
    let outcome: Outcome;
    try {
      outcome = await runWorld(scene, faults, random);
    } catch (error) {
      throw new Error(`SEED=${run}: ${(error as Error).message}`, { cause: error });
    }
    if (isFaultless(faults) && outcome !== "at-target") {
      throw new Error(`SEED=${run}: ${outcome}, without a fault`);
    }
    tally[outcome] = (tally[outcome] ?? 0) + 1;
    onRun(run);
  }
  scene.dispose();
  return tally;
}
