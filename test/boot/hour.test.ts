/**
 * an hour between a snapshot and its restoration, through the files of a store, on another host:
 * with policy "jump" an idle Debian has the date of then and a quiet log. A busy one of four harts
 * is part of hour.deep.ts.
 */
import { suite } from "uvu";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { anHourLater } from "./hour-kit.ts";

const test = suite("boot/hour");

testNeeding(test, [DEBIAN_GUEST], "an hour in a file: the date of then, and a quiet log", () =>
  anHourLater({ harts: 1, isBusy: false }),
);

test.run();
