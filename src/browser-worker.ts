/**
 * browser-worker: the script of the worker that RemoteMachine starts: one machine, served to the
 * page.
 *
 * Used by src/browser.ts, and by embedders whose bundler wants to be given the worker.
 */
import { openBlockSource } from "./platform/browser/block-source.ts";
import { browserPlatform } from "./platform/browser/platform.ts";
import { messagePort } from "./platform/browser/worker-thread.ts";
import { serveMachine } from "./remote/serve-machine.ts";

// Inside a worker the global scope is what a Worker is outside.
serveMachine(messagePort(globalThis as unknown as Worker), {
  platform: browserPlatform,
  openBlock: openBlockSource,
});
