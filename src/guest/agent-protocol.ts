/**
 * agent-protocol: what the host and the agent in a Linux guest say to each other, by the port that
 * Linux shows under the name PORT_NAME.
 *
 * Owns    the numbers. Used by guest/agent.ts (the guest's side) and machine/agent.ts (the host's).
 * Holds   a frame is a header of three little-endian words and at most PAYLOAD_BYTES_MAX bytes; a
 *         job is a number from 1 that is not used twice in the life of one agent. What a held
 *         command wrote comes all the same once it has ended. An agent passes over frames that it
 *         does not know: one from before HOLD holds nothing.
 *
 *   type u32 │ job u32 │ length u32 │ payload …
 *
 *   host                                   agent
 *                          ◄───────────── HELLO (version u32)      when it starts
 *     OPEN ─────────────────────────────►                         a job, with no input yet
 *     INPUT (bytes) ────────────────────►                         as often as there is some
 *     RUN (script, NUL) ────────────────►                         /bin/sh -c SCRIPT
 *                          ◄───────────── OUTPUT, ERRORS (bytes)   as they come
 *     KILL (signal u32) ────────────────►                         the job's process group
 *     HOLD (1 or 0, u32) ───────────────►                         read no more of its output; go on
 *                          ◄───────────── EXIT (status u32)        as wait4 gives it; job is over
 *                          ◄───────────── REFUSED (errno u32)      instead: it could not be started
 */

/** Name of the port, as in /sys/class/virtio-ports/vport0p0/name. */
export const AGENT_PORT_NAME = "rivulet.agent";
/** What HELLO says. */
export const AGENT_VERSION = 1;

export const AGENT_HELLO = 1;
export const AGENT_OUTPUT = 2;
export const AGENT_ERRORS = 3;
export const AGENT_EXIT = 4;
export const AGENT_REFUSED = 5;

export const AGENT_OPEN = 16;
export const AGENT_INPUT = 17;
export const AGENT_RUN = 18;
export const AGENT_KILL = 19;
export const AGENT_HOLD = 20;

export const AGENT_HEADER_BYTES = 12;
/** Linux's driver sends at most 32 KiB in one piece. */
export const AGENT_PAYLOAD_BYTES_MAX = 32_768 - AGENT_HEADER_BYTES;
/** Jobs at a time. */
export const AGENT_JOBS_MAX = 16;
