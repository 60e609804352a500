/**
 * refusal: that a call is refused with a VmError of a code and a text.
 *
 * Used by the suites of this folder.
 */
import * as assert from "uvu/assert";
import { VmError, type VmErrorCode } from "../../src/index.ts";

function check(error: unknown, code: VmErrorCode, text: RegExp): void {
  assert.instance(error, VmError);
  assert.is((error as VmError).code, code);
  assert.match((error as VmError).message, text);
}

/** Fails unless `call` throws so. */
export function throwsCode(call: () => unknown, code: VmErrorCode, text: RegExp): void {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    check(error, code, text);
    return;
  }
  assert.unreachable(`it gave ${String(result)}`);
}

/** Fails unless `promise` is rejected so. */
export async function rejects(promise: Promise<unknown>, code: VmErrorCode, text: RegExp) {
  const [error] = await promise.then(
    () => [null],
    (reason: unknown) => [reason],
  );
  check(error, code, text);
}
