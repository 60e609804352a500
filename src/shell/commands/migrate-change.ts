/**
 * migrate-change: the commands of family `migrate` that change one that is under way: cancel,
 * pause, resume, set-downtime, set-bandwidth, set-policy, postcopy, recover, resolve.
 *
 * Used by commands/migrate.ts.
 */
import { z } from "zod";
import { POLICIES, type Policy, SourceSession, TargetSession, VmError } from "../../index.ts";
import { type Call, type CommandSpec, command, UsageError } from "../command.ts";
import {
  LIMITS,
  MIGRATION,
  outcomeText,
  SessionShape,
  sessionOf,
  sourceOf,
} from "./migrate-text.ts";

const found = (call: Call) => call.fleet.migrations.find(call.text("MIGRATION") as string);

const cancel = command({
  family: "migrate",
  name: "cancel",
  summary: "give a migration up: the machine stays where it is",
  details: "Until it is handed over; from then on only the ends decide, or `migrate resolve`.",
  parameters: [MIGRATION],
  options: {},
  example: "migrate cancel web",
  result: SessionShape,
  async run(call) {
    const session = found(call);
    session.cancel();
    await session.ended;
    return sessionOf(session);
  },
  text: outcomeText,
});

const pause = command({
  family: "migrate",
  name: "pause",
  summary: "send nothing more for now; the guest runs on here",
  parameters: [MIGRATION],
  options: {},
  example: "migrate pause web",
  result: SessionShape,
  async run(call) {
    const session = sourceOf(call);
    session.pause();
    return sessionOf(session);
  },
  text: () => "",
});

const resume = command({
  family: "migrate",
  name: "resume",
  summary: "go on with a migration that was paused",
  parameters: [MIGRATION],
  options: {},
  example: "migrate resume web",
  result: SessionShape,
  async run(call) {
    const session = sourceOf(call);
    session.resume();
    return sessionOf(session);
  },
  text: () => "",
});

const setDowntime = command({
  family: "migrate",
  name: "set-downtime",
  summary: "say for how long the guest may stand still, while its migration goes on",
  parameters: [
    MIGRATION,
    { name: "TIME", kind: "duration", help: "such as 30ms: no longer than that" },
  ],
  options: {},
  example: "migrate set-downtime web 50ms",
  result: SessionShape,
  async run(call) {
    const session = sourceOf(call);
    session.convergence.limitMs = call.number("TIME") as number;
    return sessionOf(session);
  },
  text: () => "",
});

const setBandwidth = command({
  family: "migrate",
  name: "set-bandwidth",
  summary: "say how many bytes a second a migration, or all together, may send",
  details: "0 takes the limit away.",
  parameters: [
    { ...MIGRATION, help: `${MIGRATION.help}; "all" for all together` },
    { name: "BYTES", kind: "bytes", help: "a second, also with K, M or G; 0 for no limit" },
  ],
  options: {},
  example: "migrate set-bandwidth web 100M",
  result: z.object({ of: z.string(), bandwidth: z.number().nullable() }),
  async run(call) {
    const of = call.text("MIGRATION") as string;
    const bytes = call.number("BYTES") as number;
    const bandwidth = bytes === 0 ? null : bytes;
    if (of === "all") (await call.fleet.migrations.open()).bandwidth.limit = bandwidth;
    else sourceOf(call).bandwidth.limit = bandwidth;
    return { of, bandwidth };
  },
  text: () => "",
});

const setPolicy = command({
  family: "migrate",
  name: "set-policy",
  summary: "say what is done about a guest that writes faster than the link takes it",
  details: `
throttle: the guest gets less and less of the host. postcopy: see \`migrate postcopy\`. cancel: the migration is given up. force: it is
switched over, whatever the pause takes. --now does not wait for the timeout.`,
  parameters: [
    MIGRATION,
    { name: "POLICY", kind: "choice", choices: POLICIES, help: "what is done" },
  ],
  options: { timeout: LIMITS.timeout, now: { help: "at the end of this round" } },
  example: "migrate set-policy web force --now",
  result: SessionShape,
  async run(call) {
    const session = sourceOf(call);
    if (call.has("now") && call.has("timeout")) {
      throw new UsageError("migrate set-policy: one of --now and --timeout is accepted");
    }
    const timeoutMs = call.has("now") ? 0 : call.number("timeout");
    session.convergence.setPolicy(call.text("POLICY") as Policy, timeoutMs);
    return sessionOf(session);
  },
  text: () => "",
});

const postcopy = command({
  family: "migrate",
  name: "postcopy",
  summary: "switch over at the end of this round; what is left follows the machine",
  details: `
It runs at the target then, and waits there for pages that it touches before they have come. From
then on neither end has the whole machine: a lost link pauses it (\`migrate recover\`), and a lost
process loses it.`,
  parameters: [MIGRATION],
  options: {},
  example: "migrate postcopy web",
  result: SessionShape,
  async run(call) {
    const session = sourceOf(call);
    if (session.result !== null) {
      const text = `the migration of ${session.name} is ${session.status}`;
      throw new VmError("bad-state", `${text}: only one under way goes on as post-copy`);
    }
    session.convergence.postcopy();
    return sessionOf(session);
  },
  text: () => "",
});

const recover = command({
  family: "migrate",
  name: "recover",
  summary: "go on with a post-copy whose link was lost",
  details: `
At either end: calls the other one again. With --abandon-target, at the source, the machine goes on
here from where it was switched over: what it has done since is lost. That is for a target that is
dead, and --target-is-dead says so; where it is not, the machine runs twice until they talk.`,
  parameters: [
    MIGRATION,
    { name: "ADDRESS", kind: "text", help: "of the source, when it has another", isOptional: true },
  ],
  options: {
    "abandon-target": { help: "the machine goes on here, from where it was switched over" },
    "target-is-dead": { help: "the target does not run, and will not" },
  },
  example: "migrate recover web",
  result: SessionShape,
  async run(call) {
    const session = found(call);
    const isAbandoning = call.has("abandon-target");
    const address = call.text("ADDRESS");
    if (isAbandoning && !call.has("target-is-dead")) {
      const why = "it loses what the machine has done since the switch-over";
      throw new UsageError(`migrate recover: --abandon-target needs --target-is-dead: ${why}`);
    }
    if (session instanceof TargetSession) {
      if (isAbandoning) {
        throw new VmError(
          "bad-state",
          `${session.name} arrived here: the source abandons a target`,
        );
      }
      await session.recover(address);
    } else await sourceOf(call).recover({ isAbandoning });
    if (isAbandoning) await session.ended;
    return sessionOf(session);
  },
  text: outcomeText,
});

const Resolved = z.object({
  id: z.string(),
  side: z.string(),
  machine: z.string(),
  standing: z.string().describe("what is decided here"),
  isTaken: z.boolean(),
});

/** What a session that goes on knows of its decision. */
function standingOf(session: SourceSession | TargetSession): string {
  if (session.result !== null) return `${session.result.kind}, ${session.result.machine}`;
  return session instanceof SourceSession ? session.verdict : session.standing;
}

const resolve = command({
  family: "migrate",
  name: "resolve",
  summary: "say who has the machine of a migration in doubt; --take: it goes on here",
  details: `
Answers from the journal. Ends that reach each other settle a doubt by themselves. --take is for the
other end being gone for good, and known to be: where it is not, the machine runs twice.`,
  parameters: [MIGRATION],
  options: { take: { help: "the machine goes on here, whatever the other end does" } },
  example: "migrate resolve web",
  result: Resolved,
  async run(call) {
    const { migrations } = call.fleet;
    const text = call.text("MIGRATION") as string;
    const session = migrations.sessions.find(
      ({ name, id }) => name === text || id.startsWith(text),
    );
    if (session === undefined) {
      const { id, side, machine, record } = migrations.recovered(text);
      if (call.has("take")) {
        const why = "its process has ended, and its memory with it";
        throw new VmError("bad-state", `${machine} cannot be taken: ${why}`);
      }
      return { id, side, machine, standing: record?.kind ?? "unknown", isTaken: false };
    }
    const known = migrations.find(text);
    const { id, side, name } = known;
    if (!(known instanceof SourceSession || known instanceof TargetSession)) {
      throw new VmError("bad-state", `${name} is not of this process`);
    }
    if (call.has("take")) {
      await known.takeByForce();
      await known.ended;
    }
    return { id, side, machine: name, standing: standingOf(known), isTaken: call.has("take") };
  },
  text: ({ machine, side, standing, isTaken }) =>
    `${machine}: ${standing} at the ${side}${isTaken ? ", taken" : ""}\n`,
});

/** These commands, in the order of help. */
export const changeCommands: readonly CommandSpec[] = [
  cancel,
  pause,
  resume,
  setDowntime,
  setBandwidth,
  setPolicy,
  postcopy,
  recover,
  resolve,
];
