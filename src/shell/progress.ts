/**
 * progress: long work told to people on stderr: a line per step, overwritten in place on a
 * terminal, else with every quarter on a line of its own.
 *
 * Used by commands/guest.ts and commands/disk.ts.
 */
import type { Call } from "./command.ts";

/** Shows how far work has come. */
export interface Progress {
  /** 0 to 100 within the step, when that is known. */
  show(step: string, percent?: number): void;
  /** Leaves the line. */
  end(): void;
}

/** Progress of one call. */
export function progressOf({ streams }: Pick<Call, "streams">): Progress {
  let last = "";
  let shown = "";
  let quarter = 0;
  return {
    show(step, percent) {
      const text = percent === undefined ? step : `${step} ${Math.floor(percent)} %`;
      if (streams.isProgressLive) {
        const begin = last === "" || last === step ? "\r\x1b[K" : "\n";
        if (text !== shown) streams.say(`${begin}${text}`);
      } else if (step !== last) {
        quarter = 0;
        streams.say(`${step}\n`);
      } else if (percent !== undefined && Math.floor(percent / 25) > quarter) {
        quarter = Math.floor(percent / 25);
        streams.say(`  ${quarter * 25} %\n`);
      }
      last = step;
      shown = text;
    },
    end() {
      if (streams.isProgressLive && last !== "") streams.say("\n");
    },
  };
}
