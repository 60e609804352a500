/**
 * source-init: what a source does before the first page leaves.
 *
 * Used by source.ts.
 */
import { VmError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import { errorOf, type Line } from "./call.ts";
import type { Message } from "./channel.ts";
import type { DiskWay, MigrateOptions } from "./contract.ts";
import { decodeJson, encodeJson, type JsonMessage } from "./messages.ts";

/** How disks come along, by slot. Throws "bad-argument". */
export function waysOf(machine: Machine, { disks = "carried" }: MigrateOptions): DiskWay[] {
  const { length } = machine.config.disks;
  if (typeof disks === "string") return machine.config.disks.map(() => disks);
  if (disks.length === length) return [...disks];
  const text = `${disks.length} ways for disks of a machine that has ${length}`;
  throw new VmError("bad-argument", `${text}: give one for each, or one for all`);
}

/** Brings in the pages of a machine that was restored and has not read all of its memory. */
export async function bringAll(machine: Machine, check: () => void): Promise<void> {
  for (;;) {
    using root = machine.view.retainRoot();
    const absent: number[] = [];
    for (const batch of root.pages()) {
      for (const page of batch.slice()) if (!root.isHere(page)) absent.push(page);
    }
    if (absent.length === 0) return;
    for (const page of absent) {
      check();
      if ((await machine.pages.bring(page)) === "short") {
        throw new VmError("no-memory", `page ${page} of ${machine.name} has no frame to come to`);
      }
    }
  }
}

/** Sends INIT and waits for what the target says. */
export async function asked(
  line: Line,
  init: JsonMessage<"init">,
  onStop: (stop: () => void) => void,
): Promise<JsonMessage<"accept">> {
  const { channel } = line;
  const answer = new Promise<Message>((resolve, reject) => {
    onStop(() => reject(new VmError("aborted", "cancelled")));
    line.give({
      message: (message) => {
        line.give(null);
        resolve({ ...message, body: message.body.slice() });
      },
      begin: ({ name }) => {
        throw new VmError("bad-file", `the target sent ${name} for an answer`);
      },
      closed: (why) => reject(new VmError("io", `${channel.peer}: ${why}`)),
    });
  });
  answer.catch(() => {}); // told when it is waited for
  await channel.send("init", encodeJson("init", init));
  const message = await answer;
  if (message.name === "refuse") throw errorOf(decodeJson("refuse", message.body), channel.peer);
  if (message.name === "accept") return decodeJson("accept", message.body);
  throw new VmError("bad-file", `${channel.peer} answered init with ${message.name}`);
}
