/**
 * tab-end: a page that is one end of migrations, with its decisions in the browser's database.
 *
 * Used by the migration suites beside it.
 */
import type * as Rivulet from "../../src/browser.ts";
import type { RivuletWindow } from "./window.ts";

/** The tab's end, as `becomeEnd` leaves it. */
export interface TabEnd {
  readonly manager: Rivulet.MigrationManager;
  /** The last one that has arrived. */
  machine: Rivulet.Machine | null;
  /** What machines have said here. */
  text: string;
}

/** The page's window. */
export type TabWindow = Window & { readonly rivulet: typeof Rivulet; end: TabEnd };

declare const window: TabWindow;

/** What a listener gets, and how to wait for it. */
export function queue<T>(): { put(one: T): void; take(): Promise<T> } {
  const there: T[] = [];
  const waiting: ((one: T) => void)[] = [];
  return {
    put: (one) => {
      const next = waiting.shift();
      if (next === undefined) there.push(one);
      else next(one);
    },
    take: () =>
      new Promise((resolve) => {
        const one = there.shift();
        if (one === undefined) waiting.push(resolve);
        else resolve(one);
      }),
  };
}

/** Makes the page an end that waits by the name "tab"; what arrives is run, or stands. */
export async function becomeEnd(
  { page }: RivuletWindow,
  address: string,
  { isRun, arenaBytes = 128 << 20 }: { isRun: boolean; arenaBytes?: number },
): Promise<void> {
  await page.evaluate(
    async ([address, isRun, arenaBytes]) => {
      const { browserLinks, Host, MigrationManager, openStoreDatabase } = window.rivulet;
      const end: TabEnd = {
        manager: await MigrationManager.create({
          host: await Host.create({ arenaBytes }),
          door: browserLinks(),
          state: await openStoreDatabase("migrations"),
          arrived: (machine) => {
            machine.console.onOutput((bytes) => {
              end.text += new TextDecoder().decode(bytes);
            });
            end.machine?.dispose(); // it has left
            end.machine = machine;
            if (isRun) void machine.run();
          },
        }),
        machine: null,
        text: "",
      };
      window.end = end;
      await end.manager.listen(`${address}await/tab`);
    },
    [address, isRun, arenaBytes] as const,
  );
}

/** Sends the tab's machine away; the result, and what machines have said there. */
export function sendBack({ page }: RivuletWindow, address: string) {
  return page.evaluate(async (address) => {
    const { manager, machine } = window.end;
    const session = await manager.start(machine as Rivulet.Machine, address);
    const result = await session.ended;
    return { result, text: window.end.text };
  }, address);
}
