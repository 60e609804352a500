/**
 * run-result: the JSON shape of `rivulet run`, apart from the command: a run on its own does not
 * load what only documents it.
 *
 * Used by src/shell/registry.ts; run.ts takes its type.
 */
import { z } from "zod";

/** What a run prints with --json. */
export const RunShape = z.object({
  ended: z.string().describe("why the run was over"),
  code: z.number().describe("the exit status"),
  seconds: z.number(),
  instructions: z.number(),
  guestSeconds: z.number(),
  digest: z.string().optional(),
  mips: z.number().optional().describe("this and what follows: with --stats"),
  slots: z.number().optional(),
  ticks: z.number().optional(),
  idleTicks: z.number().optional(),
  framesUsed: z.number().optional(),
  reboots: z.number().optional(),
  busyMs: z.number().optional(),
  exits: z.record(z.string(), z.number()).optional(),
  core: z.record(z.string(), z.number()).optional(),
});
