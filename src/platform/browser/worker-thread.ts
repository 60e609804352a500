/**
 * worker-thread: a Web Worker as the other end of a remote machine.
 *
 * Used by src/browser.ts (the page's end) and src/browser-worker.ts (the worker's).
 */

/** What a Worker and the scope inside it have in common. */
type Messenger = Pick<Worker, "postMessage" | "addEventListener">;

/** One end of a worker's channel; see remote/protocol.ts. */
export function messagePort(messenger: Messenger) {
  return {
    post(message: unknown, transfer: readonly ArrayBuffer[]): void {
      messenger.postMessage(message, [...transfer]);
    },
    listen(listener: (message: unknown) => void): void {
      messenger.addEventListener("message", (event) => listener((event as MessageEvent).data));
    },
  };
}

/** A worker as a remote machine's thread. */
export function workerThread(worker: Worker) {
  return {
    port: messagePort(worker),
    onFailure(listener: (reason: string) => void): void {
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        // A script that cannot be loaded gives an event without a message.
        listener(event.message || "its script does not load");
      });
      worker.addEventListener("messageerror", () => listener("a message cannot be read"));
    },
    terminate: () => worker.terminate(),
  };
}
