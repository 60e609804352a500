/**
 * programs: the C programs of guest/, how much work each does, and what it must answer.
 *
 * Used by toolchain (build), suites/hart, profile, compare.
 * Holds   each runs for about 0.4 CPU seconds under QEMU 7.2, start-up aside. `checksum` is what a
 *         native build of the same source prints (test/bench/programs.test.ts compares them), so a
 *         contender that computes wrongly has no time.
 */

/** Which promise a program counts towards. */
export type Group = "start" | "integer" | "float" | "fused";

/** One bench program: guest/NAME.c run for `rounds` rounds. */
export interface Program {
  name: string;
  group: Group;
  /** What of a hart it exercises. */
  about: string;
  rounds: number;
  /** 16 hexadecimal digits. */
  checksum: string;
}

/**
 * Does nothing: its CPU seconds are start-up, and are taken off every other program of the same
 * round.
 */
export const START: Program = {
  name: "null",
  group: "start",
  about: "start-up",
  rounds: 1,
  checksum: "0000000000000001",
};

function program(
  group: Group,
  name: string,
  about: string,
  rounds: number,
  checksum: string,
): Program {
  return { name, group, about, rounds, checksum };
}

/** Every program that is timed. */
export const PROGRAMS: readonly Program[] = [
  program("integer", "sieve", "integer", 90, "22afab9709c944e5"),
  program("integer", "crc", "integer", 600, "583cffefad8b9625"),
  program("integer", "digest", "integer", 1450, "9cf4b6918b0d202f"),
  program("integer", "matrix", "integer", 200, "75237d7eee582779"),
  program("integer", "sort", "branchy", 100, "70fc300cc300893b"),
  program("integer", "queens", "branchy", 250, "b71036e74d783340"),
  program("integer", "interpreter", "branchy", 85, "ca975dabc48fa940"),
  program("integer", "search", "branchy", 2250, "0ef0b4ec1729531b"),
  program("integer", "recurse", "calls", 1400, "d7d96e102f7f2ebc"),
  program("integer", "dispatch", "calls", 5500, "070fc1f234b6e979"),
  program("integer", "chase", "memory", 28, "f3b952acec1a2b47"),
  program("integer", "table", "memory", 125, "491486dc304dc041"),
  program("integer", "copy", "memory", 1500, "477b26c9e1162f55"),
  program("float", "bodies", "add mul div sqrt", 250, "6a6b350e88b787c9"),
  program("float", "mandelbrot", "add mul compare", 55, "50b7bcf3dbddd23b"),
  program("float", "spectral", "add mul div convert", 950, "6b0c16d6884a5b1a"),
  program("float", "filter", "single add mul div", 190, "17f12ea4c15735f2"),
  program("fused", "fused", "double fma, loads", 135, "171c82675401acd3"),
  program("fused", "polynomial", "double fma, chains", 800, "5f3200e5f155d729"),
];

/** The program of that name, `null` included; undefined when there is none. */
export function programNamed(name: string): Program | undefined {
  return [START, ...PROGRAMS].find((one) => one.name === name);
}
