/**
 * prove-kit: a Debian under load, a copy of which moves to and fro while a twin stays.
 *
 * Used by migrate.test.ts, prove.deep.ts.
 */
import {
  Host,
  MemoryBackend,
  nodeLinks,
  type Proof,
  type ProvenMove,
  proveMigration,
} from "../../src/node.ts";
import { debian, say } from "../helpers/debian.ts";

const LOAD = `i=0; while :; do
  i=$((i+1)); head -c 200000 /dev/urandom > /tmp/f$((i % 8)); sha1sum /tmp/f* > /tmp/sums
  dd if=/tmp/sums of=/dev/vda bs=512 seek=$((i % 1000)) conv=notrunc,fsync 2>/dev/null; echo n$i
done`;

/** Moves `points` times. */
export async function proveDebian(
  points: number,
  seed: number,
  onMove: (move: ProvenMove) => void = () => {},
): Promise<Proof> {
  const [host, other] = [await Host.create(), await Host.create()];
  try {
    const disks = [new MemoryBackend(new Uint8Array(1 << 20))];
    const machine = host.createMachine(debian({ name: "deb", disks, harts: 2 }));
    await machine.boot();
    await say(machine, `setsid sh -c '${LOAD}' > /dev/console 2>&1 &`);
    const addresses = ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"] as const;
    const door = nodeLinks();
    return await proveMigration(machine, { host, other, door, addresses, points, seed, onMove });
  } finally {
    host.dispose();
    other.dispose();
  }
}
