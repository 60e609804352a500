/**
 * an hour between a snapshot and its restoration, for guests of four harts, one of them with a
 * shell busy on each: its date is right; what its log says of the hour is printed.
 */
import { suite } from "uvu";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { anHourLater } from "./hour-kit.ts";

const test = suite("boot/hour (deep)");

for (const isBusy of [false, true]) {
  const title = `four harts, ${isBusy ? "busy" : "idle"}`;
  testNeeding(test, [DEBIAN_GUEST], title, () => anHourLater({ harts: 4, isBusy }));
}

test.run();
